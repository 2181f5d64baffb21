//! Sums of parts and norms, each in a fixed order.

use super::{Tuning, folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/reduce/sum.wgsl`.
pub static SUM: Kernel = kernel!("reduce/sum", "fold", "slices", "over_slices");
/// `shaders/reduce/squares.wgsl`.
pub static SQUARES: Kernel = kernel!("reduce/squares", "slices", "over_slices");
/// `shaders/reduce/norm.wgsl`.
pub static NORM: Kernel = kernel!("reduce/norm");

/// A tensor whose parts lie one after another, and where their sum goes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Sum {
    /// Quads of the tensor.
    pub quads: u32,
    /// Its parts.
    pub parts: u32,
    /// Its first part's first quad.
    pub first: u32,
    /// The first quad of its sum.
    pub to: u32,
}

/// Tensors that one launch of `sums` takes at most.
pub const MOST_SUMS: usize = 16;

/// Appends the sums of these tensors, `MOST_SUMS` at most: their parts lie in `partial`, their sums in `total`.
pub fn sums(rec: &mut Recording, tuning: &Tuning, sums: &[Sum], partial: &Buf, total: &Buf) {
    let mut params = [Sum::zeroed(); MOST_SUMS];
    params[..sums.len()].copy_from_slice(sums);
    // As many slices for every tensor: the order of its sum does not follow what else is in the launch.
    let (lanes, slices) = tuning.sharing(u32::MAX, super::ROW);
    let quads: u64 = sums.iter().map(|sum| u64::from(sum.quads)).sum();
    let terms: u64 = sums.iter().map(|sum| u64::from(sum.quads) * u64::from(sum.parts)).sum();
    rec.push(Launch {
        kernel: &SUM,
        overrides: vec![("LANES", lanes), ("SLICES", slices)],
        params: bytes_of(&params).to_vec(),
        bindings: vec![("partial", partial.clone()), ("total", total.clone())],
        groups: folded(sums.iter().map(|sum| sum.quads.div_ceil(lanes / slices)).sum()),
        work: Work { flops: terms * 4, bytes: (terms + quads) * 16 },
    });
}

/// Appends `total` (quads) = the sum of `partial` (parts, quads).
pub fn sum(rec: &mut Recording, tuning: &Tuning, [parts, quads]: [u32; 2], partial: &Buf, total: &Buf) {
    sums(rec, tuning, &[Sum { quads, parts, first: 0, to: 0 }], partial, total);
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PartsParams {
    quads: u32,
    parts: u32,
}

/// Parts of `norm`'s sums of squares, at most.
pub const NORM_PARTS: u32 = 256;

/// Appends `norm` (1) = the Euclidean norm of `value` (quads); `partial` has room for `NORM_PARTS` numbers.
pub fn norm(rec: &mut Recording, tuning: &Tuning, quads: u32, value: &Buf, partial: &Buf, norm: &Buf) {
    let parts = NORM_PARTS.min(quads);
    let (lanes, slices) = tuning.sharing(quads.div_ceil(parts), 1);
    rec.push(Launch {
        kernel: &SQUARES,
        overrides: vec![("LANES", lanes), ("SLICES", slices)],
        params: bytes_of(&PartsParams { quads, parts }).to_vec(),
        bindings: vec![("value", value.clone()), ("partial", partial.clone())],
        groups: [parts.div_ceil(lanes / slices), 1, 1],
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
