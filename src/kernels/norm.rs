//! Batch normalisation, then activation and shortcut.

use super::{Elementwise, Map, Merge, RowId, Tuning, Widths, activation_code, columns, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use crate::space::Activation;
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/norm/statistics.wgsl`.
pub static STATISTICS: Kernel = kernel!(maps "norm/statistics", "quad", "columns", "ahead");
/// `shaders/norm/moments.wgsl`.
pub static MOMENTS: Kernel = kernel!("norm/moments", "quad", "control", "slices");
/// `shaders/norm/apply.wgsl`.
pub static APPLY: Kernel = kernel!(maps "norm/apply", "quad", "columns", "ahead", "activation", "shortcut");
/// `shaders/norm/backward_reduce.wgsl`.
pub static BACKWARD_REDUCE: Kernel =
    kernel!(maps "norm/backward_reduce", "quad", "columns", "ahead", "activation", "normalised");
/// `shaders/norm/backward_affine.wgsl`.
pub static BACKWARD_AFFINE: Kernel = kernel!("norm/backward_affine", "quad", "slices", "over_slices");
/// `shaders/norm/backward_apply.wgsl`.
pub static BACKWARD_APPLY: Kernel =
    kernel!(maps "norm/backward_apply", "quad", "columns", "ahead", "activation", "normalised");

/// Added to a variance before its root, PyTorch's default.
pub const EPSILON: f32 = 1e-5;

/// What the passes of a normalisation share.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Filters.
    pub filters: u32,
    /// Row of the kept filters.
    pub kept: RowId,
    /// Activation.
    pub activation: Activation,
    /// Images that share statistics.
    pub group_images: u32,
}

impl Norm {
    fn quads(&self) -> u32 {
        self.filters.div_ceil(4)
    }

    /// Quads of `affine`: gamma and beta (2, F).
    pub fn affine_quads(&self) -> u32 {
        self.quads() * 2
    }
}

/// Rounds of a workgroup's lanes that the columns and chunks of an image fill at least: fewer would leave lanes idle
/// where channels are dropped.
const LANE_ROUNDS: u32 = 2;

/// Chunks of an image's rows that a reduction over a map of this shape is computed in. They follow from the images of
/// a group alone: how many groups a pass holds may not change the order of a sum.
fn chunks(tuning: &Tuning, group_images: u32, [_, height, _, channels]: [u32; 4]) -> u32 {
    let columns = columns(tuning, channels.div_ceil(4));
    let filling = (LANE_ROUNDS * tuning.lanes).div_ceil(columns);
    (tuning.reduction / (columns * group_images)).max(filling).clamp(1, height)
}

/// What it costs to combine the parts of a reduction over `z`, `rows` quads each.
fn parts_work(rows: u32, z: &Map, chunks: u32) -> Work {
    let quads = u64::from(rows * chunks * z.images * z.quads());
    Work { flops: quads * 8, bytes: quads * 16 }
}

/// Workgroups of a reduction: lanes over columns of quads and chunks of one image.
fn reduction_groups(tuning: &Tuning, z: &Map, chunks: u32) -> [u32; 3] {
    [(columns(tuning, z.quads()) * chunks).div_ceil(tuning.lanes), 1, z.images]
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct StatisticsParams {
    height: u32,
    width: u32,
    quads: u32,
    channels: u32,
    chunks: u32,
    kept_row: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MomentsParams {
    group_images: u32,
    groups: u32,
    quads: u32,
    channels: u32,
    chunks: u32,
    kept_row: u32,
}

/// Operands of `statistics`.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// What is to be normalised.
    pub z: &'a Map,
    /// Numbers of the step (see `shaders/lib/control.wgsl`).
    pub control: &'a Buf,
    /// Room for `statistics_quads` quads.
    pub partial: &'a Buf,
    /// Mean, biased variance and count (G, 3, F), written.
    pub moments: &'a Buf,
    /// Running mean and unbiased variance (G, 2, F), updated.
    pub running: &'a Buf,
}

/// Quads of the room that `statistics` of a map of this shape, in groups of so many images, needs for its parts.
pub fn statistics_quads(tuning: &Tuning, shape: [u32; 4], group_images: u32) -> u32 {
    shape[0] * chunks(tuning, group_images, shape) * 3 * shape[3].div_ceil(4)
}

/// Appends the statistics of a batch, in two launches.
pub fn statistics(rec: &mut Recording, tuning: &Tuning, norm: &Norm, widths: &Widths, io: Statistics) {
    let groups = io.z.images / norm.group_images;
    let (quads, chunks) = (norm.quads(), chunks(tuning, norm.group_images, io.z.shape()));
    let params = StatisticsParams {
        height: io.z.height,
        width: io.z.width,
        quads,
        channels: norm.filters,
        chunks,
        kept_row: widths.at(norm.kept),
    };
    rec.push(Launch {
        kernel: &STATISTICS,
        overrides: vec![("LANES", tuning.lanes), ("QUADS", tuning.held_quads(io.z.quads())), tuning.ahead()],
        params: bytes_of(&params).to_vec(),
        bindings: vec![("widths", widths.buf.clone()), ("z", io.z.buf.clone()), ("partial", io.partial.clone())],
        groups: reduction_groups(tuning, io.z, chunks),
        work: Work { flops: 4 * io.z.len(), bytes: io.z.buf.bytes() },
    });
    let params = MomentsParams {
        group_images: norm.group_images,
        groups,
        quads,
        channels: norm.filters,
        chunks,
        kept_row: widths.at(norm.kept),
    };
    let (lanes, slices) = tuning.sharing(norm.group_images, 1);
    rec.push(Launch {
        kernel: &MOMENTS,
        overrides: vec![("LANES", lanes), ("SLICES", slices)],
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("control", io.control.clone()),
            ("partial", io.partial.clone()),
            ("moments", io.moments.clone()),
            ("running", io.running.clone()),
        ],
        groups: [(groups * quads).div_ceil(lanes / slices), 1, 1],
        work: parts_work(3, io.z, chunks),
    });
}

/// Which statistics normalise.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Those of the batch: (G, 3, F).
    Batch(&'a Buf),
    /// Running ones: (G, 2, F).
    Running(&'a Buf),
}

/// Operands of `apply`.
#[derive(Clone, Copy, Debug)]
pub struct Apply<'a> {
    /// What is normalised.
    pub z: &'a Map,
    /// Statistics.
    pub statistics: Source<'a>,
    /// Gamma and beta (2, F).
    pub affine: &'a Buf,
    /// Shortcut.
    pub merge: Option<Merge<'a>>,
    /// Output, written.
    pub y: &'a Map,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ApplyParams {
    group_images: u32,
    pixels: u32,
    filter_quads: u32,
    out_quads: u32,
    source_quads: u32,
    filters: u32,
    kept_row: u32,
    bypass_row: u32,
    epsilon: f32,
}

/// Appends normalisation, activation and shortcut.
pub fn apply(rec: &mut Recording, tuning: &Tuning, norm: &Norm, widths: &Widths, io: Apply) {
    let merge = io.merge.as_ref();
    let params = ApplyParams {
        group_images: norm.group_images,
        pixels: io.z.pixels(),
        filter_quads: norm.quads(),
        out_quads: io.y.quads(),
        source_quads: merge.map_or(1, |m| m.source.quads()),
        filters: norm.filters,
        kept_row: widths.at(norm.kept),
        bypass_row: widths.at(merge.map_or(RowId::UNLIMITED, |m| m.bypass)),
        epsilon: EPSILON,
    };
    let (statistics, rows) = match io.statistics {
        Source::Batch(buf) => (buf, 3),
        Source::Running(buf) => (buf, 2),
    };
    let spread = Elementwise::of(tuning, io.y);
    let own = [("MOMENTS", rows), ("ACTIVATION", activation_code(norm.activation)), ("SHORTCUT", Merge::code(merge))];
    rec.push(Launch {
        kernel: &APPLY,
        overrides: spread.overrides(tuning).into_iter().chain(own).collect(),
        params: bytes_of(&params).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("z", io.z.buf.clone()),
            ("moments", statistics.clone()),
            ("affine", io.affine.clone()),
            ("source", merge.map_or(&io.z.buf, |m| &m.source.buf).clone()),
            ("y", io.y.buf.clone()),
        ],
        groups: spread.groups,
        work: Work {
            flops: 4 * io.y.len(),
            bytes: io.z.buf.bytes() + io.y.buf.bytes() + merge.map_or(0, |m| m.source.buf.bytes()),
        },
    });
}

/// Operands of `backward`.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// Gradient of the output.
    pub dy: &'a Map,
    /// What was normalised.
    pub z: &'a Map,
    /// Statistics of the batch (1, 3, F).
    pub moments: &'a Buf,
    /// Gamma and beta (2, F).
    pub affine: &'a Buf,
    /// Room for `backward_quads` quads.
    pub partial: &'a Buf,
    /// Gradient of `affine`, written.
    pub gradient: &'a Buf,
    /// Gradient of `z`, written.
    pub dz: &'a Map,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardReduceParams {
    height: u32,
    width: u32,
    filter_quads: u32,
    out_quads: u32,
    filters: u32,
    chunks: u32,
    kept_row: u32,
    epsilon: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardAffineParams {
    images: u32,
    quads: u32,
    filters: u32,
    chunks: u32,
    kept_row: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct BackwardApplyParams {
    pixels: u32,
    filter_quads: u32,
    out_quads: u32,
    filters: u32,
    kept_row: u32,
    epsilon: f32,
}

/// Quads of the room that `backward` of a map of this shape needs for its parts.
pub fn backward_quads(tuning: &Tuning, shape: [u32; 4]) -> u32 {
    shape[0] * chunks(tuning, shape[0], shape) * 2 * shape[3].div_ceil(4)
}

/// Appends the gradients of `affine` and of `z`, in three launches.
pub fn backward(rec: &mut Recording, tuning: &Tuning, norm: &Norm, widths: &Widths, io: Backward) {
    assert!(norm.group_images == io.z.images, "a training batch is one group");
    let (quads, chunks) = (norm.quads(), chunks(tuning, io.z.images, io.z.shape()));
    let activation = activation_code(norm.activation);
    let kept_row = widths.at(norm.kept);
    let reduce = BackwardReduceParams {
        height: io.z.height,
        width: io.z.width,
        filter_quads: quads,
        out_quads: io.dy.quads(),
        filters: norm.filters,
        chunks,
        kept_row,
        epsilon: EPSILON,
    };
    rec.push(Launch {
        kernel: &BACKWARD_REDUCE,
        overrides: vec![
            ("LANES", tuning.lanes),
            ("QUADS", tuning.held_quads(io.z.quads())),
            tuning.ahead(),
            ("ACTIVATION", activation),
        ],
        params: bytes_of(&reduce).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dy", io.dy.buf.clone()),
            ("z", io.z.buf.clone()),
            ("moments", io.moments.clone()),
            ("affine", io.affine.clone()),
            ("partial", io.partial.clone()),
        ],
        groups: reduction_groups(tuning, io.z, chunks),
        work: Work { flops: 10 * io.z.len(), bytes: 2 * io.z.buf.bytes() },
    });
    let affine = BackwardAffineParams { images: io.z.images, quads, filters: norm.filters, chunks, kept_row };
    let (lanes, slices) = tuning.sharing(io.z.images, 1);
    rec.push(Launch {
        kernel: &BACKWARD_AFFINE,
        overrides: vec![("LANES", lanes), ("SLICES", slices)],
        params: bytes_of(&affine).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("partial", io.partial.clone()),
            ("gradient", io.gradient.clone()),
        ],
        groups: [quads.div_ceil(lanes / slices), 1, 1],
        work: parts_work(2, io.z, chunks),
    });
    let apply = BackwardApplyParams {
        pixels: io.z.pixels(),
        filter_quads: quads,
        out_quads: io.dy.quads(),
        filters: norm.filters,
        kept_row: widths.at(norm.kept),
        epsilon: EPSILON,
    };
    let spread = Elementwise::of(tuning, io.dz);
    let own = [("ACTIVATION", activation)];
    rec.push(Launch {
        kernel: &BACKWARD_APPLY,
        overrides: spread.overrides(tuning).into_iter().chain(own).collect(),
        params: bytes_of(&apply).to_vec(),
        bindings: vec![
            ("widths", widths.buf.clone()),
            ("dy", io.dy.buf.clone()),
            ("z", io.z.buf.clone()),
            ("moments", io.moments.clone()),
            ("affine", io.affine.clone()),
            ("gradient", io.gradient.clone()),
            ("dz", io.dz.buf.clone()),
        ],
        groups: spread.groups,
        work: Work { flops: 12 * io.z.len(), bytes: 3 * io.z.buf.bytes() },
    });
}
