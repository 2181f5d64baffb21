//! The problem as a search strategy sees it: a space, a score, a cost; and the schedule of a descent.

use super::budget::Resource;
use super::cap::{Cap, Ceiling};
use super::history::{Candidate, Iterate};
use crate::space::{Arch, SearchSettings, Supernet};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An error of a scorer or of a measurement, of which the search knows nothing.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a network costs, in the budget's unit; predictions are cheap, measurements are not.
pub trait Cost {
    /// A prediction, microseconds to make; the same for the same architecture.
    fn predict(&self, arch: &Arch) -> f64;

    /// The cost itself.
    ///
    /// # Errors
    /// Whatever the device says.
    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError>;

    /// Measures a network that was found within `budget` once more, some time later. `None` where the budget is
    /// kept, as it always is where a cost is counted; what the network costs now where it is not.
    ///
    /// # Errors
    /// As for `measure`.
    fn confirm(&mut self, _arch: &Arch, _budget: f64) -> Result<Option<f64>, BoxError> {
        Ok(None)
    }
}

/// Scores architectures with the shared weights on the held-out images, many in one call.
pub trait Scorer {
    /// One score for each architecture, in their order.
    ///
    /// # Errors
    /// Whatever the device says.
    fn score(&mut self, archs: &[Arch]) -> Result<Vec<Score>, BoxError>;
}

/// How well an architecture does; a lower cross-entropy is better, accuracy breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean cross-entropy of the images, in nats.
    pub loss: f64,
    /// Share of the images that is classified correctly, 0 to 1.
    pub accuracy: f64,
}

/// Is told what happens: progress bars and history files come from here.
pub trait Observer {
    /// A candidate was scored; those of one iteration come together.
    fn sample(&mut self, _candidate: &Candidate) {}

    /// The search stands at another network.
    fn iterate(&mut self, _iterate: &Iterate) {}

    /// The network that was found within a budget costs more now: the search goes on from it.
    fn not_confirmed(&mut self, _iterate: &Iterate, _now: f64) {}
}

/// Looks away.
impl Observer for () {}

/// What is to be solved, and with what.
pub struct Problem<'a> {
    /// The space.
    pub net: &'a Supernet,
    /// What is limited; for messages only.
    pub resource: Resource,
    /// Limits in the cost's unit, in any order: a network is found for each of them.
    pub budgets: &'a [f64],
    /// What is limited beside.
    pub caps: &'a [Cap<'a>],
    /// What networks cost.
    pub cost: &'a mut dyn Cost,
    /// How well networks do.
    pub scorer: &'a mut dyn Scorer,
    /// Who is told.
    pub observer: &'a mut dyn Observer,
}

/// A way to search: the same answers of cost and score lead to the same questions, in the same order. So one
/// that was interrupted is simply begun again with the answers that it had got.
pub trait Strategy {
    /// Finds a network for every budget.
    ///
    /// # Errors
    /// `SearchError`: a budget that cannot be met, or what the cost or the scorer said.
    fn search(&self, problem: Problem<'_>) -> Result<Outcome, SearchError>;
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One for each budget, in the order in which they were given.
    pub networks: Vec<Found>,
}

/// A network within a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The limit.
    pub budget: f64,
    /// The network.
    pub arch: Arch,
    /// The iterate that it was; its measured cost is within the budget.
    pub iterate: Iterate,
}

/// Why no network was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The budget is below what can be reached.
    #[error(
        "a budget of {} is out of reach: {limit}; the least that can be asked for is about {}",
        .resource.text(*.budget), .resource.text_up(*.fastest)
    )]
    OutOfReach {
        /// What is limited.
        resource: Resource,
        /// The budget (ms, MACs or parameters).
        budget: f64,
        /// The least value that can be reached, in the same unit.
        fastest: f64,
        /// What stands in the way.
        limit: Limit,
    },
    /// Measured values do not follow the predictions.
    #[error(
        "the search does not settle: after {iterations} iterations the network measures {} and the \
         budget is {}; leave the device to the search alone, or raise `search.first_cut`",
        .resource.text(*.measured), .resource.text(*.budget)
    )]
    Unsettled {
        /// What is limited.
        resource: Resource,
        /// The budget (ms, MACs or parameters).
        budget: f64,
        /// The last iterate's measured value.
        measured: f64,
        /// How many iterations were made.
        iterations: u32,
    },
    /// The measurement failed.
    #[error("cannot measure the network {values:?}")]
    Measure {
        /// Values of its coordinates.
        values: Vec<u32>,
        /// What the device said.
        source: BoxError,
    },
    /// The scoring failed.
    #[error("cannot score the {count} networks of iteration {iteration}")]
    Score {
        /// The iteration.
        iteration: u32,
        /// How many there were.
        count: usize,
        /// What the device said.
        source: BoxError,
    },
    /// A scorer that leaves networks out.
    #[error("the scorer gave {got} scores for {expected} networks")]
    ScoreCount {
        /// Networks.
        expected: usize,
        /// Scores.
        got: usize,
    },
    /// No score is a number.
    #[error(
        "no network of iteration {iteration} has a finite cross-entropy: the shared weights have \
         diverged, train again with a lower `train.learning_rate`"
    )]
    NoScore {
        /// The iteration.
        iteration: u32,
    },
    /// A cost that is not a positive number.
    #[error("the {what} {resource} of the network {values:?} is {value}, not a positive number")]
    Value {
        /// What is limited.
        resource: Resource,
        /// `predicted` or `measured`.
        what: &'static str,
        /// Values of its coordinates.
        values: Vec<u32>,
        /// The value.
        value: f64,
    },
}

/// What keeps a budget from being reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The smallest network of the space.
    Space,
    /// The random networks, which all measure more than was predicted.
    Samples,
    /// The cuts of the schedule, which add up to too little.
    Schedule {
        /// The schedule.
        schedule: Schedule,
        /// A first cut that is enough, with the same decay.
        enough_first_cut: f64,
        /// A decay that is enough, with the same first cut.
        enough_decay: f64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space => f.write_str("the smallest network of this space needs more"),
            Self::Samples => f.write_str("every random network drawn for it measures more"),
            Self::Schedule { schedule, enough_first_cut, enough_decay } => write!(
                f,
                "cuts that begin with `search.first_cut` = {} and decay by `search.decay` = {} add \
                 up to {:.1} % of the initial network, set first_cut to {} or decay to {}",
                schedule.first_cut,
                schedule.decay,
                schedule.reach() * 100.0,
                enough_first_cut,
                enough_decay
            ),
        }
    }
}

/// Settings of a coordinate descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `J`: samples of an iteration.
    pub samples: u32,
    /// `L`: coordinates that a sample shrinks together.
    pub coordinates: u32,
    /// The cuts of the resource.
    pub schedule: Schedule,
    /// Seed of the samples.
    pub seed: u64,
    /// Widths shrink to multiples of this many channels, which the device likes; a coordinate's
    /// smallest choice is always allowed.
    pub width_step: u32,
}

impl Settings {
    /// The settings that a space carries.
    pub fn new(space: &SearchSettings, seed: u64, width_step: u32) -> Self {
        Self {
            samples: space.samples,
            coordinates: space.coordinates,
            schedule: Schedule { first_cut: space.first_cut, decay: space.decay },
            seed,
            width_step,
        }
    }
}

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
    pub fastest: f64,
}

/// Refuses, before anything is trained, budgets that a descent cannot reach.
///
/// # Errors
/// `SearchError::OutOfReach` for the first budget below the smallest network or the schedule's end.
pub fn check_reach(schedule: Schedule, resource: Resource, budgets: &[f64], extent: Extent) -> Result<(), SearchError> {
    let Extent { initial, fastest } = extent;
    let refuse = |budget, fastest, limit| Err(SearchError::OutOfReach { resource, budget, fastest, limit });
    for &budget in budgets {
        if budget.is_nan() || budget < fastest {
            return refuse(budget, fastest, Limit::Space);
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
    refuse(budget, fastest.max(initial * (1.0 - schedule.reach())), limit)
}

/// The counted cost of one image: exact, so that predicted and measured are one.
#[derive(Clone, Copy, Debug)]
pub struct Macs<'a>(pub &'a Supernet);

impl Cost for Macs<'_> {
    fn predict(&self, arch: &Arch) -> f64 {
        self.0.macs(arch) as f64
    }

    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError> {
        Ok(self.predict(arch))
    }
}

/// The counted parameters.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a>(pub &'a Supernet);

impl Cost for Params<'_> {
    fn predict(&self, arch: &Arch) -> f64 {
        self.0.params(arch) as f64
    }

    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError> {
        Ok(self.predict(arch))
    }
}

impl<'a> Problem<'a> {
    /// What goes with one of the budgets.
    pub(super) fn ceilings(&self, budget: usize) -> Vec<Ceiling<'a>> {
        self.caps.iter().map(|cap| cap.ceiling(budget)).collect()
    }

    /// Predicted and measured cost, both checked to be positive numbers.
    pub(super) fn price(&mut self, arch: &Arch) -> Result<(f64, f64), SearchError> {
        price(self.cost, self.resource, arch)
    }

    /// What a network that was found within a budget costs at its second measurement, where that is too much.
    pub(super) fn confirm(&mut self, found: &Iterate, arch: &Arch, budget: f64) -> Result<Option<f64>, SearchError> {
        let values = || arch.values().to_vec();
        let now = self.cost.confirm(arch, budget);
        let now = now.map_err(|source| SearchError::Measure { values: values(), source })?;
        if let Some(value) = now {
            if !(value.is_finite() && value > 0.0) {
                let resource = self.resource;
                return Err(SearchError::Value { resource, what: "measured", values: values(), value });
            }
            self.observer.not_confirmed(found, value);
        }
        Ok(now)
    }

    /// Scores, one for each of the networks.
    pub(super) fn scores(&mut self, iteration: u32, archs: &[Arch]) -> Result<Vec<Score>, SearchError> {
        let count = archs.len();
        let scores = self.scorer.score(archs).map_err(|source| SearchError::Score { iteration, count, source })?;
        if scores.len() != count {
            return Err(SearchError::ScoreCount { expected: count, got: scores.len() });
        }
        Ok(scores)
    }
}

/// Predicted and measured cost, both checked to be positive numbers.
pub(super) fn price(cost: &mut dyn Cost, resource: Resource, arch: &Arch) -> Result<(f64, f64), SearchError> {
    let values = || arch.values().to_vec();
    let predicted = cost.predict(arch);
    let measured = cost.measure(arch).map_err(|source| SearchError::Measure { values: values(), source })?;
    for (what, value) in [("predicted", predicted), ("measured", measured)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(SearchError::Value { resource, what, values: values(), value });
        }
    }
    Ok((predicted, measured))
}

/// The positions of finite scores, the best first; equal ones keep their order.
pub(super) fn ranked(scores: &[Score]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i].loss.is_finite()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (scores[a], scores[b]);
        a.loss.total_cmp(&b.loss).then(b.accuracy.total_cmp(&a.accuracy))
    });
    order
}
