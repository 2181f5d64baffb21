//! Weights as a deployed network has them: normalisation folded, PyTorch's layouts.

use super::weights::{WeightsError, layout};
use crate::graph::{Fused, Graph, Op, Weights, fuse};
use crate::kernels::optimizer::BLOCK;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// Weights and bias of a convolution or a linear layer with the normalisation after it folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedLayer {
    /// The path of the layer, such as `blocks.2.expand`.
    pub path: String,
    /// (O, I, K, K), (C, 1, K, K) or (O, I).
    pub shape: Vec<usize>,
    /// Weights of that shape.
    pub weight: Vec<f32>,
    /// Bias (O).
    pub bias: Vec<f32>,
}

impl FoldedLayer {
    /// The layer of one operation; `None` where it has no weights.
    pub fn of(graph: &Graph, weights: &Weights, fused: &Fused<'_>) -> Option<Self> {
        let (Op::Conv { weight, .. } | Op::Depthwise { weight, .. } | Op::Linear { weight, .. }) = fused.op else {
            return None;
        };
        let param = &graph.params[*weight];
        let (shape, positions) = layout(param);
        let mut folded = fused.fold(graph, weights, *weight);
        folded.bias.truncate(param.channels as usize);
        let first = (param.first_block * BLOCK * 4) as usize;
        Some(Self {
            path: param.name.trim_end_matches(".weight").to_owned(),
            shape,
            weight: positions.into_iter().map(|position| folded.weight[param.index(position) - first]).collect(),
            bias: folded.bias,
        })
    }
}

/// A file of the folded weights as `PATH.weight` and `PATH.bias`, with these metadata.
pub fn to_folded_safetensors(
    graph: &Graph,
    weights: &Weights,
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let layers: Vec<_> = fuse(graph).iter().filter_map(|fused| FoldedLayer::of(graph, weights, fused)).collect();
    let mut views = Vec::with_capacity(layers.len() * 2);
    for layer in &layers {
        let weight = TensorView::new(Dtype::F32, layer.shape.clone(), bytemuck::cast_slice(&layer.weight))?;
        let bias = TensorView::new(Dtype::F32, vec![layer.bias.len()], bytemuck::cast_slice(&layer.bias))?;
        views.extend([(format!("{}.weight", layer.path), weight), (format!("{}.bias", layer.path), bias)]);
    }
    Ok(safetensors::serialize(views, Some(metadata))?)
}
