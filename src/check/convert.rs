//! Maps of f32 in the precision of others.

use super::agreement::{Tolerance, check_map};
use super::operands::random;
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::convert;
use crate::reference;

pub(super) static CHECKS: &[Check] =
    &[Check { kernels: &[&convert::NARROW], run: |setting| narrow(setting, super::pool::SHAPE, 1.0) }];

/// A map of `shape` (images, rows, columns, channels) of values below `magnitude`, rounded: to the same bits as here.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn narrow(setting: Setting, shape: [usize; 4], magnitude: f64) -> Outcome {
    let Setting { gpu, tuning, precision } = setting;
    let mut x = random(1, shape);
    x.values.iter_mut().for_each(|value| *value = f64::from((*value * magnitude) as f32));
    let all = vec![shape[3]; shape[0]];
    let y = setting.trap_map("y", shape)?;
    let mut rec = Recording::new();
    convert::narrow(&mut rec, &tuning, &setting.vector("x", &x, &all)?, &y);
    run(gpu, rec)?;
    check_map(gpu, &y, &all, &reference::convert::narrow(&x, precision), Tolerance::EXACT)
}
