//! A training's snapshot as the sections of a checkpoint, and back.

use super::checkpoint::{Section, decode};
use crate::graph::{Graph, Totals, Weights};
use crate::train::{EpochReport, Position, Snapshot, State};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a checkpoint says of the training in words.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Values of the network's coordinates: a checkpoint of another network is of no use.
    network: Vec<u32>,
    /// SHA-256 of the weights that it started from.
    start: String,
    epochs: Vec<EpochReport>,
    begun: Position,
    now: Option<Position>,
}

/// A training as a checkpoint holds it.
pub(super) struct Saved {
    pub(super) epochs: Vec<EpochReport>,
    pub(super) snapshot: Snapshot,
}

/// What a checkpoint must have been made for.
pub(super) struct MadeFor<'a> {
    pub(super) graph: &'a Graph,
    pub(super) network: &'a [u32],
    pub(super) start: &'a str,
}

pub(super) fn to_sections(made_for: &MadeFor<'_>, epochs: &[EpochReport], snapshot: &Snapshot) -> Vec<Section> {
    let header = Header {
        network: made_for.network.to_vec(),
        start: made_for.start.to_owned(),
        epochs: epochs.to_vec(),
        begun: snapshot.begun.position,
        now: snapshot.now.as_ref().map(|now| now.position),
    };
    let header = serde_json::to_vec(&header).expect("a header is plain data");
    let mut sections = vec![("header".to_owned(), header)];
    for (when, state) in [("begun", Some(&snapshot.begun)), ("now", snapshot.now.as_ref())] {
        let Some(state) = state else { continue };
        let running = state.weights.running.concat();
        let totals = bytemuck::bytes_of(&state.totals).to_vec();
        for (what, values) in [("weights", &state.weights.values), ("running", &running), ("moments", &state.moments)] {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            sections.push((format!("{when}.{what}"), bytes));
        }
        sections.push((format!("{when}.totals"), totals));
    }
    sections
}

/// Whether these are the bytes of a checkpoint, of whatever network; they are read for this one. For `formats`.
pub(crate) fn reads_checkpoint(graph: &Graph, bytes: &[u8]) -> bool {
    // A header alone has no checksum, so that changes of it come further.
    let sections = decode(bytes);
    let alone = [("header".to_owned(), bytes.to_vec())];
    let found = sections.as_deref().unwrap_or(&alone);
    let header = found.iter().find(|(name, _)| name == "header").map(|(_, bytes)| bytes.as_slice());
    if let Some(Ok(header)) = header.map(serde_json::from_slice::<Header>) {
        drop(from_sections(&MadeFor { graph, network: &header.network, start: &header.start }, found));
    }
    sections.is_ok()
}

/// The training in a checkpoint; `None` where it is of another network or another start.
pub(super) fn from_sections(made_for: &MadeFor<'_>, sections: &[Section]) -> Option<Saved> {
    let sections: HashMap<&str, &[u8]> =
        sections.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let header: Header = serde_json::from_slice(sections.get("header")?).ok()?;
    if header.network != made_for.network || header.start != made_for.start {
        return None;
    }
    let begun = state(made_for.graph, &sections, "begun", header.begun)?;
    let now = match header.now {
        Some(position) => Some(state(made_for.graph, &sections, "now", position)?),
        None => None,
    };
    Some(Saved { epochs: header.epochs, snapshot: Snapshot { begun, now } })
}

fn state(graph: &Graph, sections: &HashMap<&str, &[u8]>, when: &str, position: Position) -> Option<State> {
    let floats = |what: &str| -> Option<Vec<f32>> {
        let bytes = sections.get(format!("{when}.{what}").as_str())?;
        let (values, rest) = bytes.as_chunks::<4>();
        rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    };
    let (values, moments, totals) = (floats("weights")?, floats("moments")?, floats("totals")?);
    let flat = floats("running")?;
    let mut rest = flat.as_slice();
    let mut running = Vec::new();
    for statistics in &graph.statistics {
        let (own, others) = rest.split_at_checked(statistics.channels.div_ceil(4) as usize * 8)?;
        running.push(own.to_vec());
        rest = others;
    }
    let fits = values.len() == graph.values() && moments.len() % graph.values() == 0 && rest.is_empty();
    let totals: [f32; 4] = totals.try_into().ok()?;
    let totals: Totals = bytemuck::cast(totals);
    fits.then_some(State { weights: Weights { values, running }, moments, totals, position })
}
