//! A convolution and the normalisation after it as one: what deployed and exported networks are made of.

use super::{Graph, Op, ParamId, Weights};
use crate::kernels::norm::EPSILON;
use crate::kernels::optimizer::BLOCK;

/// An operation of a deployed network: a convolution takes the normalisation after it along.
#[derive(Clone, Copy, Debug)]
pub struct Fused<'a> {
    /// Any operation but `Op::Norm`.
    pub op: &'a Op,
    /// The `Op::Norm` that follows a convolution or a linear layer.
    pub norm: Option<&'a Op>,
}

/// The operations of `graph` as they are deployed.
pub fn fuse(graph: &Graph) -> Vec<Fused<'_>> {
    let mut fused: Vec<Fused> = Vec::new();
    for op in &graph.ops {
        match (op, fused.last_mut()) {
            (Op::Norm { .. }, Some(last)) => last.norm = Some(op),
            _ => fused.push(Fused { op, norm: None }),
        }
    }
    fused
}

/// Weights and bias of a convolution with the normalisation after it folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// In the layout of the parameter, from its first value on.
    pub weight: Vec<f32>,
    /// A value a filter, padded with zeros to whole quads.
    pub bias: Vec<f32>,
}

impl Fused<'_> {
    /// Folds the normalisation into `weight`, a parameter of this operation, in f64.
    ///
    /// # Panics
    /// For an operation without a normalisation or bias: only convolutions and linear layers have one.
    pub fn fold(&self, graph: &Graph, weights: &Weights, weight: ParamId) -> Folded {
        let Some(Op::Norm { affine, statistics, .. }) = self.norm else {
            unreachable!("a convolution is followed by its normalisation or bias")
        };
        let (weight, affine) = (&graph.params[weight], &graph.params[*affine]);
        let width = affine.row_quads() as usize * 4;
        let at = |row: u32, channel: u32| f64::from(weights.values[affine.index([0, 0, row, channel])]);
        let mut scale = vec![1.0; width];
        let mut bias = vec![0f32; width];
        for channel in 0..affine.channels {
            let c = channel as usize;
            match statistics {
                Some(index) => {
                    let running = &weights.running[*index];
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
