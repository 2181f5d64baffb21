//! Why a run ended.

use super::folder::{Folder, FolderError, quoted};
use crate::data::DataError;
use crate::gpu::GpuError;
use crate::graph::NetworkError;
use crate::latency::LatencyError;
use crate::model::WeightsError;
use crate::search::{BoxError, BudgetError, SearchError};
use crate::space::SpaceError;
use crate::train::TrainError;
use std::path::PathBuf;

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
    /// A measurement.
    #[error(transparent)]
    Latency(#[from] LatencyError),
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
    /// A run without the super-network that was to be searched again.
    #[error("{} has no trained super-network yet; train it first: netadapt resume {}", folder.display(), quoted(folder))]
    NoSupernet {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A configuration in a run's folder that cannot be read.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// The parser's message with the line.
        source: Box<toml::de::Error>,
    },
    /// A run that is not the one that was started.
    #[error("{what} is not what this run was started with: {changes}; change it back, or start a new run")]
    Changed {
        /// What it was started with.
        what: StartedWith,
        /// What differs.
        changes: String,
    },
    /// A file of weights that nothing can start from.
    #[error("nothing can start from {path}: {problem}")]
    InitialWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Measurements that are of another run.
    #[error("cannot replay line {line} of {path}: {problem}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// It was asked to stop, and can go on.
    #[error("stopped; go on with: netadapt resume {}", quoted(folder))]
    Stopped {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A latency table that cannot be used.
    #[error("{path} {problem}")]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// The building of a table was asked to stop, and can go on.
    #[error("stopped with {left} operations left to measure; the same command goes on with {path}")]
    TableStopped {
        /// The file to be.
        path: PathBuf,
        /// Operations that are not measured yet.
        left: usize,
    },
    /// Anything that a cost or a score reports.
    #[error(transparent)]
    Other(BoxError),
}

/// What a run is started with, and has to find again when it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedWith {
    /// `config.toml`.
    Config,
    /// The images.
    Data,
    /// The file of `--init-from`.
    InitialWeights,
    /// The table of `--target`.
    Target,
}

impl std::fmt::Display for StartedWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Config => "config.toml",
            Self::Data => "the data set",
            Self::InitialWeights => "the file of --init-from",
            Self::Target => "the table of --target",
        })
    }
}

impl RunError {
    /// How a run ends that was asked to stop.
    pub(super) fn stopped(folder: &Folder) -> Self {
        Self::Stopped { folder: folder.path().to_owned() }
    }

    /// The error itself where a search passes it on.
    fn root(&self) -> &Self {
        match self {
            Self::Other(source)
            | Self::Search(SearchError::Measure { source, .. } | SearchError::Score { source, .. }) => {
                source.downcast_ref::<Self>().map_or(self, Self::root)
            }
            _ => self,
        }
    }

    /// Whether another device may do what this one did not.
    pub(super) fn is_lost_device(&self) -> bool {
        matches!(self.root().gpu(), Some(GpuError::Lost { .. }))
    }

    /// Whether less at a time may fit into the device's memory.
    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self.root().gpu(), Some(GpuError::OutOfMemory { .. } | GpuError::TooLarge { .. }))
    }

    fn gpu(&self) -> Option<&GpuError> {
        match self {
            Self::Gpu(error)
            | Self::Latency(LatencyError::Gpu(error))
            | Self::Network(NetworkError::Gpu(error) | NetworkError::NoRoom { source: error, .. })
            | Self::Train(TrainError::Network(NetworkError::Gpu(error) | NetworkError::NoRoom { source: error, .. })) => {
                Some(error)
            }
            _ => None,
        }
    }

    /// The exit code of the command line for it.
    pub fn exit_code(&self) -> u8 {
        let error = self.root();
        if let Some(error) = error.gpu() {
            return gpu_code(error);
        }
        match error {
            Self::Budget(_) | Self::Space(_) | Self::Config { .. } | Self::Replay { .. } | Self::Table { .. } => 2,
            Self::InitialWeights { .. } | Self::NoSupernet { .. } => 2,
            Self::Changed { what: StartedWith::Data, .. } => 5,
            Self::Changed { .. } => 2,
            Self::Stopped { .. } | Self::TableStopped { .. } => 75,
            Self::Latency(LatencyError::Noisy { .. }) => 6,
            Self::Search(SearchError::OutOfReach { .. }) => 3,
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
        | GpuError::Lost { .. }
        | GpuError::Wrong { .. }
        | GpuError::Device { .. } => 4,
        _ => 1,
    }
}
