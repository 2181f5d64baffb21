//! A network that exists: an architecture and its weights, as files and on a device.
//!
//! Weights are stored under PyTorch's names and layouts, unfolded: convolutions (O, I, K, K), depthwise
//! ones (C, 1, K, K), linear layers (O, I), normalisations as weight, bias, running_mean, running_var.
//! Files are from strangers: sizes are capped before anything is parsed, and nothing in them is run.

mod architecture; // architecture.json
mod weights; // model.safetensors
mod folded; // the same with normalisation folded
mod network; // both, read from a folder
mod predictor; // a network on a device

pub use architecture::{Architecture, ArchitectureError};
pub use folded::{FoldedLayer, WeightType, rounded, to_folded_safetensors};
pub use network::{ModelError, Network, read};
pub use predictor::{Model, Prediction};
pub use weights::{Matched, WeightsError, copy_tensors, from_safetensors, take_matching, to_safetensors};
