//! The few things that a program asks of a disk that has to keep what it is given. All of a run's folder goes through
//! them, so that tests can make each of them fail in turn.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// What files are written with.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// As for all of them, what the system says.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes or empties a file and fills it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Adds to the end of a file, which is made where there is none.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to its first `length` bytes.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Makes what was written to a file last.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in the place of what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder last.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The system's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(length)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Windows has no such call and needs none.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// What the system says, and `ErrorKind::FileTooLarge` for a larger file, of which nothing is kept.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let most = if most < 1 << 20 { format!("{most} bytes") } else { format!("{} MiB", most >> 20) };
        io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most}, the most that is read of it"))
    };
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // What comes is counted too: a pipe has no size, and a file may grow.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

/// Reads a text of at most `most` bytes.
///
/// # Errors
/// As `read_at_most`; `ErrorKind::InvalidData` for what is not UTF-8.
pub fn read_text_at_most(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_at_most(path, most)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Whether a file was refused for what it is, and not by the system.
pub fn is_of_content(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::FileTooLarge | ErrorKind::InvalidData)
}

/// Writes a file so that it is there whole or not at all: beside, synced, renamed, folder synced.
///
/// # Errors
/// What the system says; the file is then the one that was there before, or whole.
pub fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    disk.write(&beside, bytes)?;
    disk.sync(&beside)?;
    disk.rename(&beside, path)?;
    disk.sync_folder(folder_of(path))
}

/// The folder that a path lies in, in words that can be opened.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
