//! Kernels that only measure.

use super::agreement::{Tolerance, compare, read};
use super::operands::{random, trap};
use super::{Check, Outcome, Setting, run};
use crate::gpu::{Buf, Recording};
use crate::kernels::probe;
use crate::reference::{self, Array};

pub(super) static CHECKS: &[Check] = &[
    Check { kernels: &[&probe::MULTIPLY_ADD], run: |setting| multiply_add(setting, 3) },
    Check { kernels: &[&probe::MULTIPLY_ADD_F16], run: |setting| multiply_add_f16(setting, 3) },
    Check { kernels: &[&probe::COPY], run: |setting| copy(setting, 5, 3) },
    Check { kernels: &[&probe::EXCHANGE], run: |setting| exchange(setting, 4) },
    Check { kernels: &[&probe::SENTINEL], run: |setting| sentinel(setting, 77) },
];

/// Runs `record` on random values of so many workgroups, and compares with `want` of them.
fn case(
    Setting { gpu, tuning, .. }: Setting,
    groups: usize,
    tolerance: Tolerance,
    record: impl Fn(&mut Recording, u32, &Buf, &Buf),
    want: impl Fn(&[f64]) -> Vec<f64>,
) -> Outcome {
    let quads = groups * tuning.lanes as usize;
    let x = random(1, [1, 1, quads, 4]);
    let y = trap(gpu, "y", quads)?;
    let mut rec = Recording::new();
    record(&mut rec, tuning.lanes, &gpu.upload("x", &x.to_quads())?, &y);
    run(gpu, rec)?;
    let want = Array { values: want(&x.values), ..x };
    compare(&read(gpu, &y, want.shape())?, &want, tolerance)
}

/// Chains of multiply-adds.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn multiply_add(setting: Setting, groups: usize) -> Outcome {
    chains(setting, groups, f32::EPSILON.into(), probe::multiply_add)
}

/// The same in f16.
///
/// # Errors
/// As for all cases; `GpuError::NoF16` where the device does not have it.
pub fn multiply_add_f16(setting: Setting, groups: usize) -> Outcome {
    chains(setting, groups, half::f16::EPSILON.into(), probe::multiply_add_f16)
}

/// The chains that `record` appends, in numbers whose least above 1 is `1 + eps`.
fn chains(setting: Setting, groups: usize, eps: f64, record: fn(&mut Recording, u32, u32, &Buf, &Buf)) -> Outcome {
    // Values are below 1 and chains shrink: an error is carried on as a term of a sum is.
    let rounds = 9;
    let tolerance = Tolerance::sum_in(eps, rounds).scaled(8.0 * 8.0);
    let record = |rec: &mut Recording, lanes, x: &Buf, y: &Buf| record(rec, lanes, rounds as u32, x, y);
    case(setting, groups, tolerance, record, |x| reference::probe::multiply_add(rounds, x))
}

/// A copy.
pub fn copy(setting: Setting, groups: usize, per_lane: u32) -> Outcome {
    let record = |rec: &mut Recording, _, x: &Buf, y: &Buf| probe::copy(rec, &setting.tuning, per_lane, x, y);
    case(setting, groups, Tolerance::EXACT, record, <[f64]>::to_vec)
}

/// Exchanges through workgroup memory.
pub fn exchange(setting: Setting, groups: usize) -> Outcome {
    let lanes = setting.tuning.lanes as usize;
    let record = |rec: &mut Recording, lanes, x: &Buf, y: &Buf| probe::exchange(rec, lanes, 7, x, y);
    case(setting, groups, Tolerance::sum(7), record, |x| reference::probe::exchange(7, lanes, x))
}

/// A number written into the first of four.
pub fn sentinel(Setting { gpu, .. }: Setting, number: u32) -> Outcome {
    let before = [5u32, 6, 7, 8];
    let y = gpu.upload("y", &before)?;
    let mut rec = Recording::new();
    probe::sentinel(&mut rec, number, &y);
    run(gpu, rec)?;
    let quad = |values: Vec<f64>| Array { values, ..Array::zeros([1, 1, 1, 4]) };
    let got = quad(gpu.read::<u32>(&y)?.into_iter().map(f64::from).collect());
    compare(&got, &quad(reference::probe::sentinel(number, &before.map(f64::from))), Tolerance::EXACT)
}
