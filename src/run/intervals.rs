//! 95 % intervals of accuracies, and of their differences.

use super::result::Difference;

/// Two-sided 95 % of a normal distribution.
const Z95: f64 = 1.96;

/// Half of the 95 % interval of an accuracy over `count` images: the longer side of Wilson's (1927), which knows that few
/// images without an error are no proof of none.
pub(super) fn interval(accuracy: f64, count: usize) -> f64 {
    let n = count.max(1) as f64;
    let spread = Z95 * Z95 / n;
    let half = Z95 * (accuracy * (1.0 - accuracy) / n + spread / n / 4.0).sqrt() / (1.0 + spread);
    let centre = (accuracy + spread / 2.0) / (1.0 + spread);
    half + (centre - accuracy).abs()
}

/// The difference of two networks' accuracies on the same images, paired image by image. The interval is of half an image
/// more of each of the four outcomes (Agresti and Min 2005), so that few images which agree do not make it vanish.
pub(super) fn paired(found: &[bool], other: &[bool]) -> Difference {
    let only = |a: bool| found.iter().zip(other).filter(|(f, o)| **f == a && **o != a).count() as f64;
    let (better, worse, count) = (only(true), only(false), found.len() as f64);
    let value = (better - worse) / count.max(1.0);
    let more = count + 2.0;
    let half = Z95 * (better + worse + 1.0 - (better - worse).powi(2) / more).sqrt() / more;
    Difference { value, low: value - half, high: value + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paired_interval_knows_only_the_images_that_differ() {
        let found = [true, true, true, false];
        let same = paired(&found, &found);
        assert_eq!((same.value, same.high), (0.0, Z95 / 6.0));
        let other = [true, false, true, false];
        let better = paired(&found, &other);
        assert_eq!(better.value, 0.25);
        assert!((better.high - 0.25 - Z95 * (2.0f64 - 1.0 / 6.0).sqrt() / 6.0).abs() < 1e-12);
        assert!((better.high + better.low - 0.5).abs() < 1e-12);
        // 100 of 2,000 images better, 60 worse: the deviation of a sum of so many independent steps.
        let found: Vec<bool> = (0..2000).map(|i| !(100..160).contains(&i)).collect();
        let other: Vec<bool> = (0..2000).map(|i| i >= 100).collect();
        let many = paired(&found, &other);
        assert!((many.value - 0.02).abs() < 1e-12);
        assert!((many.high - 0.02 - Z95 * 160f64.sqrt() / 2000.0).abs() < 1e-4);
    }

    #[test]
    fn few_images_without_an_error_are_no_proof_of_none() {
        // Wilson's interval of 12 hits of 12 is 75.7 to 100 %.
        assert!((interval(1.0, 12) - 0.2425).abs() < 1e-3, "{}", interval(1.0, 12));
        assert!((interval(0.0, 12) - interval(1.0, 12)).abs() < 1e-12);
        assert!((interval(0.9, 2000) - Z95 * (0.09f64 / 2000.0).sqrt()).abs() < 1e-3);
    }
}
