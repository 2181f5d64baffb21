//! Processors that are kept from going to sleep while a software adapter is timed.
//!
//! Such an adapter wakes its threads for every launch. A processor that slept in between takes microseconds to come
//! back, in a virtual machine tens of them, and whether it sleeps changes from second to second: the same network takes
//! 1.9 or 3.4 ms. So threads of the lowest class, which whatever else wants to run interrupts at once, keep processors
//! busy, as benchmarks of processors switch their sleep states off.

use crate::gpu::Gpu;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::thread::Thread;

/// Fences between two looks at whether to go on: a microsecond or so.
const FENCES: u32 = 32;

/// Those who want processors to be awake just now.
static USERS: AtomicUsize = AtomicUsize::new(0);
/// One thread for each processor, which sleeps where there are no users. They live as long as the process: on a busy
/// machine a thread of the lowest class may take long to end, and nobody should wait for it.
static THREADS: OnceLock<Vec<Thread>> = OnceLock::new();

/// Keeps processors awake as long as it lives. The processor time of that counts as the process's own.
#[derive(Debug)]
pub(super) struct Awake {
    is_needed: bool,
}

impl Awake {
    /// For what `gpu` runs on: all processors for a software adapter, none for others, which do not wait for threads.
    pub(super) fn during(gpu: &Gpu) -> Self {
        let is_needed = gpu.adapter().is_software();
        if is_needed {
            USERS.fetch_add(1, Ordering::Relaxed);
            let count = || std::thread::available_parallelism().map_or(1, usize::from);
            let start = |_| std::thread::spawn(keep_awake).thread().clone();
            THREADS.get_or_init(|| (0..count()).map(start).collect()).iter().for_each(Thread::unpark);
        }
        Self { is_needed }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if self.is_needed {
            USERS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn keep_awake() {
    // A thread that could not be put last would take time from what is timed.
    if !give_way() {
        return;
    }
    loop {
        if USERS.load(Ordering::Relaxed) == 0 {
            std::thread::park();
        }
        // Neither takes a core's units from what runs beside it, nor, as a pause does, lets a virtual machine think
        // that this is a lock to be waited for elsewhere.
        (0..FENCES).for_each(|_| fence(Ordering::SeqCst));
    }
}

/// Puts this thread behind all others; whether the system has such a class and let it.
#[cfg(target_os = "linux")]
fn give_way() -> bool {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), thread_priority::ThreadPriority::Min, idle).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn give_way() -> bool {
    false
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_gives_way() {
        use super::give_way;
        use thread_priority::unix::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};
        let policy = std::thread::spawn(|| (give_way(), thread_schedule_policy().unwrap())).join().unwrap();
        assert_eq!(policy, (true, ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle)));
    }
}
