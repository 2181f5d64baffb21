//! Weights that a run starts from: a file whose tensors are taken where names and shapes are the network's.

use super::error::{RunError, StartedWith};
use super::events::Event;
use super::pinned::PinnedFile;
use super::search::Run;
use crate::graph::{Graph, Weights, initial_weights};
use crate::model::{Matched, copy_tensors, read, take_matching};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The largest file that is read.
const MAX_BYTES: u64 = 4 << 30;
/// Names of tensors that are told at most.
const TOLD: usize = 6;

/// A file of weights in safetensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InitialWeights(PinnedFile);

impl InitialWeights {
    /// The file as it is now.
    ///
    /// # Errors
    /// `RunError::InitialWeights` where it cannot be read.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        Ok(Self(PinnedFile::new(path, &bytes(path)?)))
    }

    /// Gives `weights` what matches in the file, which must be the one that it was.
    fn give(&self, graph: &Graph, weights: &mut Weights) -> Result<Matched, RunError> {
        let bytes = bytes(&self.0.path)?;
        self.0.check(StartedWith::InitialWeights, &bytes)?;
        take_matching(graph, weights, &bytes).map_err(|error| self.refused(error))
    }

    /// Refuses a file that gives this network nothing.
    pub(super) fn check(&self, graph: &Graph) -> Result<(), RunError> {
        if self.give(graph, &mut initial_weights(graph, 0))?.taken.is_empty() {
            return Err(self.refused("no tensor in it has the name and shape of one of the network's"));
        }
        Ok(())
    }

    fn refused(&self, problem: impl ToString) -> RunError {
        RunError::InitialWeights { path: self.0.path.clone(), problem: problem.to_string() }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, RunError> {
    read(path, MAX_BYTES)
        .map_err(|error| RunError::InitialWeights { path: path.to_owned(), problem: error.to_string() })
}

/// What no training has changed yet: new weights, and those of `--init-from` where they match.
pub(super) struct Untrained {
    /// Those of the super-network.
    pub(super) weights: Weights,
    /// Names of its tensors that are the file's.
    given: Vec<String>,
}

impl Run<'_> {
    /// Makes them, and tells what matches.
    pub(super) fn untrained(&mut self) -> Result<Untrained, RunError> {
        let graph = &self.prepared.graph;
        let mut weights = initial_weights(graph, self.config.seed);
        let Some(file) = &self.config.init_from else { return Ok(Untrained { weights, given: Vec::new() }) };
        let matched = file.give(graph, &mut weights)?;
        self.listener.event(&Event::Note { text: told(&file.0.path, &matched) });
        Ok(Untrained { weights, given: matched.taken })
    }

    /// The same for a network with this graph of its own. What the super-network is given is cut to the network's widths,
    /// so that networks that are compared start from as much of the file.
    pub(super) fn untrained_alone(&self, untrained: &Untrained, graph: &Graph) -> Weights {
        let mut weights = initial_weights(graph, self.config.seed);
        copy_tensors(graph, &mut weights, &untrained.weights.prefix(&self.prepared.graph, graph), &untrained.given);
        weights
    }
}

/// What matched and what did not, in a sentence or three.
fn told(path: &Path, Matched { taken, left, unused }: &Matched) -> String {
    let (taken, all) = (taken.len(), taken.len() + left.len());
    let mut text = format!("{taken} of {all} tensors of the super-network start from {}", path.display());
    for (names, what) in [(left, "left as new"), (unused, "not used of the file")] {
        if names.is_empty() {
            continue;
        }
        text += &format!("; {what}: {}", names[..names.len().min(TOLD)].join(", "));
        if names.len() > TOLD {
            text += &format!(" and {} more", names.len() - TOLD);
        }
    }
    text
}
