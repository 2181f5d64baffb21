//! `manifest.json`: the SHA-256 of every file of an export, which is what tells a damaged one.

use super::ExportError;
use super::folder::MAX_FILE_BYTES;
use crate::digest::sha256;
use crate::model::read;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Its name.
pub(super) const MANIFEST: &str = "manifest.json";
/// The version of the format.
const VERSION: u32 = 1;
/// Its largest size.
const MAX_BYTES: u64 = 1 << 16;
/// What every export has.
const ALWAYS: [&str; 6] =
    ["architecture.json", "config.json", "labels.txt", "README.md", "golden.safetensors", "train.safetensors"];
/// What the formats add.
const MORE: [&str; 3] = ["model.onnx", "model.safetensors", "model.py"];

/// The files of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    /// The program that wrote it.
    netadapt: String,
    files: BTreeMap<String, Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

/// Whether this is a manifest, for `formats`.
pub(crate) fn reads_manifest(bytes: &[u8]) -> bool {
    Manifest::parse(bytes).is_ok()
}

impl Entry {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

impl Manifest {
    /// The manifest of these files.
    pub(super) fn of(files: &[(&str, Vec<u8>)]) -> Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), Entry::of(bytes))).collect();
        Self { version: VERSION, netadapt: env!("CARGO_PKG_VERSION").into(), files }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(self).expect("names and sums are JSON");
        format!("{text}\n").into_bytes()
    }

    /// The manifest of an exported folder: it lists what an export has, and nothing outside the folder.
    pub(super) fn open(folder: &Path) -> Result<Self, ExportError> {
        let path = folder.join(MANIFEST);
        Self::parse(&read(&path, MAX_BYTES)?).map_err(|reason| ExportError::Damaged { path, reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.version != VERSION {
            return Err(format!("version {} is not {VERSION}, which this program reads", manifest.version));
        }
        if let Some(name) = ALWAYS.iter().find(|name| !manifest.has(name)) {
            return Err(format!("it does not list {name}"));
        }
        let known = |name: &&String| ALWAYS.contains(&name.as_str()) || MORE.contains(&name.as_str());
        match manifest.files.keys().find(|name| !known(name)) {
            Some(name) => Err(format!("it lists {name:?}, which no export has")),
            None => Ok(manifest),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Whether a file is the one that was written.
    pub(super) fn check(&self, folder: &Path, name: &str) -> Result<(), ExportError> {
        let path = folder.join(name);
        let found = Entry::of(&read(&path, MAX_FILE_BYTES)?);
        match self.files.get(name) {
            Some(entry) if *entry == found => Ok(()),
            _ => Err(ExportError::Damaged { path, reason: "its SHA-256 is not the manifest's".into() }),
        }
    }
}
