//! What a run measured and scored, written down at once and read back when it is gone over again.
//!
//! A run is a function of its configuration and of what it measured: with the same answers in the same
//! order it takes the same decisions. So a run that was stopped is simply run again, and takes from here
//! what it had learned; and `--replay` hands the measurements of one run to another.

use super::error::RunError;
use super::folder::{Folder, FolderError};
use crate::disk::read_text_at_most;
use crate::latency::{Entry, Measurement};
use crate::search::Score;
use crate::space::Operation;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// A line of `measurements.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "measured", rename_all = "kebab-case")]
pub(super) enum Measured {
    /// One operation, for the table.
    Operation {
        name: String,
        #[serde(flatten)]
        entry: Entry,
    },
    /// A whole network, by the values of its coordinates.
    Network {
        network: Vec<u32>,
        predicted_ms: Option<f64>,
        #[serde(flatten)]
        latency: Measurement,
    },
}

const MEASUREMENTS: &str = "measurements.jsonl";
/// Scores are of the shared weights that this run's super-network came to, and of no others.
const SCORES: &str = "state/scores.jsonl";

/// Lines of measurements or scores that can be read, for `formats`.
pub(crate) fn reads_lines(text: &str) -> usize {
    let is_known =
        |line: &&str| serde_json::from_str::<Measured>(line).is_ok() || serde_json::from_str::<Scored>(line).is_ok();
    text.lines().filter(is_known).count()
}

/// The measurements of a run, in the order in which it asked for them.
pub(super) struct Measurements<'a> {
    pub(super) folder: &'a Folder,
    replayed: Option<&'a Path>,
    state: RefCell<Ahead>,
}

/// What is still to be read back.
struct Ahead {
    /// The run's own lines of an earlier try, then those of a replayed file.
    lines: VecDeque<Measured>,
    /// How many of them are in the run's own file.
    own: usize,
    /// How many measurements were asked for.
    asked: usize,
}

impl<'a> Measurements<'a> {
    pub(super) fn open(folder: &'a Folder, replayed: Option<&'a Path>) -> Result<Self, RunError> {
        let mut lines = VecDeque::new();
        for (index, line) in folder.lines(MEASUREMENTS)?.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(measured) => lines.push_back(measured),
                // What cannot be read is measured again, with all that came after it.
                Err(_) => {
                    folder.keep_lines(MEASUREMENTS, index)?;
                    break;
                }
            }
        }
        let own = lines.len();
        if let Some(path) = replayed {
            lines.extend(read_replay(path)?.into_iter().skip(own));
        }
        Ok(Self { folder, replayed, state: RefCell::new(Ahead { lines, own, asked: 0 }) })
    }

    /// The time of an operation: read back, or measured now.
    pub(super) fn operation(
        &self,
        operation: &Operation,
        measure: impl FnOnce() -> Result<Entry, RunError>,
    ) -> Result<Entry, RunError> {
        let fits = |m: &Measured| matches!(m, Measured::Operation { entry, .. } if entry.operation == *operation);
        if let Some(Measured::Operation { entry, .. }) = self.read_back(fits, &operation.to_string())? {
            return Ok(entry);
        }
        let entry = measure()?;
        self.note(&Measured::Operation { name: operation.to_string(), entry })?;
        Ok(entry)
    }

    /// The latency of a network: read back, or measured now.
    pub(super) fn network(
        &self,
        network: &[u32],
        predicted_ms: Option<f64>,
        measure: impl FnOnce() -> Result<Measurement, RunError>,
    ) -> Result<Measurement, RunError> {
        let fits = |m: &Measured| matches!(m, Measured::Network { network: other, .. } if other == network);
        if let Some(Measured::Network { latency, .. }) = self.read_back(fits, &format!("network {network:?}"))? {
            return Ok(latency);
        }
        let latency = measure()?;
        self.note(&Measured::Network { network: network.to_vec(), predicted_ms, latency })?;
        Ok(latency)
    }

    /// The next line, where it is what is asked for. Lines of another decision are dropped with all that
    /// follow them; a replayed file with such a line is refused.
    fn read_back(&self, fits: impl Fn(&Measured) -> bool, what: &str) -> Result<Option<Measured>, RunError> {
        let Ahead { lines, own, asked } = &mut *self.state.borrow_mut();
        *asked += 1;
        let Some(next) = lines.pop_front() else { return Ok(None) };
        if fits(&next) {
            match own.checked_sub(1) {
                Some(less) => *own = less,
                None => self.folder.append_json(MEASUREMENTS, &next)?,
            }
            return Ok(Some(next));
        }
        if let Some(path) = self.replayed {
            let problem = format!("the run asks for {what} there");
            return Err(RunError::Replay { path: path.to_owned(), line: *asked, problem });
        }
        self.folder.keep_lines(MEASUREMENTS, *asked - 1)?;
        lines.clear();
        *own = 0;
        Ok(None)
    }

    fn note(&self, measured: &Measured) -> Result<(), FolderError> {
        self.folder.append_json(MEASUREMENTS, measured)?;
        self.folder.sync(MEASUREMENTS)
    }
}

/// Measurements of another run are no more bytes than these.
const MOST_REPLAYED_BYTES: u64 = 1 << 30;

/// The measurements of another run.
fn read_replay(path: &Path) -> Result<Vec<Measured>, RunError> {
    let refuse = |line, problem: String| RunError::Replay { path: PathBuf::from(path), line, problem };
    let text = read_text_at_most(path, MOST_REPLAYED_BYTES).map_err(|error| refuse(1, error.to_string()))?;
    let parse = |(index, line)| serde_json::from_str(line).map_err(|error| refuse(index + 1, error.to_string()));
    text.lines().enumerate().map(parse).collect()
}

/// On what a network was scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Thoroughness {
    /// Training images that its statistics were taken from.
    pub(super) recalibration: u32,
    /// Held-out images that it was scored on.
    pub(super) held_out: u32,
}

/// A line of the scores.
#[derive(Serialize, Deserialize)]
struct Scored {
    #[serde(flatten)]
    on: Thoroughness,
    network: Vec<u32>,
    /// `None` where it is not a number.
    loss: Option<f64>,
    accuracy: f64,
}

/// The scores of a run. The same network on the same images has the same score, whatever it was scored with.
pub(super) struct Scores<'a> {
    pub(super) folder: &'a Folder,
    known: RefCell<HashMap<(Thoroughness, Vec<u32>), Score>>,
}

impl<'a> Scores<'a> {
    /// Reads back the scores that were made with the shared weights of this fingerprint; others are removed.
    pub(super) fn open(folder: &'a Folder, weights: &str) -> Result<Self, FolderError> {
        let lines = folder.lines(SCORES)?;
        let mut known = HashMap::new();
        if lines.first().is_some_and(|line| line == weights) {
            for (index, line) in lines.iter().enumerate().skip(1) {
                let Ok(Scored { on, network, loss, accuracy }) = serde_json::from_str(line) else {
                    folder.keep_lines(SCORES, index)?;
                    break;
                };
                known.insert((on, network), Score { loss: loss.unwrap_or(f64::NAN), accuracy });
            }
        } else {
            folder.keep_lines(SCORES, 0)?;
            folder.append(SCORES, weights)?;
        }
        Ok(Self { folder, known: known.into() })
    }

    /// The score of a network, if it is known.
    pub(super) fn get(&self, on: Thoroughness, network: &[u32]) -> Option<Score> {
        self.known.borrow().get(&(on, network.to_vec())).copied()
    }

    /// Writes scores down.
    pub(super) fn note<'b>(
        &self,
        on: Thoroughness,
        scores: impl Iterator<Item = (&'b [u32], Score)>,
    ) -> Result<(), FolderError> {
        for (network, score) in scores {
            let loss = score.loss.is_finite().then_some(score.loss);
            let line = Scored { on, network: network.to_vec(), loss, accuracy: score.accuracy };
            self.folder.append_json(SCORES, &line)?;
            self.known.borrow_mut().insert((on, line.network), score);
        }
        self.folder.sync(SCORES)
    }
}

/// A log for people, whose lines a run tells again when it is gone over again: those that are there already
/// are not written twice.
pub(super) struct Log<'a> {
    folder: &'a Folder,
    name: &'static str,
    header: String,
    ahead: VecDeque<String>,
    kept: usize,
}

impl<'a> Log<'a> {
    /// A log that begins with this line, once there is another.
    pub(super) fn open(folder: &'a Folder, name: &'static str, header: String) -> Result<Self, FolderError> {
        Ok(Self { folder, name, header, ahead: folder.lines(name)?.into(), kept: 0 })
    }

    /// Appends a line; returns whether it is a new one.
    pub(super) fn tell(&mut self, line: &str) -> Result<bool, FolderError> {
        if self.kept == 0 {
            let header = std::mem::take(&mut self.header);
            self.keep(&header)?;
        }
        self.keep(line)
    }

    fn keep(&mut self, line: &str) -> Result<bool, FolderError> {
        let there = self.ahead.pop_front();
        let new = there.as_deref() != Some(line);
        if new && there.is_some() {
            self.folder.keep_lines(self.name, self.kept)?;
            self.ahead.clear();
        }
        if new {
            self.folder.append(self.name, line)?;
        }
        self.kept += 1;
        Ok(new)
    }
}
