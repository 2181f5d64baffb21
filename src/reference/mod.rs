//! The meaning of every kernel in plain loops, on host values, with sums in f64.
//!
//! Slow and obvious on purpose: kernels are compared with it. It refuses nothing and checks nothing,
//! and it knows neither devices nor tiles.

pub mod bias; // bias and activation on maps of one pixel
pub mod conv; // dense convolutions, linear layers as 1x1 ones
pub mod convert; // f32 to the precision of maps
pub mod depthwise; // one filter a channel
pub mod excite; // channels times their gates
pub mod loss; // cross-entropy, totals of an epoch
pub mod norm; // batch normalisation, activation, shortcut
pub mod optimizer; // SGD and AdamW
pub mod pool; // mean over the pixels
pub mod probe; // kernels that only measure
pub mod reduce; // sums of parts, norms

use crate::space::{Activation, Shortcut};
use std::ops::{Index, IndexMut};

/// Values (images, height, width, channels), without padding; weights are (K, K, I, O), or (K, K, 1, C).
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Images, or rows of a kernel.
    pub images: usize,
    /// Rows of an image, or columns of a kernel.
    pub height: usize,
    /// Columns of an image, or input channels of a kernel.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// The values, channels innermost.
    pub values: Vec<f64>,
}

impl Array {
    /// Zeros.
    pub fn zeros([images, height, width, channels]: [usize; 4]) -> Self {
        Self { images, height, width, channels, values: vec![0.0; images * height * width * channels] }
    }

    /// The value of every index.
    pub fn from_fn(shape: [usize; 4], mut value: impl FnMut([usize; 4]) -> f64) -> Self {
        let mut array = Self::zeros(shape);
        for i in 0..array.values.len() {
            array.values[i] = value(array.index(i));
        }
        array
    }

    /// Its four sizes.
    pub fn shape(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels]
    }

    /// The index (n, h, w, c) of value `i`.
    pub fn index(&self, i: usize) -> [usize; 4] {
        let (pixel, channel) = (i / self.channels, i % self.channels);
        let (row, column) = (pixel / self.width, pixel % self.width);
        [row / self.height, row % self.height, column, channel]
    }

    /// The same values in another number of columns and channels: cut off, or filled up with zeros.
    pub fn resized(&self, width: usize, channels: usize) -> Self {
        Self::from_fn([self.images, self.height, width, channels], |[n, h, w, c]| {
            if w < self.width && c < self.channels { self[[n, h, w, c]] } else { 0.0 }
        })
    }

    /// The values in the layout of kernels: channels padded with zeros to whole quads.
    pub fn to_quads(&self) -> Vec<f32> {
        let padded = self.resized(self.width, self.channels.next_multiple_of(4));
        padded.values.iter().map(|value| *value as f32).collect()
    }

    /// Values in the layout of kernels, padding left out.
    pub fn from_quads(shape: [usize; 4], quads: &[f32]) -> Self {
        let [images, height, width, channels] = shape;
        let padded = channels.next_multiple_of(4);
        assert_eq!(quads.len(), images * height * width * padded, "the quads of {shape:?}");
        Self::from_fn(shape, |[n, h, w, c]| f64::from(quads[((n * height + h) * width + w) * padded + c]))
    }

    /// Dense weights (K, K, I, O) in the layout of kernels, where I is padded too.
    pub fn to_weight_quads(&self) -> Vec<f32> {
        self.resized(self.width.next_multiple_of(4), self.channels).to_quads()
    }
}

impl Index<[usize; 4]> for Array {
    type Output = f64;

    fn index(&self, [n, h, w, c]: [usize; 4]) -> &f64 {
        &self.values[((n * self.height + h) * self.width + w) * self.channels + c]
    }
}

impl IndexMut<[usize; 4]> for Array {
    fn index_mut(&mut self, [n, h, w, c]: [usize; 4]) -> &mut f64 {
        &mut self.values[((n * self.height + h) * self.width + w) * self.channels + c]
    }
}

/// An activation function.
pub fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}

/// Its derivative; at the kinks the value that PyTorch gives.
pub fn activate_gradient(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Identity => 1.0,
        Activation::Relu if x > 0.0 => 1.0,
        Activation::HardSwish if x > 3.0 => 1.0,
        Activation::HardSwish if x >= -3.0 => x / 3.0 + 0.5,
        Activation::HardSigmoid if x > -3.0 && x < 3.0 => 1.0 / 6.0,
        _ => 0.0,
    }
}

/// How a layer's input reaches its output beside the filters.
#[derive(Clone, Copy, Debug)]
pub struct Merge<'a> {
    /// Bypass or residual.
    pub kind: Shortcut,
    /// The layer's input (forward) or the gradient of its output (backward).
    pub source: &'a Array,
    /// Channels of each image that may pass.
    pub bypass: &'a [usize],
}

/// The output of a layer: `filters` below `kept`, merged with the source below `bypass`, else zero.
pub fn merge(filters: &Array, kept: &[usize], merge: Option<Merge>) -> Array {
    let widest = merge.map_or(0, |m| m.bypass.iter().copied().max().unwrap_or(0));
    let [images, height, width, channels] = filters.shape();
    Array::from_fn([images, height, width, channels.max(widest)], |at| {
        let [n, _, _, j] = at;
        let mine = if j < kept[n] { filters[at] } else { 0.0 };
        let theirs = merge.filter(|m| j < m.bypass[n]).map_or(0.0, |m| m.source[at]);
        match merge.map_or(Shortcut::None, |m| m.kind) {
            Shortcut::Residual => mine + theirs,
            Shortcut::Bypass if j >= kept[n] => theirs,
            _ => mine,
        }
    })
}

/// The part of an output's gradient (`merge.source`) that reaches the `channels` of the source directly.
pub fn split(merge: Merge, kept: &[usize], channels: usize) -> Array {
    let [images, height, width, _] = merge.source.shape();
    Array::from_fn([images, height, width, channels], |at| {
        let [n, _, _, j] = at;
        let passes = match merge.kind {
            Shortcut::None => false,
            Shortcut::Bypass => j >= kept[n] && j < merge.bypass[n],
            Shortcut::Residual => j < merge.bypass[n],
        };
        if passes { merge.source[at] } else { 0.0 }
    })
}

/// An input pixel and an output pixel that a tap of a convolution joins.
struct Join {
    image: usize,
    input: [usize; 2],
    output: [usize; 2],
    tap: [usize; 2],
}

/// Calls `each` for every join of a convolution with "same" padding over images of `size`, where image
/// n uses the centre of side `sides[n]` of a kernel.
fn joins(size: [usize; 2], kernel: usize, stride: usize, sides: &[usize], mut each: impl FnMut(Join)) {
    let under = |out: usize, tap: usize, size| (out * stride + tap).checked_sub(kernel / 2).filter(|at| *at < size);
    for (image, side) in sides.iter().enumerate() {
        let border = (kernel - side) / 2;
        for p in 0..size[0].div_ceil(stride) {
            for q in 0..size[1].div_ceil(stride) {
                for ky in border..kernel - border {
                    for kx in border..kernel - border {
                        if let (Some(h), Some(w)) = (under(p, ky, size[0]), under(q, kx, size[1])) {
                            each(Join { image, input: [h, w], output: [p, q], tap: [ky, kx] });
                        }
                    }
                }
            }
        }
    }
}
