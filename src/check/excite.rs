//! Channels times their gates.

use super::agreement::{Tolerance, check_map};
use super::operands::{Rows, random};
use super::pool::{SHAPE, kept};
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::excite;
use crate::reference;

pub(super) static CHECKS: &[Check] = &[
    Check { kernels: &[&excite::FORWARD], run: |setting| forward(setting, SHAPE, &kept()) },
    Check { kernels: &[&excite::BACKWARD_GATE], run: |setting| backward_gate(setting, SHAPE, &kept()) },
    Check { kernels: &[&excite::BACKWARD], run: |setting| backward(setting, SHAPE, &kept()) },
];

/// A map of `shape` (images, rows, columns, channels) whose images keep `kept` channels, times its gates.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn forward(setting: Setting, shape: [usize; 4], kept: &[usize]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (x, gate) = (setting.random(1, shape), random(2, [shape[0], 1, 1, shape[3]]));
    let want = reference::excite::forward(kept, &x, &gate);
    let mut rows = Rows::new(shape[0]);
    let row = rows.add(kept);
    let y = setting.trap_map("y", shape)?;
    let mut rec = Recording::new();
    let io = excite::Forward { x: &setting.map("x", &x, kept)?, gate: &setting.vector("gate", &gate, kept)?, y: &y };
    excite::forward(&mut rec, &tuning, &rows.upload(gpu)?, row, io);
    run(gpu, rec)?;
    check_map(gpu, &y, kept, &want, Tolerance::sum(1))
}

/// The gradient of the gates.
pub fn backward_gate(setting: Setting, shape: [usize; 4], kept: &[usize]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (dy, x) = (setting.random(1, shape), setting.random(2, shape));
    let want = reference::excite::backward_gate(kept, &dy, &x);
    let mut rows = Rows::new(shape[0]);
    let row = rows.add(kept);
    let dgate = setting.trap_vector("dgate", want.shape())?;
    let mut rec = Recording::new();
    let io =
        excite::BackwardGate { dy: &setting.map("dy", &dy, kept)?, x: &setting.map("x", &x, kept)?, dgate: &dgate };
    excite::backward_gate(&mut rec, &tuning, &rows.upload(gpu)?, row, io);
    run(gpu, rec)?;
    // Written whole: linear layers read it all.
    check_map(gpu, &dgate, &vec![shape[3]; shape[0]], &want, Tolerance::sum(shape[1] * shape[2]))
}

/// The gradient of the map by its two ways.
pub fn backward(setting: Setting, shape: [usize; 4], kept: &[usize]) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let dy = setting.random(1, shape);
    let (gate, dpool) = (random(2, [shape[0], 1, 1, shape[3]]), random(3, [shape[0], 1, 1, shape[3]]));
    let want = reference::excite::backward(kept, &dy, &gate, &dpool);
    let mut rows = Rows::new(shape[0]);
    let row = rows.add(kept);
    let dx = setting.trap_map("dx", shape)?;
    let mut rec = Recording::new();
    let io = excite::Backward {
        dy: &setting.map("dy", &dy, kept)?,
        gate: &setting.vector("gate", &gate, kept)?,
        dpool: &setting.vector("dpool", &dpool, kept)?,
        dx: &dx,
    };
    excite::backward(&mut rec, &tuning, &rows.upload(gpu)?, row, io);
    run(gpu, rec)?;
    check_map(gpu, &dx, kept, &want, Tolerance::sum(2))
}
