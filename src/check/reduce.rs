//! Sums of parts and norms.

use super::agreement::{Tolerance, column, compare, read};
use super::operands::{random, trap};
use super::{Check, Fault, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::reduce;
use crate::reference;

pub(super) static CHECKS: &[Check] = &[
    Check { kernels: &[&reduce::SUM], run: |setting| sums(setting, &[[7, 65], [1, 3], [40, 16]]) },
    Check { kernels: &[&reduce::SQUARES, &reduce::NORM], run: |setting| norm(setting, 1000) },
];

/// Quads between one tensor and the next, which no sum may read or write.
const GAP: usize = 3;

/// The sums of tensors, each of so many parts of so many quads, in one launch: parts and sums lie with gaps between.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn sums(Setting { gpu, tuning, .. }: Setting, tensors: &[[usize; 2]]) -> Outcome {
    let gap = [f32::NAN; GAP * 4];
    let (mut partial, mut sums, mut length) = (Vec::new(), Vec::new(), 0);
    for (seed, [parts, quads]) in tensors.iter().enumerate() {
        partial.extend(gap);
        length += GAP;
        let [first, to] = [partial.len() / 4, length].map(|quads| quads as u32);
        sums.push(reduce::Sum { quads: *quads as u32, parts: *parts as u32, first, to });
        partial.extend(random(seed as u64, [*parts, 1, 1, quads * 4]).to_quads());
        length += quads;
    }
    let total = trap(gpu, "total", length)?;
    let mut rec = Recording::new();
    reduce::sums(&mut rec, &tuning, &sums, &gpu.upload("partial", &partial)?, &total);
    run(gpu, rec)?;
    let got = read(gpu, &total, [1, 1, 1, length * 4])?.values;
    for (seed, ([parts, quads], sum)) in tensors.iter().zip(&sums).enumerate() {
        let want = reference::reduce::sum(*parts, &random(seed as u64, [*parts, 1, 1, quads * 4]).values);
        let start = sum.to as usize * 4;
        compare(&column(got[start..start + quads * 4].to_vec()), &column(want), Tolerance::sum(*parts))?;
        if got[start - GAP * 4..start].iter().any(|value| !value.is_nan()) {
            return Err(Fault::Differs(format!("what lies before the sum of tensor {seed} was written")));
        }
    }
    Ok(())
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
