//! Update rules over all parameters at once.

use super::{folded, kernel};
use crate::gpu::{Buf, Kernel, Launch, Recording, Work};
use bytemuck::{Pod, Zeroable, bytes_of};

/// `shaders/optimizer/sgd.wgsl`.
pub static SGD: Kernel = kernel!("optimizer/sgd", "tensors", "fold", "quad", "control");
/// `shaders/optimizer/adamw.wgsl`.
pub static ADAMW: Kernel = kernel!("optimizer/adamw", "tensors", "fold", "quad", "control");

/// Quads of a block: every parameter tensor starts at a block of its own (`shaders/lib/tensors.wgsl`).
pub const BLOCK: u32 = 64;

/// One parameter tensor (K, K, I, O) as the update rules see it (`shaders/lib/tensors.wgsl`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Tensor {
    /// Its first block.
    pub first_block: u32,
    /// Quads of O.
    pub row_quads: u32,
    /// Rows of I, padding included.
    pub rows: u32,
    /// Side of the kernel.
    pub kernel: u32,
    /// Rows of I that some image of the batch keeps.
    pub active_rows: u32,
    /// Channels of O that some image keeps.
    pub active_channels: u32,
    /// Side of the largest kernel that some image uses.
    pub active_kernel: u32,
    /// 1 where weight decay applies.
    pub decays: u32,
}

/// Numbers that change from step to step (`shaders/lib/control.wgsl`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Control {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Weight of this batch in the running statistics.
    pub statistics_rate: f32,
    /// Largest norm of the gradient; 0 for any.
    pub clip_norm: f32,
    /// Number of this step, from 1.
    pub step: f32,
}

/// An update rule with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// SGD with Nesterov momentum; the moment has as many quads as the parameters.
    Sgd {
        /// Momentum.
        momentum: f32,
        /// Weight decay, added to the gradient.
        decay: f32,
    },
    /// AdamW; the moments have twice as many quads.
    AdamW {
        /// Decay of the first moment.
        first: f32,
        /// Decay of the second moment.
        second: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
        /// Decoupled weight decay.
        decay: f32,
    },
}

impl Rule {
    /// Moments that it keeps of every parameter.
    pub fn moments(&self) -> u32 {
        match self {
            Self::Sgd { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }
}

/// Operands of `step`.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// A `Control`.
    pub control: &'a Buf,
    /// The `Tensor`s.
    pub tensors: &'a Buf,
    /// Index of the tensor of every block.
    pub block_tensor: &'a Buf,
    /// Norm of all gradients (1).
    pub norm: &'a Buf,
    /// Gradients.
    pub gradient: &'a Buf,
    /// Parameters, updated.
    pub value: &'a Buf,
    /// Moments, updated.
    pub moment: &'a Buf,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SgdParams {
    blocks: u32,
    momentum: f32,
    decay: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct AdamWParams {
    blocks: u32,
    quads: u32,
    first: f32,
    second: f32,
    epsilon: f32,
    decay: f32,
}

/// Appends one update of `blocks` blocks of parameters.
pub fn step(rec: &mut Recording, rule: &Rule, blocks: u32, io: Step) {
    let (kernel, params) = match *rule {
        Rule::Sgd { momentum, decay } => (&SGD, bytes_of(&SgdParams { blocks, momentum, decay }).to_vec()),
        Rule::AdamW { first, second, epsilon, decay } => {
            let quads = blocks * BLOCK;
            (&ADAMW, bytes_of(&AdamWParams { blocks, quads, first, second, epsilon, decay }).to_vec())
        }
    };
    let bytes = u64::from(blocks * BLOCK) * 16;
    rec.push(Launch {
        kernel,
        overrides: Vec::new(),
        params,
        bindings: vec![
            ("control", io.control.clone()),
            ("tensors", io.tensors.clone()),
            ("block_tensor", io.block_tensor.clone()),
            ("norm", io.norm.clone()),
            ("gradient", io.gradient.clone()),
            ("value", io.value.clone()),
            ("moment", io.moment.clone()),
        ],
        groups: folded(blocks),
        work: Work { flops: bytes, bytes: 5 * bytes },
    });
}
