//! Dense convolutions with "same" padding.

use super::{Array, Merge, activate, joins, merge, split};
use crate::space::Activation;

/// What the three passes share; slices hold one number an image.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Stride.
    pub stride: usize,
    /// Kept channels of the input.
    pub input: &'a [usize],
    /// Kept filters.
    pub kept: &'a [usize],
    /// Sides of the kernels, centres of the super-kernel.
    pub kernel: &'a [usize],
}

/// What a deployed operation adds.
#[derive(Clone, Copy, Debug)]
pub struct Deployed<'a> {
    /// Bias of every filter.
    pub bias: &'a [f64],
    /// Activation.
    pub activation: Activation,
}

/// `x` (N, H, W, I) under `weight` (K, K, I, O); as a deployed operation with its epilogue.
pub fn forward(conv: Conv, x: &Array, weight: &Array, deployed: Option<Deployed>, shortcut: Option<Merge>) -> Array {
    let out = [x.images, x.height.div_ceil(conv.stride), x.width.div_ceil(conv.stride), weight.channels];
    let mut y = Array::zeros(out);
    joins([x.height, x.width], weight.images, conv.stride, conv.kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for i in 0..conv.input[n] {
            for o in 0..conv.kept[n] {
                y[[n, p, q, o]] += x[[n, h, w, i]] * weight[[ky, kx, i, o]];
            }
        }
    });
    if let Some(Deployed { bias, activation }) = deployed {
        y = Array::from_fn(out, |at| activate(activation, y[at] + bias[at[3]]));
    }
    merge(&y, conv.kept, shortcut)
}

/// What reaches the input through the layer's shortcut.
#[derive(Clone, Copy, Debug)]
pub struct BackwardMerge<'a> {
    /// Kind, gradient of the layer's output, channels that may pass.
    pub merge: Merge<'a>,
    /// Kept filters of the layer.
    pub kept: &'a [usize],
}

/// Weights (K, K, I, O) as (K, K, O, I).
pub fn transpose(weight: &Array) -> Array {
    let [height, width, inputs, filters] = weight.shape();
    Array::from_fn([height, width, filters, inputs], |[ky, kx, o, i]| weight[[ky, kx, i, o]])
}

/// Gradient of the input of shape `input`, from that of the output `dz` (N, P, Q, O).
pub fn backward_data(
    conv: Conv,
    input: [usize; 4],
    dz: &Array,
    weight: &Array,
    shortcut: Option<BackwardMerge>,
) -> Array {
    let mut dx = Array::zeros(input);
    joins([input[1], input[2]], weight.images, conv.stride, conv.kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for i in 0..conv.input[n] {
            for o in 0..conv.kept[n] {
                dx[[n, h, w, i]] += dz[[n, p, q, o]] * weight[[ky, kx, i, o]];
            }
        }
    });
    if let Some(BackwardMerge { merge, kept }) = shortcut {
        let direct = split(merge, kept, input[3]);
        dx.values.iter_mut().zip(direct.values).for_each(|(value, direct)| *value += direct);
    }
    dx
}

/// Gradient of the weights of side `kernel`.
pub fn backward_weight(conv: Conv, kernel: usize, x: &Array, dz: &Array) -> Array {
    let mut dw = Array::zeros([kernel, kernel, x.channels, dz.channels]);
    joins([x.height, x.width], kernel, conv.stride, conv.kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for i in 0..conv.input[n] {
            for o in 0..conv.kept[n] {
                dw[[ky, kx, i, o]] += x[[n, h, w, i]] * dz[[n, p, q, o]];
            }
        }
    });
    dw
}
