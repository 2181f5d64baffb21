//! The nodes of `model.onnx`, each named after its layer.
//!
//! Normalisation is the first two nodes, batch normalisation is folded. A bypass is a slice of the layer's
//! input and a concatenation; a residual sum of unequal widths fills the narrower side with zeros. Weights in f16
//! are cast to f32 where they are used, which a runtime does once.

use super::onnx::{LOGITS, PIXELS};
use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use crate::graph::{Filters, Fused, FusedLayer, Graph, Op, ShortcutEdge, TensorId, fuse};
use crate::model::{FoldedLayer, Network, WeightType};
use crate::space::{Activation, Shortcut};
use std::collections::HashMap;

/// Nodes and constants of the network from `PIXELS` to `LOGITS`, without the graph's name, input and output.
pub(super) fn nodes(network: &Network, opset: i64, weights: WeightType) -> GraphProto {
    let mut writer = Writer { opset, weights, graph: GraphProto::default(), values: HashMap::new() };
    writer.normalise(network);
    for fused in fuse(&network.graph) {
        writer.operation(network, &fused);
    }
    writer.graph
}

/// A graph being written.
struct Writer {
    opset: i64,
    weights: WeightType,
    graph: GraphProto,
    /// The ONNX value of each tensor.
    values: HashMap<TensorId, String>,
}

impl Writer {
    fn normalise(&mut self, network: &Network) {
        let channels = network.architecture.channels as usize;
        let normalisation = &network.architecture.normalisation;
        let mean = self.floats("normalise.mean", &[1, channels, 1, 1], &normalisation.mean[..channels]);
        let std = self.floats("normalise.std", &[1, channels, 1, 1], &normalisation.std[..channels]);
        let centred = self.node("Sub", "normalise.subtract", &[PIXELS, &mean], Vec::new());
        let images = self.node("Div", "normalise.divide", &[&centred, &std], Vec::new());
        self.values.insert(Graph::IMAGES, images);
    }

    fn operation(&mut self, network: &Network, fused: &Fused) {
        let name = |tensor: &TensorId| &network.graph.tensors[*tensor].name;
        let (y, value) = match fused {
            Fused::Layer(layer) => (layer.y, self.layer(network, layer)),
            Fused::Alone(Op::Pool { x, y, .. }) => {
                let x = self.values[x].clone();
                (*y, self.node("GlobalAveragePool", name(y), &[&x], Vec::new()))
            }
            Fused::Alone(Op::Excite { x, gate, y, .. }) => {
                let (x, gate) = (self.values[x].clone(), self.values[gate].clone());
                (*y, self.node("Mul", name(y), &[&x, &gate], Vec::new()))
            }
            Fused::Alone(op) => unreachable!("{op:?} belongs to the layer before it"),
        };
        self.values.insert(y, value);
    }

    /// A layer with its activation and shortcut; the value that they make.
    fn layer(&mut self, network: &Network, layer: &FusedLayer) -> String {
        let folded = &FoldedLayer::of(&network.graph, &network.weights, layer);
        let value = match layer.filters {
            Filters::Conv(conv) => self.convolution(folded, layer.x, [conv.kernel, conv.stride, 1]),
            Filters::Depthwise(depthwise) => {
                self.convolution(folded, layer.x, [depthwise.kernel, depthwise.stride, depthwise.channels])
            }
            Filters::Linear(_) if layer.y == network.graph.logits => self.classifier(folded, layer.x),
            Filters::Linear(_) => self.convolution(folded, layer.x, [1, 1, 1]),
        };
        let value = self.activation(&folded.path, layer.activation, value);
        match &layer.shortcut {
            Some(edge) => self.shortcut(network, edge, folded, value),
            None => value,
        }
    }

    /// A convolution with "same" padding; a linear layer of squeeze-and-excite is one of a single pixel.
    fn convolution(&mut self, layer: &FoldedLayer, x: TensorId, [kernel, stride, group]: [u32; 3]) -> String {
        let mut shape = layer.shape.clone();
        shape.resize(4, 1);
        let weight = self.weight(&format!("{}.weight", layer.path), &shape, &layer.weight);
        let bias = self.floats(&format!("{}.bias", layer.path), &[layer.bias.len()], &layer.bias);
        let attributes = vec![
            ints("kernel_shape", &[kernel; 2]),
            ints("strides", &[stride; 2]),
            ints("pads", &[kernel / 2; 4]),
            int("group", group.into()),
        ];
        let x = self.values[&x].clone();
        self.node("Conv", &layer.path, &[&x, &weight, &bias], attributes)
    }

    fn classifier(&mut self, layer: &FoldedLayer, x: TensorId) -> String {
        let weight = self.weight(&format!("{}.weight", layer.path), &layer.shape, &layer.weight);
        let bias = self.floats(&format!("{}.bias", layer.path), &[layer.bias.len()], &layer.bias);
        let x = self.values[&x].clone();
        let flat = self.node("Flatten", "flatten", &[&x], vec![int("axis", 1)]);
        let output = self.node("Gemm", &layer.path, &[&flat, &weight, &bias], vec![int("transB", 1)]);
        let node = self.graph.node.last_mut().expect("a node was written");
        node.output = vec![LOGITS.to_owned()];
        debug_assert_eq!(output, layer.path);
        LOGITS.to_owned()
    }

    fn activation(&mut self, path: &str, activation: Activation, x: String) -> String {
        // The sixth is the nearest f32.
        let sigmoid = || vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        match activation {
            Activation::Identity => x,
            Activation::Relu => self.node("Relu", &format!("{path}.relu"), &[&x], Vec::new()),
            Activation::HardSigmoid => self.node("HardSigmoid", &format!("{path}.hard-sigmoid"), &[&x], sigmoid()),
            Activation::HardSwish if self.opset >= 14 => {
                self.node("HardSwish", &format!("{path}.hard-swish"), &[&x], Vec::new())
            }
            Activation::HardSwish => {
                let gate = self.node("HardSigmoid", &format!("{path}.hard-sigmoid"), &[&x], sigmoid());
                self.node("Mul", &format!("{path}.hard-swish"), &[&x, &gate], Vec::new())
            }
        }
    }

    /// The layer's input joins its filters. A bypass is allowed only where a layer does not narrow its
    /// input, so all of the input's channels may pass.
    fn shortcut(&mut self, network: &Network, edge: &ShortcutEdge, layer: &FoldedLayer, filters: String) -> String {
        let (kept, passing) = (layer.bias.len(), network.graph.tensors[edge.end].channels as usize);
        let (path, source) = (&layer.path, self.values[&edge.end].clone());
        match edge.kind {
            Shortcut::Bypass if kept < passing => {
                let [starts, ends, axes] = [("starts", kept), ("ends", passing), ("axes", 1)]
                    .map(|(name, value)| self.integers(&format!("{path}.bypass.{name}"), &[value]));
                let name = format!("{path}.bypass.slice");
                let rest = self.node("Slice", &name, &[&source, &starts, &ends, &axes], Vec::new());
                self.node("Concat", &format!("{path}.bypass.concat"), &[&filters, &rest], vec![int("axis", 1)])
            }
            Shortcut::Bypass | Shortcut::None => filters,
            Shortcut::Residual => {
                let width = kept.max(passing);
                let filters = self.widened(path, filters, width - kept);
                let source = self.widened(path, source, width - passing);
                self.node("Add", &format!("{path}.residual"), &[&filters, &source], Vec::new())
            }
        }
    }

    /// `x` with `channels` more of zeros.
    fn widened(&mut self, path: &str, x: String, channels: usize) -> String {
        if channels == 0 {
            return x;
        }
        let pads = self.integers(&format!("{path}.widen.pads"), &[0, 0, 0, 0, 0, channels, 0, 0]);
        self.node("Pad", &format!("{path}.widen"), &[&x, &pads], Vec::new())
    }

    /// Appends a node whose output has its name.
    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute,
        });
        name.to_owned()
    }

    /// A layer's weights as f32, whatever they are stored as.
    fn weight(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let raw_data = self.weights.bytes(values);
        match self.weights {
            WeightType::F32 => self.constant(name, shape, TensorProto::FLOAT, raw_data),
            WeightType::F16 => {
                let stored = self.constant(&format!("{name}.f16"), shape, TensorProto::FLOAT16, raw_data);
                self.node("Cast", name, &[&stored], vec![int("to", TensorProto::FLOAT.into())])
            }
        }
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(name, shape, TensorProto::FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn integers(&mut self, name: &str, values: &[usize]) -> String {
        let raw_data = values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect();
        self.constant(name, &[values.len()], TensorProto::INT64, raw_data)
    }

    fn constant(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|size| *size as i64).collect();
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), r#type: AttributeProto::INT, ..Default::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value), r#type: AttributeProto::FLOAT, ..Default::default() }
}

fn ints(name: &str, values: &[u32]) -> AttributeProto {
    let ints = values.iter().map(|value| i64::from(*value)).collect();
    AttributeProto { name: name.into(), ints, r#type: AttributeProto::INTS, ..Default::default() }
}
