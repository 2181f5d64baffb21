//! Randomness keyed by a counter: a stream is a pure function of (seed, purpose, epoch, index).
//!
//! There is no hidden state to save, so a run that is resumed, or that uses another number of
//! threads, draws the same numbers. Nothing else in the crate makes a generator.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// What a stream of numbers is for. The value is part of the key: never renumber one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights; index = parameter tensor.
    Weights = 1,
    /// The order of the training images; index = 0.
    Shuffle = 2,
    /// What an image is augmented with; index = its place in the order of the pass.
    Augment = 3,
    /// Widths of ordered dropout; index = step * images per batch + image.
    Widths = 4,
    /// Samples of the descent; epoch = iteration, index = sample.
    Sample = 5,
    /// The split of a folder into training, held-out and test images; index = 0.
    Split = 6,
    /// Values of test tensors and benchmark inputs.
    Data = 7,
    /// The random networks that a search is compared with; index = network.
    Compare = 8,
    /// The samples that an exported network is checked with; index = image.
    Golden = 9,
    /// Which images of a class a pass with balanced classes shows; index = class.
    Balance = 10,
    /// Which image another is mixed with, and how; index = image.
    Mix = 11,
}

/// The generator of one stream.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Pcg64Mcg {
    let mut key = mix(seed ^ 0x6e65_7461_6461_7074);
    for part in [purpose as u64, epoch, index] {
        key = mix(key ^ part);
    }
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&key.to_le_bytes());
    bytes[8..].copy_from_slice(&mix(key).to_le_bytes());
    Pcg64Mcg::from_seed(bytes)
}

/// SplitMix64's step and finaliser (Steele, Lea, Flood 2014): every bit of the key counts.
fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_stream_depends_on_every_part_of_its_key_and_on_nothing_else() {
        let first = |seed, purpose, epoch, index| stream(seed, purpose, epoch, index).next_u64();
        let base = first(1, Purpose::Weights, 2, 3);
        assert_eq!(base, first(1, Purpose::Weights, 2, 3));
        assert_ne!(base, first(2, Purpose::Weights, 2, 3));
        assert_ne!(base, first(1, Purpose::Shuffle, 2, 3));
        assert_ne!(base, first(1, Purpose::Weights, 3, 3));
        assert_ne!(base, first(1, Purpose::Weights, 2, 4));
        assert_ne!(base, first(1, Purpose::Weights, 3, 2));
    }
}
