//! A split written down: which file is of which class and on which side. It takes the place of a folder; nothing is moved.
//!
//! A manifest lies in the folder of images or above it and names files below its own folder only, so that one from a
//! stranger leads nowhere else.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::folder::Found;
use super::scan::{Entry, Scan};
use crate::disk::{folder_of, is_of_content, read_at_most};

/// The version that is written and read.
pub const VERSION: u32 = 1;

/// Largest manifest that is read, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// Files of each class, as paths from [`Manifest::root`] with `/` between their parts.
pub type Files = BTreeMap<String, Vec<String>>;

/// A folder's images by split and class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The folder of images from the manifest's own, with `/` between its parts; empty where it is the same.
    pub root: String,
    /// What the split was drawn with.
    pub seed: u64,
    /// Images to train on; its classes are all there are.
    pub train: Files,
    /// Images to score candidates with; without it some are split off those to train on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<Files>,
    /// Images to test with, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Files>,
}

impl Manifest {
    /// Reads and checks the text of a manifest.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| format!("cannot be read ({error})"))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("is of version {}, and {VERSION} is read", self.version));
        }
        if !self.root.is_empty() && !stays_inside(&self.root) {
            return Err(format!("is of images in '{}', which may be outside its own folder", self.root));
        }
        if self.train.len() < 2 {
            return Err("has fewer than two classes to train on".to_owned());
        }
        if let Some((class, _)) = self.train.iter().find(|(_, files)| files.is_empty()) {
            return Err(format!("has no images of '{class}' to train on"));
        }
        for (name, files) in [("val", &self.val), ("test", &self.test)] {
            let Some(files) = files else { continue };
            if let Some(class) = files.keys().find(|class| !self.train.contains_key(*class)) {
                return Err(format!("has a class '{class}' in '{name}' and not in 'train'"));
            }
            if files.values().all(Vec::is_empty) {
                return Err(format!("has no images in '{name}'"));
            }
        }
        let mut seen = HashSet::new();
        for file in
            [Some(&self.train), self.val.as_ref(), self.test.as_ref()].into_iter().flatten().flat_map(Files::values)
        {
            for name in file {
                if !stays_inside(name) {
                    return Err(format!("names '{name}', which may be outside its own folder"));
                }
                if !seen.insert(name.as_str()) {
                    return Err(format!("names '{name}' twice"));
                }
            }
        }
        Ok(())
    }
}

/// Whether this is a manifest, for `formats`.
pub(crate) fn reads_manifest(bytes: &[u8]) -> bool {
    Manifest::parse(bytes).is_ok()
}

/// Whether a path has one way to be read, and leads down.
pub(super) fn stays_inside(name: &str) -> bool {
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    plain && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The files that a manifest names, by split.
pub(super) fn find(path: &Path) -> Result<Found, DataError> {
    let refused = |problem| DataError::Manifest { path: path.to_owned(), problem };
    let unread = |source| match is_of_content(&source) {
        true => refused(source.to_string()),
        false => DataError::Read { path: path.to_owned(), source },
    };
    let bytes = read_at_most(path, MAX_BYTES).map_err(unread)?;
    let manifest = Manifest::parse(&bytes).map_err(refused)?;
    let folder = folder_of(path);
    let root: PathBuf = if manifest.root.is_empty() { folder.to_owned() } else { folder.join(&manifest.root) };
    let mut scan = Scan::new(&root)?;
    if !scan.lies_in(folder) {
        return Err(DataError::LinkLeaves { path: root });
    }
    let classes: Vec<String> = manifest.train.keys().cloned().collect();
    let mut entries = |files: Files| -> Vec<Entry> {
        let label = |class: &String| classes.binary_search(class).expect("it was checked to be one of them") as u32;
        let named = files.iter().flat_map(|(class, names)| names.iter().map(move |name| (name, label(class))));
        named.filter_map(|(name, label)| scan.named(name, label)).collect()
    };
    let (train, holdout, test) =
        (entries(manifest.train), manifest.val.map(&mut entries), manifest.test.map(&mut entries));
    let mut images = vec![0usize; classes.len()];
    train.iter().for_each(|entry| images[entry.label as usize] += 1);
    if let Some(label) = images.iter().position(|&images| images == 0) {
        return Err(refused(format!("has only links out of its folder to train '{}' on", classes[label])));
    }
    Ok(Found { classes, train, holdout, test, train_folder: root, scan })
}
