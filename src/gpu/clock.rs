//! How long something took: on the wall, in time of this process on processors, and by the device's own clock.

use std::time::{Duration, Instant};

/// Seconds that something took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elapsed {
    /// By the clock on the wall.
    pub wall: f64,
    /// On processors, over all threads of this process: a software adapter works on them, and what other processes
    /// take of the machine does not count. None where the system does not tell.
    pub processor: Option<f64>,
    /// By the device's own clock, from its first dispatch to its last. None where it has none, or it says nothing.
    pub device: Option<f64>,
}

impl Elapsed {
    /// One of `repeats` equal parts of it, after `overhead` was taken off.
    pub fn part(self, overhead: Self, repeats: u32) -> Self {
        let part = |all: f64, overhead: f64| (all - overhead).max(1e-9) / f64::from(repeats);
        Self {
            wall: part(self.wall, overhead.wall),
            processor: self.processor.map(|all| part(all, overhead.processor.unwrap_or(0.0))),
            device: self.device.map(|all| part(all, overhead.device.unwrap_or(0.0))),
        }
    }
}

/// Runs from its start.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    wall: Instant,
    processor: Option<Duration>,
}

impl Stopwatch {
    /// Starts.
    pub fn start() -> Self {
        Self { processor: processor_time(), wall: Instant::now() }
    }

    /// What has passed since.
    pub fn elapsed(&self) -> Elapsed {
        let wall = self.wall.elapsed().as_secs_f64();
        let processor = processor_time().zip(self.processor).map(|(now, start)| (now - start).as_secs_f64());
        Elapsed { wall, processor, device: None }
    }
}

#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().ok()
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn processor_time_is_that_of_all_threads() {
        let begun = Stopwatch::start();
        let busy = || {
            let mine = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let start = Duration::try_from(mine()).unwrap();
            while Duration::try_from(mine()).unwrap() - start < Duration::from_millis(60) {}
        };
        std::thread::scope(|scope| [scope.spawn(busy), scope.spawn(busy)].map(|thread| thread.join().unwrap()));
        let processor = begun.elapsed().processor.unwrap();
        assert!(processor >= 0.12, "{processor}");
    }

    #[test]
    fn a_part_is_what_is_left_without_the_overhead() {
        let all = Elapsed { wall: 1.0, processor: Some(1.5), device: Some(0.5) };
        let part = all.part(Elapsed { wall: 0.2, processor: Some(0.5), device: Some(0.1) }, 4);
        assert_eq!(part, Elapsed { wall: 0.2, processor: Some(0.25), device: Some(0.1) });
        assert!(Elapsed { wall: 0.1, processor: None, device: None }.part(all, 1).wall > 0.0);
    }
}
