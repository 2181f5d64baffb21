//! A latency table built by itself, into a file that searches take.
//!
//! Entries go into a journal beside the file as they are measured, so that a build that was killed goes on and
//! measures none of them twice.

use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::folder::FolderError;
use super::ground::Ground;
use crate::disk::{is_of_content, read_text_at_most, write_whole};
use crate::latency::{Entry, Origin, Table, TableBuilder, WholeNetwork};
use crate::space::WidthSampler;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Whole networks that a table has beside its operations and the initial network, to correct their sums by.
const WHOLE_NETWORKS: u32 = 10;
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
    /// Entries and whole networks that were measured now and not before.
    pub measured: usize,
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
    ground: &Ground,
    out: &Path,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<BuiltTable, RunError> {
    let Ground { space, net, gpu, tuning, batch, .. } = ground;
    let mut builder = TableBuilder::new(gpu, tuning, net, *batch, space.search.latency_tolerance);
    let (mut known, mut networks, mut fitted) = (HashMap::new(), HashMap::new(), None);
    if out.exists() {
        let table = own_table(out, builder.origin())?;
        known.extend(table.all().map(|entry| (entry.operation, *entry)));
        networks.extend(table.networks.into_iter().map(|whole| (whole.network.clone(), whole)));
        fitted = table.fitted;
    }
    let journal = TableJournal { environment, path: beside(out) };
    for line in journal.open(builder.origin())? {
        match line {
            Line::Entry(entry) => drop(known.insert(entry.operation, entry)),
            Line::Network(whole) => drop(networks.insert(whole.network.clone(), whole)),
        }
    }

    listener.event(&Event::Begin { phase: Phase::Table });
    let begun = std::time::Instant::now();
    // The initial one first: the others are measured in turn with it.
    let mut archs = vec![net.full()];
    archs.extend(WidthSampler::uniform(0).draw(net, 0, WHOLE_NETWORKS));
    match networks.get(archs[0].values()) {
        Some(initial) => ground.goes_on(initial.ms),
        // Whatever they were measured in turn with is not known.
        None => networks.clear(),
    }
    let (mut measured, mut done) = (0, 0);
    let may_go_on = |left: usize| match environment.stop.look() {
        true => Err(RunError::TableStopped { path: out.to_owned(), left }),
        false => Ok(()),
    };
    while let Some(operation) = builder.next_operation() {
        done += 1;
        if let Some(entry) = known.get(&operation) {
            builder.add(*entry);
            continue;
        }
        may_go_on(builder.len() + archs.len() + 1 - done)?;
        let entry = builder.time(&operation)?;
        journal.append(&entry)?;
        known.insert(operation, entry);
        builder.add(entry);
        measured += 1;
        listener.event(&Event::Progress { done: done as f64, all: (builder.len() + archs.len()) as f64 });
    }
    let mut table = builder.finish();
    for (index, arch) in archs.iter().enumerate() {
        if networks.contains_key(arch.values()) {
            continue;
        }
        may_go_on(archs.len() - index)?;
        let ms = ground.measure(arch)?;
        let whole = WholeNetwork { network: arch.values().to_vec(), ms };
        journal.append(&whole)?;
        networks.insert(whole.network.clone(), whole);
        measured += 1;
        listener.event(&Event::Progress { done: (done + index + 1) as f64, all: (done + archs.len()) as f64 });
    }
    table.networks = networks.into_values().collect();
    table.networks.sort_by(|a, b| a.network.cmp(&b.network));
    table.fitted = fitted;
    journal.finish(out, &table)?;
    listener.event(&Event::End { phase: Phase::Table, seconds: begun.elapsed().as_secs_f64() });
    Ok(BuiltTable { table, measured })
}

/// The table in a file.
///
/// # Errors
/// `RunError::Table` for a file that is none.
pub fn read_table(path: &Path) -> Result<Table, RunError> {
    parse_table(path, &read_text(path)?)
}

/// The table that was read from a file.
pub(super) fn parse_table(path: &Path, text: &str) -> Result<Table, RunError> {
    Table::from_json(text).map_err(|error| refuse(path, format!("is no latency table: {error}")))
}

/// The table in a file, which must be of this device and this build.
pub(super) fn own_table(path: &Path, here: &Origin) -> Result<Table, RunError> {
    let table = read_table(path)?;
    let differences = table.origin.differences(here);
    if differences.is_empty() {
        return Ok(table);
    }
    let problem = format!(
        "was measured elsewhere: {}; its times do not hold here, so build one with `netadapt latency build`, or search for \
         that device on purpose: --target",
        differences.join(", ")
    );
    Err(refuse(path, problem))
}

fn refuse(path: &Path, problem: String) -> RunError {
    RunError::Table { path: path.to_owned(), problem }
}

pub(super) fn read_text(path: &Path) -> Result<String, RunError> {
    read_text_at_most(path, MOST_BYTES).map_err(|source| match is_of_content(&source) {
        true => refuse(path, source.to_string()),
        false => FolderError::Io { action: "read", path: path.to_owned(), source }.into(),
    })
}

/// Writes a table whole.
pub(super) fn write_table(out: &Path, table: &Table, environment: &Environment) -> Result<(), RunError> {
    let io = |source| FolderError::Io { action: "write", path: out.to_owned(), source };
    let text = serde_json::to_string_pretty(table).map_err(|error| RunError::Other(error.into()))?;
    Ok(write_whole(environment.disk.as_ref(), out, format!("{text}\n").as_bytes()).map_err(io)?)
}

/// `table.json.part` for `table.json`.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}

/// What was measured for an unfinished table.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Entry),
    Network(WholeNetwork),
}

impl Line {
    fn is_possible(&self) -> bool {
        match self {
            Self::Entry(entry) => entry.is_possible(),
            Self::Network(whole) => whole.is_possible(),
        }
    }
}

/// An unfinished table: its origin in the first line, what was measured in each that follows.
struct TableJournal<'a> {
    environment: &'a Environment,
    path: PathBuf,
}

impl TableJournal<'_> {
    /// The lines that are there; one that a kill cut off goes, with all behind it.
    fn open(&self, origin: &Origin) -> Result<Vec<Line>, RunError> {
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
        let (mut read, mut whole) = (Vec::new(), first.len());
        for line in lines {
            match serde_json::from_str::<Line>(line) {
                Ok(line) if line.is_possible() => read.push(line),
                _ => break,
            }
            whole += line.len();
        }
        if whole < text.len() {
            self.cut(whole as u64)?;
        }
        Ok(read)
    }

    /// Writes the table whole and removes the journal.
    fn finish(&self, out: &Path, table: &Table) -> Result<(), RunError> {
        write_table(out, table, self.environment)?;
        Ok(self.environment.disk.remove(&self.path).map_err(|source| self.io(source))?)
    }

    /// Makes a line last before the next entry is measured.
    fn append(&self, value: &impl Serialize) -> Result<(), RunError> {
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
