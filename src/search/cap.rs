//! Resources that are limited beside the one that a search measures its steps by.
//!
//! They are counted, so that they are known exactly and need no correction. Every network that is found keeps all of
//! its limits. On the way there the resource that is furthest from its limit, in units of its initial value, leads:
//! an iteration cuts it by the schedule, and goes the same share of the way with the others, so that all arrive
//! together and none is cut before it must be.

use super::budget::Resource;
use super::schedule::Schedule;
use crate::space::Arch;

/// A counted resource with its limits.
pub struct Cap<'a> {
    /// For messages.
    pub resource: Resource,
    /// What a network has of it; less, or as much, for narrower ones.
    pub count: &'a dyn Fn(&Arch) -> f64,
    /// One for each budget of the problem.
    pub limits: Vec<f64>,
}

impl<'a> Cap<'a> {
    /// The limit that goes with one of the budgets.
    pub fn ceiling(&self, budget: usize) -> Ceiling<'a> {
        Ceiling { count: self.count, most: self.limits[budget] }
    }
}

/// How much of a counted resource a network may have.
#[derive(Clone, Copy)]
pub struct Ceiling<'a> {
    /// What it has.
    pub count: &'a dyn Fn(&Arch) -> f64,
    /// At most.
    pub most: f64,
}

impl Ceiling<'_> {
    /// Whether a network keeps it.
    pub fn holds(&self, arch: &Arch) -> bool {
        (self.count)(arch) <= self.most
    }
}

/// Where a descent is with one resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) initial: f64,
    pub(super) now: f64,
    pub(super) limit: f64,
}

impl Way {
    /// What is left of it, in units of the initial value; 0 where the limit holds.
    fn left(self) -> f64 {
        ((self.now - self.limit) / self.initial).max(0.0)
    }
}

/// What every resource may have after an iteration, in the order given.
pub(super) fn targets(ways: &[Way], schedule: Schedule, iteration: u32) -> Vec<f64> {
    let furthest = ways.iter().map(|way| way.left()).fold(0.0, f64::max);
    let cut = schedule.cut(iteration);
    let target = |way: &Way| {
        let left = way.left();
        if left == furthest {
            return way.limit.max(way.now - cut * way.initial);
        }
        // Never past a limit: each budget gets a network of its own.
        let share = (cut / furthest).min(1.0);
        if left == 0.0 || share == 1.0 { way.limit } else { way.now - share * (way.now - way.limit) }
    };
    ways.iter().map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { first_cut: 0.1, decay: 1.0 };

    fn check(ways: &[[f64; 3]], want: &[f64]) {
        let ways: Vec<Way> = ways.iter().map(|&[initial, now, limit]| Way { initial, now, limit }).collect();
        let got = targets(&ways, SCHEDULE, 1);
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?} is not {want:?}");
    }

    #[test]
    fn the_furthest_leads_and_the_others_come_along() {
        check(&[[10.0, 10.0, 5.0]], &[9.0]);
        check(&[[10.0, 5.5, 5.0]], &[5.0]);
        // The first has five cuts to go, the second a share of its own initial value four times as small.
        check(&[[10.0, 10.0, 5.0], [800.0, 800.0, 700.0]], &[9.0, 780.0]);
        check(&[[10.0, 5.5, 5.0], [800.0, 800.0, 400.0]], &[5.4, 720.0]);
        check(&[[10.0, 4.0, 5.0], [800.0, 800.0, 400.0]], &[5.0, 720.0]);
        check(&[[10.0, 5.4, 5.0], [800.0, 460.0, 400.0]], &[5.0, 400.0]);
        check(&[[10.0, 4.0, 5.0], [800.0, 300.0, 400.0]], &[5.0, 400.0]);
    }

    #[test]
    fn all_arrive_with_the_last_cut() {
        let mut ways = [Way { initial: 10.0, now: 10.0, limit: 4.5 }, Way { initial: 800.0, now: 800.0, limit: 700.0 }];
        for iteration in 1..=6 {
            assert!(ways.iter().all(|way| way.now > way.limit), "iteration {iteration}: {ways:?}");
            let targets = targets(&ways, SCHEDULE, iteration);
            ways.iter_mut().zip(targets).for_each(|(way, target)| way.now = target);
        }
        assert!(ways.iter().all(|way| way.now == way.limit), "{ways:?}");
    }
}
