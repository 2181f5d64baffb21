//! What a run tells while it goes on.

use super::result::RunResult;
use crate::latency::Measurement;
use crate::search::{Candidate, Iterate};
use crate::train::EpochReport;
use serde::Serialize;

/// A part of a run that takes time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "name", content = "of")]
pub enum Phase {
    /// Listing image files and looking at their headers.
    Files,
    /// Reading and decoding images.
    Images,
    /// Timing operations.
    Table,
    /// Measuring networks that a table has predicted.
    Check,
    /// Training the super-network.
    Supernet,
    /// Scoring sub-networks.
    Search,
    /// Training what teaches the final trainings.
    Teacher,
    /// Training the network of this budget.
    Final(String),
    /// Training this network of the comparison.
    Compare(String),
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files => write!(f, "looking at files"),
            Self::Images => write!(f, "reading images"),
            Self::Table => write!(f, "timing operations"),
            Self::Check => write!(f, "measuring networks"),
            Self::Supernet => write!(f, "training the super-network"),
            Self::Search => write!(f, "searching"),
            Self::Teacher => write!(f, "training the teacher"),
            Self::Final(budget) => write!(f, "training the network for {budget}"),
            Self::Compare(name) => write!(f, "training for comparison: {name}"),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A remark for the user.
    Note {
        /// One sentence.
        text: String,
    },
    /// A phase began.
    Begin {
        /// Which.
        phase: Phase,
    },
    /// A phase went on.
    Progress {
        /// Units of work done.
        done: f64,
        /// All of them, as far as known.
        all: f64,
    },
    /// A phase ended.
    End {
        /// Which.
        phase: Phase,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// An epoch of a training ended.
    Epoch {
        /// `supernet`, `teacher`, `network-0`, `initial`, `uniform-0` or `random-0`, by the index of the budget.
        training: String,
        /// What it came to.
        report: EpochReport,
    },
    /// A whole network was timed.
    Measured {
        /// Which.
        network: String,
        /// Its latency.
        latency: Measurement,
    },
    /// A sub-network was scored.
    Sample(Candidate),
    /// The search took a step.
    Iterate(Iterate),
    /// The run is done.
    Result(Box<RunResult>),
}

/// Who is told. The command line prints; a program may draw.
pub trait Listener {
    /// Something happened.
    fn event(&mut self, event: &Event);
}

impl Listener for () {
    fn event(&mut self, _: &Event) {}
}
