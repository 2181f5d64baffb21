//! `model.onnx`: the deployed network as an ONNX graph.
//!
//! Pixels (N, C, S, S) from 0 to 1 go in, logits (N, classes) come out; what makes pixels of an image is
//! in the metadata.

use super::ExportError;
use super::describe::metadata;
use super::nodes::nodes;
use super::proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::{Network, WeightType};
use prost::Message;

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

/// `model.onnx` alone, as an export has it: for a runtime that is to be measured.
pub fn onnx_file(network: &Network, options: OnnxOptions, weights: WeightType) -> Vec<u8> {
    model(network, options, weights).encode_to_vec()
}

/// The network as a model of ONNX.
pub(super) fn model(network: &Network, options: OnnxOptions, weights: WeightType) -> ModelProto {
    let architecture = &network.architecture;
    let size = Some(architecture.size);
    let graph = GraphProto {
        name: format!("netadapt {}", architecture.space.name),
        input: vec![value(PIXELS, &[options.batch, Some(architecture.channels), size, size], "IMAGE")],
        output: vec![value(LOGITS, &[options.batch, Some(network.net.classes())], "")],
        ..nodes(network, options.opset, weights)
    };
    ModelProto {
        ir_version: options.ir_version().expect("options exist for known versions only"),
        producer_name: "netadapt".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: metadata(architecture)
            .into_iter()
            .map(|(key, value)| StringStringEntryProto { key, value })
            .collect(),
    }
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
