//! A latency table built by itself, into a file that searches take.
//!
//! Entries go into a journal beside the file as they are measured, so that a build that was killed goes on and
//! measures none of them twice.

use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::folder::FolderError;
use super::variants;
use crate::disk::{read_at_most, write_whole};
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::latency::{Entry, Origin, Table, TableBuilder};
use crate::space::{Operation, Space, Supernet};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Tables and journals larger than this are none.
const MOST_BYTES: u64 = 64 << 20;

/// Which table to build.
#[derive(Clone, Debug)]
pub struct TableRequest {
    /// Preset or file of the search space.
    pub space: String,
    /// Pixels a side, where the space's own is not wanted.
    pub size: Option<u32>,
    /// Channels of the images.
    pub channels: u32,
    /// Classes.
    pub classes: u32,
    /// Images of a batch, where the space's own are not wanted.
    pub batch: Option<u32>,
    /// Device, by its index in `netadapt devices`.
    pub device: Option<usize>,
    /// The file to write.
    pub out: PathBuf,
}

/// A table that was built.
#[derive(Clone, Debug)]
pub struct BuiltTable {
    /// The table.
    pub table: Table,
    /// Entries that were measured now and not before.
    pub measured: usize,
}

/// A request's space, as a network on its device.
pub(super) struct Ground {
    pub(super) space: Space,
    pub(super) net: Supernet,
    pub(super) gpu: Gpu,
    pub(super) tuning: Tuning,
    pub(super) batch: u32,
}

impl Ground {
    pub(super) fn new(
        request: &TableRequest,
        environment: &Environment,
        listener: &mut dyn Listener,
    ) -> Result<Self, RunError> {
        let space = Space::open(&request.space)?;
        let size = request.size.unwrap_or(space.size);
        space.validate_size(&request.space, size)?;
        let net = space.supernet(size, request.channels, request.classes);
        let gpu = (environment.open)(request.device)?;
        let tuning = variants::for_device(&gpu, environment, listener);
        let batch = request.batch.unwrap_or(space.search.latency_batch);
        Ok(Self { space, net, gpu, tuning, batch })
    }
}

/// Builds the table of a space, or what is missing of one that is there.
///
/// # Errors
/// `RunError::Table` where the file or its journal is of another device or build; `RunError::TableStopped` where it
/// was asked to stop: the same request goes on.
pub fn build_table(
    request: &TableRequest,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<BuiltTable, RunError> {
    build(&Ground::new(request, environment, listener)?, &request.out, environment, listener)
}

/// The same on ground that is there.
pub(super) fn build(
    Ground { space, net, gpu, tuning, batch }: &Ground,
    out: &Path,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<BuiltTable, RunError> {
    let mut builder = TableBuilder::new(gpu, tuning, net, *batch, space.search.latency_tolerance);
    let mut known: HashMap<Operation, Entry> = HashMap::new();
    if out.exists() {
        let table = own_table(out, builder.origin())?;
        known.extend(table.all().map(|entry| (entry.operation, *entry)));
    }
    let journal = Journal { environment, path: beside(out) };
    known.extend(journal.open(builder.origin())?.into_iter().map(|entry| (entry.operation, entry)));

    listener.event(&Event::Begin { phase: Phase::Table });
    let begun = std::time::Instant::now();
    let (mut measured, mut done) = (0, 0);
    while let Some(operation) = builder.next_operation() {
        done += 1;
        if let Some(entry) = known.get(&operation) {
            builder.add(*entry);
            continue;
        }
        if environment.stop.look() {
            let (path, left) = (out.to_owned(), builder.len() + 1 - done);
            return Err(RunError::TableStopped { path, left });
        }
        let entry = builder.time(&operation)?;
        journal.append(&entry)?;
        known.insert(operation, entry);
        builder.add(entry);
        measured += 1;
        listener.event(&Event::Progress { done: done as f64, all: builder.len() as f64 });
    }
    let table = builder.finish();
    journal.finish(out, &table)?;
    listener.event(&Event::End { phase: Phase::Table, seconds: begun.elapsed().as_secs_f64() });
    Ok(BuiltTable { table, measured })
}

/// The table in a file.
///
/// # Errors
/// `RunError::Table` for a file that is none.
pub fn read_table(path: &Path) -> Result<Table, RunError> {
    Table::from_json(&read_text(path)?).map_err(|error| refuse(path, format!("is no latency table: {error}")))
}

/// The table in a file, which must be of this device and this build.
pub(super) fn own_table(path: &Path, here: &Origin) -> Result<Table, RunError> {
    let table = read_table(path)?;
    let differences = table.origin.differences(here);
    if differences.is_empty() {
        return Ok(table);
    }
    let problem = format!(
        "was measured elsewhere: {}; its times do not hold here, so build one with `netadapt latency build`",
        differences.join(", ")
    );
    Err(refuse(path, problem))
}

fn refuse(path: &Path, problem: String) -> RunError {
    RunError::Table { path: path.to_owned(), problem }
}

fn read_text(path: &Path) -> Result<String, RunError> {
    let io = |source| FolderError::Io { action: "read", path: path.to_owned(), source };
    let Some(bytes) = read_at_most(path, MOST_BYTES).map_err(io)? else {
        return Err(refuse(path, format!("has more than the {MOST_BYTES} bytes of the largest table")));
    };
    String::from_utf8(bytes).map_err(|error| refuse(path, format!("is no text: {error}")))
}

/// `table.json.part` for `table.json`.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}

/// The entries of an unfinished table: its origin in the first line, an entry in each that follows.
struct Journal<'a> {
    environment: &'a Environment,
    path: PathBuf,
}

impl Journal<'_> {
    /// The entries that are there; a line that a kill cut off goes, with all behind it.
    fn open(&self, origin: &Origin) -> Result<Vec<Entry>, RunError> {
        let text = match read_text(&self.path) {
            Ok(text) => text,
            Err(RunError::Folder(FolderError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => return Err(error),
        };
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let Some(first) = lines.next() else {
            self.cut(0)?;
            self.append(origin)?;
            return Ok(Vec::new());
        };
        let there: Origin = serde_json::from_str(first)
            .map_err(|error| refuse(&self.path, format!("is no unfinished table: {error}; remove it")))?;
        if let [difference, ..] = there.differences(origin).as_slice() {
            let problem =
                format!("is an unfinished table from elsewhere: {difference}; remove it, or write to another");
            return Err(refuse(&self.path, problem));
        }
        let (mut entries, mut whole) = (Vec::new(), first.len());
        for line in lines {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.is_possible() => entries.push(entry),
                _ => break,
            }
            whole += line.len();
        }
        if whole < text.len() {
            self.cut(whole as u64)?;
        }
        Ok(entries)
    }

    /// Writes the table whole and removes the journal.
    fn finish(&self, out: &Path, table: &Table) -> Result<(), RunError> {
        let disk = self.environment.disk.as_ref();
        let io = |source| FolderError::Io { action: "write", path: out.to_owned(), source };
        let text = serde_json::to_string_pretty(table).map_err(|error| RunError::Other(error.into()))?;
        write_whole(disk, out, format!("{text}\n").as_bytes()).map_err(io)?;
        Ok(disk.remove(&self.path).map_err(io)?)
    }

    /// Makes a line last before the next entry is measured.
    fn append(&self, value: &impl serde::Serialize) -> Result<(), RunError> {
        let line = serde_json::to_string(value).map_err(|error| RunError::Other(error.into()))?;
        let disk = &self.environment.disk;
        let written = disk.append(&self.path, format!("{line}\n").as_bytes()).and_then(|()| disk.sync(&self.path));
        Ok(written.map_err(|source| self.io(source))?)
    }

    fn cut(&self, bytes: u64) -> Result<(), RunError> {
        if self.path.exists() {
            self.environment.disk.truncate(&self.path, bytes).map_err(|source| self.io(source))?;
        }
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> FolderError {
        FolderError::Io { action: "write", path: self.path.clone(), source }
    }
}
