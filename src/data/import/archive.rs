//! Tar and zip archives unpacked into a folder: nothing outside it, no links, and no more than an archive can mean.
//!
//! What is hostile or damaged refuses the whole archive, and nothing of it stays; links and what is no file are left out
//! and named. Long names of tar are read here and not by the crate, which would read one of any length into memory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Seek, Write};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;
use zip::ZipArchive;

use super::super::examine::{Finding, Kind};
use super::super::manifest::stays_inside;
use super::{ImportError, Target, cannot_read, cannot_write};

/// Longest name of a file, and largest note to one in tar's extended headers, in bytes.
const MAX_NOTE: u64 = 64 << 10;

/// A block of tar in bytes.
const BLOCK: u64 = 512;

/// What an archive may come to.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Most entries, of whatever kind.
    pub entries: usize,
    /// Most bytes of all files together.
    pub bytes: u64,
    /// Times that these may be as many as those of the archive.
    pub ratio: u64,
    /// Bytes that are not held against the ratio.
    pub free: u64,
}

impl Default for Caps {
    /// Ten million entries, 1 TiB, a hundred times the archive beyond 64 MiB: images hardly shrink.
    fn default() -> Self {
        Self { entries: super::MAX_IMAGES, bytes: 1 << 40, ratio: 100, free: 64 << 20 }
    }
}

/// What was in an archive.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Files that are there now.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Names of the files and folders at the top.
    pub top: BTreeSet<String>,
    /// Links and others that were left out; hidden files are without a word.
    pub findings: Vec<Finding>,
}

/// Unpacks a tar archive, gzipped or not, into the folder `into`, which is there whole or not at all; `progress` is
/// told which share of the archive is done.
///
/// # Errors
/// [`ImportError`] names the archive and what is wrong with it: damaged, cut short, no files, names that lead out of the
/// folder or are there twice, or more than `caps` allow.
pub fn tar(source: &Path, into: &Path, caps: Caps, progress: &mut dyn FnMut(f64)) -> Result<Unpacked, ImportError> {
    let (file, length) = open(source)?;
    let mut target = Target::new(into)?;
    let unpacked =
        read_tar(file, length, caps, progress, &mut |name| target.file(name)).map_err(|problem| problem.of(source))?;
    target.finish()?;
    Ok(unpacked)
}

/// Unpacks a zip archive as [`tar`] does.
///
/// # Errors
/// As for [`tar`], and for files that are encrypted or compressed in another way than deflate.
pub fn zip(source: &Path, into: &Path, caps: Caps, progress: &mut dyn FnMut(f64)) -> Result<Unpacked, ImportError> {
    let (file, length) = open(source)?;
    let mut target = Target::new(into)?;
    let unpacked = read_zip(BufReader::new(file), length, caps, progress, &mut |name| target.file(name))
        .map_err(|problem| problem.of(source))?;
    target.finish()?;
    Ok(unpacked)
}

/// Whether this is a tar archive, gzipped or not, that would be unpacked, for `formats`.
pub(crate) fn reads_tar(bytes: &[u8]) -> bool {
    read_tar(bytes, bytes.len() as u64, Caps::default(), &mut |_| (), &mut |_| Ok(Box::new(io::sink()))).is_ok()
}

/// Whether this is a zip archive that would be unpacked, for `formats`.
pub(crate) fn reads_zip(bytes: &[u8]) -> bool {
    let (source, length) = (io::Cursor::new(bytes), bytes.len() as u64);
    read_zip(source, length, Caps::default(), &mut |_| (), &mut |_| Ok(Box::new(io::sink()))).is_ok()
}

/// Makes a file of this name, to be filled.
type Sink<'a> = dyn FnMut(&str) -> Result<Box<dyn Write>, ImportError> + 'a;

/// Why an archive is not unpacked, before it is said which.
enum Problem {
    /// It is the archive's fault, as the end of a sentence.
    Source(String),
    /// The target cannot be written.
    Target(ImportError),
}

impl Problem {
    fn of(self, source: &Path) -> ImportError {
        match self {
            Self::Source(problem) => ImportError::Source { path: source.to_owned(), problem },
            Self::Target(error) => error,
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        Self::Target(error)
    }
}

fn refuse<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Source(problem.into()))
}

fn open(source: &Path) -> Result<(File, u64), ImportError> {
    let file = File::open(source).map_err(|error| cannot_read(source, error))?;
    let length = file.metadata().map_err(|error| cannot_read(source, error))?.len();
    Ok((file, length))
}

impl Target {
    /// A new file of this name, in a folder that is made where there is none.
    fn file(&mut self, name: &str) -> Result<Box<dyn Write>, ImportError> {
        let path = self.below(name)?;
        // What is there already, by the same name or by one that the disk holds for the same, is not written over.
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        Ok(Box::new(file.map_err(|source| cannot_write(&path, source))?))
    }
}

/// What came out of an archive so far, held against the caps.
struct Tally<'a> {
    caps: Caps,
    most: u64,
    entries: usize,
    unpacked: Unpacked,
    sink: &'a mut Sink<'a>,
}

impl<'a> Tally<'a> {
    fn new(caps: Caps, length: u64, sink: &'a mut Sink<'a>) -> Self {
        let most = length.saturating_mul(caps.ratio).max(caps.free).min(caps.bytes);
        Self { caps, most, entries: 0, unpacked: Unpacked::default(), sink }
    }

    fn entry(&mut self) -> Result<(), Problem> {
        self.entries += 1;
        match self.entries > self.caps.entries {
            true => refuse(format!("has more than {} entries: unpack it yourself if you trust it", self.caps.entries)),
            false => Ok(()),
        }
    }

    /// Unpacks one file, of which `size` bytes are promised.
    fn file(&mut self, name: &str, size: u64, mut from: impl Read) -> Result<(), Problem> {
        let Some(name) = inside(name)? else { return Ok(()) };
        self.room(size)?;
        let mut to = match (self.sink)(&name) {
            Err(ImportError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                return refuse(format!("has '{name}' twice, or what the disk takes for the same: pack it anew"));
            }
            to => to?,
        };
        let mut bytes = 0;
        let mut buffer = [0; 64 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return refuse(format!("is damaged at '{name}' ({error}): copy it again")),
            };
            bytes += read as u64;
            self.room(bytes)?;
            to.write_all(&buffer[..read]).map_err(|error| cannot_write(Path::new(&name), error))?;
        }
        if bytes != size {
            return refuse(format!("is cut short at '{name}': {bytes} of {size} bytes are there; copy it again"));
        }
        self.unpacked.bytes += bytes;
        self.unpacked.files += 1;
        self.unpacked.top.insert(name.split('/').next().unwrap_or_default().to_owned());
        Ok(())
    }

    /// Whether `bytes` more are within the caps.
    fn room(&self, bytes: u64) -> Result<(), Problem> {
        if self.unpacked.bytes.saturating_add(bytes) <= self.most {
            return Ok(());
        }
        let mebibytes = self.most >> 20;
        refuse(format!(
            "unpacks to more than {mebibytes} MiB, too much for its size: unpack it yourself if you trust it"
        ))
    }

    fn left_out(&mut self, name: &str, what: &str) -> Result<(), Problem> {
        if let Some(file) = inside(name)? {
            let advice = format!("{what} is left out: put the file itself into the archive");
            self.unpacked.findings.push(Finding { file, kind: Kind::Link, advice });
        }
        Ok(())
    }

    fn finish(self) -> Result<Unpacked, Problem> {
        if self.unpacked.files == 0 {
            return refuse("holds no files");
        }
        Ok(self.unpacked)
    }
}

/// The path inside the target, or nothing for what is hidden or a Mac's notes.
fn inside(name: &str) -> Result<Option<String>, Problem> {
    let parts: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('/').filter(|&part| part != ".").collect();
    let plain = parts.join("/");
    if plain.is_empty() && !parts.contains(&"") {
        return Ok(None);
    }
    if !stays_inside(&plain) || plain.contains('\\') {
        return refuse(format!("names '{name}', which may be outside the folder: do not trust it"));
    }
    let hidden = parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX");
    Ok((!hidden).then_some(plain))
}

/// Counts what was read and notes whether the end was met.
struct Watched<R> {
    inner: R,
    state: Rc<Cell<(u64, bool)>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let (bytes, ended) = self.state.get();
        self.state.set((bytes + read as u64, ended || read == 0 && !buffer.is_empty()));
        Ok(read)
    }
}

fn watch<R: Read>(inner: R) -> (Watched<R>, Rc<Cell<(u64, bool)>>) {
    let state = Rc::new(Cell::new((0, false)));
    (Watched { inner, state: Rc::clone(&state) }, state)
}

fn read_tar<'a>(
    source: impl Read + 'a,
    length: u64,
    caps: Caps,
    progress: &mut dyn FnMut(f64),
    sink: &'a mut Sink<'a>,
) -> Result<Unpacked, Problem> {
    let damaged = |error: io::Error| Problem::Source(format!("is no tar archive, or damaged ({error}): copy it again"));
    let (source, taken) = watch(source);
    let mut source = BufReader::new(source);
    let zipped = source.fill_buf().map_err(damaged)?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read + 'a> =
        if zipped { Box::new(BufReader::new(MultiGzDecoder::new(source))) } else { Box::new(source) };
    let (plain, given) = watch(plain);
    let mut archive = ::tar::Archive::new(plain);
    let mut tally = Tally::new(caps, length, sink);
    // The name that a note gives to the next file.
    let mut named: Option<Vec<u8>> = None;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        tally.entry()?;
        progress(taken.get().0 as f64 / length.max(1) as f64);
        let (kind, size) = (entry.header().entry_type(), entry.size());
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader) {
            if size > MAX_NOTE {
                return refuse(format!("has a name or a note of {size} bytes: do not trust it"));
            }
            let mut note = Vec::new();
            entry.read_to_end(&mut note).map_err(damaged)?;
            match kind {
                EntryType::GNULongName => {
                    note.truncate(note.iter().position(|&byte| byte == 0).unwrap_or(note.len()));
                    named = Some(note);
                }
                EntryType::XHeader => named = path_of(&note)?.or(named),
                _ => {}
            }
            continue;
        }
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let name = named.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let Ok(name) = String::from_utf8(name) else {
            return refuse("has a name that is not UTF-8: pack it anew");
        };
        match kind {
            EntryType::Directory => {
                inside(&name)?;
            }
            // Tars of old have folders as files whose names end so.
            EntryType::Regular if name.ends_with('/') => {
                inside(&name)?;
            }
            EntryType::Regular | EntryType::Continuous => tally.file(&name, size, entry)?,
            EntryType::Symlink => tally.left_out(&name, "a symbolic link")?,
            EntryType::Link => tally.left_out(&name, "a hard link")?,
            _ => tally.left_out(&name, "what is no plain file")?,
        }
    }
    // An archive ends with zeros, and not because there is nothing more to read.
    if given.get().1 {
        return refuse("is cut short: copy it again");
    }
    // What comes after the end is padding, and the sum of what was zipped.
    let most = BLOCK * 1024;
    let mut rest = archive.into_inner().take(most);
    if io::copy(&mut rest, &mut io::sink()).map_err(damaged)? == most {
        return refuse("goes on after its end: do not trust it");
    }
    tally.finish()
}

/// The path that an extended header of tar gives to the next file.
fn path_of(note: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
    let mut path = None;
    for extension in ::tar::PaxExtensions::new(note) {
        let Ok(extension) = extension else { return refuse("has an extended header that is damaged: copy it again") };
        match extension.key_bytes() {
            b"path" => path = Some(extension.value_bytes().to_vec()),
            b"size" => return refuse("has files of more than 8 GiB, or says so: unpack it yourself if you trust it"),
            key if key.starts_with(b"GNU.sparse") => return refuse("has files with holes: pack it anew without them"),
            _ => {}
        }
    }
    Ok(path)
}

fn read_zip<'a>(
    mut source: impl Read + Seek,
    length: u64,
    caps: Caps,
    progress: &mut dyn FnMut(f64),
    sink: &'a mut Sink<'a>,
) -> Result<Unpacked, Problem> {
    let mut magic = [0; 4];
    let begins = source.read_exact(&mut magic).and_then(|()| source.rewind());
    if begins.is_err() || !matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06") {
        return refuse("is no zip archive: it begins with other bytes");
    }
    let mut archive = ZipArchive::new(source)
        .map_err(|error| Problem::Source(format!("is damaged or cut short ({error}): copy it again")))?;
    if archive.has_duplicate_names() {
        return refuse("has a name twice: pack it anew");
    }
    let mut tally = Tally::new(caps, length, sink);
    let count = archive.len();
    for index in 0..count {
        tally.entry()?;
        progress(index as f64 / count as f64);
        let entry = archive.by_index(index);
        let entry = entry.map_err(|error| {
            Problem::Source(format!(
                "cannot be read at entry {index} ({error}): pack it anew with deflate, no password"
            ))
        })?;
        let name = match entry.name() {
            Ok(name) => name.into_owned(),
            Err(error) => return refuse(format!("has a name that cannot be read ({error}): pack it anew")),
        };
        let size = entry.size();
        if entry.is_symlink() {
            tally.left_out(&name, "a symbolic link")?;
        } else if entry.is_dir() {
            inside(&name)?;
        } else {
            tally.file(&name, size, entry)?;
        }
    }
    tally.finish()
}
