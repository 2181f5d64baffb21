//! A bias and an activation, on maps of one pixel: what follows a linear layer.

use super::{Map, RowId, Tuning, Widths, activation_code, folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use crate::space::Activation;
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/bias/forward.wgsl`.
pub static FORWARD: Kernel = kernel!("bias/forward", "quad", "fold", "activation");
/// `shaders/bias/backward.wgsl`.
pub static BACKWARD: Kernel = kernel!("bias/backward", "quad", "activation", "slices", "over_slices");

/// What the passes share.
#[derive(Clone, Copy, Debug)]
pub struct Bias {
    /// Row of the kept filters.
    pub kept: RowId,
    /// Activation.
    pub activation: Activation,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    images: u32,
    quads: u32,
    filters: u32,
    kept_row: u32,
}

impl Params {
    fn new(widths: &Widths, bias: &Bias, z: &Map) -> Self {
        assert_eq!(z.pixels(), 1, "a bias takes one pixel an image");
        Self { images: z.images, quads: z.quads(), filters: z.channels, kept_row: widths.at(bias.kept) }
    }
}

/// Operands of `forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Input (N, 1, 1, F).
    pub z: &'a Map,
    /// The bias (F).
    pub bias: &'a Buf,
    /// Output of the same shape, written.
    pub y: &'a Map,
}

/// Appends bias and activation; dropped channels of the output are zeros.
pub fn forward(rec: &mut Recording, tuning: &Tuning, bias: &Bias, widths: &Widths, io: Forward) {
    rec.push(Launch {
        kernel: &FORWARD,
        overrides: vec![("LANES", tuning.lanes), ("ACTIVATION", activation_code(bias.activation))],
        params: bytes_of(&Params::new(widths, bias, io.z)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("z", io.z.buf.clone()),
            ("bias", io.bias.clone()),
            ("y", io.y.buf.clone()),
        ],
        groups: folded((io.z.images * io.z.quads()).div_ceil(tuning.lanes)),
        work: Work { flops: 2 * io.z.len(), bytes: io.z.buf.bytes() + io.y.buf.bytes() },
    });
}

/// Operands of `backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// Gradient of the output.
    pub dy: &'a Map,
    /// Input (N, 1, 1, F).
    pub z: &'a Map,
    /// The bias (F).
    pub bias: &'a Buf,
    /// Gradient of the input, written; zeros in dropped channels.
    pub dz: &'a Map,
    /// Gradient of the bias, written.
    pub gradient: &'a Buf,
}

/// Appends the gradients of the input and of the bias.
pub fn backward(rec: &mut Recording, tuning: &Tuning, bias: &Bias, widths: &Widths, io: Backward) {
    let (lanes, slices) = tuning.sharing(io.z.images, super::ROW);
    rec.push(Launch {
        kernel: &BACKWARD,
        overrides: vec![("LANES", lanes), ("SLICES", slices), ("ACTIVATION", activation_code(bias.activation))],
        params: bytes_of(&Params::new(widths, bias, io.z)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dy", io.dy.buf.clone()),
            ("z", io.z.buf.clone()),
            ("bias", io.bias.clone()),
            ("dz", io.dz.buf.clone()),
            ("gradient", io.gradient.clone()),
        ],
        groups: [io.z.quads().div_ceil(lanes / slices), 1, 1],
        work: Work { flops: 4 * io.z.len(), bytes: 3 * io.z.buf.bytes() },
    });
}
