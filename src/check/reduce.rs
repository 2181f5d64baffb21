//! Sums of parts and norms.

use super::agreement::{Tolerance, column, compare, read};
use super::operands::{random, trap};
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::reduce;
use crate::reference;

pub(super) static CHECKS: &[Check] = &[
    Check { kernels: &[&reduce::SUM], run: |setting| sum(setting, 7, 65) },
    Check { kernels: &[&reduce::SQUARES, &reduce::NORM], run: |setting| norm(setting, 1000) },
];

/// The sum of `parts` vectors of `quads` quads.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn sum(Setting { gpu, tuning, .. }: Setting, parts: usize, quads: usize) -> Outcome {
    let partial = random(1, [parts, 1, 1, quads * 4]);
    let want = column(reference::reduce::sum(parts, &partial.values));
    let total = trap(gpu, "total", quads)?;
    let mut rec = Recording::new();
    let partial = gpu.upload("partial", &partial.to_quads())?;
    reduce::sum(&mut rec, &tuning, [parts as u32, quads as u32], &partial, &total);
    run(gpu, rec)?;
    let got = read(gpu, &total, [1, 1, 1, quads * 4])?;
    compare(&column(got.values), &want, Tolerance::sum(parts))
}

/// The norm of `quads` quads.
pub fn norm(Setting { gpu, tuning, .. }: Setting, quads: usize) -> Outcome {
    let value = random(1, [1, 1, 1, quads * 4]);
    let want = column(vec![reference::reduce::norm(&value.values)]);
    let (partial, norm) = (trap(gpu, "partial", reduce::NORM_PARTS as usize / 4)?, trap(gpu, "norm", 1)?);
    let mut rec = Recording::new();
    reduce::norm(&mut rec, &tuning, quads as u32, &gpu.upload("value", &value.to_quads())?, &partial, &norm);
    run(gpu, rec)?;
    let got = read(gpu, &norm, [1, 1, 1, 4])?;
    // A sum of squares has one sign.
    let tolerance = Tolerance { abs: 0.0, ..Tolerance::sum(quads * 4) };
    compare(&column(got.values[..1].to_vec()), &want, tolerance)
}
