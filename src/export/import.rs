//! An exported network comes back, as it was or with weights that were trained elsewhere.

use super::ExportError;
use super::folder::{description, made, put, verify};
use crate::model::{Network, to_safetensors};
use std::path::Path;

/// Brings the network of the exported folder `model` into the new folder `out`, as `architecture.json` and
/// `model.safetensors`, unfolded: what a prediction, an export and a measurement take, and trainings start from.
///
/// With `weights`, a file of PyTorch's state dictionary of `model.py` or a changed `train.safetensors`, those are the
/// network's, and only `model`'s architecture is read; without, `model` is verified first.
///
/// # Errors
/// `ExportError` names the file that is not as it should be.
pub fn import(model: &Path, weights: Option<&Path>, out: &Path) -> Result<Network, ExportError> {
    let network = match weights {
        Some(path) => Network::with_weights(model, path.to_owned())?,
        None => {
            verify(model)?;
            Network::open(model)?
        }
    };
    let bytes = to_safetensors(&network.graph, &network.weights);
    let bytes = bytes.map_err(|source| ExportError::Weights { source })?;
    made(out, |folder| {
        put(folder, vec![("architecture.json", description(&network.architecture)), ("model.safetensors", bytes)])
    })?;
    Ok(network)
}
