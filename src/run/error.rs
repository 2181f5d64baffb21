//! Why a run ended.

use super::folder::FolderError;
use crate::data::DataError;
use crate::gpu::GpuError;
use crate::graph::NetworkError;
use crate::model::WeightsError;
use crate::search::{BoxError, BudgetError, SearchError};
use crate::space::SpaceError;
use crate::train::TrainError;

/// Why a run ended before its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A budget that cannot be read.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The search space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A network could not be made ready or run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The run's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Anything that a cost or a score reports.
    #[error(transparent)]
    Other(BoxError),
}

impl RunError {
    /// The exit code of the command line for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Budget(_) | Self::Space(_) => 2,
            Self::Search(SearchError::OutOfReach { .. }) => 3,
            Self::Gpu(error) | Self::Network(NetworkError::Gpu(error)) => gpu_code(error),
            Self::Train(TrainError::Network(NetworkError::Gpu(error))) => gpu_code(error),
            Self::Data(_) | Self::Train(TrainError::Data(_)) => 5,
            _ => 1,
        }
    }
}

fn gpu_code(error: &GpuError) -> u8 {
    match error {
        GpuError::NoAdapter { .. }
        | GpuError::NoSuchDevice { .. }
        | GpuError::Refused { .. }
        | GpuError::Device { .. } => 4,
        _ => 1,
    }
}
