//! The run's folder: files written whole, logs by whole lines, one process at a time.
//!
//! A disk that is full is waited for, as long as `Patience` says.

use crate::disk::{Disk, read_at_most, read_text_at_most, write_whole};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Why the run's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is a run in it already.
    #[error(
        "{path} holds a run already; name another folder with --out, or go on with `netadapt resume {}`",
        quoted(path)
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// There are other things in it.
    #[error("{path} holds {entry}, which is no part of a run; name a new or an empty folder with --out")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        entry: String,
    },
    /// There is no run in it.
    #[error("{path} holds no run: there is no config.toml in it; start one with `netadapt search`")]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process works in it.
    #[error("{path} is in use by {owner}; wait for it, or stop it first")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Process and host.
        owner: String,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `write`, `read`, `create` or `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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

/// A path as a shell takes it, for commands that are told.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    // No path has the byte that cannot be quoted.
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), Into::into)
}

/// Is asked when the disk is full: whether to try again, after a while. It is given the file.
pub type Patience = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// The folder of one run.
pub struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    patience: Patience,
    /// Held as long as the folder is.
    _lock: Lock,
    /// Bytes of whole lines of the logs that this process has appended to; what is behind them is no line.
    logs: Mutex<HashMap<String, u64>>,
}

/// Files larger than this are no file of a run: nothing is read from them.
const MOST_BYTES: u64 = 4 << 30;
/// The same of what names the lock's holder.
const MOST_OWNER_BYTES: u64 = 4096;
/// The folders of a run, made before anything else.
const SUBFOLDERS: [&str; 4] = ["latency", "state", "initial", "networks"];
/// Who holds the lock.
const LOCK: &str = "state/lock";
/// What makes a folder a run's.
pub(super) const CONFIG: &str = "config.toml";

impl Folder {
    /// An error where there is a run in the folder already, or anything that a run did not leave: it may be overwritten.
    pub fn refuse_occupied(path: &Path) -> Result<(), FolderError> {
        if path.join(CONFIG).exists() {
            return Err(FolderError::Occupied { path: path.to_owned() });
        }
        let read = |source| FolderError::Io { action: "read", path: path.to_owned(), source };
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(read)?,
        };
        for entry in entries {
            let entry = entry.map_err(read)?.file_name();
            // A run that was killed before its configuration was there has left these.
            let entry = entry.to_string_lossy().into_owned();
            if !entry.starts_with('.') && !SUBFOLDERS.contains(&entry.as_str()) {
                return Err(FolderError::Foreign { path: path.to_owned(), entry });
            }
        }
        Ok(())
    }

    /// A new run's folder; one with a run in it is refused.
    pub fn create(path: &Path, disk: Arc<dyn Disk>, patience: Patience) -> Result<Self, FolderError> {
        Self::refuse_occupied(path)?;
        Self::locked(path, disk, patience)
    }

    /// The folder of a run that was started before.
    pub fn open(path: &Path, disk: Arc<dyn Disk>, patience: Patience) -> Result<Self, FolderError> {
        if !path.join(CONFIG).exists() {
            return Err(FolderError::NoRun { path: path.to_owned() });
        }
        Self::locked(path, disk, patience)
    }

    fn locked(path: &Path, disk: Arc<dyn Disk>, patience: Patience) -> Result<Self, FolderError> {
        for path in std::iter::once(path.to_owned()).chain(SUBFOLDERS.map(|sub| path.join(sub))) {
            disk.create_folder(&path).map_err(|source| FolderError::Io { action: "create", path, source })?;
        }
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), disk, patience, _lock: lock, logs: Mutex::default() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it.
    pub fn create_sub(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        self.patiently("create", &path, || self.disk.create_folder(&path))
    }

    /// Does what needs room on the disk, again and again while the disk is full and patience lasts.
    fn patiently(
        &self,
        action: &'static str,
        path: &Path,
        mut work: impl FnMut() -> io::Result<()>,
    ) -> Result<(), FolderError> {
        loop {
            match work() {
                Ok(()) => return Ok(()),
                Err(error) if is_full(&error) && (self.patience)(path) => {}
                Err(source) => return Err(FolderError::Io { action, path: path.to_owned(), source }),
            }
        }
    }

    /// Writes a file so that it is there whole or not at all: beside, synced, renamed, folder synced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        self.patiently("write", &path, || write_whole(self.disk.as_ref(), &path, bytes))
    }

    /// Writes a value as indented JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| self.damaged(name, error))?;
        self.write(name, format!("{text}\n").as_bytes())
    }

    /// Appends one line to a log. What a crash or a full disk left of a line is cut off first.
    pub fn append(&self, name: &str, line: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let bytes = format!("{line}\n");
        let mut logs = self.logs.lock().expect("no holder of this lock panics");
        let end = match logs.get(name) {
            Some(end) => *end,
            None => match self.read(name) {
                Ok(bytes) => whole_lines(&bytes).len() as u64,
                Err(error) if error.is_missing() => 0,
                Err(error) => return Err(error),
            },
        };
        self.patiently("write", &path, || {
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > end) {
                self.disk.truncate(&path, end)?;
            }
            self.disk.append(&path, bytes.as_bytes())
        })?;
        logs.insert(name.to_owned(), end + bytes.len() as u64);
        Ok(())
    }

    /// Appends a value as one line of JSON.
    pub fn append_json(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let text = serde_json::to_string(value).map_err(|error| self.damaged(name, error))?;
        self.append(name, &text)
    }

    /// Makes what was appended to a log last.
    pub fn sync(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        self.patiently("write", &path, || self.disk.sync(&path))
    }

    /// The whole lines of a log; none where there is no such file.
    pub fn lines(&self, name: &str) -> Result<Vec<String>, FolderError> {
        match self.read(name) {
            Ok(bytes) => {
                let text = std::str::from_utf8(whole_lines(&bytes)).map_err(|error| self.damaged(name, error))?;
                Ok(text.lines().map(str::to_owned).collect())
            }
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Leaves the first `count` lines of a log.
    pub fn keep_lines(&self, name: &str, count: usize) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let bytes = self.lines(name)?.iter().take(count).map(|line| line.len() as u64 + 1).sum();
        if path.exists() {
            self.patiently("write", &path, || self.disk.truncate(&path, bytes))?;
            self.logs.lock().expect("no holder of this lock panics").insert(name.to_owned(), bytes);
        }
        Ok(())
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FolderError> {
        read(&self.path.join(name))
    }

    /// Reads a file of JSON.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, FolderError> {
        read_json(&self.path.join(name))
    }

    /// Names of the files in a folder of it, hidden ones left out.
    pub fn files(&self, sub: &str) -> Result<Vec<String>, FolderError> {
        let path = self.path.join(sub);
        let read = |source| FolderError::Io { action: "read", path: path.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(read)? {
            let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(FolderError::Io { action: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Removes all that the run has written, and the folder itself unless something else is in it.
    pub(super) fn discard(self) -> Result<(), FolderError> {
        let mut folders = vec![String::new()];
        folders.extend(SUBFOLDERS.map(String::from));
        // As long as there is a configuration, what is left is a run; the lock is for whoever takes the folder meanwhile.
        let last = [CONFIG, LOCK];
        for sub in folders.iter().rev() {
            for name in self.files(sub)? {
                let name = if sub.is_empty() { name } else { format!("{sub}/{name}") };
                if !last.contains(&name.as_str()) && !SUBFOLDERS.contains(&name.as_str()) {
                    self.remove(&name)?;
                }
            }
        }
        last.iter().try_for_each(|name| self.remove(name))?;
        for sub in folders.iter().rev() {
            // One that somebody has put something into stays.
            let _ = fs::remove_dir(self.path.join(sub));
        }
        Ok(())
    }

    /// Removes what a crash left of files that were being written.
    pub fn remove_unfinished(&self) -> Result<(), FolderError> {
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = self.path.join(&folder);
            let read = |source| FolderError::Io { action: "read", path: path.clone(), source };
            for entry in fs::read_dir(&path).map_err(read)? {
                let entry = entry.map_err(read)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().map_err(read)?.is_dir() {
                    folders.push(folder.join(name));
                } else if name.starts_with('.') && name.ends_with(".new") {
                    self.remove(&folder.join(name).to_string_lossy())?;
                }
            }
        }
        Ok(())
    }

    /// A file of this folder that does not hold what it should.
    pub(super) fn damaged(&self, name: &str, reason: impl ToString) -> FolderError {
        FolderError::Damaged { path: self.path.join(name), reason: reason.to_string() }
    }
}

impl FolderError {
    /// Whether there was no room on the disk.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    /// Whether a file was not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::NotFound)
    }
}

/// Reads a file of a run, which may be another process's at the moment.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    read_at_most(path, MOST_BYTES).map_err(|source| FolderError::Io { action: "read", path: path.to_owned(), source })
}

/// Reads a file of JSON of a run, which may be another process's at the moment.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    let damaged = |error: serde_json::Error| FolderError::Damaged { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&read(path)?).map_err(damaged)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// All up to the end of the last whole line.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)]
}

/// The hold on a folder, which ends with it.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a program that is being started on another thread has a copy of it for a moment.
        // Where this is refused, closing has to do.
        let _ = self.0.unlock();
    }
}

/// Takes the folder for this process; the system gives it back when the process ends, however it does.
fn lock(folder: &Path) -> Result<Lock, FolderError> {
    let path = folder.join(LOCK);
    let io = |source| FolderError::Io { action: "write", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = read_text_at_most(&path, MOST_OWNER_BYTES).unwrap_or_default();
            let owner = if owner.trim().is_empty() { "another process" } else { owner.trim() }.to_owned();
            return Err(FolderError::Locked { path: folder.to_owned(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let mut lock = Lock(file);
    lock.0.set_len(0).map_err(io)?;
    lock.0.write_all(format!("process {} on {host}\n", std::process::id()).as_bytes()).map_err(io)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_its_file_does_not_keep_a_folder_locked() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let held = lock(folder.path()).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(matches!(lock(folder.path()), Err(FolderError::Locked { .. })), "it is held");
        drop(held);
        assert!(lock(folder.path()).is_ok(), "it was given back");
        drop(copy);
    }
}
