//! One operation of a deployed network: the unit of MACs, parameters and the latency table.
//!
//! Batch normalisation is folded into the convolution before it, and activation and shortcut are its
//! epilogue, so that an operation is one dispatch of this engine's runtime.

use super::shape::{LayerShape, Shortcut};
use super::supernet::{Activation, Arch, LayerKind, Supernet};
use serde::{Deserialize, Serialize};

/// What an operation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Dense convolution, bias, activation, shortcut.
    Conv,
    /// Depthwise convolution, bias, activation.
    Depthwise,
    /// Mean over the pixels.
    Pool,
    /// Fully connected layer, bias, activation.
    Linear,
    /// Every channel times its gate.
    Excite,
}

/// One operation with all that its latency depends on, beside device and batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Operation {
    /// What it computes.
    pub kind: OperationKind,
    /// Pixels a side of the input.
    pub size: u32,
    /// Side of the kernel (1 where there is none).
    pub kernel: u32,
    /// Stride.
    pub stride: u32,
    /// Channels in.
    pub input: u32,
    /// Filters computed.
    pub output: u32,
    /// Channels of the shortcut's source that reach the output; 0 without a shortcut.
    pub bypass: u32,
    /// How the shortcut reaches the output.
    pub shortcut: Shortcut,
    /// Activation.
    pub activation: Activation,
    /// Whether its bias stands for a batch normalisation (two parameters a channel) or is one.
    pub normalised: bool,
}

impl Operation {
    /// Pixels a side of the output.
    pub fn output_size(&self) -> u32 {
        super::shape::strided(self.size, self.stride)
    }

    /// Channels of the tensor that it writes.
    pub fn output_width(&self) -> u32 {
        self.output.max(self.bypass)
    }

    /// Multiply-accumulates of one image.
    pub fn macs(&self) -> u64 {
        let pixels = u64::from(self.output_size()).pow(2);
        let taps = u64::from(self.kernel).pow(2);
        match self.kind {
            OperationKind::Conv => pixels * taps * u64::from(self.input) * u64::from(self.output),
            OperationKind::Depthwise => pixels * taps * u64::from(self.output),
            OperationKind::Linear => u64::from(self.input) * u64::from(self.output),
            OperationKind::Pool | OperationKind::Excite => 0,
        }
    }

    /// Bytes of its weights and biases in f32, normalisation folded in.
    pub fn weight_bytes(&self) -> u64 {
        let folded = Self { normalised: false, ..*self };
        4 * folded.params()
    }

    /// Trainable parameters.
    pub fn params(&self) -> u64 {
        let taps = u64::from(self.kernel).pow(2);
        let per_channel = if self.normalised { 2 } else { 1 };
        let bias = per_channel * u64::from(self.output);
        match self.kind {
            OperationKind::Conv => taps * u64::from(self.input) * u64::from(self.output) + bias,
            OperationKind::Depthwise => taps * u64::from(self.output) + bias,
            OperationKind::Linear => u64::from(self.input) * u64::from(self.output) + bias,
            OperationKind::Pool | OperationKind::Excite => 0,
        }
    }
}

impl std::fmt::Display for Operation {
    /// A key that a human can read: `conv 14px 16>64 k1 s1 hard-swish`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            OperationKind::Conv => "conv",
            OperationKind::Depthwise => "depthwise",
            OperationKind::Pool => "pool",
            OperationKind::Linear => "linear",
            OperationKind::Excite => "excite",
        };
        let activation = match self.activation {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::HardSwish => "hard-swish",
            Activation::HardSigmoid => "hard-sigmoid",
        };
        write!(
            f,
            "{kind} {}px {}>{} k{} s{} {activation}",
            self.size, self.input, self.output, self.kernel, self.stride
        )?;
        match self.shortcut {
            Shortcut::None => Ok(()),
            Shortcut::Bypass => write!(f, " bypass {}", self.bypass),
            Shortcut::Residual => write!(f, " residual {}", self.bypass),
        }
    }
}

/// The operations of one layer, none for a removed one.
pub(crate) fn of_layer(kind: &LayerKind, shape: &LayerShape) -> Vec<Operation> {
    if shape.is_removed() {
        return Vec::new();
    }
    let conv = Operation {
        kind: OperationKind::Conv,
        size: shape.input_size,
        kernel: shape.kernel,
        stride: shape.stride,
        input: shape.input,
        output: shape.kept,
        bypass: if shape.shortcut == Shortcut::None { 0 } else { shape.bypass },
        shortcut: shape.shortcut,
        activation: shape.activation,
        normalised: true,
    };
    let LayerKind::InvertedResidual { squeeze, .. } = kind else {
        return vec![conv];
    };
    let plain = Operation { kernel: 1, stride: 1, bypass: 0, shortcut: Shortcut::None, ..conv };
    let expand = Operation { output: shape.expansion, ..plain };
    let depthwise = Operation {
        kind: OperationKind::Depthwise,
        kernel: shape.kernel,
        stride: shape.stride,
        input: shape.expansion,
        output: shape.expansion,
        ..plain
    };
    let project = Operation {
        size: shape.output_size,
        kernel: 1,
        stride: 1,
        input: shape.expansion,
        activation: Activation::Identity,
        ..conv
    };
    let mut operations = vec![expand, depthwise];
    if *squeeze {
        operations.extend(squeeze_excite(shape));
    }
    operations.push(project);
    operations
}

fn squeeze_excite(shape: &LayerShape) -> [Operation; 4] {
    let pool = pool(shape.output_size, shape.expansion);
    let linear = Operation { kind: OperationKind::Linear, size: 1, ..pool };
    [
        pool,
        Operation { output: shape.squeezed, activation: Activation::Relu, ..linear },
        Operation { input: shape.squeezed, activation: Activation::HardSigmoid, ..linear },
        Operation { kind: OperationKind::Excite, ..pool },
    ]
}

fn pool(size: u32, width: u32) -> Operation {
    Operation {
        kind: OperationKind::Pool,
        size,
        kernel: 1,
        stride: 1,
        input: width,
        output: width,
        bypass: 0,
        shortcut: Shortcut::None,
        activation: Activation::Identity,
        normalised: false,
    }
}

/// All operations of `arch`, the classifier's included.
pub(super) fn deployed(net: &Supernet, arch: &Arch) -> Vec<Operation> {
    let shapes = net.shapes(arch);
    let mut operations: Vec<Operation> =
        shapes.iter().flat_map(|shape| of_layer(&net.layers()[shape.layer].kind, shape)).collect();
    let last = shapes.last().expect("a super-network has layers");
    let pool = pool(last.output_size, last.output);
    operations.push(pool);
    operations.push(Operation { kind: OperationKind::Linear, size: 1, output: net.classes(), ..pool });
    operations
}
