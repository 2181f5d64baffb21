//! Which files are set aside for test and hold-out: the lowest of a seeded hash, class by class.
//!
//! The hash is of a file's path inside the dataset and its size, so a dataset that is moved or
//! listed in another order splits alike, and a file added moves few others.

use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use super::scan::Entry;
use crate::rng::{Purpose, stream};

/// What is set aside; the value is part of the hash's key.
#[derive(Clone, Copy)]
pub(super) enum Aside {
    /// Images touched once, at the end.
    Test = 0,
    /// Images that score candidates during a search.
    Holdout = 1,
    /// Both at once, for a manifest.
    Both = 2,
}

/// Images of each class.
pub(super) fn per_class(entries: &[Entry], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for entry in entries {
        counts[entry.label as usize] += 1;
    }
    counts
}

/// A fifth of each class, rounded to the nearest; never all of a class.
pub(super) fn a_fifth(per_class: &[usize]) -> Vec<usize> {
    per_class.iter().map(|n| (n + 2) / 5).collect()
}

/// `wanted` images spread over the classes in proportion to their sizes (largest remainder), at
/// most half of any class, so that none is emptied; fewer than `wanted` only when that binds.
pub(super) fn in_proportion(per_class: &[usize], wanted: usize) -> Vec<usize> {
    let total: usize = per_class.iter().sum();
    let mut counts: Vec<usize> = per_class.iter().map(|n| (n * wanted / total.max(1)).min(n / 2)).collect();
    let mut order: Vec<usize> = (0..per_class.len()).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(per_class[class] * wanted % total.max(1)), class));
    let mut left = wanted - counts.iter().sum::<usize>();
    loop {
        let before = left;
        for &class in &order {
            if left > 0 && counts[class] < per_class[class] / 2 {
                counts[class] += 1;
                left -= 1;
            }
        }
        if left == 0 || left == before {
            return counts;
        }
    }
}

/// Takes `counts[class]` images of each class out of `entries`; both parts keep their order.
pub(super) fn set_aside(entries: Vec<Entry>, counts: &[usize], seed: u64, aside: Aside) -> [Vec<Entry>; 2] {
    let rank = rank(seed, aside);
    let mut ranked: Vec<Vec<([u8; 32], usize)>> = vec![Vec::new(); counts.len()];
    for (i, entry) in entries.iter().enumerate() {
        ranked[entry.label as usize].push((rank(entry), i));
    }
    let mut taken = vec![false; entries.len()];
    for (ranks, &count) in ranked.iter_mut().zip(counts) {
        ranks.sort_unstable();
        for &(_, i) in ranks.iter().take(count) {
            taken[i] = true;
        }
    }
    let mut parts = [Vec::new(), Vec::new()];
    for (entry, taken) in entries.into_iter().zip(taken) {
        parts[usize::from(taken)].push(entry);
    }
    parts
}

/// The place of an entry in the drawn order: the lowest are set aside.
pub(super) fn rank(seed: u64, aside: Aside) -> impl Fn(&Entry) -> [u8; 32] {
    let salt = stream(seed, Purpose::Split, aside as u64, 0).next_u64();
    move |entry| {
        let mut hasher = Sha256::new();
        hasher.update(salt.to_le_bytes());
        hasher.update(entry.bytes.to_le_bytes());
        hasher.update(&entry.name);
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_add_up_and_never_empty_a_class() {
        assert_eq!(in_proportion(&[50, 50], 10), [5, 5]);
        assert_eq!(in_proportion(&[50, 50], 11), [6, 5]);
        assert_eq!(in_proportion(&[90, 9, 1], 20), [18, 2, 0]);
        assert_eq!(in_proportion(&[1, 1, 1, 7], 2), [0, 0, 0, 2]);
        assert_eq!(in_proportion(&[1, 1, 1], 1), [0, 0, 0]);
        assert_eq!(in_proportion(&[7, 7, 7], 0), [0, 0, 0]);
        assert_eq!(a_fifth(&[1, 2, 3, 5, 7, 8, 100]), [0, 0, 1, 1, 1, 2, 20]);
    }
}
