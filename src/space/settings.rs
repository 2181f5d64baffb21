//! The search and training settings that a space carries, since what suits one does not suit another.

use crate::data::Sampling;
use crate::gpu::Precision;
use serde::{Deserialize, Serialize};

/// How widths are drawn for ordered dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WidthDistribution {
    /// Uniform over a coordinate's choices.
    Uniform,
    /// Skewed to large widths: the choice at `sqrt(u)` of the list, `u` uniform.
    Large,
    /// Each image first draws how small it is, the exponent `e` between 1/4 and 4 (uniform in its logarithm), then
    /// every choice at `u^e` of the list: networks from a twentieth of the initial network to nearly all of it are
    /// trained alike. Widths drawn independently of each other give networks that are nearly all of one size.
    Levels,
}

/// A noisy device shows a median to one percent in about so many seconds.
fn latency_seconds() -> f64 {
    5.0
}

/// Steps of a search are some percent.
fn latency_tolerance() -> f64 {
    0.1
}

/// What disturbs a device for a while is seldom there a minute later.
fn confirm_seconds() -> f64 {
    60.0
}

/// Channels that the widths of found networks are multiples of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`search.width_step` must be \"auto\" or a number of channels")]
pub enum WidthStep {
    /// So many.
    Channels(u32),
    /// What the device's times show.
    Found(Auto),
}

/// Found, not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// The only word for it.
    Auto,
}

/// A device is known better by its times than by the user.
fn width_step() -> WidthStep {
    WidthStep::Found(Auto::Auto)
}

/// Settings of the multi-layer coordinate descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    /// `J`: samples of an iteration.
    pub samples: u32,
    /// `L`: coordinates that a sample shrinks together.
    pub coordinates: u32,
    /// First cut of the resource, as a share of the initial network's.
    pub first_cut: f64,
    /// Factor of the cut from one iteration to the next.
    pub decay: f64,
    /// Images split off the training images to score with, where the folder has no `val`.
    pub holdout_images: u32,
    /// Held-out images that a sample is scored on.
    pub score_images: u32,
    /// Training images that a sample's batch statistics are recalibrated on.
    pub recalibration_images: u32,
    /// Images of a deployed network's batch, whose latency is searched.
    pub latency_batch: u32,
    /// Seconds that measuring one network may take, until its median is known to one percent.
    #[serde(default = "latency_seconds")]
    pub latency_seconds: f64,
    /// Error of a median, as a share, above which a measurement is of no use.
    #[serde(default = "latency_tolerance")]
    pub latency_tolerance: f64,
    /// Seconds between the two measurements that a found network must keep its budget in.
    #[serde(default = "confirm_seconds")]
    pub confirm_seconds: f64,
    /// Channels that widths are multiples of: `"auto"` or a number. Where it is found and no latency is limited, it
    /// is a quad.
    #[serde(default = "width_step")]
    pub width_step: WidthStep,
}

/// Which update rule trains the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent with Nesterov momentum.
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov, Hutter 2019).
    AdamW,
}

/// Settings of every training: the super-network's, the found network's, a comparison's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Images of a step.
    pub batch: u32,
    /// Precision of the feature maps of trainings: `f32` or `bf16`. Sums, weights and found networks are f32.
    #[serde(default)]
    pub precision: Precision,
    /// Epochs of the super-network.
    pub epochs: u32,
    /// Epochs of a found network's final training.
    pub final_epochs: u32,
    /// Epochs of a final training that starts from new weights; where nothing is said, `epochs` and `final_epochs`
    /// together: as many as one that starts from shared weights has behind it.
    pub scratch_epochs: Option<u32>,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f32,
    /// Learning rate of a training that starts from shared weights.
    pub final_learning_rate: f32,
    /// Momentum of SGD; first moment's decay of AdamW.
    pub momentum: f32,
    /// Weight decay of weights; biases and normalisation have none.
    pub weight_decay: f32,
    /// Share of the steps that warm up.
    pub warmup: f32,
    /// Label smoothing.
    pub label_smoothing: f32,
    /// Share of a final training's target that is a teacher's output on the same image, 0 to 1: the super-network's at
    /// its full widths, or the initial network's.
    #[serde(default)]
    pub distillation: f32,
    /// How often each class is shown: `natural` or `balanced`.
    #[serde(default)]
    pub sampling: Sampling,
    /// Gradients are scaled down to this norm; 0 for never.
    pub clip_norm: f32,
    /// How widths are drawn.
    pub widths: WidthDistribution,
    /// Images of each batch that run the full network.
    pub full_images: u32,
    /// Images that share a draw of widths.
    pub images_per_draw: u32,
}

impl TrainSettings {
    /// Epochs of a training of one network from new weights.
    pub fn epochs_from_scratch(&self) -> u32 {
        self.scratch_epochs.unwrap_or(self.epochs.saturating_add(self.final_epochs))
    }
}
