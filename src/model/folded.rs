//! Weights as a deployed network has them: normalisation folded, PyTorch's layouts.

use super::weights::{WeightsError, layout, metadata};
use crate::graph::{FusedLayer, Graph, Weights, fused_layers};
use crate::kernels::norm::EPSILON;
use crate::kernels::optimizer::BLOCK;
use half::f16;
use safetensors::tensor::{Dtype, TensorView};

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
    /// A layer of `graph` with these weights.
    pub fn of(graph: &Graph, weights: &Weights, layer: &FusedLayer) -> Self {
        let param = &graph.params[layer.weight];
        let (shape, positions) = layout(param);
        let mut folded = layer.fold(graph, weights);
        folded.bias.truncate(param.channels as usize);
        let first = (param.first_block * BLOCK * 4) as usize;
        Self {
            path: param.name.trim_end_matches(".weight").to_owned(),
            shape,
            weight: positions.into_iter().map(|position| folded.weight[param.index(position) - first]).collect(),
            bias: folded.bias,
        }
    }

    /// The layers of `graph` with these weights, in the order of the data.
    pub fn all(graph: &Graph, weights: &Weights) -> Vec<Self> {
        fused_layers(graph).map(|layer| Self::of(graph, weights, &layer)).collect()
    }
}

/// Type of the folded weights in a file; biases are always f32, there are few of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits (IEEE 754), each value rounded to the nearest.
    F16,
}

impl WeightType {
    /// Values of this type, little-endian.
    pub fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }
}

/// Weights that fold to what a file of f16 holds: what such a file costs can be measured with them.
pub fn rounded(graph: &Graph, weights: &Weights) -> Weights {
    let mut rounded = weights.clone();
    for layer in fused_layers(graph) {
        let folded = layer.fold(graph, weights);
        let first = (graph.params[layer.weight].first_block * BLOCK * 4) as usize;
        for (at, value) in folded.weight.iter().enumerate() {
            rounded.values[first + at] = f16::from_f32(*value).to_f32();
        }
        let affine = &graph.params[layer.affine];
        for channel in 0..affine.channels {
            let mut set = |row: u32, value: f32| rounded.values[affine.index([0, 0, row, channel])] = value;
            let bias = folded.bias[channel as usize];
            if layer.statistics.is_some() {
                set(0, 1.0);
                set(1, bias);
            } else {
                set(0, bias);
            }
        }
        if let Some(index) = layer.statistics {
            // A normalisation that changes nothing.
            let (mean, variance) = rounded.running[index].split_at_mut(affine.row_quads() as usize * 4);
            mean.fill(0.0);
            variance.fill(1.0 - EPSILON);
        }
    }
    rounded
}

/// A file of the folded weights as `PATH.weight` and `PATH.bias`.
pub fn to_folded_safetensors(
    graph: &Graph,
    weights: &Weights,
    weight_type: WeightType,
) -> Result<Vec<u8>, WeightsError> {
    let layers = FoldedLayer::all(graph, weights);
    let values: Vec<_> = layers.iter().map(|layer| weight_type.bytes(&layer.weight)).collect();
    let mut views = Vec::with_capacity(layers.len() * 2);
    for (layer, values) in layers.iter().zip(&values) {
        let weight = TensorView::new(weight_type.dtype(), layer.shape.clone(), values)?;
        let bias = TensorView::new(Dtype::F32, vec![layer.bias.len()], bytemuck::cast_slice(&layer.bias))?;
        views.extend([(format!("{}.weight", layer.path), weight), (format!("{}.bias", layer.path), bias)]);
    }
    Ok(safetensors::serialize(views, Some(metadata()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{initial_weights, lower};
    use crate::space::Space;

    #[test]
    fn rounded_weights_fold_to_those_of_a_file_of_f16() {
        let net = Space::open("mobile").unwrap().supernet(64, 3, 7);
        let graph = lower(&net, &net.full());
        let mut weights = initial_weights(&graph, 5);
        for running in &mut weights.running {
            running.iter_mut().enumerate().for_each(|(i, v)| *v += 0.01 * (i % 17) as f32);
        }
        let half = rounded(&graph, &weights);
        for (before, after) in FoldedLayer::all(&graph, &weights).iter().zip(&FoldedLayer::all(&graph, &half)) {
            let close = |a: f32, b: f32| (a - b).abs() <= 2e-7 * a.abs();
            for (a, b) in before.weight.iter().zip(&after.weight) {
                assert!(close(f16::from_f32(*a).to_f32(), *b), "{}: {a} {b}", before.path);
            }
            assert!(before.bias.iter().zip(&after.bias).all(|(a, b)| close(*a, *b)), "{}", before.path);
            assert_ne!(before.weight, after.weight, "{}", before.path);
        }
    }
}
