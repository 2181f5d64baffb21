//! How well predictions agree with measurements: a correction fitted to some networks, and its errors on others.

use super::stats::Spread;
use serde::{Deserialize, Serialize};

/// What whole networks show beside the sum of their operations: launches that overlap, operands still in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Correction {
    /// Factor of the sum.
    pub scale: f64,
    /// Milliseconds for each operation.
    pub per_operation_ms: f64,
}

impl Correction {
    /// Sums as they are.
    pub const NONE: Self = Self { scale: 1.0, per_operation_ms: 0.0 };

    /// Least squares of the relative errors over networks: sums of operations in ms, numbers of them, measured ms.
    /// One factor alone where the networks do not tell the two apart, or noise makes work cost less than nothing.
    /// `None` without a network.
    pub fn fit(networks: &[(f64, usize, f64)]) -> Option<Self> {
        let (mut aa, mut ab, mut bb, mut ay, mut by) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(sum, count, measured) in networks {
            let (a, b) = (sum / measured, count as f64 / measured);
            aa += a * a;
            ab += a * b;
            bb += b * b;
            ay += a;
            by += b;
        }
        if aa <= 0.0 {
            return None;
        }
        let determinant = aa * bb - ab * ab;
        let scale = (ay * bb - by * ab) / determinant;
        if determinant <= 1e-9 * aa * bb || scale <= 0.0 {
            return Some(Self { scale: ay / aa, per_operation_ms: 0.0 });
        }
        Some(Self { scale, per_operation_ms: (by * aa - ay * ab) / determinant })
    }

    /// The corrected prediction of a network, in ms.
    pub fn predict(&self, sum: f64, count: usize) -> f64 {
        self.scale * sum + self.per_operation_ms * count as f64
    }
}

/// Predictions beside measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Share of the networks whose prediction is at most a tenth off.
    pub within_10_percent: f64,
    /// Median of the errors, as a share of what was measured.
    pub median_error: f64,
    /// Rank correlation, from -1 to 1.
    pub kendall_tau: f64,
}

impl Agreement {
    /// Of pairs of predicted and measured values.
    ///
    /// # Panics
    /// Without a pair.
    pub fn of(pairs: &[(f64, f64)]) -> Self {
        let errors: Vec<f64> = pairs.iter().map(|(predicted, measured)| (predicted / measured - 1.0).abs()).collect();
        let within = errors.iter().filter(|error| **error <= 0.1).count();
        Self {
            within_10_percent: within as f64 / errors.len() as f64,
            median_error: Spread::of(&errors).median,
            kendall_tau: kendall_tau(pairs),
        }
    }
}

/// Kendall's tau-b: pairs in the same order less those in the opposite one, over all, ties taken into account. 0 where
/// one side has one value only.
pub fn kendall_tau(pairs: &[(f64, f64)]) -> f64 {
    let (mut agree, mut first, mut second) = (0.0, 0.0, 0.0);
    for (index, a) in pairs.iter().enumerate() {
        for b in &pairs[..index] {
            let sign = |from: f64, to: f64| if from == to { 0.0 } else { (to - from).signum() };
            let (x, y) = (sign(a.0, b.0), sign(a.1, b.1));
            agree += x * y;
            first += x * x;
            second += y * y;
        }
    }
    if first * second == 0.0 { 0.0 } else { agree / f64::sqrt(first * second) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_alike_opposite_and_tied() {
        let with = |ys: &[f64]| {
            let pairs: Vec<(f64, f64)> = ys.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
            kendall_tau(&pairs)
        };
        assert_eq!(with(&[1.0, 2.0, 3.0, 4.0]), 1.0);
        assert_eq!(with(&[4.0, 3.0, 2.0, 1.0]), -1.0);
        // One of six pairs is in the opposite order.
        assert!((with(&[1.0, 3.0, 2.0, 4.0]) - 4.0 / 6.0).abs() < 1e-12);
        // scipy.stats.kendalltau([0, 1, 2, 3], [1, 1, 2, 3])
        assert!((with(&[1.0, 1.0, 2.0, 3.0]) - 0.912_870_929_175_276_9).abs() < 1e-12);
        assert_eq!(with(&[1.0, 1.0, 1.0]), 0.0);
    }

    #[test]
    fn a_fit_finds_the_factor_and_the_price_of_an_operation() {
        let networks: Vec<(f64, usize, f64)> = [(1.0, 10), (2.0, 12), (3.0, 40), (2.5, 20)]
            .into_iter()
            .map(|(sum, count)| (sum, count, 0.8 * sum + 0.01 * count as f64))
            .collect();
        let fit = Correction::fit(&networks).unwrap();
        assert!((fit.scale - 0.8).abs() < 1e-9 && (fit.per_operation_ms - 0.01).abs() < 1e-9, "{fit:?}");
        let one = Correction::fit(&networks[..1]).unwrap();
        assert_eq!(one.per_operation_ms, 0.0);
        assert!((one.predict(1.0, 10) - networks[0].2).abs() < 1e-9);
        // The more work, the less time: noise, which no factor below zero is made of.
        let noise = Correction::fit(&[(1.0, 10, 3.0), (2.0, 12, 2.0), (3.0, 11, 1.0)]).unwrap();
        assert!(noise.scale > 0.0 && noise.per_operation_ms == 0.0, "{noise:?}");
        assert_eq!(Correction::fit(&[]), None);
    }

    #[test]
    fn errors_are_shares_of_what_was_measured() {
        let agreement = Agreement::of(&[(1.05, 1.0), (1.2, 1.0), (2.0, 2.0), (2.7, 3.0)]);
        assert_eq!(agreement.within_10_percent, 0.75);
        assert!((agreement.median_error - 0.075).abs() < 1e-9, "{agreement:?}");
        assert!((agreement.kendall_tau - 1.0 * 5.0 / f64::sqrt(6.0 * 5.0)).abs() < 1e-9, "{agreement:?}");
    }
}
