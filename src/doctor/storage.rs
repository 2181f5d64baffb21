//! The disk: room for a run, and how long it takes to make a checkpoint last.

use crate::disk::{Disk, SystemDisk, folder_of, write_whole};
use crate::latency::Spread;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Checkpoints that are written to see how long one takes.
const TRIES: usize = 5;
/// Checkpoints, weights and logs of a run, in checkpoints: three are kept of each training, one more is being written.
const CHECKPOINTS: u64 = 20;
/// Room for the rest of a run: report, logs, tables.
const REST_BYTES: u64 = 64 << 20;
/// A checkpoint every half minute should not take longer than this.
const SLOW_MS: f64 = 1500.0;

/// What the folder's disk does.
#[derive(Clone, Debug, Serialize)]
pub struct Storage {
    /// The folder, or the nearest one above it that is there.
    pub folder: PathBuf,
    /// Bytes that are free; `None` where the system does not say.
    pub free: Option<u64>,
    /// Bytes of a checkpoint.
    pub checkpoint_bytes: u64,
    /// Median time to write one so that it lasts; `None` where it cannot be written.
    pub checkpoint_ms: Option<f64>,
    /// Why it cannot be written.
    pub problem: Option<String>,
}

pub(super) fn examine(folder: &Path, checkpoint_bytes: u64) -> Storage {
    let mut there = folder;
    while !there.is_dir() && there != folder_of(there) {
        there = folder_of(there);
    }
    let times = (0..TRIES).map(|_| checkpoint_seconds(there, checkpoint_bytes)).collect::<io::Result<Vec<f64>>>();
    Storage {
        folder: there.to_owned(),
        free: fs4::available_space(there).ok(),
        checkpoint_bytes,
        checkpoint_ms: times.as_ref().ok().map(|times| Spread::of(times).median * 1e3),
        problem: times.err().map(|error| error.to_string()),
    }
}

/// Writes a checkpoint's bytes as checkpoints are written, and removes them.
fn checkpoint_seconds(folder: &Path, bytes: u64) -> io::Result<f64> {
    let path = folder.join(format!(".netadapt-doctor-{}", std::process::id()));
    let content = vec![0x5a; bytes as usize];
    let start = Instant::now();
    let written = write_whole(&SystemDisk, &path, &content);
    let seconds = start.elapsed().as_secs_f64();
    let removed = SystemDisk.remove(&path);
    written.and(removed).map(|()| seconds)
}

impl Storage {
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let folder = self.folder.display();
        if let Some(problem) = &self.problem {
            warnings.push(format!("nothing can be written to {folder}: {problem}; name another folder"));
        }
        let needed = CHECKPOINTS * self.checkpoint_bytes + REST_BYTES;
        if let Some(free) = self.free.filter(|free| *free < needed) {
            warnings.push(format!(
                "{folder} has {:.0} MB left, and a run may take {:.0}: it would wait for room on the way",
                free as f64 / 1e6,
                needed as f64 / 1e6
            ));
        }
        if let Some(ms) = self.checkpoint_ms.filter(|ms| *ms > SLOW_MS) {
            warnings.push(format!("a checkpoint takes {:.1} s to last in {folder}: a local disk is faster", ms / 1e3));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_measured_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let storage = examine(&dir.path().join("runs/x"), 1 << 16);
        assert_eq!((storage.folder.as_path(), storage.problem.as_deref()), (dir.path(), None));
        assert!(storage.free.is_some_and(|free| free > 0) && storage.checkpoint_ms.is_some_and(|ms| ms > 0.0));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_without_room_or_speed_is_warned_of() {
        let good = Storage {
            folder: "/runs".into(),
            free: Some(1 << 40),
            checkpoint_bytes: 1 << 20,
            checkpoint_ms: Some(3.0),
            problem: None,
        };
        assert_eq!(good.warnings(), [""; 0]);
        assert!(Storage { free: Some(1 << 20), ..good.clone() }.warnings()[0].contains("1 MB left"));
        assert!(Storage { checkpoint_ms: Some(4e3), ..good.clone() }.warnings()[0].contains("4.0 s"));
        let refused = Storage { checkpoint_ms: None, problem: Some("read-only".into()), ..good };
        assert!(refused.warnings()[0].contains("read-only"));
    }
}
