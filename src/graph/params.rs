//! Parameters in one buffer, each tensor from a block of its own, and prefixes of them.

use super::Graph;
use crate::digest::hex;
use crate::kernels::RowId;
use crate::kernels::optimizer::{BLOCK, Tensor as StepTensor};
use crate::rng::{Purpose, stream};
use rand::RngExt;
use sha2::{Digest as _, Sha256};

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a dense convolution (K, K, I, O).
    Dense,
    /// Weights of a linear layer (1, 1, I, O).
    Linear,
    /// Weights of a depthwise convolution (K, K, C).
    Depthwise,
    /// Gamma and beta (2, C).
    Affine,
    /// Bias (1, C).
    Bias,
}

/// How much of one dimension of a parameter the images of a batch keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// As much as this row says.
    Row(RowId),
    /// All of it.
    All,
}

/// A parameter tensor (K, K, I, O), channels padded to quads.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its path, such as `blocks.2.expand.weight`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Side of the kernel.
    pub kernel: u32,
    /// `I`, padding left out; 1 for depthwise weights, the rows of an affine.
    pub inputs: u32,
    /// `O`, padding left out.
    pub channels: u32,
    /// Its first block.
    pub first_block: u32,
    /// What a batch keeps of `I`.
    pub active_inputs: Active,
    /// What a batch keeps of `O`.
    pub active_channels: Active,
    /// The largest kernel that a batch uses.
    pub active_kernel: Active,
}

impl Param {
    /// Quads of a row of `O`.
    pub fn row_quads(&self) -> u32 {
        self.channels.div_ceil(4)
    }

    /// Rows of `I` that are stored.
    pub fn rows(&self) -> u32 {
        if matches!(self.role, Role::Dense | Role::Linear) { self.inputs.div_ceil(4) * 4 } else { self.inputs }
    }

    /// Quads of the tensor.
    pub fn quads(&self) -> u32 {
        self.kernel * self.kernel * self.rows() * self.row_quads()
    }

    /// Blocks that it takes.
    pub fn blocks(&self) -> u32 {
        self.quads().div_ceil(BLOCK)
    }

    /// Index of a value in the buffer of all parameters.
    pub fn index(&self, [ky, kx, input, channel]: [u32; 4]) -> usize {
        let row = (ky * self.kernel + kx) * self.rows() + input;
        (self.first_block * BLOCK * 4 + row * self.row_quads() * 4 + channel) as usize
    }

    /// All positions [ky, kx, input, channel], padding left out.
    pub fn positions(&self) -> impl Iterator<Item = [u32; 4]> + use<> {
        let (kernel, inputs, channels) = (self.kernel, self.inputs, self.channels);
        (0..kernel).flat_map(move |ky| {
            (0..kernel).flat_map(move |kx| (0..inputs).flat_map(move |i| (0..channels).map(move |c| [ky, kx, i, c])))
        })
    }

    /// How the update rule sees it, where `largest` gives the largest number of a row over the batch.
    pub fn step_tensor(&self, largest: &[u32]) -> StepTensor {
        let active = |active: Active, all: u32| match active {
            Active::Row(row) => largest[row.0 as usize].min(all),
            Active::All => all,
        };
        StepTensor {
            first_block: self.first_block,
            row_quads: self.row_quads(),
            rows: self.rows(),
            kernel: self.kernel,
            active_rows: active(self.active_inputs, self.inputs),
            active_channels: active(self.active_channels, self.channels),
            active_kernel: active(self.active_kernel, self.kernel),
            decays: u32::from(matches!(self.role, Role::Dense | Role::Linear | Role::Depthwise)),
        }
    }
}

/// Values of a network on the host: what a checkpoint, an export and a prefix are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// All parameters in their blocks.
    pub values: Vec<f32>,
    /// Running mean and unbiased variance (2, C) of every batch normalisation.
    pub running: Vec<Vec<f32>>,
}

/// He-normal weights by fan-in (He et al. 2015), gamma 1, the rest 0; the classifier's are halved in variance.
pub fn initial_weights(graph: &Graph, seed: u64) -> Weights {
    let mut values = vec![0.0; graph.values()];
    for (index, param) in graph.params.iter().enumerate() {
        let mut rng = stream(seed, Purpose::Weights, 0, index as u64);
        let fan_in = (param.kernel * param.kernel * param.inputs) as f64;
        let gain = if param.name.starts_with("classifier") { 1.0 } else { 2.0 };
        for position in param.positions() {
            values[param.index(position)] = match param.role {
                Role::Dense | Role::Linear | Role::Depthwise => (normal(&mut rng) * (gain / fan_in).sqrt()) as f32,
                Role::Affine if position[2] == 0 => 1.0,
                Role::Affine | Role::Bias => 0.0,
            };
        }
    }
    let running = graph.statistics.iter().map(|s| initial_running(s.channels)).collect();
    Weights { values, running }
}

/// Mean 0, variance 1, in whole quads.
fn initial_running(channels: u32) -> Vec<f32> {
    let width = channels.div_ceil(4) as usize * 4;
    (0..2 * width).map(|i| if i < width { 0.0 } else { 1.0 }).collect()
}

/// A standard normal number (Box, Muller 1958).
fn normal(rng: &mut impl RngExt) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

impl Weights {
    /// SHA-256 of all values, as 64 hex digits.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for values in std::iter::once(&self.values).chain(&self.running) {
            hasher.update(bytemuck::cast_slice(values));
        }
        hex(&hasher.finalize())
    }

    /// The weights that `small`, a sub-network, has in `large`: prefixes of channels, centres of kernels.
    pub fn prefix(&self, large: &Graph, small: &Graph) -> Self {
        let mut values = vec![0.0; small.values()];
        for param in &small.params {
            let source = large
                .params
                .iter()
                .find(|p| p.name == param.name)
                .expect("a sub-network's parameters are its super-network's");
            let border = (source.kernel - param.kernel) / 2;
            for [ky, kx, i, c] in param.positions() {
                values[param.index([ky, kx, i, c])] = self.values[source.index([ky + border, kx + border, i, c])];
            }
        }
        let running = small
            .statistics
            .iter()
            .map(|statistics| {
                let index = large
                    .statistics
                    .iter()
                    .position(|s| s.name == statistics.name)
                    .expect("a sub-network's statistics are its super-network's");
                let wide = self.running[index].len() / 2;
                let mut running = initial_running(statistics.channels);
                let narrow = running.len() / 2;
                let channels = statistics.channels as usize;
                running[..channels].copy_from_slice(&self.running[index][..channels]);
                running[narrow..narrow + channels].copy_from_slice(&self.running[index][wide..wide + channels]);
                running
            })
            .collect();
        Self { values, running }
    }
}
