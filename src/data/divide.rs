//! A split of one's own: each class in the shares asked for, images that look alike on one side.
//!
//! Groups of images that look alike go where there is room for all of them, in an order drawn by the seed; single images
//! fill what is left. So the shares are exact wherever a class has enough images that are like no other.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::error::{BadFile, DataError, Fault};
use super::examine::Counts;
use super::folder::{Found, find};
use super::likeness::{Groups, alike};
use super::manifest::{Files, Manifest, VERSION};
use super::scan::Entry;
use super::seen::{Seen, look_at};
use super::split::{Aside, rank};
use crate::disk::folder_of;

/// What of each class is set aside, as shares of 1 that together are below 1; of 0 nothing is, and a search does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// To score candidates with during a search.
    pub val: f64,
    /// To test with, once.
    pub test: f64,
}

/// A manifest, and what is to be said of it.
#[derive(Debug)]
pub struct Division {
    /// The split itself.
    pub manifest: Manifest,
    /// Images of each class by split.
    pub classes: BTreeMap<String, Counts>,
    /// Images that look like another one, or are the same, and were put on its side.
    pub together: usize,
    /// Files that are not in the manifest, with the reason.
    pub left_out: Vec<BadFile>,
}

/// Divides the images of `root`, of whatever split they are, for a manifest that is to lie at `file`; decodes every
/// image once, on `threads` threads, and tells `progress` how many of all are done.
///
/// # Errors
/// [`DataError`] for a folder that cannot be made sense of or has too few images for these shares, and for a `file`
/// that would lie neither in the folder nor above it.
///
/// # Panics
/// When the shares are negative or leave nothing to train on.
pub fn divide(
    root: &Path,
    file: &Path,
    shares: Shares,
    seed: u64,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Division, DataError> {
    assert!(shares.val >= 0.0 && shares.test >= 0.0 && shares.val + shares.test < 1.0, "{shares:?}");
    let Found { classes, train, holdout, test, train_folder, scan } = find(root)?;
    let inside = path_from(folder_of(file), scan.root(), file)?;
    let mut entries: Vec<Entry> = [Some(train), holdout, test].into_iter().flatten().flatten().collect();
    entries.sort_by(|a, b| (a.label, &a.name).cmp(&(b.label, &b.name)));

    let (seen, mut left_out) = look_at(&entries.iter().collect::<Vec<_>>(), threads, progress);
    let (mut usable, mut kept) = (Vec::new(), Vec::new());
    for (entry, seen) in entries.into_iter().zip(seen) {
        let has_text = std::str::from_utf8(&entry.name).is_ok();
        match seen {
            Some(seen) if has_text => {
                usable.push(entry);
                kept.push(seen);
            }
            Some(_) => {
                let reason = "its name is not UTF-8, which a manifest has no words for".to_owned();
                left_out.push(BadFile { path: entry.path, fault: Fault::Unreadable, reason });
            }
            // It is among the bad files already.
            None => {}
        }
    }

    let labels: Vec<usize> = usable.iter().map(|entry| entry.label as usize).collect();
    let mut groups = groups(&kept);
    let mut together = 0;
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..usable.len() {
        let first = groups.first(i);
        together += usize::from(first != i);
        members.entry(first).or_default().push(i);
    }
    let rank = rank(seed, Aside::Both);
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.sort_by_cached_key(|group| rank(&usable[group[0]]));
    let sides = assign(&members, &labels, classes.len(), shares);

    let mut files: [Files; 3] = Default::default();
    let mut counts: BTreeMap<String, Counts> = classes.iter().map(|class| (class.clone(), Counts::default())).collect();
    for (entry, &side) in usable.iter().zip(&sides) {
        let class = &classes[entry.label as usize];
        let name = std::str::from_utf8(&entry.name).expect("others are left out").to_owned();
        files[side].entry(class.clone()).or_default().push(name);
        let counts = counts.get_mut(class).expect("there is one of each class");
        *[&mut counts.train, &mut counts.holdout, &mut counts.test][side] += 1;
    }
    for (side, share, what, what_folder) in [(1, shares.val, "held-out", "val"), (2, shares.test, "test", "test")] {
        if share > 0.0 && files[side].is_empty() {
            let needed = (classes.len() as f64 / share).ceil() as usize;
            let (images, classes) = (usable.len(), classes.len());
            return Err(DataError::TooFew { folder: train_folder, images, classes, needed, what, what_folder });
        }
    }
    let [train, val, test] = files;
    let manifest = Manifest {
        version: VERSION,
        root: inside,
        seed,
        train,
        val: (shares.val > 0.0).then_some(val),
        test: (shares.test > 0.0).then_some(test),
    };
    Ok(Division { manifest, classes: counts, together, left_out })
}

/// The folder of images from the manifest's, with `/` between the parts.
pub(super) fn path_from(folder: &Path, root: &Path, file: &Path) -> Result<String, DataError> {
    let canonical =
        |path: &Path| fs::canonicalize(path).map_err(|source| DataError::Read { path: path.to_owned(), source });
    let (folder, whole) = (canonical(folder)?, canonical(root)?);
    let Ok(inside) = whole.strip_prefix(&folder) else {
        return Err(DataError::ManifestOutside { root: root.to_owned(), file: file.to_owned() });
    };
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| DataError::NotUnicode { folder: root.to_owned() })
}

/// Images that are the same file or look alike.
fn groups(seen: &[Seen]) -> Groups {
    let mut groups = alike(&seen.iter().map(|seen| &seen.look).collect::<Vec<_>>());
    let mut first: HashMap<[u8; 32], usize> = HashMap::new();
    for (i, seen) in seen.iter().enumerate() {
        groups.join(i, *first.entry(seen.sum).or_insert(i));
    }
    groups
}

/// The side of each image (0 = train, 1 = held out, 2 = test), for groups in the order in which they choose.
fn assign(groups: &[Vec<usize>], labels: &[usize], classes: usize, shares: Shares) -> Vec<usize> {
    let mut images = vec![0usize; classes];
    labels.iter().for_each(|&label| images[label] += 1);
    let part = |images: usize, share: f64| (images as f64 * share).round() as usize;
    // One of each class is left to train on.
    let test: Vec<usize> = images.iter().map(|&n| part(n, shares.test).min(n.saturating_sub(1))).collect();
    let val =
        images.iter().zip(&test).map(|(&n, test)| part(n, shares.val).min((n - test).saturating_sub(1))).collect();
    let mut room: [Vec<usize>; 2] = [val, test];
    let mut sides = vec![0; labels.len()];
    for group in groups {
        let mut wanted: BTreeMap<usize, usize> = BTreeMap::new();
        group.iter().for_each(|&i| *wanted.entry(labels[i]).or_default() += 1);
        for side in [2, 1] {
            let room = &mut room[side - 1];
            if wanted.iter().all(|(&label, &count)| room[label] >= count) {
                wanted.iter().for_each(|(&label, &count)| room[label] -= count);
                group.iter().for_each(|&i| sides[i] = side);
                break;
            }
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_groups_stay_together() {
        // Ten and five images; two groups of three, of which one spans both classes.
        let labels = [vec![0; 10], vec![1; 5]].concat();
        let mut groups = vec![vec![0, 1, 2], vec![9, 10, 11]];
        groups.extend([3, 4, 5, 6, 7, 8, 12, 13, 14].map(|i| vec![i]));
        let sides = assign(&groups, &labels, 2, Shares { val: 0.2, test: 0.3 });
        let count = |side, of: std::ops::Range<usize>| sides[of].iter().filter(|&&s| s == side).count();
        assert_eq!([count(2, 0..10), count(1, 0..10), count(0, 0..10)], [3, 2, 5]);
        // 1.5 and 1 of five, rounded.
        assert_eq!([count(2, 10..15), count(1, 10..15), count(0, 10..15)], [2, 1, 2]);
        assert!(groups.iter().all(|group| group.iter().all(|&i| sides[i] == sides[group[0]])), "{sides:?}");
        // A class of one image is left to train on, and so is the last of two.
        assert_eq!(assign(&[vec![0]], &[0], 1, Shares { val: 0.4, test: 0.5 }), [0]);
        let mut two = assign(&[vec![0], vec![1]], &[0, 0], 1, Shares { val: 0.4, test: 0.5 });
        two.sort_unstable();
        assert_eq!(two, [0, 2]);
    }
}
