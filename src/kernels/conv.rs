//! Dense convolutions. A linear layer is one of a 1x1 kernel on `Map::as_rows`.

use super::optimizer::BLOCK;
use super::tuning::MOST_PIXELS;
use super::{Map, Merge, RowId, Tuning, Widths, activation_code, folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use crate::space::Activation;
use bytemuck::{Pod, Zeroable, bytes_of};
use std::cmp::Reverse;

/// `shaders/conv/forward.wgsl`.
pub static FORWARD: Kernel = kernel!(maps "conv/forward", "quad", "activation", "shortcut", "tile");
/// `shaders/conv/backward_data.wgsl`.
pub static BACKWARD_DATA: Kernel = kernel!(maps "conv/backward_data", "quad", "shortcut", "tile");
/// `shaders/conv/transpose.wgsl`.
pub static TRANSPOSE: Kernel = kernel!("conv/transpose", "tensors", "fold", "quad");
/// `shaders/conv/backward_weight.wgsl`.
pub static BACKWARD_WEIGHT: Kernel = kernel!(maps "conv/backward_weight", "quad", "ahead", "slices", "over_slices");

/// What the three passes of a convolution share.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Side of the super-kernel, odd, at most 7.
    pub kernel: u32,
    /// Stride, 1 or 2.
    pub stride: u32,
    /// Channels of the input.
    pub channels: u32,
    /// Filters.
    pub filters: u32,
    /// Row of the input's kept channels.
    pub input: RowId,
    /// Row of the kept filters.
    pub kept: RowId,
    /// Row of the kernel's side; not read where the side is 1.
    pub kernel_row: RowId,
}

impl Conv {
    /// Quads of its weights (K, K, I, O), channels padded to quads.
    pub fn weight_quads(&self) -> u32 {
        self.weight_rows() * 4 * self.filters.div_ceil(4)
    }

    /// Rows of its weights, of four inputs each.
    fn weight_rows(&self) -> u32 {
        self.kernel * self.kernel * self.channels.div_ceil(4)
    }

    /// Whether pixels side by side share the rows that its taps read.
    fn shares_rows(&self) -> bool {
        self.kernel == 3 && self.stride == 1
    }

    /// Channels of each quad of the input that kernels take: what pads the only one is left out.
    fn summed_channels(&self) -> u32 {
        self.channels.min(4)
    }

    /// Multiply-adds of a pass at full width, two operations each, and the bytes of its operands.
    fn work(&self, x: &Map, y: &Map) -> Work {
        let pixels = u64::from(y.images) * u64::from(y.pixels());
        let taps = u64::from(self.kernel * self.kernel);
        let weights = taps * u64::from(self.channels) * u64::from(self.filters);
        Work { flops: 2 * pixels * weights, bytes: x.buf.bytes() + y.buf.bytes() + 4 * weights }
    }
}

/// What turns a convolution into a deployed operation.
#[derive(Clone, Copy, Debug)]
pub struct Deployed<'a> {
    /// Bias (O), batch normalisation folded in.
    pub bias: &'a Buf,
    /// Activation.
    pub activation: Activation,
}

/// Operands of `forward`.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Input.
    pub x: &'a Map,
    /// Weights (K, K, I, O).
    pub weight: &'a Buf,
    /// Bias and activation, in a deployed network.
    pub deployed: Option<Deployed<'a>>,
    /// Shortcut, in a deployed network.
    pub merge: Option<Merge<'a>>,
    /// Output, written.
    pub y: &'a Map,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ForwardParams {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    in_quads: u32,
    filter_quads: u32,
    out_quads: u32,
    shortcut_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    bypass_row: u32,
    kernel_row: u32,
}

/// Appends the convolution.
pub fn forward(rec: &mut Recording, tuning: &Tuning, conv: &Conv, widths: &Widths, io: Forward) {
    let merge = io.merge.as_ref();
    let params = ForwardParams {
        height: io.x.height,
        width: io.x.width,
        out_height: io.y.height,
        out_width: io.y.width,
        in_quads: io.x.quads(),
        filter_quads: conv.filters.div_ceil(4),
        out_quads: io.y.quads(),
        shortcut_quads: merge.map_or(1, |m| m.source.quads()),
        in_width: conv.channels,
        filters: conv.filters,
        input_row: widths.at(conv.input),
        kept_row: widths.at(conv.kept),
        bypass_row: widths.at(merge.map_or(RowId::UNLIMITED, |m| m.bypass)),
        kernel_row: widths.at(conv.kernel_row),
    };
    let tile = Tile::of(tuning, conv, io.y);
    rec.push(Launch {
        kernel: &FORWARD,
        overrides: [
            &tile.overrides(tuning)[..],
            &[
                ("CHANNELS", conv.summed_channels()),
                ("KERNEL", conv.kernel),
                ("STRIDE", conv.stride),
                ("DEPLOYED", u32::from(io.deployed.is_some())),
                ("ACTIVATION", io.deployed.map_or(0, |d| activation_code(d.activation))),
                ("SHORTCUT", Merge::code(merge)),
            ],
        ]
        .concat(),
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("x", io.x.buf.clone()),
            ("weight", io.weight.clone()),
            ("bias", io.deployed.map_or(io.weight, |d| d.bias).clone()),
            ("shortcut", merge.map_or(&io.x.buf, |m| &m.source.buf).clone()),
            ("y", io.y.buf.clone()),
        ],
        groups: tile.groups(tuning.lanes / tile.quad_lanes, io.y),
        work: conv.work(io.x, io.y),
    });
}

/// Operands of `backward_data`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardData<'a> {
    /// Gradient of the output.
    pub dz: &'a Map,
    /// Weights (K, K, O, I), as `transpose` makes them.
    pub transposed: &'a Buf,
    /// The gradient that reaches the input through the layer's shortcut.
    pub merge: Option<BackwardMerge<'a>>,
    /// Gradient of the input, written.
    pub dx: &'a Map,
}

/// The shortcut's part in the gradient of a layer's input.
#[derive(Clone, Copy, Debug)]
pub struct BackwardMerge<'a> {
    /// Kind, gradient of the layer's output, row of the channels that may pass.
    pub merge: Merge<'a>,
    /// Row of the layer's kept filters: a bypass passes the channels from there on.
    pub kept: RowId,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardDataParams {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    in_quads: u32,
    filter_quads: u32,
    shortcut_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    bypass_row: u32,
    split_row: u32,
    kernel_row: u32,
}

/// Operands of `transpose`.
#[derive(Clone, Copy, Debug)]
pub struct Transpose<'a> {
    /// The `optimizer::Tensor`s.
    pub tensors: &'a Buf,
    /// Index of the tensor of every block.
    pub block_tensor: &'a Buf,
    /// Parameters.
    pub weight: &'a Buf,
    /// As much room, in which the weights of dense layers are written.
    pub transposed: &'a Buf,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct TransposeParams {
    blocks: u32,
}

/// Appends the weights of all dense layers among `blocks` blocks of parameters, inputs and filters in each other's place.
pub fn transpose(rec: &mut Recording, blocks: u32, io: Transpose) {
    rec.push(Launch {
        kernel: &TRANSPOSE,
        overrides: Vec::new(),
        params: bytes_of(&TransposeParams { blocks }).to_vec(),
        bindings: vec![
            ("tensors", io.tensors.clone()),
            ("block_tensor", io.block_tensor.clone()),
            ("weight", io.weight.clone()),
            ("transposed", io.transposed.clone()),
        ],
        groups: folded(blocks),
        work: Work { flops: 0, bytes: 2 * u64::from(blocks * BLOCK) * 16 },
    });
}

/// Appends the gradient of the input.
pub fn backward_data(rec: &mut Recording, tuning: &Tuning, conv: &Conv, widths: &Widths, io: BackwardData) {
    let merge = io.merge.map(|m| m.merge);
    let params = BackwardDataParams {
        height: io.dx.height,
        width: io.dx.width,
        out_height: io.dz.height,
        out_width: io.dz.width,
        in_quads: io.dx.quads(),
        filter_quads: conv.filters.div_ceil(4),
        shortcut_quads: merge.map_or(1, |m| m.source.quads()),
        in_width: conv.channels,
        filters: conv.filters,
        input_row: widths.at(conv.input),
        kept_row: widths.at(conv.kept),
        bypass_row: widths.at(merge.map_or(RowId::UNLIMITED, |m| m.bypass)),
        split_row: widths.at(io.merge.map_or(RowId::UNLIMITED, |m| m.kept)),
        kernel_row: widths.at(conv.kernel_row),
    };
    let tile = Tile::of(tuning, conv, io.dx);
    rec.push(Launch {
        kernel: &BACKWARD_DATA,
        overrides: [
            &tile.overrides(tuning)[..],
            &[("KERNEL", conv.kernel), ("STRIDE", conv.stride), ("SHORTCUT", Merge::code(merge.as_ref()))],
        ]
        .concat(),
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dz", io.dz.buf.clone()),
            ("weight", io.transposed.clone()),
            ("dy", merge.map_or(&io.dz.buf, |m| &m.source.buf).clone()),
            ("dx", io.dx.buf.clone()),
        ],
        groups: tile.groups(tuning.lanes / tile.quad_lanes, io.dx),
        work: conv.work(io.dx, io.dz),
    });
}

/// Operands of `backward_weight`.
#[derive(Clone, Copy, Debug)]
pub struct BackwardWeight<'a> {
    /// Input.
    pub x: &'a Map,
    /// Gradient of the output.
    pub dz: &'a Map,
    /// Gradient of the weights in `weight_parts` parts, written: (parts, K, K, I, O).
    pub partial: &'a Buf,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardWeightParams {
    images: u32,
    slice_rows: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    stride: u32,
    in_quads: u32,
    filter_quads: u32,
    in_width: u32,
    filters: u32,
    input_row: u32,
    kept_row: u32,
    kernel_row: u32,
}

/// Quads of filters that one invocation of the weights' gradient owns.
const WEIGHT_QUADS: u32 = 4;

/// Rows of a slice at least, where there are as many: slices then differ by an eighth at most.
const SLICE_ROWS: u32 = 8;

/// Lanes over rows of the weights in their gradient; the workgroup's others take further slices of its part.
fn weight_lanes(tuning: &Tuning, conv: &Conv) -> u32 {
    let rows = conv.weight_rows().next_power_of_two();
    tuning.weight_rows.min(rows).clamp(tuning.lanes.div_ceil(tuning.slices), tuning.lanes)
}

/// Pixels of a part at least: fewer take no longer than adding up one part more.
const PART_PIXELS: u64 = 64;

/// Parts that the gradient of the weights is computed in, for outputs (images, height, width).
pub fn weight_parts(tuning: &Tuning, conv: &Conv, [images, height, width]: [u32; 3]) -> u32 {
    let lanes = weight_lanes(tuning, conv);
    let tiles = conv.weight_rows().div_ceil(lanes) * conv.filters.div_ceil(4).div_ceil(WEIGHT_QUADS);
    let rows = images * height;
    let by_pixels = (u64::from(rows) * u64::from(width)).div_ceil(PART_PIXELS);
    let most = u64::from(rows.div_ceil(tuning.lanes / lanes)).min(by_pixels) as u32;
    tuning.weight_groups.div_ceil(tiles).clamp(1, most)
}

/// Quads of all parts of a gradient of weights, about: what its workgroups write.
pub fn usual_weight_quads(tuning: &Tuning) -> u64 {
    u64::from(tuning.weight_groups) * u64::from(tuning.weight_rows * 4 * WEIGHT_QUADS)
}

/// Rows of each image of `dz` that the gradient of the weights walks: where there is no window, longer and fewer ones, as
/// few as so many slices share evenly.
fn rows_walked(conv: &Conv, dz: &Map, slices: u32) -> u32 {
    if conv.kernel > 1 || conv.stride > 1 {
        return dz.height;
    }
    let least = (slices * SLICE_ROWS).div_ceil(dz.images);
    (least..dz.height).find(|rows| dz.height.is_multiple_of(*rows)).unwrap_or(dz.height)
}

/// Appends the gradient of the weights; `reduce::sum` adds its parts up.
pub fn backward_weight(rec: &mut Recording, tuning: &Tuning, conv: &Conv, widths: &Widths, io: BackwardWeight) {
    let parts = weight_parts(tuning, conv, [io.dz.images, io.dz.height, io.dz.width]);
    let lanes = weight_lanes(tuning, conv);
    let slices = tuning.lanes / lanes;
    let filter_quads = conv.filters.div_ceil(4);
    let rows = conv.weight_rows();
    let out_height = rows_walked(conv, io.dz, parts * slices);
    let fold = io.dz.height / out_height;
    let params = BackwardWeightParams {
        images: io.x.images,
        slice_rows: (io.dz.images * out_height).div_ceil(parts * slices),
        height: io.x.height / fold,
        width: io.x.width * fold,
        out_height,
        out_width: io.dz.width * fold,
        stride: conv.stride,
        in_quads: io.x.quads(),
        filter_quads,
        in_width: conv.channels,
        filters: conv.filters,
        input_row: widths.at(conv.input),
        kept_row: widths.at(conv.kept),
        kernel_row: widths.at(conv.kernel_row),
    };
    let quads = filter_quads.min(WEIGHT_QUADS);
    rec.push(Launch {
        kernel: &BACKWARD_WEIGHT,
        overrides: vec![
            ("LANES", tuning.lanes),
            ("SLICES", slices),
            ("QUADS", quads),
            ("CHANNELS", conv.summed_channels()),
            ("KERNEL", conv.kernel),
            tuning.ahead(),
        ],
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("x", io.x.buf.clone()),
            ("dz", io.dz.buf.clone()),
            ("dw", io.partial.clone()),
        ],
        groups: [rows.div_ceil(lanes), filter_quads.div_ceil(quads), parts],
        work: conv.work(io.x, io.dz),
    });
}

/// Quads of a tile that reads stretches of a row: the pixels around it leave registers for fewer.
const ROW_TILE: u32 = 16;

/// What an invocation of a dense convolution owns, and how many neighbours share its pixels.
struct Tile {
    pixels: u32,
    quads: u32,
    quad_lanes: u32,
    /// Whether its pixels are neighbours in one row that a 3x3 kernel reads once for three taps.
    in_row: bool,
}

impl Tile {
    /// The tile of a convolution that writes `out`.
    fn of(tuning: &Tuning, conv: &Conv, out: &Map) -> Self {
        // No more lanes over quads than there are.
        let quad_lanes = tuning.quad_lanes.min(out.quads().next_power_of_two()).min(tuning.lanes);
        let lanes = tuning.lanes / quad_lanes;
        let tuning = &Tuning { lanes, ..*tuning };
        let most = out.quads().div_ceil(quad_lanes);
        let (pixels, quads) =
            row_tile(tuning, conv, out, most).unwrap_or_else(|| usual_tile(tuning, out.pixels(), most));
        // Said before the tile is cut, which is for the sake of few images: the order of a sum does not follow them.
        let in_row = conv.shares_rows() && out.width.is_multiple_of(pixels);
        let mut tile = Self { pixels, quads, quad_lanes, in_row };
        let all_groups = |tile: &Self| tile.groups(lanes, out).map(u64::from).iter().product::<u64>();
        while tile.pixels.is_multiple_of(2) && all_groups(&tile) < u64::from(tuning.conv_groups) {
            tile.pixels /= 2;
        }
        tile
    }

    /// The overrides that say so.
    fn overrides(&self, tuning: &Tuning) -> [(&'static str, u32); 5] {
        [
            ("LANES", tuning.lanes),
            ("PIXELS", self.pixels),
            ("QUADS", self.quads),
            ("QUAD_LANES", self.quad_lanes),
            ("IN_ROW", u32::from(self.in_row)),
        ]
    }

    /// Workgroups, of so many `lanes` over pixels.
    fn groups(&self, lanes: u32, out: &Map) -> [u32; 3] {
        let pixels = lanes * self.pixels;
        [out.pixels().div_ceil(pixels), out.quads().div_ceil(self.quads * self.quad_lanes), out.images]
    }
}

/// Pixels and quads of a tile: no more quads than there are; of the pixels one group or the usual number
/// at least, and as many more as leave no more lanes without one.
fn usual_tile(tuning: &Tuning, pixels: u32, most_quads: u32) -> (u32, u32) {
    let quads = tuning.conv_quads.min(most_quads);
    let least = tuning.conv_pixels.min(pixels.div_ceil(tuning.lanes));
    let padded = |tile: &u32| (pixels.next_multiple_of(tuning.lanes * tile), Reverse(*tile));
    let tile = (least..=MOST_PIXELS).min_by_key(padded).expect("the range is not empty");
    (tile, quads)
}

/// A tile of neighbours in one row: a 3x3 kernel of stride 1 then reads a row once for its three taps. Of the same
/// size as others, but longer and narrower; none where short segments or idle lanes would be left.
fn row_tile(tuning: &Tuning, conv: &Conv, out: &Map, most_quads: u32) -> Option<(u32, u32)> {
    if !conv.shares_rows() {
        return None;
    }
    let most = (2 * tuning.conv_pixels).min(MOST_PIXELS).min(out.pixels().div_ceil(tuning.lanes));
    let pixels = (4..=most).rev().find(|pixels| out.width.is_multiple_of(*pixels))?;
    let quads = (tuning.conv_pixels * tuning.conv_quads).min(ROW_TILE) / pixels;
    Some((pixels, quads.clamp(1, tuning.conv_quads).min(most_quads)))
}
