//! Depthwise convolutions with "same" padding.

use super::conv::Deployed;
use super::{Array, activate, joins, merge};

/// What the three passes share; slices hold one number an image.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// Stride.
    pub stride: usize,
    /// Kept channels.
    pub kept: &'a [usize],
    /// Sides of the kernels, centres of the super-kernel.
    pub kernel: &'a [usize],
}

/// `x` (N, H, W, C) under `weight` (K, K, 1, C); as a deployed operation with bias and activation.
pub fn forward(depthwise: Depthwise, x: &Array, weight: &Array, deployed: Option<Deployed>) -> Array {
    let Depthwise { stride, kept, kernel } = depthwise;
    let mut y = Array::zeros([x.images, x.height.div_ceil(stride), x.width.div_ceil(stride), x.channels]);
    joins([x.height, x.width], weight.images, stride, kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for c in 0..kept[n] {
            y[[n, p, q, c]] += x[[n, h, w, c]] * weight[[ky, kx, 0, c]];
        }
    });
    if let Some(Deployed { bias, activation }) = deployed {
        y = Array::from_fn(y.shape(), |at| activate(activation, y[at] + bias[at[3]]));
    }
    merge(&y, kept, None)
}

/// Gradient of the input of shape `input`, from that of the output `dz` (N, P, Q, C).
pub fn backward_data(depthwise: Depthwise, input: [usize; 4], dz: &Array, weight: &Array) -> Array {
    let mut dx = Array::zeros(input);
    joins([input[1], input[2]], weight.images, depthwise.stride, depthwise.kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for c in 0..depthwise.kept[n] {
            dx[[n, h, w, c]] += dz[[n, p, q, c]] * weight[[ky, kx, 0, c]];
        }
    });
    dx
}

/// Gradient of the weights of side `kernel`.
pub fn backward_weight(depthwise: Depthwise, kernel: usize, x: &Array, dz: &Array) -> Array {
    let mut dw = Array::zeros([kernel, kernel, 1, x.channels]);
    joins([x.height, x.width], kernel, depthwise.stride, depthwise.kernel, |join| {
        let ([h, w], [p, q], [ky, kx], n) = (join.input, join.output, join.tap, join.image);
        for c in 0..depthwise.kept[n] {
            dw[[ky, kx, 0, c]] += x[[n, h, w, c]] * dz[[n, p, q, c]];
        }
    });
    dw
}
