//! Files from elsewhere that a run reads when it starts, and again when it goes on.

use super::error::{RunError, StartedWith};
use crate::digest::sha256;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A file as it was when the run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinnedFile {
    /// The file.
    pub(super) path: PathBuf,
    /// Its SHA-256.
    sha256: String,
}

impl PinnedFile {
    /// The file at `path` with this content.
    pub(super) fn new(path: &Path, content: &[u8]) -> Self {
        Self { path: path.to_owned(), sha256: sha256(content) }
    }

    /// Refuses another content; `what` is the file.
    pub(super) fn check(&self, what: StartedWith, content: &[u8]) -> Result<(), RunError> {
        if sha256(content) == self.sha256 {
            return Ok(());
        }
        Err(RunError::Changed { what, changes: format!("{} has another SHA-256", self.path.display()) })
    }
}
