//! Formats that the programs read, each as a function of bytes: whatever these are, it ends soon and does not panic.
//!
//! `fuzz/` has a target of each; the tests feed each with changed files. Sizes are capped by who reads the file, before.

use crate::data::import::{archive, table};
use crate::data::{decode, manifest as split, pack};
use crate::export::{evaluate, manifest};
use crate::graph::{Graph, lower};
use crate::latency::Table;
use crate::model::{Architecture, from_safetensors};
use crate::report;
use crate::run::{Config, records, snapshot, started};
use crate::search::Goal;
use crate::space::{Space, Supernet};
use crate::tune::Tuned;
use std::sync::OnceLock;

/// A format.
pub struct Format {
    /// Its name, and that of its target in `fuzz/`.
    pub name: &'static str,
    reads: fn(&[u8]) -> bool,
}

impl Format {
    /// Whether the bytes are a file of this format.
    pub fn reads(&self, bytes: &[u8]) -> bool {
        (self.reads)(bytes)
    }
}

/// All of them.
pub static FORMATS: &[Format] = &[
    Format { name: "space", reads: space },
    Format { name: "budget", reads: |bytes| text(bytes).is_some_and(|text| text.parse::<Goal>().is_ok()) },
    Format { name: "config", reads: |bytes| text(bytes).is_some_and(|text| toml::from_str::<Config>(text).is_ok()) },
    Format { name: "started", reads: started::reads_started },
    Format { name: "surroundings", reads: started::reads_surroundings },
    Format { name: "records", reads: |bytes| text(bytes).is_some_and(|text| records::reads_lines(text) > 0) },
    Format { name: "checkpoint", reads: |bytes| snapshot::reads_checkpoint(&network().1, bytes) },
    Format { name: "latency_table", reads: |bytes| text(bytes).is_some_and(|text| Table::from_json(text).is_ok()) },
    Format { name: "tuning", reads: |bytes| Tuned::from_json(bytes).is_ok() },
    Format { name: "architecture", reads: architecture },
    Format { name: "weights", reads: |bytes| from_safetensors(&network().1, bytes).is_ok() },
    Format { name: "onnx", reads: evaluate::reads_onnx },
    Format { name: "manifest", reads: manifest::reads_manifest },
    Format { name: "report", reads: reads_report },
    Format { name: "split", reads: split::reads_manifest },
    Format { name: "image", reads: decode::reads_image },
    Format { name: "table", reads: table::reads_table },
    Format { name: "tar", reads: archive::reads_tar },
    Format { name: "zip", reads: archive::reads_zip },
    Format { name: "pack", reads: pack::reads_pack },
];

/// The format of this name.
///
/// # Panics
/// Where there is none.
pub fn format(name: &str) -> &'static Format {
    FORMATS.iter().find(|format| format.name == name).expect("a format has one of the names above")
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What weights and checkpoints are read for: the preset `tiny` on grey images of two classes.
pub fn network() -> &'static (Supernet, Graph) {
    static NETWORK: OnceLock<(Supernet, Graph)> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let space = Space::open("tiny").expect("it is a preset");
        let net = space.supernet(space.size, 1, 2);
        let graph = lower(&net, &net.full());
        (net, graph)
    })
}

/// A report that can be read makes a page, alone and beside another.
fn reads_report(bytes: &[u8]) -> bool {
    let Ok(input) = serde_json::from_slice::<report::Input>(bytes) else { return false };
    let runs = [("one".to_owned(), input.clone()), ("other".to_owned(), report::Input::default())];
    report::page(&input).len() + report::merged(&runs).len() > 0
}

/// A space that can be read can be lowered, and all its numbers indexed.
fn space(bytes: &[u8]) -> bool {
    let Some(Ok(space)) = text(bytes).map(|text| Space::parse("file", text)) else { return false };
    let net = space.supernet(space.size, 3, 1);
    let graph = lower(&net, &net.full());
    assert!(graph.values() < u32::MAX as usize && net.macs(&net.smallest()) <= net.macs(&net.full()));
    true
}

fn architecture(bytes: &[u8]) -> bool {
    let Some((net, arch)) = Architecture::parse(bytes).ok().and_then(|found| found.build().ok()) else { return false };
    assert!(lower(&net, &arch).values() < u32::MAX as usize);
    true
}
