//! What can go wrong between a graph and a device.

use super::memory::Fits;
use crate::gpu::GpuError;

/// Why a network could not be made ready or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The device refused.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A training, or what teaches one, that the device has no room for.
    #[error("{source}; {what} in batches of {batch} does not fit: {fits}")]
    NoRoom {
        /// What the device said.
        source: GpuError,
        /// `training`, ...
        what: &'static str,
        /// Images of a step.
        batch: u32,
        /// What would fit.
        fits: Fits,
    },
    /// Memory that the images of a batch do not fit into.
    #[error("the images have {got} bytes, and the network reads {expected}")]
    Images {
        /// Bytes of a batch.
        expected: u64,
        /// Bytes given.
        got: u64,
    },
    /// Weights of another network.
    #[error("the weights have {got} values, the network {expected}")]
    Weights {
        /// Values that the network has.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

impl NetworkError {
    /// The same; where the device had no room for `what` in batches of `batch`, with what would fit.
    pub(super) fn with_advice(self, what: &'static str, batch: u32, fits: impl FnOnce() -> Fits) -> Self {
        match self {
            Self::Gpu(source @ (GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. })) => {
                Self::NoRoom { source, what, batch, fits: fits() }
            }
            other => other,
        }
    }
}
