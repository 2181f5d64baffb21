//! Mean over the pixels.

use super::agreement::{Tolerance, check_map};
use super::operands::{Pattern, Rows, random};
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::pool;
use crate::reference;

/// Images, rows, columns, channels: nothing is a multiple of anything.
pub(super) const SHAPE: [usize; 4] = [5, 7, 3, 77];

/// Kept channels of that shape's images.
pub(super) fn kept() -> Vec<usize> {
    Pattern::Different.widths(SHAPE[0], SHAPE[3], 0)
}

pub(super) static CHECKS: &[Check] = &[
    Check { kernels: &[&pool::FORWARD], run: |setting| forward(setting, SHAPE, &kept()) },
    Check { kernels: &[&pool::BACKWARD], run: |setting| backward(setting, SHAPE, &kept()) },
];

/// The mean of a map of `shape` (images, rows, columns, channels) whose images keep `kept` channels.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn forward(setting: Setting, shape: [usize; 4], kept: &[usize]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let x = setting.random(1, shape);
    let want = reference::pool::forward(kept, &x);
    let mut rows = Rows::new(shape[0]);
    let row = rows.add(kept);
    let y = setting.trap_vector("y", want.shape())?;
    let mut rec = Recording::new();
    pool::forward(&mut rec, &tuning, &rows.upload(gpu)?, row, &setting.map("x", &x, kept)?, &y);
    run(gpu, rec)?;
    let pixels = shape[1] * shape[2];
    // Written whole: linear layers read it all.
    check_map(gpu, &y, &vec![shape[3]; shape[0]], &want, Tolerance::sum(pixels).scaled(1.0 / pixels as f64))
}

/// The gradient of the map.
pub fn backward(setting: Setting, shape: [usize; 4], kept: &[usize]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let dy = random(1, [shape[0], 1, 1, shape[3]]);
    let want = reference::pool::backward(kept, shape, &dy);
    let mut rows = Rows::new(shape[0]);
    let row = rows.add(kept);
    let dx = setting.trap_map("dx", shape)?;
    let mut rec = Recording::new();
    pool::backward(&mut rec, &tuning, &rows.upload(gpu)?, row, &setting.vector("dy", &dy, kept)?, &dx);
    run(gpu, rec)?;
    check_map(gpu, &dx, kept, &want, Tolerance::sum(1))
}
