//! What a search has to beat, at the cost of the network that it found, and by how much it does.

use super::result::Difference;

use super::config::Comparison;

impl Comparison {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Uniform => "uniform",
            Self::Random => "random",
        }
    }
}

/// Two-sided 95 % of a normal distribution.
const Z95: f64 = 1.96;

/// Half of the 95 % interval of an accuracy over `count` images.
pub(super) fn interval(accuracy: f64, count: usize) -> f64 {
    Z95 * (accuracy * (1.0 - accuracy) / count.max(1) as f64).sqrt()
}

/// The difference of two networks' accuracies on the same images, paired image by image.
pub(super) fn paired(found: &[bool], other: &[bool]) -> Difference {
    let count = found.len().max(1) as f64;
    let differences = || found.iter().zip(other).map(|(a, b)| f64::from(*a) - f64::from(*b));
    let value = differences().sum::<f64>() / count;
    let variance = differences().map(|d| (d - value).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let half = Z95 * (variance / count).sqrt();
    Difference { value, low: value - half, high: value + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paired_interval_knows_only_the_images_that_differ() {
        let found = [true, true, true, false];
        let same = paired(&found, &found);
        assert_eq!((same.value, same.low, same.high), (0.0, 0.0, 0.0));
        let other = [true, false, true, false];
        let better = paired(&found, &other);
        assert_eq!(better.value, 0.25);
        assert!(better.low < 0.25 && better.high > 0.25);
        assert!((better.high - 0.25 - Z95 * (0.25f64 / 4.0).sqrt()).abs() < 1e-12);
    }
}
