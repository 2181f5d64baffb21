//! The same for each of many files, by threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// What `work` makes of each item, in their order. `progress` is called on this thread with (done, all).
pub(super) fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: &(dyn Fn(&T) -> R + Sync),
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut made: Vec<Option<R>> = items.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        let (results, done) = mpsc::channel();
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            let (results, next) = (results.clone(), &next);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    if results.send((i, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (count, (i, result)) in done.iter().enumerate() {
            made[i] = Some(result);
            progress(count + 1, items.len());
        }
    });
    made.into_iter().map(|result| result.expect("a thread that panics ends the scope")).collect()
}
