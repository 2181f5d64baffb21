//! Batch normalisation, then activation and shortcut.
//!
//! Statistics come per channel from the pixels of the images that keep it, never from the others.

use super::{Array, Merge, activate, activate_gradient, merge};
use crate::space::Activation;

/// What the passes share.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Kept filters of every image.
    pub kept: &'a [usize],
    /// Activation.
    pub activation: Activation,
    /// Neighbouring images that share statistics.
    pub group_images: usize,
    /// Added to a variance before its root.
    pub epsilon: f64,
}

impl Norm<'_> {
    /// (value - mean) / deviation.
    fn normal(&self, moments: &Array, value: f64, [n, _, _, j]: [usize; 4]) -> f64 {
        let group = n / self.group_images;
        (value - moments[[group, 0, 0, j]]) / (moments[[group, 0, 1, j]] + self.epsilon).sqrt()
    }

    /// What the activation is applied to.
    fn affine(&self, affine: &Array, normal: f64, j: usize) -> f64 {
        affine[[0, 0, 0, j]] * normal + affine[[0, 0, 1, j]]
    }
}

/// Mean, biased variance and count of every group (G, 1, 3, F).
pub fn statistics(norm: Norm, z: &Array) -> Array {
    let mut moments = Array::zeros([z.images / norm.group_images, 1, 3, z.channels]);
    for group in 0..moments.images {
        for j in 0..z.channels {
            let images = (group * norm.group_images..(group + 1) * norm.group_images).filter(|n| j < norm.kept[*n]);
            let values: Vec<f64> = images
                .flat_map(|n| (0..z.height * z.width).map(move |p| [n, p / z.width, p % z.width, j]))
                .map(|at| z[at])
                .collect();
            let count = values.len().max(1) as f64;
            let mean = values.iter().sum::<f64>() / count;
            moments[[group, 0, 0, j]] = mean;
            moments[[group, 0, 1, j]] = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            moments[[group, 0, 2, j]] = values.len() as f64;
        }
    }
    moments
}

/// Running mean and unbiased variance (G, 1, 2, F) after a batch of weight `rate`.
pub fn update(running: &Array, moments: &Array, rate: f64) -> Array {
    Array::from_fn(running.shape(), |at| {
        let [group, _, row, j] = at;
        let count = moments[[group, 0, 2, j]];
        let unbiased = if row == 1 { count / (count - 1.0).max(1.0) } else { 1.0 };
        let rate = if count > 0.0 { rate } else { 0.0 };
        running[at] + rate * (moments[at] * unbiased - running[at])
    })
}

/// Normalisation with `moments` (G, 1, 2 or 3, F) and `affine` (1, 1, 2, F), activation and shortcut.
pub fn apply(norm: Norm, z: &Array, moments: &Array, affine: &Array, shortcut: Option<Merge>) -> Array {
    let y = Array::from_fn(z.shape(), |at| {
        activate(norm.activation, norm.affine(affine, norm.normal(moments, z[at], at), at[3]))
    });
    merge(&y, norm.kept, shortcut)
}

/// What `backward` returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of gamma and beta (1, 1, 2, F).
    pub affine: Array,
    /// Of what was normalised.
    pub z: Array,
}

/// Gradients under the statistics of the batch itself, which is one group; `dy` (N, H, W, .).
pub fn backward(norm: Norm, dy: &Array, z: &Array, moments: &Array, affine: &Array) -> Gradients {
    let mut sums = Array::zeros([1, 1, 2, z.channels]);
    let before = Array::from_fn(z.shape(), |at| {
        let normal = norm.normal(moments, z[at], at);
        let slope = activate_gradient(norm.activation, norm.affine(affine, normal, at[3]));
        let g = if at[3] < norm.kept[at[0]] { dy[at] * slope } else { 0.0 };
        sums[[0, 0, 0, at[3]]] += g * normal;
        sums[[0, 0, 1, at[3]]] += g;
        g
    });
    let dz = Array::from_fn(z.shape(), |at| {
        let [n, _, _, j] = at;
        if j >= norm.kept[n] {
            return 0.0;
        }
        let count = moments[[0, 0, 2, j]];
        let factor = affine[[0, 0, 0, j]] / (moments[[0, 0, 1, j]] + norm.epsilon).sqrt();
        let normal = norm.normal(moments, z[at], at);
        factor * (before[at] - sums[[0, 0, 1, j]] / count - normal * sums[[0, 0, 0, j]] / count)
    });
    Gradients { affine: sums, z: dz }
}
