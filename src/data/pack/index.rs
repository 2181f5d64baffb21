//! What a pack says of its images, and the header that leads to it.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::batch::Sums;
use super::super::decode::Format;
use super::super::error::{BadFile, Fault};
use super::super::manifest::stays_inside;

/// The version that is written and read. It changes when the file does, and when an image would be decoded to other
/// pixels.
pub const VERSION: u32 = 1;

/// What a pack begins with.
pub(super) const MAGIC: [u8; 8] = *b"\x89napack\n";

/// Magic, version, place of the index, its length, its SHA-256.
pub(super) const HEADER: usize = 8 + 4 + 8 + 8 + 32;

/// Largest index that is read, in bytes.
const MAX_INDEX: u64 = 1 << 30;

/// What a pack says of its images.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    pub(super) size: u32,
    pub(super) channels: u32,
    /// The folder or the manifest, from the pack's folder.
    pub(super) root: String,
    /// All files, in the order of their pixels.
    pub(super) images: Vec<Image>,
    pub(super) blocks: Vec<Block>,
}

/// A file as it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Image {
    pub(super) name: Name,
    pub(super) bytes: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: u64,
    /// In pixels, where the header could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) short_side: Option<u32>,
    /// Of a usable image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<Kept>,
    /// Of any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<(Fault, String)>,
}

/// What is known of a decoded image beside its pixels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) padded: bool,
    pub(super) sums: Sums,
}

/// Images with one sum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Block {
    /// Files, usable or not.
    pub(super) images: usize,
    /// SHA-256 of the pixels.
    pub(super) sum: String,
}

/// A path inside the folder, in words where it has some.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Name {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Image {
    pub(super) fn bad(&self, path: &Path) -> Option<BadFile> {
        let (fault, reason) = self.fault.clone()?;
        Some(BadFile { path: path.to_owned(), fault, reason })
    }
}

impl Index {
    /// The index of a whole file, or what is wrong with it, as the end of a sentence.
    pub(super) fn read(bytes: &[u8], with_sum: bool) -> Result<Self, String> {
        let cut = "is cut short or damaged: write it again";
        let (header, _) = bytes.split_at_checked(HEADER).ok_or(cut)?;
        if !header.starts_with(&MAGIC) {
            return Err("is no pack: it begins with other bytes".to_owned());
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let version = u32::from_le_bytes(std::array::from_fn(|i| header[8 + i]));
        if version != VERSION {
            return Err(format!("is of version {version}, and {VERSION} is read: write it again"));
        }
        let (start, length) = (number(12), number(20));
        let whole = start >= HEADER as u64 && start.checked_add(length) == Some(bytes.len() as u64);
        if !whole || length > MAX_INDEX {
            return Err(cut.to_owned());
        }
        let text = &bytes[start as usize..];
        if with_sum && Sha256::digest(text)[..] != header[28..] {
            return Err("has a damaged index: write it again".to_owned());
        }
        let index: Self =
            serde_json::from_slice(text).map_err(|error| format!("has an index that cannot be read ({error})"))?;
        index.check(start - HEADER as u64)?;
        Ok(index)
    }

    pub(super) fn format(&self) -> Format {
        Format { size: self.size, channels: self.channels }
    }

    /// That everything in it holds for as many bytes of pixels.
    fn check(&self, pixels: u64) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("has an index that is wrong ({what}): write it again"));
        let format = self.format();
        if format.check().is_err() {
            return wrong("its format");
        }
        if !self.root.is_empty() && !stays_inside(&self.root) {
            return wrong("it leads outside its own folder");
        }
        let mut names = HashSet::new();
        let mut usable = 0u64;
        for image in &self.images {
            if !names.insert(image.name.bytes()) {
                return wrong("a name twice");
            }
            match (&image.kept, &image.fault) {
                (Some(kept), None) if image.short_side.is_some() && kept.sums.are_of(format) => usable += 1,
                (None, Some(_)) => {}
                _ => return wrong("an image"),
            }
        }
        let in_blocks = self.blocks.iter().try_fold(0usize, |all, block| all.checked_add(block.images));
        if in_blocks != Some(self.images.len()) || usable.checked_mul(format.bytes() as u64) != Some(pixels) {
            return wrong("its length");
        }
        Ok(())
    }
}
