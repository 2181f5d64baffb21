//! A bias and an activation, on maps of one pixel.

use super::{Array, activate, activate_gradient};
use crate::space::Activation;

/// act(z + bias) in the kept channels of each image, zero elsewhere: `z` (N, 1, 1, F), `bias` (1, 1, 1, F).
pub fn forward(kept: &[usize], activation: Activation, z: &Array, bias: &Array) -> Array {
    Array::from_fn(z.shape(), |at| {
        if at[3] < kept[at[0]] { activate(activation, z[at] + bias[[0, 0, 0, at[3]]]) } else { 0.0 }
    })
}

/// What `backward` returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of the input (N, 1, 1, F).
    pub z: Array,
    /// Of the bias (1, 1, 1, F).
    pub bias: Array,
}

/// Gradients from that of the output, `dy` (N, 1, 1, F).
pub fn backward(kept: &[usize], activation: Activation, dy: &Array, z: &Array, bias: &Array) -> Gradients {
    let dz = Array::from_fn(z.shape(), |at| {
        let slope = activate_gradient(activation, z[at] + bias[[0, 0, 0, at[3]]]);
        if at[3] < kept[at[0]] { dy[at] * slope } else { 0.0 }
    });
    let sums = Array::from_fn(bias.shape(), |[_, _, _, j]| (0..z.images).map(|n| dz[[n, 0, 0, j]]).sum());
    Gradients { z: dz, bias: sums }
}
