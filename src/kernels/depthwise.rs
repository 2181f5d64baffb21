//! Depthwise convolutions: one filter a channel, the kernel's side drawn per image.

use super::{Map, RowId, Tuning, Widths, activation_code, conv::Deployed, kernel, share};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/depthwise/forward.wgsl`.
pub static FORWARD: Kernel = kernel!(maps "depthwise/forward", "quad", "ahead", "strip", "activation");
/// `shaders/depthwise/backward_data.wgsl`.
pub static BACKWARD_DATA: Kernel = kernel!(maps "depthwise/backward_data", "quad", "ahead", "strip");
/// `shaders/depthwise/backward_weight.wgsl`.
pub static BACKWARD_WEIGHT: Kernel = kernel!(maps "depthwise/backward_weight", "quad", "ahead", "strip");

/// What the three passes of a depthwise convolution share.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Side of the super-kernel, odd, at most 7.
    pub kernel: u32,
    /// Stride, 1 or 2.
    pub stride: u32,
    /// Channels.
    pub channels: u32,
    /// Row of the kept channels.
    pub kept: RowId,
    /// Row of the kernel's side.
    pub kernel_row: RowId,
}

impl Depthwise {
    /// Quads of its weights (K, K, C).
    pub fn weight_quads(&self) -> u32 {
        self.kernel * self.kernel * self.channels.div_ceil(4)
    }

    fn work(&self, x: &Map, y: &Map) -> Work {
        Work { flops: 2 * y.len() * u64::from(self.kernel * self.kernel), bytes: x.buf.bytes() + y.buf.bytes() }
    }
}

/// Neighbours of a row that an invocation owns: as few as waste no more than more would, at most 8.
fn segment(tuning: &Tuning, width: u32) -> u32 {
    share(width, tuning.pixels.min(8))
}

/// Rows that an invocation owns: all, if that leaves enough invocations, but twice as many as are read around
/// them in any case.
fn rows(tuning: &Tuning, depthwise: &Depthwise, out: &Map, segment: u32) -> u32 {
    let columns = out.images * out.quads() * out.width.div_ceil(segment);
    let most_strips = (out.height / (2 * (depthwise.kernel - 1)).max(4)).max(1);
    out.height.div_ceil(tuning.reduction.div_ceil(columns).min(most_strips))
}

/// Whether an invocation holds the weights.
fn holds(tuning: &Tuning, depthwise: &Depthwise) -> u32 {
    u32::from(depthwise.kernel <= tuning.held_kernel)
}

fn groups(tuning: &Tuning, out: &Map, segment: u32, rows: u32) -> [u32; 3] {
    let strips = out.width.div_ceil(segment) * out.height.div_ceil(rows);
    [(strips * out.quads()).div_ceil(tuning.lanes), 1, out.images]
}

/// Operands of `forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Input.
    pub x: &'a Map,
    /// Weights (K, K, C).
    pub weight: &'a Buf,
    /// Bias and activation, in a deployed network.
    pub deployed: Option<Deployed<'a>>,
    /// Output, written.
    pub y: &'a Map,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32,
    channels: u32,
    kept_row: u32,
    kernel_row: u32,
    rows: u32,
}

impl Params {
    fn new(depthwise: &Depthwise, widths: &Widths, x: &Map, y: &Map, rows: u32) -> Self {
        Self {
            height: x.height,
            width: x.width,
            out_height: y.height,
            out_width: y.width,
            quads: x.quads(),
            channels: depthwise.channels,
            kept_row: widths.at(depthwise.kept),
            kernel_row: widths.at(depthwise.kernel_row),
            rows,
        }
    }
}

/// The overrides that say how a map of this width is cut into strips.
fn overrides(tuning: &Tuning, depthwise: &Depthwise, segment: u32, width: u32) -> [(&'static str, u32); 6] {
    [
        ("LANES", tuning.lanes),
        tuning.ahead(),
        ("SEGMENT", segment),
        ("KERNEL", depthwise.kernel),
        ("STRIDE", depthwise.stride),
        ("WHOLE", u32::from(segment == width)),
    ]
}

/// Appends the convolution.
pub fn forward(rec: &mut Recording, tuning: &Tuning, depthwise: &Depthwise, widths: &Widths, io: Forward) {
    let segment = segment(tuning, io.y.width);
    let rows = rows(tuning, depthwise, io.y, segment);
    rec.push(Launch {
        kernel: &FORWARD,
        overrides: [
            &overrides(tuning, depthwise, segment, io.y.width)[..],
            &[
                ("HOLDS", holds(tuning, depthwise)),
                ("DEPLOYED", u32::from(io.deployed.is_some())),
                ("ACTIVATION", io.deployed.map_or(0, |d| activation_code(d.activation))),
            ],
        ]
        .concat(),
        params: bytes_of(&Params::new(depthwise, widths, io.x, io.y, rows)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("x", io.x.buf.clone()),
            ("weight", io.weight.clone()),
            ("bias", io.deployed.map_or(io.weight, |d| d.bias).clone()),
            ("y", io.y.buf.clone()),
        ],
        groups: groups(tuning, io.y, segment, rows),
        work: depthwise.work(io.x, io.y),
    });
}

/// Operands of `backward_data`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardData<'a> {
    /// Gradient of the output.
    pub dz: &'a Map,
    /// Weights (K, K, C).
    pub weight: &'a Buf,
    /// Gradient of the input, written.
    pub dx: &'a Map,
}

/// Appends the gradient of the input.
pub fn backward_data(rec: &mut Recording, tuning: &Tuning, depthwise: &Depthwise, widths: &Widths, io: BackwardData) {
    let mut segment = segment(tuning, io.dx.width);
    if segment < io.dx.width {
        // Segments start at even columns, so that strides divide the same way in all of them.
        segment = segment.next_multiple_of(depthwise.stride);
    }
    let rows = rows(tuning, depthwise, io.dx, segment);
    rec.push(Launch {
        kernel: &BACKWARD_DATA,
        overrides: [&overrides(tuning, depthwise, segment, io.dx.width)[..], &[("HOLDS", holds(tuning, depthwise))]]
            .concat(),
        params: bytes_of(&Params::new(depthwise, widths, io.dx, io.dz, rows)).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dz", io.dz.buf.clone()),
            ("weight", io.weight.clone()),
            ("dx", io.dx.buf.clone()),
        ],
        groups: groups(tuning, io.dx, segment, rows),
        work: depthwise.work(io.dx, io.dz),
    });
}

/// Operands of `backward_weight`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardWeight<'a> {
    /// Input.
    pub x: &'a Map,
    /// Gradient of the output.
    pub dz: &'a Map,
    /// Gradient of the weights in `weight_parts` parts, written: (parts, K, K, C).
    pub partial: &'a Buf,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardWeightParams {
    images: u32,
    parts: u32,
    strips: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    quads: u32,
    channels: u32,
    kept_row: u32,
    kernel_row: u32,
    rows: u32,
}

/// Strips of an image that run side by side: as few as fill the lanes of a workgroup best, as many workgroups as are
/// wanted where images alone are too few, and no more than there are segments of rows.
fn weight_strips(tuning: &Tuning, depthwise: &Depthwise, [images, height, width]: [u32; 3]) -> u32 {
    let quads = depthwise.channels.div_ceil(4);
    let groups_per_strip = |strips: &u32| ((quads * strips).div_ceil(tuning.lanes) * 840) / strips;
    let strips = (1..=8).min_by_key(groups_per_strip).expect("the range is not empty");
    let groups = images * (quads * strips).div_ceil(tuning.lanes);
    let most = width.div_ceil(segment(tuning, width)) * height;
    (strips * (tuning.weight_groups / groups).clamp(1, 8)).min(most)
}

/// Parts that the gradient of the weights is computed in, for outputs (images, height, width).
pub fn weight_parts(tuning: &Tuning, depthwise: &Depthwise, output: [u32; 3]) -> u32 {
    let strips = weight_strips(tuning, depthwise, output);
    let tiles = (depthwise.channels.div_ceil(4) * strips).div_ceil(tuning.lanes);
    strips * tuning.weight_groups.div_ceil(tiles).clamp(1, output[0])
}

/// Appends the gradient of the weights; `reduce::sum` adds its parts up.
pub fn backward_weight(
    rec: &mut Recording,
    tuning: &Tuning,
    depthwise: &Depthwise,
    widths: &Widths,
    io: BackwardWeight,
) {
    let segment = segment(tuning, io.dz.width);
    let output = [io.dz.images, io.dz.height, io.dz.width];
    let strips = weight_strips(tuning, depthwise, output);
    let parts = weight_parts(tuning, depthwise, output) / strips;
    let params = BackwardWeightParams {
        images: io.x.images,
        parts,
        strips,
        height: io.x.height,
        width: io.x.width,
        out_height: io.dz.height,
        out_width: io.dz.width,
        quads: io.x.quads(),
        channels: depthwise.channels,
        kept_row: widths.at(depthwise.kept),
        kernel_row: widths.at(depthwise.kernel_row),
        rows: io.dz.height.div_ceil(strips.div_ceil(io.dz.width.div_ceil(segment))),
    };
    rec.push(Launch {
        kernel: &BACKWARD_WEIGHT,
        overrides: overrides(tuning, depthwise, segment, io.dz.width).to_vec(),
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("x", io.x.buf.clone()),
            ("dz", io.dz.buf.clone()),
            ("dw", io.partial.clone()),
        ],
        groups: [(io.x.quads() * strips).div_ceil(tuning.lanes), parts, 1],
        work: depthwise.work(io.x, io.dz),
    });
}
