//! Mean over the pixels.

use super::Array;

/// Mean of `x` (N, H, W, C) over its pixels, in the kept channels: (N, 1, 1, C).
pub fn forward(kept: &[usize], x: &Array) -> Array {
    Array::from_fn([x.images, 1, 1, x.channels], |[n, _, _, c]| {
        let pixels = x.height * x.width;
        let sum: f64 = (0..pixels).map(|p| x[[n, p / x.width, p % x.width, c]]).sum();
        if c < kept[n] { sum / pixels as f64 } else { 0.0 }
    })
}

/// Gradient of the input of shape `input`, from that of the mean.
pub fn backward(kept: &[usize], input: [usize; 4], dy: &Array) -> Array {
    let pixels = (input[1] * input[2]) as f64;
    Array::from_fn(input, |[n, _, _, c]| if c < kept[n] { dy[[n, 0, 0, c]] / pixels } else { 0.0 })
}
