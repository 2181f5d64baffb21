//! Channels times their gates: the second half of squeeze-and-excite.

use super::pool::{ElementParams, WholeParams};
use super::{Elementwise, Map, RowId, Tuning, Widths, folded, kernel};
use crate::gpu::{Kernel, Launch, Recording, Work};
use bytemuck::bytes_of;

/// `shaders/excite/forward.wgsl`.
pub static FORWARD: Kernel = kernel!(maps "excite/forward", "quad", "columns", "ahead");
/// `shaders/excite/backward_gate.wgsl`.
pub static BACKWARD_GATE: Kernel =
    kernel!(maps "excite/backward_gate", "quad", "fold", "ahead", "slices", "over_slices");
/// `shaders/excite/backward.wgsl`.
pub static BACKWARD: Kernel = kernel!(maps "excite/backward", "quad", "columns", "ahead");

/// Operands of `forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Input (N, H, W, C).
    pub x: &'a Map,
    /// Gates (N, 1, 1, C).
    pub gate: &'a Map,
    /// Output, written.
    pub y: &'a Map,
}

/// Appends the product of `x` and its gates.
pub fn forward(rec: &mut Recording, tuning: &Tuning, widths: &Widths, kept: RowId, io: Forward) {
    let spread = Elementwise::of(tuning, io.y);
    rec.push(Launch {
        kernel: &FORWARD,
        overrides: spread.overrides(tuning).to_vec(),
        params: bytes_of(&ElementParams::new(widths, kept, io.x)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("x", io.x.buf.clone()),
            ("gate", io.gate.buf.clone()),
            ("y", io.y.buf.clone()),
        ],
        groups: spread.groups,
        work: Work { flops: io.x.len(), bytes: 2 * io.x.buf.bytes() },
    });
}

/// Operands of `backward_gate`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardGate<'a> {
    /// Gradient of the output.
    pub dy: &'a Map,
    /// Input.
    pub x: &'a Map,
    /// Gradient of the gates (N, 1, 1, C), written whole.
    pub dgate: &'a Map,
}

/// Appends the gradient of the gates.
pub fn backward_gate(rec: &mut Recording, tuning: &Tuning, widths: &Widths, kept: RowId, io: BackwardGate) {
    let (lanes, slices) = tuning.sharing(io.x.pixels(), super::ROW);
    rec.push(Launch {
        kernel: &BACKWARD_GATE,
        overrides: vec![("LANES", lanes), ("SLICES", slices), tuning.ahead()],
        params: bytes_of(&WholeParams::new(widths, kept, io.x)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dy", io.dy.buf.clone()),
            ("x", io.x.buf.clone()),
            ("dgate", io.dgate.buf.clone()),
        ],
        groups: folded((io.x.images * io.x.quads()).div_ceil(lanes / slices)),
        work: Work { flops: 2 * io.x.len(), bytes: 2 * io.x.buf.bytes() },
    });
}

/// Operands of `backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// Gradient of the output.
    pub dy: &'a Map,
    /// Gates (N, 1, 1, C).
    pub gate: &'a Map,
    /// Gradient of the pooled input (N, 1, 1, C).
    pub dpool: &'a Map,
    /// Gradient of the input, written.
    pub dx: &'a Map,
}

/// Appends the gradient of the input, by its gated and its pooled way.
pub fn backward(rec: &mut Recording, tuning: &Tuning, widths: &Widths, kept: RowId, io: Backward) {
    let spread = Elementwise::of(tuning, io.dx);
    rec.push(Launch {
        kernel: &BACKWARD,
        overrides: spread.overrides(tuning).to_vec(),
        params: bytes_of(&ElementParams::new(widths, kept, io.dx)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dy", io.dy.buf.clone()),
            ("gate", io.gate.buf.clone()),
            ("dpool", io.dpool.buf.clone()),
            ("dx", io.dx.buf.clone()),
        ],
        groups: spread.groups,
        work: Work { flops: 2 * io.dx.len(), bytes: 2 * io.dx.buf.bytes() },
    });
}
