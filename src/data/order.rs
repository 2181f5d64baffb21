//! Which images a pass shows, and in which order.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::rng::{Purpose, stream};

/// How often each class is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Every image once a pass, so a class as often as it has images.
    #[default]
    Natural,
    /// Every class equally often: images of a small class several times a pass, each time augmented anew, and of a
    /// large class a part, each pass another. A pass has as many images as without.
    Balanced,
}

/// The images of one pass in an order drawn from (seed, epoch). An entry is an image's place in `labels` plus
/// `labels.len()` for each time that the pass has shown it before: the key of its augmentation.
pub(super) fn order(labels: &[u32], sampling: Sampling, seed: u64, epoch: u64) -> Vec<u64> {
    let mut order: Vec<u64> = match sampling {
        Sampling::Natural => (0..labels.len() as u64).collect(),
        Sampling::Balanced => balanced(labels, seed, epoch),
    };
    order.shuffle(&mut stream(seed, Purpose::Shuffle, epoch, 0));
    order
}

fn balanced(labels: &[u32], seed: u64, epoch: u64) -> Vec<u64> {
    let mut classes: Vec<Vec<u64>> = vec![Vec::new(); labels.iter().max().map_or(0, |most| *most as usize + 1)];
    for (image, &label) in labels.iter().enumerate() {
        classes[label as usize].push(image as u64);
    }
    for (class, images) in classes.iter_mut().enumerate() {
        images.shuffle(&mut stream(seed, Purpose::Balance, epoch, class as u64));
    }
    classes.retain(|images| !images.is_empty());
    let (all, count) = (labels.len(), classes.len());
    let mut order = Vec::with_capacity(all);
    for (place, images) in classes.iter().enumerate() {
        // What is left over where the classes do not divide a pass goes to other classes in the next.
        let turn = (place + count - (epoch % count as u64) as usize) % count;
        let shown = all / count + usize::from(turn < all % count);
        order.extend((0..shown).map(|i| images[i % images.len()] + (i / images.len() * all) as u64));
    }
    order
}
