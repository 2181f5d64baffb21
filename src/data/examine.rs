//! Everything that may be wrong with a folder of images: each finding with its file, the reason and what to do.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::{BadFile, DataError, Fault};
use super::file::{self, FORMATS};
use super::folder::{Listing, Options, allowed, list, tolerate};
use super::likeness::earlier_twins;
use super::scan::Entry;
use super::seen::{Seen, look_at};

/// Training images below which a class is too small to learn from scratch.
pub const SMALL_CLASS: usize = 20;

/// Times that the largest class may be as large as the smallest before it is a finding.
pub const IMBALANCE: f64 = 5.0;

const SPLITS: [&str; 3] = ["train", "holdout", "test"];

/// What is in a folder, and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Images of each class by split.
    pub classes: BTreeMap<String, Counts>,
    /// Images in all splits, usable or not.
    pub images: usize,
    /// Sizes of the usable images in pixels, upright; nothing where none is usable.
    pub sizes: Option<Sizes>,
    /// Usable images by what a pixel is: `grey`, `grey-alpha`, `rgb`, `rgba`, with `16` or `float` behind.
    pub channels: BTreeMap<&'static str, usize>,
    /// Images that EXIF says to turn or mirror, which is done when they are read.
    pub turned: usize,
    /// Training images of the largest class over those of the smallest.
    pub imbalance: Option<f64>,
    /// Why a search would refuse the folder.
    pub refused: Option<String>,
    /// What is wrong, by kind and then in the order of the files.
    pub findings: Vec<Finding>,
    #[serde(skip)]
    error: Option<DataError>,
}

impl Report {
    /// # Errors
    /// What a search would refuse the folder with.
    pub fn verdict(self) -> Result<(), DataError> {
        self.error.map_or(Ok(()), Err)
    }
}

/// Images of a class, or of all, by split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// To train on.
    pub train: usize,
    /// To score candidates with during a search.
    pub holdout: usize,
    /// To test with, once.
    pub test: usize,
}

/// Least, median and most of what the images measure, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Of the widths.
    pub width: [u32; 3],
    /// Of the heights.
    pub height: [u32; 3],
    /// Of the shorter sides.
    pub short_side: [u32; 3],
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file or the class folder, from the root with `/` between the parts.
    pub file: String,
    /// What it is.
    pub kind: Kind,
    /// The reason and what to do.
    pub advice: String,
}

/// What a finding is about, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The folder as a whole cannot be made sense of.
    Layout,
    /// A file without a byte.
    Empty,
    /// A file whose end is missing.
    Truncated,
    /// A file that cannot be read, is no image, or is damaged.
    Unreadable,
    /// A file larger than what is decoded.
    Oversized,
    /// The same file in two classes.
    DuplicateAcrossLabels,
    /// The same file in two splits.
    DuplicateAcrossSplits,
    /// Images in two classes that look alike.
    NearDuplicateAcrossLabels,
    /// Images in two splits that look alike.
    NearDuplicateAcrossSplits,
    /// The same file twice in one split and class.
    Duplicate,
    /// Images in one split and class that look alike.
    NearDuplicate,
    /// A class with fewer than [`SMALL_CLASS`] training images.
    SmallClass,
    /// A class of which a split has no image.
    MissingClass,
    /// The smallest class, where the largest is more than [`IMBALANCE`] times as large.
    Imbalance,
    /// A file of another format than its name says.
    Misnamed,
    /// A folder that has the name of an image.
    Folder,
    /// A file left out because of its name.
    Extension,
    /// A symbolic link left out.
    Link,
    /// A line of a table that names no image.
    LabelWithoutFile,
    /// An image that no line of a table names.
    FileWithoutLabel,
    /// A line of a table that says nothing, or what another one says.
    Line,
}

impl Kind {
    /// The name that the findings have in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::Unreadable => "unreadable",
            Self::Oversized => "oversized",
            Self::DuplicateAcrossLabels => "duplicate-across-labels",
            Self::DuplicateAcrossSplits => "duplicate-across-splits",
            Self::NearDuplicateAcrossLabels => "near-duplicate-across-labels",
            Self::NearDuplicateAcrossSplits => "near-duplicate-across-splits",
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near-duplicate",
            Self::SmallClass => "small-class",
            Self::MissingClass => "missing-class",
            Self::Imbalance => "imbalance",
            Self::Misnamed => "misnamed",
            Self::Folder => "folder",
            Self::Extension => "extension",
            Self::Link => "link",
            Self::LabelWithoutFile => "label-without-file",
            Self::FileWithoutLabel => "file-without-label",
            Self::Line => "line",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Looks at every file of a folder on `threads` threads; `progress` is told how many of all are done.
///
/// A folder that a search refuses is examined as far as can be and has its [`Report::verdict`].
pub fn examine(root: &Path, options: &Options, threads: usize, progress: &mut dyn FnMut(usize, usize)) -> Report {
    let listing = match list(root, options) {
        Ok(listing) => listing,
        Err(error) => return without_layout(root, error),
    };
    let entries: Vec<&Entry> = listing.splits.iter().flatten().collect();
    let (seen, bad) = look_at(&entries, threads, progress);

    let mut findings: Vec<Finding> = bad.iter().map(|file| of_bad_file(&listing, file)).collect();
    let places = places(&listing);
    findings.extend(duplicates(&places, &seen));
    let counts = counts(&listing);
    findings.extend(of_classes(&listing, &counts));
    findings.extend(misnamed(&places, &seen));
    findings.extend(left_out(&listing));
    findings.sort_by_key(|finding| finding.kind);

    let usable = || seen.iter().flatten();
    let mut channels = BTreeMap::new();
    usable().for_each(|image| *channels.entry(image.channels).or_default() += 1);
    let train = listing.splits[0].iter().zip(&seen).filter(|(_, seen)| seen.is_some()).map(|(entry, _)| entry.label);
    let test = seen.iter().rev().take(listing.splits[2].len()).flatten().count();
    let allowed = allowed(options.max_bad, entries.len());
    let error = tolerate(&bad, allowed, listing.classes.len(), train, test).err();
    Report {
        images: entries.len(),
        sizes: sizes(usable()),
        channels,
        turned: usable().filter(|image| image.turned).count(),
        imbalance: imbalance(&counts).map(|(ratio, ..)| ratio),
        refused: error.as_ref().map(ToString::to_string),
        findings,
        error,
        classes: listing.classes.into_iter().zip(counts).collect(),
    }
}

fn without_layout(root: &Path, error: DataError) -> Report {
    let advice = error.to_string();
    let file = root.to_string_lossy().into_owned();
    Report {
        classes: BTreeMap::new(),
        images: 0,
        sizes: None,
        channels: BTreeMap::new(),
        turned: 0,
        imbalance: None,
        refused: Some(advice.clone()),
        findings: vec![Finding { file, kind: Kind::Layout, advice }],
        error: Some(error),
    }
}

fn of_bad_file(listing: &Listing, bad: &BadFile) -> Finding {
    let (kind, remedy) = match bad.fault {
        Fault::Empty => (Kind::Empty, "copy it again, or remove it"),
        Fault::Truncated => (Kind::Truncated, "copy it again, or remove it"),
        Fault::Unreadable => (Kind::Unreadable, "replace or remove it"),
        Fault::Oversized => (Kind::Oversized, "scale it down, or remove it"),
    };
    Finding { file: inside(listing, &bad.path), kind, advice: format!("{}: {remedy}", bad.reason) }
}

/// A path from the root, for people.
fn inside(listing: &Listing, path: &Path) -> String {
    String::from_utf8_lossy(&listing.scan.name(path)).into_owned()
}

/// Where an image lies, for comparing.
struct Place<'a> {
    entry: &'a Entry,
    split: usize,
}

impl Place<'_> {
    fn name(&self) -> String {
        String::from_utf8_lossy(&self.entry.name).into_owned()
    }
}

fn places(listing: &Listing) -> Vec<Place<'_>> {
    let splits = listing.splits.iter().enumerate();
    splits.flat_map(|(split, entries)| entries.iter().map(move |entry| Place { entry, split })).collect()
}

/// Images that are there before, byte for byte or by their looks; each is named once, with the earlier one.
fn duplicates(places: &[Place<'_>], seen: &[Option<Seen>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut first: HashMap<[u8; 32], usize> = HashMap::new();
    let (mut originals, mut looks) = (Vec::new(), Vec::new());
    for (i, image) in seen.iter().enumerate() {
        let Some(image) = image else { continue };
        let earlier = *first.entry(image.sum).or_insert(i);
        if earlier == i {
            originals.push(i);
            looks.push(&image.look);
        } else {
            findings.push(of_twins(&places[i], &places[earlier], true));
        }
    }
    for (later, earlier) in earlier_twins(&looks).into_iter().enumerate() {
        if let Some(earlier) = earlier {
            findings.push(of_twins(&places[originals[later]], &places[originals[earlier]], false));
        }
    }
    findings
}

fn of_twins(later: &Place<'_>, earlier: &Place<'_>, same: bool) -> Finding {
    let labels = later.entry.label != earlier.entry.label;
    let splits = later.split != earlier.split;
    let kind = match (same, labels, splits) {
        (true, true, _) => Kind::DuplicateAcrossLabels,
        (true, false, true) => Kind::DuplicateAcrossSplits,
        (true, false, false) => Kind::Duplicate,
        (false, true, _) => Kind::NearDuplicateAcrossLabels,
        (false, false, true) => Kind::NearDuplicateAcrossSplits,
        (false, false, false) => Kind::NearDuplicate,
    };
    let remedy = match (labels, splits) {
        (true, _) => "keep the one in the right class",
        (false, true) => "remove one of them, or accuracy counts what was learned by heart",
        (false, false) => "remove one of them unless it is meant to count twice",
    };
    let likeness = if same { "the same file as" } else { "looks like" };
    let sides = if splits { format!(" ({}, {})", SPLITS[later.split], SPLITS[earlier.split]) } else { String::new() };
    Finding { file: later.name(), kind, advice: format!("{likeness} '{}'{sides}: {remedy}", earlier.name()) }
}

/// Images of each class, in the order of the labels.
fn counts(listing: &Listing) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); listing.classes.len()];
    let [train, holdout, test] = &listing.splits;
    train.iter().for_each(|entry| counts[entry.label as usize].train += 1);
    holdout.iter().for_each(|entry| counts[entry.label as usize].holdout += 1);
    test.iter().for_each(|entry| counts[entry.label as usize].test += 1);
    counts
}

/// Times that the largest class is as large as the smallest, and the labels of the smallest and the largest.
fn imbalance(counts: &[Counts]) -> Option<(f64, usize, usize)> {
    let (small, least) = counts.iter().enumerate().min_by_key(|(_, counts)| counts.train)?;
    let (large, most) = counts.iter().enumerate().max_by_key(|(_, counts)| counts.train)?;
    (least.train > 0).then(|| (most.train as f64 / least.train as f64, small, large))
}

fn of_classes(listing: &Listing, counts: &[Counts]) -> Vec<Finding> {
    let folder = |label: usize| inside(listing, &listing.train_folder.join(&listing.classes[label]));
    let mut findings = Vec::new();
    for (label, counts) in counts.iter().enumerate() {
        if counts.train < SMALL_CLASS {
            let images = counts.train;
            let advice = format!(
                "{images} training images are too few to learn a class from (fewer than {SMALL_CLASS}): \
                 add some, or merge it with another class"
            );
            findings.push(Finding { file: folder(label), kind: Kind::SmallClass, advice });
        }
        let missing =
            [("holdout", counts.holdout, listing.splits[1].len()), ("test", counts.test, listing.splits[2].len())];
        for (split, images, all) in missing {
            if images == 0 && all > 0 {
                let advice = format!("no image of it in {split}, so its accuracy is not known there: add some");
                findings.push(Finding { file: folder(label), kind: Kind::MissingClass, advice });
            }
        }
    }
    if let Some((ratio, small, large)) = imbalance(counts)
        && ratio > IMBALANCE
    {
        let large = &listing.classes[large];
        let advice = format!(
            "'{large}' has {ratio:.1} times as many training images (more than {IMBALANCE}): add images, \
             and do not go by accuracy alone, which hardly counts a small class"
        );
        findings.push(Finding { file: folder(small), kind: Kind::Imbalance, advice });
    }
    findings
}

/// Files that are read, though other programs may go by their names.
fn misnamed(places: &[Place<'_>], seen: &[Option<Seen>]) -> Vec<Finding> {
    let is = |(place, seen): (&Place<'_>, &Option<Seen>)| {
        let format = seen.as_ref()?.format;
        let extension = place.entry.path.extension()?.to_str()?.to_ascii_lowercase();
        let right = format.extensions_str();
        let advice = format!("a {0} file, which is read: let its name end in '.{0}' for other programs", right[0]);
        let finding = Finding { file: place.name(), kind: Kind::Misnamed, advice };
        (!right.contains(&extension.as_str())).then_some(finding)
    };
    places.iter().zip(seen).filter_map(is).collect()
}

fn left_out(listing: &Listing) -> Vec<Finding> {
    let finding = |path: &PathBuf, kind, advice| Finding { file: inside(listing, path), kind, advice };
    let link = "a symbolic link to a folder, to nothing or out of the root is not followed: put the file itself there";
    let skipped = listing.scan.skipped.iter().map(|path| finding(path, Kind::Extension, of_extension(path)));
    let folders = "a folder with the name of an image, of which the images are used: rename it, or take them out";
    let folders = listing.scan.folders.iter().map(|path| finding(path, Kind::Folder, folders.to_owned()));
    skipped
        .chain(folders)
        .chain(listing.scan.links.iter().map(|path| finding(path, Kind::Link, link.to_owned())))
        .collect()
}

/// What to do with a file that is no image by its name: its first bytes tell.
fn of_extension(path: &Path) -> String {
    let mut start = Vec::new();
    let read = file::open(path).and_then(|mut file| file::read(&mut file, 64, &mut start));
    let format = read.ok().and_then(|_| image::guess_format(&start).ok());
    match format {
        Some(format) if file::READ.contains(&format) => {
            let name = file::name(format);
            format!("left out because of its name, though it is a {name} file: let the name end in '.{name}'")
        }
        Some(format) => format!("a {} file is not read: convert it to png or jpeg", file::name(format)),
        None => format!("not {FORMATS} by its name, left out: remove it if it is not meant to be here"),
    }
}

fn sizes<'a>(images: impl Iterator<Item = &'a Seen> + Clone) -> Option<Sizes> {
    let spread = |side: fn((u32, u32)) -> u32| {
        let mut sides: Vec<u32> = images.clone().map(|image| side(image.size)).collect();
        sides.sort_unstable();
        Some([*sides.first()?, sides[sides.len() / 2], *sides.last()?])
    };
    Some(Sizes { width: spread(|s| s.0)?, height: spread(|s| s.1)?, short_side: spread(|s| s.0.min(s.1))? })
}
