//! The host half of every shader: parameters, bindings, workgroup counts.
//!
//! `shaders/conv/forward.wgsl` is launched by `conv::forward`, and so on. A function appends one
//! launch to a recording and does nothing else; shapes and widths are data in `Params`, tile sizes
//! are overrides taken from a `Tuning`.

pub mod bias; // bias and activation on maps of one pixel
pub mod conv; // dense convolutions, linear layers as 1x1 ones
pub mod convert; // f32 to the precision of maps
pub mod depthwise; // one filter a channel
pub mod excite; // channels times their gates
pub mod loss; // cross-entropy, totals of an epoch
pub mod norm; // batch normalisation, activation, shortcut
pub mod optimizer; // SGD and AdamW over all parameters
pub mod pool; // mean over the pixels
pub mod probe; // what a device can do at most
pub mod reduce; // sums of parts, norms
mod tuning; // tile sizes for an adapter

use crate::gpu::{Buf, Gpu, GpuError, Kernel, Precision};
use crate::space::Activation;
pub use tuning::Tuning;

/// A kernel of its own text and the libraries it uses; `kernel!(maps ...)` of one that reads or writes feature maps.
macro_rules! kernel {
    (maps $($part:literal),+) => { $crate::kernels::kernel!(@ true, $($part),+) };
    ($($part:literal),+) => { $crate::kernels::kernel!(@ false, $($part),+) };
    (@ $maps:literal, $name:literal $(, $lib:literal)*) => {
        $crate::gpu::Kernel {
            name: $name,
            parts: &[
                include_str!(concat!("../../shaders/", $name, ".wgsl")),
                $(include_str!(concat!("../../shaders/lib/", $lib, ".wgsl"))),*
            ],
            maps: $maps,
        }
    };
}
pub(crate) use kernel;

/// Every kernel there is, for the checks that must hold for all.
pub static ALL: &[&Kernel] = &[
    &conv::FORWARD,
    &conv::BACKWARD_DATA,
    &conv::TRANSPOSE,
    &conv::BACKWARD_WEIGHT,
    &convert::NARROW,
    &depthwise::FORWARD,
    &depthwise::BACKWARD_DATA,
    &depthwise::BACKWARD_WEIGHT,
    &norm::STATISTICS,
    &norm::MOMENTS,
    &norm::APPLY,
    &norm::BACKWARD_REDUCE,
    &norm::BACKWARD_AFFINE,
    &norm::BACKWARD_APPLY,
    &bias::FORWARD,
    &bias::BACKWARD,
    &pool::FORWARD,
    &pool::BACKWARD,
    &excite::FORWARD,
    &excite::BACKWARD_GATE,
    &excite::BACKWARD,
    &loss::CROSS_ENTROPY,
    &loss::ACCUMULATE,
    &reduce::SUM,
    &reduce::SQUARES,
    &reduce::NORM,
    &optimizer::SGD,
    &optimizer::ADAMW,
    &probe::MULTIPLY_ADD,
    &probe::MULTIPLY_ADD_F16,
    &probe::COPY,
    &probe::EXCHANGE,
    &probe::SENTINEL,
];

/// A feature map on the device: (images, height, width, ceil(channels / 4)) quads, in the precision of its memory.
#[derive(Clone, Debug)]
pub struct Map {
    /// Its memory.
    pub buf: Buf,
    /// Images.
    pub images: u32,
    /// Rows of an image.
    pub height: u32,
    /// Columns of an image.
    pub width: u32,
    /// Channels at full width.
    pub channels: u32,
}

impl Map {
    /// A map of f32 in new memory.
    pub fn new(gpu: &Gpu, name: &str, shape: [u32; 4]) -> Result<Self, GpuError> {
        Self::of_precision(gpu, name, shape, Precision::F32)
    }

    /// A map of any precision in new memory.
    pub fn of_precision(gpu: &Gpu, name: &str, shape: [u32; 4], precision: Precision) -> Result<Self, GpuError> {
        let [images, height, width, channels] = shape;
        let buf = gpu.allocate(name, Self::bytes_of(shape, precision))?.of_precision(precision);
        Ok(Self { buf, images, height, width, channels })
    }

    /// Bytes of a map of this shape.
    pub fn bytes_of([images, height, width, channels]: [u32; 4], precision: Precision) -> u64 {
        let pixels = u64::from(images) * u64::from(height) * u64::from(width);
        pixels * u64::from(channels.div_ceil(4)) * precision.quad_bytes()
    }

    /// The format of its values.
    pub fn precision(&self) -> Precision {
        self.buf.precision()
    }

    /// Images, height, width, channels.
    pub fn shape(&self) -> [u32; 4] {
        [self.images, self.height, self.width, self.channels]
    }

    /// Quads of channels.
    pub fn quads(&self) -> u32 {
        self.channels.div_ceil(4)
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> u32 {
        self.height * self.width
    }

    /// Values, padding left out.
    pub fn len(&self) -> u64 {
        u64::from(self.images) * u64::from(self.pixels()) * u64::from(self.channels)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same memory seen as one image whose pixels are the images: what a linear layer works on.
    ///
    /// Only for maps of one pixel an image.
    pub fn as_rows(&self) -> Self {
        assert_eq!(self.pixels(), 1, "a linear layer takes one pixel an image");
        let [images, height, width] = Self::rows_of(self.images);
        Self { images, height, width, ..self.clone() }
    }

    /// Images, height and width of so many maps of one pixel as rows: neighbours are read some at a time, and work is
    /// split by rows.
    pub fn rows_of(images: u32) -> [u32; 3] {
        let width = 1 << images.trailing_zeros().min(3);
        [1, images / width, width]
    }
}

/// The per-image numbers of a batch: rows of one u32 an image. Row 0 holds `u32::MAX`: no limit.
#[derive(Clone, Debug)]
pub struct Widths {
    /// Its memory: (rows, images).
    pub buf: Buf,
    /// Images of a row.
    pub images: u32,
}

/// A row of `Widths`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(pub u32);

impl RowId {
    /// The row that limits nothing.
    pub const UNLIMITED: Self = Self(0);
}

impl Widths {
    /// Index of a row's first number.
    pub fn at(&self, row: RowId) -> u32 {
        row.0 * self.images
    }
}

/// How a launch merges a layer's input into its output.
#[derive(Clone, Copy, Debug)]
pub struct Merge<'a> {
    /// Residual or bypass; never `None`.
    pub kind: crate::space::Shortcut,
    /// The layer's input (forward) or the gradient of its output (backward).
    pub source: &'a Map,
    /// Row of the channels that may pass.
    pub bypass: RowId,
}

impl Merge<'_> {
    /// The number that `shaders/lib/shortcut.wgsl` gives to the kind.
    fn code(merge: Option<&Self>) -> u32 {
        use crate::space::Shortcut;
        match merge.map_or(Shortcut::None, |m| m.kind) {
            Shortcut::None => 0,
            Shortcut::Bypass => 1,
            Shortcut::Residual => 2,
        }
    }
}

/// Quads that neighbours of a workgroup read in a row at least, where others share their sums: a line of a cache.
const ROW: u32 = 8;

/// The number that `shaders/lib/activation.wgsl` gives to an activation.
fn activation_code(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => 0,
        Activation::Relu => 1,
        Activation::HardSwish => 2,
        Activation::HardSigmoid => 3,
    }
}

/// Workgroups of one dimension at most.
pub const FOLD: u32 = 65535;

/// So many workgroups in a row, those past `FOLD` in the second dimension (`shaders/lib/fold.wgsl`).
fn folded(groups: u32) -> [u32; 3] {
    [groups.min(FOLD), groups.div_ceil(FOLD), 1]
}

/// As few of `all` to each as leave no more shares than `most` to each would.
fn share(all: u32, most: u32) -> u32 {
    all.div_ceil(all.div_ceil(most))
}

/// Invocations that share the quads of a pixel (`shaders/lib/columns.wgsl`).
fn columns(tuning: &Tuning, quads: u32) -> u32 {
    quads.div_ceil(tuning.held_quads(quads))
}

/// How an element-wise kernel is spread: what an invocation owns of one image, and workgroups.
struct Elementwise {
    pixels: u32,
    quads: u32,
    groups: [u32; 3],
}

impl Elementwise {
    fn of(tuning: &Tuning, map: &Map) -> Self {
        let mut pixels = share(map.pixels(), tuning.pixels);
        let groups =
            |pixels: u32| (map.pixels().div_ceil(pixels) * columns(tuning, map.quads())).div_ceil(tuning.lanes);
        // Images are the third dimension, and columns make a second of no use: few large maps get larger shares.
        while groups(pixels) > FOLD {
            pixels *= 2;
        }
        Self { pixels, quads: tuning.held_quads(map.quads()), groups: [groups(pixels), 1, map.images] }
    }

    /// The overrides that say so.
    fn overrides(&self, tuning: &Tuning) -> [(&'static str, u32); 4] {
        [("LANES", tuning.lanes), ("PIXELS", self.pixels), ("QUADS", self.quads), tuning.ahead()]
    }
}
