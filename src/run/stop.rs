//! A wish to stop, looked at wherever a run can go on later from what it has on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether a run should stop. Cloning makes another handle to the same wish.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requested: AtomicBool,
    /// How often it is looked at before it says yes.
    looks: AtomicU64,
    deadline: Option<Instant>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new(u64::MAX, None)
    }
}

impl Stop {
    fn new(looks: u64, deadline: Option<Instant>) -> Self {
        Self(Arc::new(Inner { requested: AtomicBool::new(false), looks: AtomicU64::new(looks), deadline }))
    }

    /// Stops by itself when this much time has gone by.
    pub fn within(time: Duration) -> Self {
        Self::new(u64::MAX, Instant::now().checked_add(time))
    }

    /// Stops at the `count`-th place, from 0, at which a run can stop: before each piece of new work.
    pub fn at(count: u64) -> Self {
        Self::new(count, None)
    }

    /// Asks the run to stop at the next such place.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to, without taking a look that counts.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// A place where a run can stop: whether it should.
    pub(super) fn look(&self) -> bool {
        let last = |looks: u64| if looks == u64::MAX { None } else { looks.checked_sub(1) };
        let none_left = self.0.looks.try_update(Ordering::Relaxed, Ordering::Relaxed, last) == Err(0);
        if none_left || self.0.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.request();
        }
        self.is_requested()
    }
}
