//! A search for another device: its latency table predicts there what cannot be measured here.

use super::error::{RunError, StartedWith};
use super::pinned::PinnedFile;
use super::table::{parse_table, read_text};
use crate::gpu::Adapter;
use crate::latency::{Correction, Table};
use crate::space::{Arch, Supernet};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of another device's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetTable(PinnedFile);

impl TargetTable {
    /// The file as it is now.
    ///
    /// # Errors
    /// `RunError::Table` for a file that is no latency table.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let text = read_text(path)?;
        parse_table(path, &text)?;
        Ok(Self(PinnedFile::new(path, text.as_bytes())))
    }

    /// The table, which must be the one that it was and hold every operation of `net`.
    pub(super) fn read(&self, net: &Supernet) -> Result<Target, RunError> {
        let PinnedFile { path, .. } = &self.0;
        let text = read_text(path)?;
        self.0.check(StartedWith::Target, text.as_bytes())?;
        let table = parse_table(path, &text)?;
        if let Some(missing) = table.lacks(net) {
            let problem = format!("has no time of {missing}: it is of another space or size");
            return Err(RunError::Table { path: path.clone(), problem });
        }
        let correction = table.correction(net);
        Ok(Target { table, correction })
    }
}

/// What the table of the other device says.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) table: Table,
    correction: Correction,
}

impl Target {
    /// The other device.
    pub(super) fn device(&self) -> &Adapter {
        &self.table.origin.adapter
    }

    /// Predicted milliseconds of a network there.
    pub(super) fn predict(&self, net: &Supernet, arch: &Arch) -> f64 {
        let ms = self.table.corrected_ms(&self.correction, net, arch);
        ms.expect("the table has every operation of the space")
    }
}
