//! An allocator that counts what each thread holds, so that a test can say how much a call may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread took and has not given back, and the most that they were.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends has no counter any more.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: every call is the system allocator's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The most bytes that `work` held on this thread beyond what was held before, and what it returned.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let result = work();
    ((HELD.get().1 - before).max(0) as usize, result)
}

#[test]
fn what_is_held_at_once_is_counted() {
    let (bytes, _) = peak(|| {
        drop(std::hint::black_box(vec![1u8; 3 << 20]));
        drop(std::hint::black_box(vec![1u8; 5 << 20]));
    });
    assert!((5 << 20..6 << 20).contains(&bytes), "{bytes}");
}
