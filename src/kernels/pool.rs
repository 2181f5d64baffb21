//! Mean over the pixels.

use super::{Elementwise, Map, RowId, Tuning, Widths, folded, kernel};
use crate::gpu::{Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/pool/forward.wgsl`.
pub static FORWARD: Kernel = kernel!(maps "pool/forward", "quad", "fold", "ahead", "slices", "over_slices");
/// `shaders/pool/backward.wgsl`.
pub static BACKWARD: Kernel = kernel!(maps "pool/backward", "quad", "columns", "ahead");

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct WholeParams {
    pub(super) images: u32,
    pub(super) pixels: u32,
    pub(super) quads: u32,
    pub(super) channels: u32,
    pub(super) kept_row: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct ElementParams {
    pub(super) pixels: u32,
    pub(super) quads: u32,
    pub(super) channels: u32,
    pub(super) kept_row: u32,
}

impl WholeParams {
    pub(super) fn new(widths: &Widths, kept: RowId, x: &Map) -> Self {
        let (images, pixels, quads, channels) = (x.images, x.pixels(), x.quads(), x.channels);
        Self { images, pixels, quads, channels, kept_row: widths.at(kept) }
    }
}

impl ElementParams {
    pub(super) fn new(widths: &Widths, kept: RowId, x: &Map) -> Self {
        Self { pixels: x.pixels(), quads: x.quads(), channels: x.channels, kept_row: widths.at(kept) }
    }
}

/// Appends the mean of `x` (N, H, W, C) over its pixels to `y` (N, 1, 1, C), zero in dropped channels.
pub fn forward(rec: &mut Recording, tuning: &Tuning, widths: &Widths, kept: RowId, x: &Map, y: &Map) {
    let (lanes, slices) = tuning.sharing(x.pixels(), super::ROW);
    rec.push(Launch {
        kernel: &FORWARD,
        overrides: vec![("LANES", lanes), ("SLICES", slices), tuning.ahead()],
        params: bytes_of(&WholeParams::new(widths, kept, x)).to_vec(),
        bindings: vec![("widths", widths.buf.clone()), ("x", x.buf.clone()), ("y", y.buf.clone())],
        groups: folded((x.images * x.quads()).div_ceil(lanes / slices)),
        work: Work { flops: x.len(), bytes: x.buf.bytes() },
    });
}

/// Appends the gradient `dx` (N, H, W, C) of the mean whose gradient is `dy` (N, 1, 1, C).
pub fn backward(rec: &mut Recording, tuning: &Tuning, widths: &Widths, kept: RowId, dy: &Map, dx: &Map) {
    let spread = Elementwise::of(tuning, dx);
    rec.push(Launch {
        kernel: &BACKWARD,
        overrides: spread.overrides(tuning).to_vec(),
        params: bytes_of(&ElementParams::new(widths, kept, dx)).to_vec(),
        bindings: vec![("widths", widths.buf.clone()), ("dy", dy.buf.clone()), ("dx", dx.buf.clone())],
        groups: spread.groups,
        work: Work { flops: dx.len(), bytes: dx.buf.bytes() },
    });
}
