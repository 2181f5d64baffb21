//! A network as a list of operations on tensors, lowered to recorded launches.
//!
//! `lower` turns one architecture of a super-network into a `Graph`; `slots` gives its tensors few
//! buffers by their lifetimes; `record` appends each operation's launches, forward and backward.
//! The super-network is the graph of its full architecture, run with widths of its own per image;
//! a compact network is the graph of its own architecture.

mod fold; // a convolution takes its normalisation along
mod lower; // a super-network and an architecture become a graph
mod params; // parameters in one buffer, and prefixes of them
mod slots; // lifetimes of tensors, and few buffers for them
mod memory; // buffers of a graph that is made ready, planned and made
mod parts; // gradients in parts, added up several at a time
mod record; // launches of each operation
mod traffic; // the fewest bytes of a step
mod training; // made ready for training steps
mod scoring; // made ready to score many sub-networks in one pass
mod deployed; // as it leaves home: normalisation folded
mod error; // what can go wrong between it and a device

pub use deployed::Deployed;
pub use error::NetworkError;
pub use fold::{Filters, Folded, Fused, FusedLayer, fuse, fused_layers};
pub use lower::lower;
pub use memory::{Fits, Footprint};
pub use params::{Active, Param, Role, Weights, initial_weights};
pub use scoring::Scoring;
pub use slots::{Slots, Value};
pub use training::{BatchStatistics, Teacher, Totals, Training, TrainingOptions};

use crate::gpu::Precision;
use crate::kernels::RowId;
use crate::kernels::conv::Conv;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::optimizer::BLOCK;
use crate::space::{Activation, LayerShape, Row, Shortcut};

/// Index of a tensor of a graph.
pub type TensorId = usize;
/// Index of a parameter of a graph.
pub type ParamId = usize;

/// A feature map of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The path of the layer that writes it.
    pub name: String,
    /// Pixels a side.
    pub size: u32,
    /// Channels at full width.
    pub channels: u32,
}

/// A shortcut from a tensor to the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShortcutEdge {
    /// Residual or bypass.
    pub kind: Shortcut,
    /// The tensor at its other end: the layer's input seen from its output, and the reverse.
    pub end: TensorId,
    /// Row of the layer's kept filters.
    pub kept: RowId,
    /// Row of the channels that may pass.
    pub bypass: RowId,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// Dense convolution.
    Conv {
        /// Sizes and rows.
        conv: Conv,
        /// Input.
        x: TensorId,
        /// Weights (K, K, I, O).
        weight: ParamId,
        /// Output.
        z: TensorId,
        /// A shortcut that starts at `x`: its gradient is added to this operation's.
        source_of: Option<ShortcutEdge>,
    },
    /// Depthwise convolution.
    Depthwise {
        /// Sizes and rows.
        depthwise: Depthwise,
        /// Input.
        x: TensorId,
        /// Weights (K, K, C).
        weight: ParamId,
        /// Output.
        z: TensorId,
    },
    /// Fully connected layer on maps of one pixel.
    Linear {
        /// Sizes; its rows limit nothing, since such maps hold zeros in dropped channels.
        conv: Conv,
        /// Input.
        x: TensorId,
        /// Weights (1, 1, I, O).
        weight: ParamId,
        /// Output.
        z: TensorId,
    },
    /// Batch normalisation, activation, shortcut.
    Norm {
        /// Input.
        z: TensorId,
        /// Gamma and beta.
        affine: ParamId,
        /// Index of its statistics.
        statistics: usize,
        /// Activation.
        activation: Activation,
        /// Row of the kept filters.
        kept: RowId,
        /// The shortcut that ends here.
        shortcut: Option<ShortcutEdge>,
        /// Output.
        y: TensorId,
    },
    /// Bias and activation, on maps of one pixel.
    Bias {
        /// Input.
        z: TensorId,
        /// The bias.
        bias: ParamId,
        /// Activation.
        activation: Activation,
        /// Row of the kept filters.
        kept: RowId,
        /// Output, with zeros in dropped channels.
        y: TensorId,
    },
    /// Mean over the pixels.
    Pool {
        /// Input.
        x: TensorId,
        /// Row of its kept channels.
        kept: RowId,
        /// Output, one pixel an image.
        y: TensorId,
        /// In a squeeze-and-excite, its `Excite` operation, whose other gradient joins here.
        excite: Option<usize>,
    },
    /// Channels times their gates.
    Excite {
        /// Input.
        x: TensorId,
        /// Gates, one pixel an image.
        gate: TensorId,
        /// Row of the kept channels.
        kept: RowId,
        /// Output.
        y: TensorId,
    },
}

/// Statistics of one batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The path of the layer.
    pub name: String,
    /// Channels.
    pub channels: u32,
}

/// A network: operations in order, tensors, parameters.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Feature maps, the images first.
    pub tensors: Vec<Tensor>,
    /// Operations in the order of the data.
    pub ops: Vec<Op>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Batch statistics.
    pub statistics: Vec<Statistics>,
    /// The logits.
    pub logits: TensorId,
    /// The layers of the super-network that it was lowered from, as its architecture has them.
    pub shapes: Vec<LayerShape>,
}

impl Graph {
    /// The images.
    pub const IMAGES: TensorId = 0;

    /// The precision of a tensor where maps are of `maps`: what linear layers read and write is a thousandth of all, and
    /// always of f32.
    pub(crate) fn precision_of(&self, tensor: TensorId, maps: Precision) -> Precision {
        let is_vector = self.ops.iter().any(|op| match op {
            Op::Pool { y, .. } | Op::Bias { y, .. } => *y == tensor,
            Op::Linear { z, .. } => *z == tensor,
            _ => false,
        });
        if is_vector { Precision::F32 } else { maps }
    }

    /// Shape of a batch of images.
    pub(crate) fn images_shape(&self, batch: u32) -> [u32; 4] {
        self.map_shape(Self::IMAGES, batch)
    }

    /// Shape of a tensor of so many images.
    fn map_shape(&self, tensor: TensorId, images: u32) -> [u32; 4] {
        let Tensor { size, channels, .. } = self.tensors[tensor];
        [images, size, size, channels]
    }

    /// Rows of its widths buffer.
    pub fn rows(&self) -> u32 {
        1 + self.shapes.len() as u32 * Row::COUNT
    }

    /// Blocks of all its parameters.
    pub fn blocks(&self) -> u32 {
        self.params.last().map_or(0, |param| param.first_block + param.blocks())
    }

    /// Values in the buffer of all its parameters.
    pub fn values(&self) -> usize {
        self.blocks() as usize * (BLOCK * 4) as usize
    }

    /// Bytes of the statistics before `index`, each padded to the alignment of bindings.
    pub(crate) fn statistics_offset(&self, index: usize, rows: u32) -> u64 {
        self.statistics[..index].iter().map(|s| statistics_bytes(s.channels, rows)).sum()
    }
}

/// Bytes of `rows` rows of statistics, padded to the alignment of bindings.
pub(crate) fn statistics_bytes(channels: u32, rows: u32) -> u64 {
    (u64::from(channels.div_ceil(4)) * 16 * u64::from(rows)).next_multiple_of(256)
}

/// The row of the widths buffer that holds `row` of layer `layer`.
pub(crate) fn row_id(layer: usize, row: Row) -> RowId {
    RowId(1 + layer as u32 * Row::COUNT + row as u32)
}
