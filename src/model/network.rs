//! A network read from its folder, with caps before anything is parsed.

use super::architecture::{Architecture, ArchitectureError};
use super::weights::{WeightsError, from_safetensors};
use crate::data::DataError;
use crate::disk::read_at_most;
use crate::graph::{Graph, NetworkError, Weights, lower};
use crate::space::{Arch, Supernet};
use std::path::{Path, PathBuf};

/// The file of an architecture.
const ARCHITECTURE: &str = "architecture.json";
/// The largest `architecture.json`: tens of thousands of long class names.
const MAX_ARCHITECTURE_BYTES: u64 = 4 << 20;
/// What a file of weights may hold beside twice the parameters: its header.
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// Why a network cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of a size that it cannot have.
    #[error("{path} has {bytes} bytes, and {limit}")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// What would be right.
        limit: String,
    },
    /// A description that makes no network.
    #[error("{path}: {source}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ArchitectureError,
    },
    /// Weights of another network, or damaged ones.
    #[error("{path}: {source}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// The device.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// An image.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A description, what it makes, and its weights.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its description.
    pub architecture: Architecture,
    /// The super-network that it is from.
    pub net: Supernet,
    /// Its place there.
    pub arch: Arch,
    /// Its operations.
    pub graph: Graph,
    /// Its weights, unfolded.
    pub weights: Weights,
}

impl Architecture {
    /// The architecture in `folder`, which needs no weights beside it.
    ///
    /// # Errors
    /// `ModelError` names the file and what is wrong with it; whether it makes a network, `build` says.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(ARCHITECTURE);
        let bytes = read(&path, MAX_ARCHITECTURE_BYTES)?;
        Self::parse(&bytes).map_err(|source| ModelError::Architecture { path, source })
    }
}

impl Network {
    /// The network in `folder`: an exported one, or `networks/0` of a run.
    ///
    /// Weights are read from `train.safetensors`, the unfolded ones of an export, else from `model.safetensors`.
    ///
    /// # Errors
    /// `ModelError` names the file and what is wrong with it. Memory is taken only as far as the files
    /// are large.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let exported = folder.join("train.safetensors");
        let path = if exported.exists() { exported } else { folder.join("model.safetensors") };
        Self::with_weights(folder, path)
    }

    /// The architecture in `folder` with the unfolded weights in the file at `path`.
    ///
    /// # Errors
    /// As `open`.
    pub fn with_weights(folder: &Path, path: PathBuf) -> Result<Self, ModelError> {
        let architecture = Architecture::open(folder)?;
        let built = architecture.build();
        let (net, arch) =
            built.map_err(|source| ModelError::Architecture { path: folder.join(ARCHITECTURE), source })?;
        // Beside every parameter there is at most a statistic.
        let least = net.params(&arch) * 4;
        let bytes = read(&path, least * 2 + MAX_HEADER_BYTES)?;
        if (bytes.len() as u64) < least {
            let limit = format!("this architecture's weights need {least}: one of the two files is another network's");
            return Err(ModelError::Size { path, bytes: bytes.len() as u64, limit });
        }
        let graph = lower(&net, &arch);
        let weights =
            from_safetensors(&graph, &bytes).map_err(|source| ModelError::Weights { path: path.clone(), source })?;
        Ok(Self { architecture, net, arch, graph, weights })
    }
}

/// A whole file of at most `limit` bytes.
///
/// # Errors
/// `ModelError::Read`, for a larger file too, of which nothing is kept.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    read_at_most(path, limit).map_err(|source| ModelError::Read { path: path.to_owned(), source })
}
