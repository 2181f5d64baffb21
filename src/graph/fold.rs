//! A convolution and the normalisation after it as one: what deployed and exported networks are made of.

use super::{Graph, Op, ParamId, ShortcutEdge, TensorId, Weights};
use crate::kernels::conv::Conv;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::norm::EPSILON;
use crate::kernels::optimizer::BLOCK;
use crate::space::Activation;

/// An operation of a deployed network.
#[derive(Clone, Copy, Debug)]
pub enum Fused<'a> {
    /// A convolution or a linear layer, which takes along what follows it.
    Layer(FusedLayer),
    /// `Op::Pool` or `Op::Excite`.
    Alone(&'a Op),
}

/// A convolution or a linear layer with the normalisation or bias, activation and shortcut after it.
#[derive(Clone, Copy, Debug)]
pub struct FusedLayer {
    /// What it computes before them.
    pub filters: Filters,
    /// Input.
    pub x: TensorId,
    /// Its weights.
    pub weight: ParamId,
    /// Gamma and beta, or a bias.
    pub affine: ParamId,
    /// Index of the normalisation's statistics; `None` for a bias.
    pub statistics: Option<usize>,
    /// Activation.
    pub activation: Activation,
    /// The shortcut that ends here.
    pub shortcut: Option<ShortcutEdge>,
    /// Output.
    pub y: TensorId,
}

/// The kinds of operations that have weights.
#[derive(Clone, Copy, Debug)]
pub enum Filters {
    /// Dense convolution.
    Conv(Conv),
    /// Depthwise convolution.
    Depthwise(Depthwise),
    /// Fully connected layer.
    Linear(Conv),
}

/// The operations of `graph` as they are deployed.
pub fn fuse(graph: &Graph) -> Vec<Fused<'_>> {
    let mut ops = graph.ops.iter();
    let mut fused = Vec::new();
    while let Some(op) = ops.next() {
        let (filters, x, weight) = match op {
            Op::Conv { conv, x, weight, .. } => (Filters::Conv(*conv), *x, *weight),
            Op::Depthwise { depthwise, x, weight, .. } => (Filters::Depthwise(*depthwise), *x, *weight),
            Op::Linear { conv, x, weight, .. } => (Filters::Linear(*conv), *x, *weight),
            Op::Pool { .. } | Op::Excite { .. } => {
                fused.push(Fused::Alone(op));
                continue;
            }
            Op::Norm { .. } | Op::Bias { .. } => unreachable!("{op:?} belongs to the layer before it"),
        };
        let (affine, statistics, activation, shortcut, y) = match ops.next() {
            Some(Op::Norm { affine, statistics, activation, shortcut, y, .. }) => {
                (*affine, Some(*statistics), *activation, *shortcut, *y)
            }
            Some(Op::Bias { bias, activation, y, .. }) => (*bias, None, *activation, None, *y),
            other => unreachable!("a convolution is followed by its normalisation or bias, not by {other:?}"),
        };
        fused.push(Fused::Layer(FusedLayer { filters, x, weight, affine, statistics, activation, shortcut, y }));
    }
    fused
}

/// The convolutions and linear layers of `graph` as they are deployed.
pub fn fused_layers(graph: &Graph) -> impl Iterator<Item = FusedLayer> {
    fuse(graph).into_iter().filter_map(|fused| match fused {
        Fused::Layer(layer) => Some(layer),
        Fused::Alone(_) => None,
    })
}

/// Weights and bias of a convolution with the normalisation after it folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// In the layout of the parameter, from its first value on.
    pub weight: Vec<f32>,
    /// A value a filter, padded with zeros to whole quads.
    pub bias: Vec<f32>,
}

impl FusedLayer {
    /// Folds the normalisation into the weights, in f64.
    pub fn fold(&self, graph: &Graph, weights: &Weights) -> Folded {
        let (weight, affine) = (&graph.params[self.weight], &graph.params[self.affine]);
        let width = affine.row_quads() as usize * 4;
        let at = |row: u32, channel: u32| f64::from(weights.values[affine.index([0, 0, row, channel])]);
        let mut scale = vec![1.0; width];
        let mut bias = vec![0f32; width];
        for channel in 0..affine.channels {
            let c = channel as usize;
            match self.statistics {
                Some(index) => {
                    let running = &weights.running[index];
                    let (mean, variance) = (f64::from(running[c]), f64::from(running[width + c]));
                    scale[c] = at(0, channel) / (variance + f64::from(EPSILON)).sqrt();
                    bias[c] = (at(1, channel) - mean * scale[c]) as f32;
                }
                None => bias[c] = at(0, channel) as f32,
            }
        }
        let first = (weight.first_block * BLOCK * 4) as usize;
        let values = &weights.values[first..first + weight.quads() as usize * 4];
        let weight = values.iter().enumerate().map(|(i, value)| (f64::from(*value) * scale[i % width]) as f32);
        Folded { weight: weight.collect(), bias }
    }
}
