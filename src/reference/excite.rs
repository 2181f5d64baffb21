//! Channels times their gates.

use super::Array;

/// `x` (N, H, W, C) times `gate` (N, 1, 1, C) in the kept channels.
pub fn forward(kept: &[usize], x: &Array, gate: &Array) -> Array {
    Array::from_fn(x.shape(), |at| {
        let [n, _, _, c] = at;
        if c < kept[n] { x[at] * gate[[n, 0, 0, c]] } else { 0.0 }
    })
}

/// Gradient of the gates.
pub fn backward_gate(kept: &[usize], dy: &Array, x: &Array) -> Array {
    Array::from_fn([x.images, 1, 1, x.channels], |[n, _, _, c]| {
        let pixels = (0..x.height * x.width).map(|p| [n, p / x.width, p % x.width, c]);
        if c < kept[n] { pixels.map(|at| dy[at] * x[at]).sum() } else { 0.0 }
    })
}

/// Gradient of the input by its two ways: the gated one, and the pooled one of gradient `dpool`.
pub fn backward(kept: &[usize], dy: &Array, gate: &Array, dpool: &Array) -> Array {
    let pixels = (dy.height * dy.width) as f64;
    Array::from_fn(dy.shape(), |at| {
        let [n, _, _, c] = at;
        if c < kept[n] { dy[at] * gate[[n, 0, 0, c]] + dpool[[n, 0, 0, c]] / pixels } else { 0.0 }
    })
}
