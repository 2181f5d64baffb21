//! Sums of parts and norms, each in a fixed order.

use super::{Tuning, folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/reduce/sum.wgsl`.
pub static SUM: Kernel = kernel!("reduce/sum", "fold", "slices", "over_slices");
/// `shaders/reduce/squares.wgsl`.
pub static SQUARES: Kernel = kernel!("reduce/squares");
/// `shaders/reduce/norm.wgsl`.
pub static NORM: Kernel = kernel!("reduce/norm");

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PartsParams {
    quads: u32,
    parts: u32,
}

/// Appends `total` (quads) = the sum of `partial` (parts, quads).
pub fn sum(rec: &mut Recording, tuning: &Tuning, [parts, quads]: [u32; 2], partial: &Buf, total: &Buf) {
    let (lanes, slices) = tuning.sharing(parts, super::ROW);
    rec.push(Launch {
        kernel: &SUM,
        overrides: vec![("LANES", lanes), ("SLICES", slices)],
        params: bytes_of(&PartsParams { quads, parts }).to_vec(),
        bindings: vec![("partial", partial.clone()), ("sum", total.clone())],
        groups: folded(quads.div_ceil(lanes / slices)),
        work: Work { flops: u64::from(parts * quads) * 4, bytes: u64::from(parts + 1) * u64::from(quads) * 16 },
    });
}

/// Parts of `norm`'s sums of squares, at most.
pub const NORM_PARTS: u32 = 256;

/// Appends `norm` (1) = the Euclidean norm of `value` (quads); `partial` has room for `NORM_PARTS` numbers.
pub fn norm(rec: &mut Recording, tuning: &Tuning, quads: u32, value: &Buf, partial: &Buf, norm: &Buf) {
    let parts = NORM_PARTS.min(quads);
    rec.push(Launch {
        kernel: &SQUARES,
        overrides: vec![("LANES", tuning.lanes)],
        params: bytes_of(&PartsParams { quads, parts }).to_vec(),
        bindings: vec![("value", value.clone()), ("partial", partial.clone())],
        groups: [parts.div_ceil(tuning.lanes), 1, 1],
        work: Work { flops: u64::from(quads) * 8, bytes: u64::from(quads) * 16 },
    });
    rec.push(Launch {
        kernel: &NORM,
        overrides: Vec::new(),
        params: bytes_of(&parts).to_vec(),
        bindings: vec![("partial", partial.clone()), ("norm", norm.clone())],
        groups: [1, 1, 1],
        work: Work { flops: u64::from(parts), bytes: u64::from(parts) * 4 },
    });
}
