//! `model.onnx`: the deployed network as an ONNX graph.
//!
//! Pixels (N, C, S, S) from 0 to 1 go in, logits (N, classes) come out. Normalisation is the first two
//! nodes, batch normalisation is folded, and a node is named after its layer. A bypass is a slice of the
//! layer's input and a concatenation; a residual sum of unequal widths fills the narrower side with zeros.

use super::ExportError;
use super::describe::metadata;
use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::graph::{Fused, Graph, Op, ShortcutEdge, TensorId, fuse};
use crate::model::{FoldedLayer, Network};
use crate::space::{Activation, Shortcut};
use std::collections::HashMap;

/// The name of the input.
pub(super) const PIXELS: &str = "pixels";
/// The name of the output.
pub(super) const LOGITS: &str = "logits";

/// Which ONNX is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnnxOptions {
    opset: i64,
    /// Images of a batch; `None` for any number.
    batch: Option<u32>,
}

impl Default for OnnxOptions {
    /// Opset 17, one image.
    fn default() -> Self {
        Self { opset: 17, batch: Some(1) }
    }
}

impl OnnxOptions {
    /// Version of the operators, and the images of a batch: `None` for any number.
    ///
    /// # Errors
    /// `ExportError::Opset` for a version that is not written.
    pub fn new(opset: u32, batch: Option<u32>) -> Result<Self, ExportError> {
        let options = Self { opset: opset.into(), batch };
        options.ir_version().map(|_| options).ok_or(ExportError::Opset { opset })
    }

    /// The oldest format that has the operators: one that is too new is what readers refuse most.
    fn ir_version(self) -> Option<i64> {
        match self.opset {
            13 => Some(7),
            17 => Some(8),
            21 => Some(10),
            _ => None,
        }
    }
}

/// The network as a model of ONNX.
pub(super) fn model(network: &Network, options: OnnxOptions) -> ModelProto {
    let architecture = &network.architecture;
    let mut writer = Writer { opset: options.opset, graph: GraphProto::default(), values: HashMap::new() };
    writer.normalise(network);
    for fused in fuse(&network.graph) {
        writer.operation(network, &fused);
    }
    let size = Some(architecture.size);
    writer.graph.name = format!("netadapt {}", architecture.space.name);
    writer.graph.input = vec![value(PIXELS, &[options.batch, Some(architecture.channels), size, size], "IMAGE")];
    writer.graph.output = vec![value(LOGITS, &[options.batch, Some(network.net.classes())], "")];
    ModelProto {
        ir_version: options.ir_version().expect("options exist for known versions only"),
        producer_name: "netadapt".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(writer.graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: metadata(architecture)
            .into_iter()
            .map(|(key, value)| StringStringEntryProto { key, value })
            .collect(),
    }
}

/// A graph being written.
struct Writer {
    opset: i64,
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

    fn operation(&mut self, network: &Network, fused: &Fused<'_>) {
        let graph = &network.graph;
        let folded = FoldedLayer::of(graph, &network.weights, fused);
        let (y, value) = match (fused.op, folded) {
            (Op::Conv { conv, x, .. }, Some(layer)) => {
                let value = self.convolution(&layer, *x, [conv.kernel, conv.stride, 1]);
                self.epilogue(network, fused, &layer, value)
            }
            (Op::Depthwise { depthwise, x, .. }, Some(layer)) => {
                let value = self.convolution(&layer, *x, [depthwise.kernel, depthwise.stride, depthwise.channels]);
                self.epilogue(network, fused, &layer, value)
            }
            (Op::Linear { x, z, .. }, Some(layer)) => {
                let value = match self.is_classifier(graph, fused, *z) {
                    true => self.classifier(&layer, *x),
                    false => self.convolution(&layer, *x, [1, 1, 1]),
                };
                self.epilogue(network, fused, &layer, value)
            }
            (Op::Pool { x, y, .. }, _) => {
                let x = self.values[x].clone();
                (*y, self.node("GlobalAveragePool", &graph.tensors[*y].name, &[&x], Vec::new()))
            }
            (Op::Excite { x, gate, y, .. }, _) => {
                let (x, gate) = (self.values[x].clone(), self.values[gate].clone());
                (*y, self.node("Mul", &graph.tensors[*y].name, &[&x, &gate], Vec::new()))
            }
            _ => unreachable!("what has weights is folded, and a normalisation belongs to what it follows"),
        };
        self.values.insert(y, value);
    }

    /// The classifier's is the linear layer whose output are the logits; the others are squeeze-and-excite's.
    fn is_classifier(&self, graph: &Graph, fused: &Fused<'_>, z: TensorId) -> bool {
        let y = if let Some(Op::Norm { y, .. }) = fused.norm { *y } else { z };
        y == graph.logits
    }

    /// A convolution with "same" padding; a linear layer of squeeze-and-excite is one of a single pixel.
    fn convolution(&mut self, layer: &FoldedLayer, x: TensorId, [kernel, stride, group]: [u32; 3]) -> String {
        let mut shape = layer.shape.clone();
        shape.resize(4, 1);
        let weight = self.floats(&format!("{}.weight", layer.path), &shape, &layer.weight);
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
        let weight = self.floats(&format!("{}.weight", layer.path), &layer.shape, &layer.weight);
        let bias = self.floats(&format!("{}.bias", layer.path), &[layer.bias.len()], &layer.bias);
        let x = self.values[&x].clone();
        let flat = self.node("Flatten", "flatten", &[&x], vec![int("axis", 1)]);
        let output = self.node("Gemm", &layer.path, &[&flat, &weight, &bias], vec![int("transB", 1)]);
        let node = self.graph.node.last_mut().expect("a node was written");
        node.output = vec![LOGITS.to_owned()];
        debug_assert_eq!(output, layer.path);
        LOGITS.to_owned()
    }

    /// Activation and shortcut after the filters in `value`; the tensor that they make.
    fn epilogue(
        &mut self,
        network: &Network,
        fused: &Fused<'_>,
        layer: &FoldedLayer,
        value: String,
    ) -> (TensorId, String) {
        let Some(Op::Norm { activation, shortcut, y, .. }) = fused.norm else {
            unreachable!("a convolution is followed by its normalisation or bias")
        };
        let value = self.activation(&layer.path, *activation, value);
        let value = match shortcut {
            Some(edge) => self.shortcut(network, edge, layer, value),
            None => value,
        };
        (*y, value)
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

/// An input or output of f32; a dimension without a number is `batch`.
fn value(name: &str, shape: &[Option<u32>], denotation: &str) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|size| DimensionProto {
            dim_value: size.map(i64::from),
            dim_param: if size.is_none() { Some("batch".into()) } else { None },
        })
        .collect();
    let tensor_type = TensorTypeProto { elem_type: TensorProto::FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), denotation: denotation.into() }),
    }
}
