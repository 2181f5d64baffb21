//! The search and training settings that a space carries, since what suits one does not suit another.

use super::GRID;
use super::spec::{SpaceError, Values};
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

impl SearchSettings {
    /// Whether every value can be worked with.
    pub(super) fn validate(&self, values: &Values<'_>) -> Result<(), SpaceError> {
        values.check(self.samples >= 1, "search.samples", "must be at least 1")?;
        values.check(self.coordinates >= 1, "search.coordinates", "must be at least 1")?;
        values.check(self.first_cut > 0.0 && self.first_cut < 1.0, "search.first_cut", "must lie between 0 and 1")?;
        values.check(self.decay > 0.0 && self.decay <= 1.0, "search.decay", "must lie above 0 and be at most 1")?;
        values.check(
            self.score_images >= 1 && self.holdout_images >= self.score_images,
            "search.score_images",
            "must be at least 1 and at most search.holdout_images",
        )?;
        values.check(self.recalibration_images >= 1, "search.recalibration_images", "must be at least 1")?;
        values.check((1..=1024).contains(&self.latency_batch), "search.latency_batch", "must be 1 to 1024")?;
        values.check((0.0..=3600.0).contains(&self.latency_seconds), "search.latency_seconds", "must be 0 to 3600")?;
        values.check((0.0..=1.0).contains(&self.latency_tolerance), "search.latency_tolerance", "must be 0 to 1")?;
        values.check((0.0..=3600.0).contains(&self.confirm_seconds), "search.confirm_seconds", "must be 0 to 3600")?;
        if let WidthStep::Channels(step) = self.width_step {
            let fits = (GRID..=256).contains(&step) && step.is_multiple_of(GRID);
            values.check(fits, "search.width_step", "must be \"auto\" or a multiple of 4 up to 256")?;
        }
        Ok(())
    }
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
    /// Whether every value can be worked with.
    pub(super) fn validate(&self, values: &Values<'_>) -> Result<(), SpaceError> {
        values.check((2..=4096).contains(&self.batch), "train.batch", "must be 2 to 4096")?;
        values.check(
            self.epochs >= 1 && self.final_epochs >= 1 && self.scratch_epochs != Some(0),
            "train.epochs",
            "must be at least 1, final_epochs and scratch_epochs too",
        )?;
        values.check(self.full_images <= self.batch, "train.full_images", "must be at most train.batch")?;
        values.check(self.images_per_draw >= 1, "train.images_per_draw", "must be at least 1")?;
        for (key, value) in [("learning_rate", self.learning_rate), ("final_learning_rate", self.final_learning_rate)] {
            values.check(value > 0.0 && value.is_finite(), format!("train.{key}"), "must be positive")?;
        }
        for (key, value) in [
            ("momentum", self.momentum),
            ("warmup", self.warmup),
            ("label_smoothing", self.label_smoothing),
            ("distillation", self.distillation),
        ] {
            values.check((0.0..1.0).contains(&value), format!("train.{key}"), "must be at least 0 and below 1")?;
        }
        values.check(
            self.weight_decay >= 0.0 && self.clip_norm >= 0.0,
            "train.weight_decay",
            "must not be negative, clip_norm neither",
        )?;
        Ok(())
    }

    /// Epochs of a training of one network from new weights.
    pub fn epochs_from_scratch(&self) -> u32 {
        self.scratch_epochs.unwrap_or(self.epochs.saturating_add(self.final_epochs))
    }
}
