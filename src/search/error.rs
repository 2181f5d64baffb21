//! Why no network was found.

use super::budget::Resource;
use super::schedule::Schedule;
use std::fmt;

/// An error of a scorer or of a measurement, of which the search knows nothing.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why no network was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The budget is below what can be reached.
    #[error(
        "a budget of {} is out of reach: {limit}; the least that can be asked for is about {}",
        .resource.text(*.budget), .resource.text_up(*.least)
    )]
    OutOfReach {
        /// What is limited.
        resource: Resource,
        /// The budget, in the resource's unit.
        budget: f64,
        /// The least value that can be reached, in the same unit.
        least: f64,
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
        /// The budget, in the resource's unit.
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
