//! Medians and spreads of repeated timings.

use serde::{Deserialize, Serialize};

/// The spread of some timings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// 90th percentile, by nearest rank.
    pub p90: f64,
    /// Median of the absolute deviations from the median.
    pub mad: f64,
    /// How many.
    pub count: usize,
}

impl Spread {
    /// The spread of `values`, which must not be empty nor hold anything that is not a number.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a spread needs a value");
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = median_of_sorted(&sorted);
        let mut deviations: Vec<f64> = sorted.iter().map(|v| (v - median).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        let rank = (sorted.len() * 9).div_ceil(10);
        Self { median, p90: sorted[rank - 1], mad: median_of_sorted(&deviations), count: sorted.len() }
    }

    /// Standard error of the median, as a share of it, as if the values were normal: their deviation is 1.4826 times
    /// the median absolute one, the median's error 1.2533 times the mean's.
    pub fn median_error(&self) -> f64 {
        1.4826 * 1.2533 * self.mad / (self.count as f64).sqrt() / self.median
    }

    /// The same in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self { median: self.median * factor, p90: self.p90 * factor, mad: self.mad * factor, ..self }
    }
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_two_and_many_values() {
        assert_eq!(Spread::of(&[3.0]), Spread { median: 3.0, p90: 3.0, mad: 0.0, count: 1 });
        assert_eq!(Spread::of(&[4.0, 2.0]), Spread { median: 3.0, p90: 4.0, mad: 1.0, count: 2 });
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(Spread::of(&values), Spread { median: 5.5, p90: 9.0, mad: 2.5, count: 10 });
    }

    #[test]
    fn the_medians_error_falls_with_the_root_of_the_count() {
        let once: Vec<f64> = (90..=110).map(f64::from).collect();
        let error = Spread::of(&once).median_error();
        assert!((error - 1.858 * 5.0 / 21f64.sqrt() / 100.0).abs() < 1e-3, "{error}");
        let four = Spread::of(&once.repeat(4));
        assert!((four.median_error() - error / 2.0).abs() < 1e-12);
        assert_eq!(Spread::of(&[2.0]).median_error(), 0.0);
    }

    #[test]
    fn one_spike_moves_neither_median_nor_deviation() {
        let calm = Spread::of(&[1.0, 1.1, 0.9, 1.0, 1.05]);
        let spiked = Spread::of(&[1.0, 1.1, 0.9, 1.0, 100.0]);
        assert_eq!(calm.median, spiked.median);
        assert!(spiked.mad < 0.2);
    }
}
