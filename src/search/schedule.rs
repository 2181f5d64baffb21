//! How fast a descent cuts, and which budgets it can reach.

use super::budget::Resource;
use super::error::{Limit, SearchError};

/// How much of the resource each iteration takes: `first_cut * decay^i` of the initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// First cut, as a share of the initial network's resource, above 0 and below 1.
    pub first_cut: f64,
    /// Factor of the cut from one iteration to the next, above 0 and at most 1.
    pub decay: f64,
}

impl Schedule {
    /// The share of the initial resource that all cuts together take; infinite without decay.
    pub fn reach(self) -> f64 {
        self.first_cut / (1.0 - self.decay)
    }

    /// The cut of iteration `iteration`, from 1, as a share of the initial resource.
    pub fn cut(self, iteration: u32) -> f64 {
        self.first_cut * self.decay.powi(iteration.saturating_sub(1) as i32)
    }

    /// How many iterations reach all `budgets`, of an initial value, if none overshoots its target;
    /// `None` if they never do. No iteration goes past a budget, which costs cuts.
    pub fn iterations(self, initial: f64, budgets: &[f64]) -> Option<u32> {
        const MOST: u32 = 100_000;
        let mut stops: Vec<f64> = budgets.iter().map(|budget| budget / initial).collect();
        stops.sort_by(|a, b| b.total_cmp(a));
        let (mut at, mut iteration) = (1.0, 0);
        for stop in stops {
            // A remainder of rounding is no reason for one more iteration.
            while at > stop * (1.0 + 1e-9) {
                iteration += 1;
                let cut = self.cut(iteration);
                if iteration > MOST || cut / (1.0 - self.decay) <= at - stop {
                    return None;
                }
                at = stop.max(at - cut);
            }
        }
        Some(iteration)
    }
}

/// The measured ends of a space, in the budget's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Of the initial network.
    pub initial: f64,
    /// Of the smallest network.
    pub least: f64,
}

/// Refuses, before anything is trained, budgets that a descent cannot reach.
///
/// # Errors
/// `SearchError::OutOfReach` for the first budget below the smallest network or the schedule's end.
pub fn check_reach(schedule: Schedule, resource: Resource, budgets: &[f64], extent: Extent) -> Result<(), SearchError> {
    let Extent { initial, least } = extent;
    let refuse = |budget, least, limit| Err(SearchError::OutOfReach { resource, budget, least, limit });
    for &budget in budgets {
        if budget.is_nan() || budget < least {
            return refuse(budget, least, Limit::Space);
        }
    }
    if schedule.iterations(initial, budgets).is_some() {
        return Ok(());
    }
    // The least of them: it is the one that the cuts do not get to.
    let budget = budgets.iter().copied().fold(f64::INFINITY, f64::min);
    let missing = 1.05 * (1.0 - budget / initial);
    let up = |value: f64| (value * 1000.0).ceil() / 1000.0;
    let limit = Limit::Schedule {
        schedule,
        enough_first_cut: up(missing * (1.0 - schedule.decay)),
        enough_decay: up(1.0 - schedule.first_cut / missing).min(1.0),
    };
    refuse(budget, least.max(initial * (1.0 - schedule.reach())), limit)
}
