//! What a run was asked to do.

use super::initial::InitialWeights;
use super::target::TargetTable;
use crate::data::{Preset, Sampling};
use crate::gpu::Precision;
use crate::search::Goal;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which strategy searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyKind {
    /// Multi-layer coordinate descent (NetAdaptV2).
    Mcd,
    /// One layer a sample (NetAdapt V1).
    Single,
    /// Random networks at the budget.
    Random,
}

/// What the final training starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalStart {
    /// The super-network's weights.
    Shared,
    /// New weights.
    Scratch,
}

/// What teaches the final trainings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeacherKind {
    /// The super-network at its full widths, beside the labels.
    Supernet,
    /// The initial network, which is trained for it as the found ones are but by the labels alone.
    Initial,
    /// Nothing but the labels.
    None,
}

/// What a search is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// The initial network.
    Initial,
    /// The initial network with all widths scaled by one factor to the found network's cost.
    Uniform,
    /// The best of as many random networks as the search scored.
    Random,
}

impl Comparison {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Uniform => "uniform",
            Self::Random => "random",
        }
    }
}

/// As many threads as the machine runs at a time.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What runs were started with before it could be said: as before, no bad file is left out.
fn max_bad() -> f64 {
    0.0
}

/// A run's configuration. The settings of the space that the flags change are changed in the space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of images, or a manifest of one.
    pub data: PathBuf,
    /// What networks have to keep, one for each; all limit the same resources.
    pub budgets: Vec<Goal>,
    /// Preset or file of the search space.
    pub space: String,
    /// Pixels a side, where the space's own is not wanted.
    pub size: Option<u32>,
    /// Folder of the run. It may be moved, so it is not written into it.
    #[serde(skip)]
    pub out: PathBuf,
    /// Seed of everything random.
    pub seed: u64,
    /// Device, by its index in `netadapt devices`.
    pub device: Option<usize>,
    /// Epochs of the super-network, where the space's own are not wanted.
    pub epochs: Option<u32>,
    /// Epochs of a final training, likewise.
    pub final_epochs: Option<u32>,
    /// Samples of an iteration of the search, likewise.
    pub samples: Option<u32>,
    /// Strategy.
    pub strategy: StrategyKind,
    /// What the final training starts from.
    pub final_start: FinalStart,
    /// What teaches the final trainings, where the space's own is not wanted.
    #[serde(default)]
    pub teacher: Option<TeacherKind>,
    /// How often trainings show each class, where the space's own is not wanted.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Augmentation of all trainings, where the space's own is not wanted.
    #[serde(default)]
    pub augment: Option<Preset>,
    /// Precision of the feature maps of trainings, where the space's own is not wanted.
    #[serde(default)]
    pub precision: Option<Precision>,
    /// What the search is compared with.
    pub compare: Vec<Comparison>,
    /// Another run, whose super-network is searched again in the place of training one; its images, seed, space and
    /// size are this run's.
    pub from: Option<PathBuf>,
    /// Measurements of another run, which are taken in the place of measuring.
    pub replay: Option<PathBuf>,
    /// A latency table of this device, whose entries are taken in the place of measuring.
    #[serde(default)]
    pub latency: Option<PathBuf>,
    /// The table of another device that is searched for: latencies are then predicted there, not measured here.
    #[serde(default)]
    pub target: Option<TargetTable>,
    /// Weights that trainings start from in the place of new ones, as far as names and shapes are the same.
    #[serde(default)]
    pub init_from: Option<InitialWeights>,
    /// Share of the files that may be no usable images and are left out.
    #[serde(default = "max_bad")]
    pub max_bad: f64,
    /// Threads that decode images and make batches. Results do not depend on it, so it is not part of the run.
    #[serde(skip, default = "threads")]
    pub threads: usize,
}
