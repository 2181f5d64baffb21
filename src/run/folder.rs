//! The run's folder: files written whole, or by whole lines.

use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why the run's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is a run in it already.
    #[error("{path} holds a run already; name another folder with --out")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `write`, `read` or `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// An error where there is a run in the folder already.
    pub fn refuse_occupied(path: &Path) -> Result<(), FolderError> {
        if path.join("config.toml").exists() {
            return Err(FolderError::Occupied { path: path.to_owned() });
        }
        Ok(())
    }

    /// A new run's folder; one with a run in it is refused.
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        Self::refuse_occupied(path)?;
        let folder = Self { path: path.to_owned() };
        for sub in ["", "latency", "state", "initial", "networks"] {
            folder.create_sub(sub)?;
        }
        Ok(folder)
    }

    /// The folder of a run that was started before.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub fn create_sub(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(|source| FolderError::Io { action: "create", path, source })
    }

    /// Writes a file so that it is there whole or not at all: beside, synced, renamed, folder synced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let beside = path.with_file_name(format!(
            ".{}.new",
            path.file_name().expect("a file of a run has a name").to_string_lossy()
        ));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            sync_folder(path.parent().expect("a file of a run lies in a folder"))
        };
        write().map_err(|source| FolderError::Io { action: "write", path: path.clone(), source })
    }

    /// Writes a value as indented JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| FolderError::Damaged { path: self.path.join(name), reason: error.to_string() })?;
        self.write(name, format!("{text}\n").as_bytes())
    }

    /// Appends one line.
    pub fn append(&self, name: &str, line: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|source| FolderError::Io { action: "write", path, source })
    }

    /// Appends a value as one line of JSON.
    pub fn append_json(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let text = serde_json::to_string(value)
            .map_err(|error| FolderError::Damaged { path: self.path.join(name), reason: error.to_string() })?;
        self.append(name, &text)
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FolderError> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|source| FolderError::Io { action: "read", path, source })
    }

    /// Reads a file of JSON.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, FolderError> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|error| FolderError::Damaged { path: self.path.join(name), reason: error.to_string() })
    }
}

/// Makes a rename durable. Windows has no such call and needs none.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
