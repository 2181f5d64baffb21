//! Maps of f32 in the precision of others.

use super::{Map, Tuning, folded, kernel};
use crate::gpu::{Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/convert/narrow.wgsl`.
pub static NARROW: Kernel = kernel!(maps "convert/narrow", "fold");

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct NarrowParams {
    quads: u32,
}

/// Appends the values of `x`, a map of f32, rounded to the precision of `y`, of the same shape.
pub fn narrow(rec: &mut Recording, tuning: &Tuning, x: &Map, y: &Map) {
    assert_eq!(x.shape(), y.shape(), "a map is narrowed to its own shape");
    let quads = x.pixels() * x.quads();
    let [groups, further, _] = folded(quads.div_ceil(tuning.lanes));
    rec.push(Launch {
        kernel: &NARROW,
        overrides: vec![("LANES", tuning.lanes)],
        params: bytes_of(&NarrowParams { quads }).to_vec(),
        bindings: vec![("x", x.buf.clone()), ("y", y.buf.clone())],
        groups: [groups, further, x.images],
        work: Work { flops: 0, bytes: x.buf.bytes() + y.buf.bytes() },
    });
}
