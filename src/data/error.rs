//! What can be wrong with a folder of images: each message says what, where and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::file::FORMATS;
use super::import::ImportError;

/// Why a folder, a file or a request for batches was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder given does not exist.
    #[error("there is no folder '{path}': check the path of the images")]
    Missing {
        /// The folder asked for.
        path: PathBuf,
    },
    /// The path given is a file.
    #[error(
        "'{path}' is not a folder: give the folder that holds 'train' or the class folders, or a manifest \
         (.json) of netadapt-data split, or a pack"
    )]
    NotAFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// A manifest that cannot be used.
    #[error("the manifest '{path}' {problem}: write one with netadapt-data split")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// A pack that cannot be used.
    #[error("the pack '{path}' {problem}")]
    Pack {
        /// The pack.
        path: PathBuf,
        /// What is wrong with it and what to do, as the end of a sentence.
        problem: String,
    },
    /// A manifest would have to name files outside its own folder.
    #[error(
        "a manifest or a pack names files in its own folder only, and '{root}' is not in that of '{file}': put it \
         into the folder of images or beside it"
    )]
    ManifestOutside {
        /// The folder of images.
        root: PathBuf,
        /// The manifest to be.
        file: PathBuf,
    },
    /// The operating system refused to list or read something.
    #[error("cannot read '{path}': check that it exists and its permissions")]
    Read {
        /// What was being read.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is `val` or `test` but no `train`, so the class folders are ambiguous.
    #[error("'{root}' has a folder '{found}' but no folder 'train': add 'train/<class>/'")]
    NoTrain {
        /// The dataset's folder.
        root: PathBuf,
        /// The split folder that was found.
        found: String,
    },
    /// More than one folder could be the held-out set.
    #[error("'{root}' has both '{first}' and '{second}': keep one of them as the held-out set")]
    TwoHoldouts {
        /// The dataset's folder.
        root: PathBuf,
        /// A name found.
        first: String,
        /// Another name found.
        second: String,
    },
    /// A split or class folder is a symbolic link to somewhere outside the dataset.
    #[error(
        "'{path}' is a symbolic link that leaves the dataset's folder, which is not followed: \
         put the images themselves there"
    )]
    LinkLeaves {
        /// The link.
        path: PathBuf,
    },
    /// No class folders.
    #[error("'{folder}' has no class folders: sort the images into one folder per class")]
    NoClasses {
        /// Where class folders were looked for.
        folder: PathBuf,
    },
    /// Only one class, so there is nothing to tell apart.
    #[error(
        "'{folder}' has only one class folder, '{class}': give the folder that holds 'train' or \
         at least two class folders"
    )]
    OneClass {
        /// Where class folders were looked for.
        folder: PathBuf,
        /// The one class.
        class: String,
    },
    /// A training class without images.
    #[error(
        "the class folder '{folder}' has no {formats} images ({skipped} other files and {links} \
         symbolic links were left out): add images or remove the folder",
        formats = FORMATS
    )]
    EmptyClass {
        /// The class folder.
        folder: PathBuf,
        /// Files there that are not images.
        skipped: usize,
        /// Links there that were not followed.
        links: usize,
    },
    /// A `val` or `test` folder without a single image in a class folder.
    #[error(
        "'{folder}' has no images in class folders: sort them into the same class folders as \
         'train', or rename the folder so that a part of 'train' is used instead"
    )]
    EmptySplit {
        /// The split folder.
        folder: PathBuf,
    },
    /// A class in `val` or `test` that training does not know.
    #[error("the class folder '{folder}' has no counterpart in 'train': rename, move or remove it")]
    UnknownClass {
        /// The class folder.
        folder: PathBuf,
    },
    /// A class folder whose name is not Unicode.
    #[error("the class folder '{folder}' has a name that is not UTF-8: rename it")]
    NotUnicode {
        /// The class folder.
        folder: PathBuf,
    },
    /// Too few training images to take some of them away.
    #[error(
        "'{folder}' has {images} training images in {classes} classes, too few to set some aside \
         as the {what} set: add images (at least {needed} in all) or a folder '{what_folder}'"
    )]
    TooFew {
        /// The folder with the training images.
        folder: PathBuf,
        /// Training images left.
        images: usize,
        /// Number of classes.
        classes: usize,
        /// Training images needed.
        needed: usize,
        /// The set that was to be split off.
        what: &'static str,
        /// The folder that would be used instead.
        what_folder: &'static str,
    },
    /// A folder of images to predict without any.
    #[error("'{folder}' has no {formats} images: give a folder that has", formats = FORMATS)]
    NoFiles {
        /// The folder.
        folder: PathBuf,
    },
    /// A sheet of pictures that would be too large.
    #[error("a sheet of {width} x {height} pixels is more than {most} a side: show fewer images, or smaller ones")]
    Sheet {
        /// Its width in pixels.
        width: u64,
        /// Its height in pixels.
        height: u64,
        /// Most pixels a side.
        most: u32,
    },
    /// A set in another form that is not imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Files that are not usable images.
    #[error("{0}")]
    BadFiles(BadFiles),
    /// A split without images was to be loaded.
    #[error("there are no images to load in this split: check the dataset's folder")]
    NoImages,
    /// An augmentation setting out of its range.
    #[error("augmentation: {name} = {value} is outside {range}: change the setting")]
    Augment {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f32,
        /// What is allowed.
        range: &'static str,
    },
    /// An image size that cannot be worked with.
    #[error(
        "an image format of size {size} with {channels} channels is not supported: use a size of \
         1 to 4096 and 1 or 3 channels"
    )]
    Format {
        /// Side of the network's input in pixels.
        size: u32,
        /// Channels asked for.
        channels: u32,
    },
    /// A batch larger than the split, or empty.
    #[error(
        "a batch of {batch_size} images cannot be filled from {images} training images: \
         use a batch size between 1 and {images}"
    )]
    Batch {
        /// The batch size asked for.
        batch_size: usize,
        /// Images in the split.
        images: usize,
    },
}

/// In what way a file is not a usable image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Not a byte in it.
    Empty,
    /// It begins as an image and its end is missing.
    Truncated,
    /// It cannot be read, is no image, or is damaged.
    Unreadable,
    /// Larger than what is decoded.
    Oversized,
}

/// One file that is not a usable image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// In what way.
    pub fault: Fault,
    /// What is wrong with it.
    pub reason: String,
}

/// Files that are not usable images: the first few by name, all by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFiles {
    /// How many files are bad.
    pub count: usize,
    /// The first of them, at most [`BadFiles::LISTED`].
    pub first: Vec<BadFile>,
    /// How many would have been left out without a word of refusal.
    pub allowed: usize,
}

impl BadFiles {
    /// How many bad files a message names.
    pub const LISTED: usize = 5;

    /// The error for `bad`, or nothing when there are no more than are allowed.
    ///
    /// # Errors
    /// [`DataError::BadFiles`].
    pub fn check(bad: &[BadFile], allowed: usize) -> Result<(), DataError> {
        if bad.len() <= allowed {
            return Ok(());
        }
        let first = bad[..bad.len().min(Self::LISTED)].to_vec();
        Err(DataError::BadFiles(Self { count: bad.len(), first, allowed }))
    }
}

impl fmt::Display for BadFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "1 file is not a usable image")?,
            n => write!(f, "{n} files are not usable images")?,
        }
        for (i, file) in self.first.iter().enumerate() {
            let lead = if i == 0 { ": " } else { "; " };
            write!(f, "{lead}'{}': {}", file.path.display(), file.reason)?;
        }
        if self.count > self.first.len() {
            write!(f, "; and {} more", self.count - self.first.len())?;
        }
        write!(f, "; replace or remove {}", if self.count == 1 { "it" } else { "them" })?;
        match self.allowed {
            0 => Ok(()),
            n => write!(f, " (up to {n} would be left out: --max-bad)"),
        }
    }
}
