//! A network that exists: an architecture and its weights, as files.
//!
//! Weights are stored under PyTorch's names and layouts, unfolded: convolutions (O, I, K, K), depthwise
//! ones (C, 1, K, K), linear layers (O, I), normalisations as weight, bias, running_mean, running_var.

mod architecture; // architecture.json
mod weights; // model.safetensors

pub use architecture::Architecture;
pub use weights::{WeightsError, from_safetensors, to_safetensors};
