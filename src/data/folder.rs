//! A folder of images in torchvision's ImageFolder layout: its classes, files and splits.
//!
//! Two layouts: `train/<class>/*` with optional `val` (or `valid`, `validation`) and `test`, or
//! class folders at the top; or a manifest or a pack in their place. What is missing is split off the training images by a seeded
//! hash.
//! Files are found in folders below a class too; hidden ones and links out of the root are not.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::batch::Images;
use super::check;
use super::decode::Format;
use super::error::{BadFile, BadFiles, DataError};
use super::manifest;
use super::pack::{self, Pack};
use super::scan::{Entry, Scan};
use super::split::{self, Aside};
use crate::digest::hex;

/// A dataset's classes, its files by split, and where the splits came from.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The folder, or the manifest or pack of one, as it was given.
    pub root: PathBuf,
    /// Class names sorted by bytes; a label is an index into them.
    pub classes: Vec<String>,
    /// Images to train on, sorted by class and path.
    pub train: Vec<Sample>,
    /// Images that score candidates during a search.
    pub holdout: Vec<Sample>,
    /// Images touched once, at the end.
    pub test: Vec<Sample>,
    /// SHA-256 over relative paths, sizes in bytes, labels and splits, as 64 hex digits.
    pub fingerprint: String,
    /// Where the hold-out came from.
    pub holdout_from: HoldoutFrom,
    /// Where the test images came from.
    pub test_from: TestFrom,
    /// Files that are no images by name, left out.
    pub skipped: usize,
    /// Symbolic links left out: to folders, to nothing, or out of the root.
    pub links: usize,
    /// Short sides of all images in pixels by their headers, sorted.
    pub short_sides: Vec<u32>,
    /// Files that are no usable images, left out.
    pub bad: Vec<BadFile>,
    /// How many of these there may be.
    pub allowed: usize,
    pub(super) packed: Option<Arc<Packed>>,
}

/// A pack and where in it the images of a dataset are.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) pack: Pack,
    pub(super) places: HashMap<PathBuf, u32>,
}

/// One image file and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The file: the folder as given, then the path inside it.
    pub path: PathBuf,
    /// Index into [`Dataset::classes`].
    pub label: u32,
}

/// Where the hold-out came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldoutFrom {
    /// A folder `val`, `valid` or `validation`, or a manifest.
    ValFolder,
    /// Split off the training images.
    Train,
}

/// Where the test images came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestFrom {
    /// The folder `test`, or a manifest.
    TestFolder,
    /// A fifth of each class, split off the training images.
    Train,
}

/// How a dataset without all three folders is split, and how much of it may be bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Key of the split.
    pub seed: u64,
    /// Images to split off the training images when there is no `val` folder, spread over the
    /// classes in proportion; at most a fifth of the training images. 0 leaves it empty.
    pub holdout: usize,
    /// Share of all files that may be no usable images and are left out; with more of them the dataset is refused.
    pub max_bad: f64,
}

/// Scans `root`, splits what has no folder of its own, and reads the header of every image.
///
/// # Errors
/// [`DataError`] names the folder or file that is wrong and the remedy: a missing folder, fewer
/// than two classes, an empty training class, a class that training does not know, too few
/// images to split, or too many files that are empty, unreadable or absurdly large.
pub fn open(root: &Path, options: &Options) -> Result<Dataset, DataError> {
    open_telling(root, options, &|_, _| ())
}

/// As [`open`]; `progress` is called on this thread with files looked at and all of them.
///
/// # Errors
/// As [`open`].
pub fn open_telling(root: &Path, options: &Options, progress: &dyn Fn(usize, usize)) -> Result<Dataset, DataError> {
    let mut listing = list(root, options)?;
    let entries: Vec<&Entry> = listing.splits.iter().flatten().collect();
    let allowed = allowed(options.max_bad, entries.len());
    let (looked_at, spoilt) = match &listing.pack {
        None => {
            let paths: Vec<&Path> = entries.iter().map(|entry| entry.path.as_path()).collect();
            (check::headers(&paths, progress), Vec::new())
        }
        Some(pack) => (
            entries.iter().map(|entry| pack.header(entry)).collect(),
            entries.iter().filter_map(|entry| pack.spoilt(entry)).collect(),
        ),
    };
    let (mut sides, mut bad, mut usable) = (Vec::new(), Vec::new(), Vec::new());
    for header in looked_at {
        usable.push(header.is_ok());
        match header {
            Ok(side) => sides.push(side),
            Err(file) => bad.push(file),
        }
    }
    let mut usable = usable.into_iter();
    for split in &mut listing.splits {
        split.retain(|_| usable.next().expect("every file was looked at"));
    }
    sides.sort_unstable();
    let fingerprint = fingerprint(&listing.splits);
    let packed = listing.pack.map(|pack| {
        let entries = listing.splits.iter().flatten();
        let places = entries.map(|entry| (entry.path.clone(), pack.image(entry))).collect();
        Arc::new(Packed { pack, places })
    });
    let [train, holdout, test] =
        listing.splits.map(|entries| entries.into_iter().map(|e| Sample { path: e.path, label: e.label }).collect());
    let mut dataset = Dataset {
        root: root.to_owned(),
        classes: listing.classes,
        train,
        holdout,
        test,
        fingerprint,
        holdout_from: listing.holdout_from,
        test_from: listing.test_from,
        skipped: listing.scan.skipped.len(),
        links: listing.scan.links.len(),
        short_sides: sides,
        bad: Vec::new(),
        allowed,
        packed,
    };
    dataset.leave_out(bad)?;
    // A folder's own are found when they are decoded.
    if !spoilt.is_empty() {
        dataset.leave_out(spoilt)?;
    }
    Ok(dataset)
}

impl Dataset {
    /// Median short side of all images in pixels.
    pub fn short_side(&self) -> u32 {
        self.short_sides.get(self.short_sides.len() / 2).copied().unwrap_or_default()
    }

    /// The images of `samples`, which are the dataset's, and those that cannot be decoded: as [`Images::load_usable`],
    /// or out of the pack that the dataset is.
    ///
    /// # Errors
    /// As there, and [`DataError::Pack`] for a pack of another format.
    pub fn images(
        &self,
        samples: &[Sample],
        format: Format,
        threads: usize,
        cap_bytes: usize,
        progress: &dyn Fn(usize, usize),
    ) -> Result<(Images, Vec<BadFile>), DataError> {
        match &self.packed {
            None => Images::load_usable(samples, format, threads, cap_bytes, progress),
            Some(packed) => {
                packed.pack.fits(format)?;
                progress(samples.len(), samples.len());
                Ok((Images::of_pack(packed, samples)?, Vec::new()))
            }
        }
    }

    /// Leaves out files that turn out to be no usable images, when they are decoded for example.
    ///
    /// # Errors
    /// [`DataError::BadFiles`] when there are too many by now, a class has no image to train on any more, or none is left
    /// to test with.
    pub fn leave_out(&mut self, bad: Vec<BadFile>) -> Result<(), DataError> {
        let gone: HashSet<PathBuf> = bad.iter().map(|file| file.path.clone()).collect();
        for split in [&mut self.train, &mut self.holdout, &mut self.test] {
            split.retain(|sample| !gone.contains(&sample.path));
        }
        self.bad.extend(bad);
        self.bad.sort_by(|a, b| a.path.cmp(&b.path));
        let train = self.train.iter().map(|sample| sample.label);
        tolerate(&self.bad, self.allowed, self.classes.len(), train, self.test.len())
    }

    /// What was left out, for people; nothing where nothing was.
    pub fn left_out(&self) -> Option<String> {
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one} is left out")),
            n => Some(format!("{n} {many} are left out")),
        };
        let bad = self.bad.first().zip(counted(
            self.bad.len(),
            "file that is no usable image",
            "files that are no usable images",
        ));
        let texts: Vec<String> = [
            bad.map(|(first, text)| format!("{text}, first '{}': {}", first.path.display(), first.reason)),
            counted(self.skipped, "file that is no image by its name", "files that are no images by their names"),
            counted(self.links, "symbolic link", "symbolic links")
                .map(|text| format!("{text}: to folders, to nothing or out of the folder")),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!texts.is_empty()).then(|| format!("{} (netadapt-data check names all)", texts.join("; ")))
    }
}

/// How many of `images` files may be bad.
pub(super) fn allowed(max_bad: f64, images: usize) -> usize {
    (max_bad * images as f64) as usize
}

/// Whether these files can be left out: they are not too many, each class keeps images to train on, whose labels are
/// `train`, and some are left to test with.
pub(super) fn tolerate(
    bad: &[BadFile],
    allowed: usize,
    classes: usize,
    train: impl Iterator<Item = u32>,
    test: usize,
) -> Result<(), DataError> {
    let mut kept = vec![false; classes];
    train.for_each(|label| kept[label as usize] = true);
    let enough = test > 0 && !kept.contains(&false);
    BadFiles::check(bad, if enough { allowed } else { 0 })
}

/// A dataset's files by split, before any of them is opened.
pub(super) struct Listing {
    pub(super) classes: Vec<String>,
    /// Files to train on, held out, to test with; each sorted by class and path.
    pub(super) splits: [Vec<Entry>; 3],
    pub(super) holdout_from: HoldoutFrom,
    pub(super) test_from: TestFrom,
    /// The folder of the training classes.
    pub(super) train_folder: PathBuf,
    /// The walk, with what it left out.
    pub(super) scan: Scan,
    pub(super) pack: Option<Pack>,
}

/// Scans `root` and splits what has no folder of its own; errors as [`open`], less those of files.
pub(super) fn list(root: &Path, options: &Options) -> Result<Listing, DataError> {
    let (found, pack) = match pack::is_pack(root) {
        true => pack::find(root).map(|(found, pack)| (found, Some(pack)))?,
        false => (find_source(root)?, None),
    };
    let Found { classes, mut train, holdout, test, train_folder, scan } = found;
    let (test, test_from) = match test {
        Some(test) => (test, TestFrom::TestFolder),
        None => {
            let counts = split::a_fifth(&split::per_class(&train, classes.len()));
            if counts.iter().sum::<usize>() == 0 {
                return Err(too_few(&train_folder, &train, &classes, "test", "test"));
            }
            let [kept, aside] = split::set_aside(train, &counts, options.seed, Aside::Test);
            train = kept;
            (aside, TestFrom::Train)
        }
    };
    let (holdout, holdout_from) = match holdout {
        Some(holdout) => (holdout, HoldoutFrom::ValFolder),
        None => {
            let most = train.len() / 5;
            if options.holdout > 0 && most < classes.len() {
                return Err(too_few(&train_folder, &train, &classes, "held-out", "val"));
            }
            let counts = split::per_class(&train, classes.len());
            let counts = split::in_proportion(&counts, options.holdout.min(most));
            let [kept, aside] = split::set_aside(train, &counts, options.seed, Aside::Holdout);
            train = kept;
            (aside, HoldoutFrom::Train)
        }
    };

    Ok(Listing { classes, splits: [train, holdout, test], holdout_from, test_from, train_folder, scan, pack })
}

/// A dataset's files as its folders, or its manifest, divide them.
pub(super) struct Found {
    pub(super) classes: Vec<String>,
    pub(super) train: Vec<Entry>,
    pub(super) holdout: Option<Vec<Entry>>,
    pub(super) test: Option<Vec<Entry>>,
    /// The folder of the training classes.
    pub(super) train_folder: PathBuf,
    /// The walk, with what it left out.
    pub(super) scan: Scan,
}

/// Scans `root`, a folder, a manifest or a pack of one; errors as [`open`], less those of files and of splits.
pub(super) fn find(root: &Path) -> Result<Found, DataError> {
    if pack::is_pack(root) { pack::find(root).map(|(found, _)| found) } else { find_source(root) }
}

/// Scans `root`, a folder or a manifest.
pub(super) fn find_source(root: &Path) -> Result<Found, DataError> {
    if root.is_file() && root.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return manifest::find(root);
    }
    let mut scan = Scan::new(root)?;
    let train_folder = scan.subfolder("train")?;
    let test_folder = scan.subfolder("test")?;
    let holdout_folder = scan.holdout_folder()?;
    if train_folder.is_none()
        && let Some(found) = holdout_folder.as_ref().or(test_folder.as_ref())
    {
        let found = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(DataError::NoTrain { root: root.to_owned(), found });
    }
    let train_folder = train_folder.unwrap_or_else(|| root.to_owned());
    let (classes, train) = scan.training(&train_folder)?;
    let test = test_folder.map(|folder| scan.other(&folder, &classes)).transpose()?;
    let holdout = holdout_folder.map(|folder| scan.other(&folder, &classes)).transpose()?;
    Ok(Found { classes, train, holdout, test, train_folder, scan })
}

fn too_few(
    folder: &Path,
    train: &[Entry],
    classes: &[String],
    what: &'static str,
    what_folder: &'static str,
) -> DataError {
    DataError::TooFew {
        folder: folder.to_owned(),
        images: train.len(),
        classes: classes.len(),
        needed: 5 * classes.len(),
        what,
        what_folder,
    }
}

/// Everything that decides what is learned from: names, sizes, labels, splits; not the root.
fn fingerprint(splits: &[Vec<Entry>; 3]) -> String {
    let mut hasher = Sha256::new();
    for (index, entries) in splits.iter().enumerate() {
        for entry in entries {
            // The length before the name keeps two lists from reading the same.
            hasher.update((entry.name.len() as u64).to_le_bytes());
            hasher.update(&entry.name);
            hasher.update(entry.bytes.to_le_bytes());
            hasher.update(entry.label.to_le_bytes());
            hasher.update([index as u8]);
        }
    }
    hex(&hasher.finalize())
}
