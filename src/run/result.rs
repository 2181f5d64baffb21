//! `result.json`. Accuracies are shares of 1; every latency in it was measured on `device`, but those that say that
//! they are predicted.

use crate::gpu::Adapter;
pub use crate::report::{Difference, Seconds};
use serde::Serialize;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// Version of the format.
    pub version: u32,
    /// The device that was measured.
    pub device: Adapter,
    /// The device that was searched for by its table; nothing was measured there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Adapter>,
    /// Wall-clock seconds of each step.
    pub seconds: Seconds,
    /// The initial network.
    pub initial: InitialNetwork,
    /// A network for each budget, in the order given.
    pub networks: Vec<FoundNetwork>,
    /// What the search had to beat.
    pub compare: Vec<ComparedNetwork>,
}

/// The initial network with the shared weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InitialNetwork {
    /// Measured latency.
    pub latency_ms: f64,
    /// Milliseconds predicted for the target, where the run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<f64>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Parameters.
    pub params: u64,
    /// Accuracy with the shared weights.
    pub accuracy: Accuracy,
}

/// Accuracies, shares of 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// With the shared weights, on the held-out images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<f64>,
    /// After training, on the held-out images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdout: Option<f64>,
    /// After training, on the test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
    /// Mean of the classes' accuracies, on the images of [`ClassAccuracy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced: Option<f64>,
}

/// One class's test images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassAccuracy {
    /// The class.
    pub name: String,
    /// Its images.
    pub images: u32,
    /// Share of them that were called so; `None` without images.
    pub accuracy: Option<f64>,
}

/// A budget of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultBudget {
    /// As it was asked for.
    pub text: String,
    /// As `search::Resource` writes it: `latency`, `MACs`, ...
    pub resource: String,
    /// The limit in the resource's unit.
    pub limit: f64,
    /// The limit in milliseconds, where the budget is a latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// What is limited beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ResultLimit>,
}

/// A limit beside the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultLimit {
    /// `MACs`, `parameters`, `bytes of weights` or `peak memory of activations`.
    pub resource: String,
    /// The limit in the resource's unit.
    pub limit: f64,
    /// What the network has of it.
    pub value: f64,
}

/// A network that was found and trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundNetwork {
    /// Its budget.
    pub budget: ResultBudget,
    /// Measured latency; the worse of two where that is limited.
    pub latency_ms: f64,
    /// All measurements that it was taken from: two, `search.confirm_seconds` apart, for a latency budget.
    pub measured_ms: Vec<f64>,
    /// 90th percentile.
    pub latency_p90_ms: f64,
    /// What the table predicted, corrected by whole networks.
    pub predicted_ms: f64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Parameters.
    pub params: u64,
    /// Bytes of the deployed weights.
    pub weight_bytes: u64,
    /// Bytes of activations that a run holds at most.
    pub activation_bytes: u64,
    /// Milliseconds predicted for the target, where the run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<f64>,
    /// Accuracies.
    pub accuracy: Accuracy,
    /// Accuracy of each class, in the order of their numbers.
    pub classes: Vec<ClassAccuracy>,
    /// Cross-entropy on the held-out images with the shared weights, scored again after the search.
    pub shared_loss: f64,
    /// Half of the 95 % interval of the test accuracy.
    pub interval: f64,
    /// Its folder in the run's.
    pub path: String,
}

/// A network that the search has to beat, trained as the found one was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedNetwork {
    /// `initial`, `uniform` or `random`.
    pub name: String,
    /// Index of the found network that it is compared with.
    pub network: usize,
    /// Measured latency.
    pub latency_ms: f64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Parameters.
    pub params: u64,
    /// Bytes of the deployed weights.
    pub weight_bytes: u64,
    /// Bytes of activations that a run holds at most.
    pub activation_bytes: u64,
    /// Milliseconds predicted for the target, where the run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<f64>,
    /// Accuracies.
    pub accuracy: Accuracy,
    /// Accuracy of each class, in the order of their numbers.
    pub classes: Vec<ClassAccuracy>,
    /// Cross-entropy on the held-out images with the shared weights.
    pub shared_loss: f64,
    /// Half of the 95 % interval of the test accuracy.
    pub interval: f64,
    /// The found network's test accuracy less this one's.
    pub difference: Difference,
}
