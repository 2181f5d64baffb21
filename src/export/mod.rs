//! A network leaves home: one folder with everything to run it elsewhere, and a check that it is the same.
//!
//! An export refuses to exist unless what was written, read back and run in plain loops, gives the engine's
//! logits on golden samples. Folders are from strangers when they are verified: sizes are capped before
//! anything is parsed, and no path in a file is followed.

mod proto; // the messages of ONNX
mod nodes; // an architecture as nodes of ONNX
mod onnx; // model.onnx
mod array; // arrays and operations in plain loops
pub(crate) mod evaluate; // an ONNX file run with them
mod golden; // samples that every form agrees on
mod pytorch; // model.py
mod describe; // metadata, config.json, labels.txt
mod card; // README.md
pub(crate) mod manifest; // manifest.json
mod folder; // all of it, written and verified
mod import; // back home

pub use card::{CrossCheck, Facts, HalfCost};
pub use folder::{Report, verify, write};
pub use golden::Agreement;
pub use import::import;
pub use onnx::{OnnxOptions, onnx_file};

use crate::model::{ModelError, WeightType, WeightsError};
use std::path::PathBuf;

/// What is written beside the architecture and the weights to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `model.onnx`.
    Onnx,
    /// `model.safetensors`, folded.
    Safetensors,
    /// `model.py`.
    Pytorch,
}

/// How a network is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to write.
    pub formats: Vec<Format>,
    /// Which ONNX.
    pub onnx: OnnxOptions,
    /// Type of the weights in `model.onnx` and `model.safetensors`.
    pub weights: WeightType,
}

/// Why a network was not exported, or an export is not what it says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A version of ONNX's operators that is not written.
    #[error("opset {opset} is not written; 13, 17 and 21 are")]
    Opset {
        /// What was asked for.
        opset: u32,
    },
    /// Something is there already.
    #[error("{path} exists already; name another folder with --out")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be made.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `write`, `create`, `remove`, `rename` or `sync`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network's own files, or the device.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights that make no file.
    #[error("cannot write the weights: {source}")]
    Weights {
        /// What is wrong.
        source: WeightsError,
    },
    /// A file that is not what it should be.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An ONNX file that cannot be run.
    #[error("model.onnx cannot be run: {problem}")]
    Onnx {
        /// The node and what is wrong with it.
        problem: String,
    },
    /// A form of the network that gives other logits than the engine.
    #[error("{form} is not the network that was trained: {agreement}")]
    Differs {
        /// Its file.
        form: &'static str,
        /// How far it is from the engine.
        agreement: Agreement,
    },
}
