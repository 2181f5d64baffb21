//! The step of widths that a device likes, found in milliseconds over channels.
//!
//! A kernel works on blocks of channels, so that its time is a staircase: it rises where a block begins, and what is
//! wider within the block is free. For each step `s` the curve `a + b w + c w^2 + d (ceil(w / s) s - w)` is fitted by
//! least squares: a smooth one with `d = 0`, a pure staircase with `d` the mean slope. `d` over the mean slope is
//! the *share* of the rise that comes in steps. The step whose curve leaves the least is taken where its share is at
//! least a half, by four standard errors of `d`, and not above all of the rise; where none is, the step is a quad of
//! channels.

use super::least_squares::{dot, inverse};
use super::stats::Spread;
use crate::space::{GRID, Operation};
use serde::Serialize;

/// Steps that are looked for, beside the quad.
const STEPS: [u32; 3] = [8, 16, 32];
/// The share of a rise that makes a staircase.
const LEAST_SHARE: f64 = 0.5;
/// A share above it is noise: steps cannot be more than all of the rise.
const MOST_SHARE: f64 = 1.5;
/// Standard errors that a share must lie above `LEAST_SHARE`.
const SURE: f64 = 4.0;
/// What no clock tells apart, as a share of a time.
const CLOCK: f64 = 1e-9;
/// Neighbouring widths that say anything.
pub(super) const LEAST_WIDTHS: usize = 8;

/// The times of an operation over its width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// At the largest widths.
    pub operation: Operation,
    /// Channels out and milliseconds, ascending.
    pub points: Vec<(u32, Spread)>,
}

/// One operation at neighbouring widths, a quad apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// At the largest width.
    pub operation: Operation,
    /// Channels out and milliseconds, ascending.
    pub points: Vec<(u32, Spread)>,
    /// What they show.
    pub staircase: Staircase,
}

/// What the times of an operation at neighbouring widths show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Staircase {
    /// Channels from one rise to the next; a quad where there is no staircase.
    pub step: u32,
    /// The share of the rise that comes in these steps; 0 where there is no staircase.
    pub share: f64,
    /// Milliseconds from the smallest to the largest width, by the fitted curve; 0 where noise hides them.
    pub rise_ms: f64,
}

impl Sweep {
    /// The neighbours of a curve's largest quads, where they are enough.
    pub(super) fn of(curve: &Curve) -> Option<Self> {
        let mut points: Vec<(u32, Spread)> = Vec::new();
        for &(width, ms) in curve.points.iter().rev().filter(|(width, _)| width.is_multiple_of(GRID)) {
            if points.last().is_some_and(|(next, _)| width + GRID != *next) {
                break;
            }
            points.push((width, ms));
        }
        points.reverse();
        let medians: Vec<(u32, f64)> = points.iter().map(|(width, ms)| (*width, ms.median)).collect();
        let staircase = Staircase::of(&medians);
        (points.len() >= LEAST_WIDTHS).then_some(Self { operation: curve.operation, points, staircase })
    }
}

impl Staircase {
    /// No staircase.
    const NONE: Self = Self { step: GRID, share: 0.0, rise_ms: 0.0 };

    /// The staircase of milliseconds at neighbouring widths.
    fn of(points: &[(u32, f64)]) -> Self {
        if points.len() < LEAST_WIDTHS {
            return Self::NONE;
        }
        let channels = GRID * points.len() as u32;
        // Of a step whose second block is not whole nobody knows whether it repeats.
        let fits = STEPS.iter().filter(|step| 2 * **step <= channels).filter_map(|step| Fit::of(points, *step));
        let Some(best) = fits.min_by(|a, b| a.left.total_cmp(&b.left)) else { return Self::NONE };
        let span = f64::from(points[points.len() - 1].0 - points[0].0);
        if best.slope <= SURE * best.slope_error {
            return Self::NONE;
        }
        let rise_ms = best.slope * span;
        let share = best.step_slope / best.slope;
        if best.step_slope - SURE * best.step_error < LEAST_SHARE * best.slope || share > MOST_SHARE {
            return Self { rise_ms, ..Self::NONE };
        }
        Self { step: best.step, share, rise_ms }
    }
}

/// The step of a device: the largest that sweeps with at least half of all the rise have.
pub fn width_step(sweeps: &[Sweep]) -> u32 {
    let all: f64 = sweeps.iter().map(|sweep| sweep.staircase.rise_ms).sum();
    let with = |step: u32| -> f64 {
        sweeps.iter().map(|s| s.staircase).filter(|s| s.step >= step).map(|staircase| staircase.rise_ms).sum()
    };
    STEPS.into_iter().rev().find(|step| all > 0.0 && with(*step) >= all / 2.0).unwrap_or(GRID)
}

/// The curve of one step.
struct Fit {
    step: u32,
    /// Mean slope, ms a channel, with its standard error.
    slope: f64,
    slope_error: f64,
    /// `d`, with its standard error.
    step_slope: f64,
    step_error: f64,
    /// Sum of the squares that it leaves.
    left: f64,
}

/// Numbers of a curve.
const TERMS: usize = 4;

impl Fit {
    /// By the normal equations; `None` where they have no single solution.
    fn of(points: &[(u32, f64)], step: u32) -> Option<Self> {
        let [low, high] = [points[0].0, points[points.len() - 1].0].map(f64::from);
        let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0);
        // About the middle of the widths the square adds nothing to the mean slope.
        let terms = |width: u32| {
            let x = (f64::from(width) - middle) / half;
            [1.0, x, x * x, f64::from(width.next_multiple_of(step) - width)]
        };
        let mut normal = [[0.0; TERMS]; TERMS];
        let mut right = [0.0; TERMS];
        for &(width, ms) in points {
            let terms = terms(width);
            for (row, a) in terms.iter().enumerate() {
                right[row] += a * ms;
                terms.iter().enumerate().for_each(|(column, b)| normal[row][column] += a * b);
            }
        }
        let inverse = inverse(normal)?;
        let solution = inverse.map(|row| dot(&row, &right));
        let left: f64 = points.iter().map(|(width, ms)| (ms - dot(&terms(*width), &solution)).powi(2)).sum();
        let mean = points.iter().map(|(_, ms)| ms).sum::<f64>() / points.len() as f64;
        let variance = (left / (points.len() - TERMS) as f64).max((CLOCK * mean).powi(2));
        let error = |term: usize| (variance * inverse[term][term]).sqrt();
        let (slope, slope_error) = (solution[1] / half, error(1) / half);
        Some(Self { step, slope, slope_error, step_slope: solution[3], step_error: error(3), left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use rand::RngExt;

    /// Times at `count` widths up to 160, each off by at most `noise` of itself.
    fn times(count: u32, noise: f64, seed: u64, ms: impl Fn(f64) -> f64) -> Vec<(u32, f64)> {
        let mut rng = stream(seed, Purpose::Data, 0, 0);
        let widths = (0..count).map(|quad| 160 - GRID * (count - 1 - quad));
        widths.map(|w| (w, ms(f64::from(w)) * (1.0 + noise * (2.0 * rng.random::<f64>() - 1.0)))).collect()
    }

    fn stairs(step: f64) -> impl Fn(f64) -> f64 {
        move |w| 0.02 + 1e-3 * (w / step).ceil() * step
    }

    #[test]
    fn a_staircase_shows_its_step_in_noise_and_with_a_slope_of_its_own() {
        for seed in 0..20 {
            for step in STEPS {
                let exact = Staircase::of(&times(24, 0.0, seed, stairs(f64::from(step))));
                assert_eq!(exact.step, step);
                assert!((exact.share - 1.0).abs() < 1e-6, "{exact:?}");
                let noisy = Staircase::of(&times(24, 0.008, seed, stairs(f64::from(step))));
                assert_eq!(noisy.step, step, "seed {seed}: {noisy:?}");
                assert!((0.7..1.3).contains(&noisy.share), "{noisy:?}");
                // Most of it in steps, and a curve that bends.
                let mixed = |w: f64| 0.9 * stairs(f64::from(step))(w) + 1e-4 * w + 2e-7 * w * w;
                let found = Staircase::of(&times(24, 0.005, seed, mixed));
                assert_eq!(found.step, step, "seed {seed}: {found:?}");
                assert!((0.6..1.1).contains(&found.share), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_smooth_or_hidden_in_noise_has_no_step() {
        for seed in 0..50 {
            for noise in [0.0, 0.002, 0.02, 0.2] {
                let lines: [&dyn Fn(f64) -> f64; 4] = [
                    &|w| 0.02 + 1e-3 * w,
                    &|w| 0.02 + 1e-5 * w * w,
                    &|w| 0.3 * (w / 200.0).sqrt(),
                    // Flat as long as the device is not full.
                    &|_| 0.05,
                ];
                for (index, line) in lines.iter().enumerate() {
                    let found = Staircase::of(&times(24, noise, seed, line));
                    assert_eq!(found.step, GRID, "line {index}, noise {noise}, seed {seed}: {found:?}");
                }
            }
            let hidden = Staircase::of(&times(24, 0.5, seed, stairs(8.0)));
            assert_eq!(hidden.step, GRID, "{hidden:?}");
            // A third of the rise in steps is no reason to keep to them.
            let third = |w: f64| 0.33 * stairs(16.0)(w) + 6.7e-4 * w;
            assert_eq!(Staircase::of(&times(24, 0.005, seed, third)).step, GRID);
        }
    }

    #[test]
    fn few_widths_say_nothing_of_long_steps() {
        assert_eq!(Staircase::of(&times(7, 0.0, 0, stairs(8.0))).step, GRID);
        assert_eq!(Staircase::of(&times(8, 0.0, 0, stairs(8.0))).step, 8);
        assert_eq!(Staircase::of(&times(8, 0.0, 0, stairs(16.0))).step, 16);
        assert_ne!(Staircase::of(&times(8, 0.0, 0, stairs(32.0))).step, 32, "not two blocks");
        assert_eq!(Staircase::of(&[]).step, GRID);
    }

    #[test]
    fn the_device_has_the_step_of_most_of_the_rise() {
        let sweep = |step: u32, rise_ms: f64| Sweep {
            operation: crate::latency::REFERENCE,
            points: Vec::new(),
            staircase: Staircase { step, share: 1.0, rise_ms },
        };
        assert_eq!(width_step(&[]), GRID);
        assert_eq!(width_step(&[sweep(4, 0.0)]), GRID);
        assert_eq!(width_step(&[sweep(16, 1.0), sweep(4, 0.9)]), 16);
        assert_eq!(width_step(&[sweep(32, 1.0), sweep(8, 0.5), sweep(4, 1.0)]), 8, "what serves 32 serves 8");
        assert_eq!(width_step(&[sweep(16, 1.0), sweep(4, 1.1)]), GRID);
    }
}
