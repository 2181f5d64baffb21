//! Runs an ONNX file in plain loops: just the operators that an export has, to check what was written.
//!
//! Values are f64, so that a difference from the engine is the engine's rounding. The file may be anybody's:
//! every shape is checked, and what would take too much memory or time is refused.

use super::ExportError;
use super::array::{Array, Window};
use super::onnx::{LOGITS, PIXELS};
use super::proto::{AttributeProto, ModelProto, NodeProto, TensorProto};
use half::f16;
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;

/// The values of all arrays that are alive at most, and of one that is being made: 64 MiB each.
const MAX_VALUES: usize = 1 << 23;

/// Whether this is an ONNX model that gives logits of a grey image of 8 x 8 pixels, for `formats`.
pub(crate) fn reads_onnx(bytes: &[u8]) -> bool {
    let image = Array::new(vec![1, 1, 8, 8], vec![0.5; 64]).expect("the values fill the shape");
    Evaluator::new(bytes).is_ok_and(|model| model.logits(&image).is_ok())
}

/// An ONNX model read from its bytes.
pub(super) struct Evaluator {
    model: ModelProto,
}

impl Evaluator {
    /// The model in a file of a size that the caller has capped.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, ExportError> {
        let model = ModelProto::decode(bytes).map_err(|error| ExportError::Onnx { problem: error.to_string() })?;
        Ok(Self { model })
    }

    /// Whether some of its constants are f16.
    pub(super) fn is_half(&self) -> bool {
        let constants = self.model.graph.iter().flat_map(|graph| &graph.initializer);
        constants.into_iter().any(|tensor| tensor.data_type == TensorProto::FLOAT16)
    }

    /// Logits of one image (1, C, S, S) from 0 to 1.
    pub(super) fn logits(&self, image: &Array) -> Result<Vec<f64>, ExportError> {
        self.run(image).map_err(|problem| ExportError::Onnx { problem })
    }

    fn run(&self, image: &Array) -> Result<Vec<f64>, String> {
        let graph = self.model.graph.as_ref().ok_or("the file has no graph")?;
        let constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut uses: HashMap<&str, usize> = HashMap::from([(LOGITS, 1)]);
        for input in graph.node.iter().flat_map(|node| &node.input) {
            *uses.entry(input).or_default() += 1;
        }
        let mut values: HashMap<&str, Array> = HashMap::from([(PIXELS, image.clone())]);
        for node in &graph.node {
            let output = node.output.first().ok_or_else(|| format!("node `{}` has no output", node.name))?;
            let operands = Operands { node, values: &values, constants: &constants };
            let value = operands.run().map_err(|problem| format!("node `{}`: {problem}", node.name))?;
            values.insert(output, value);
            for input in &node.input {
                let left = uses.entry(input).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    values.remove(input.as_str());
                }
            }
            if values.values().map(Array::len).sum::<usize>() > MAX_VALUES {
                return Err(format!("node `{}` makes more values than are checked", node.name));
            }
        }
        values.remove(LOGITS).map(|logits| logits.values).ok_or_else(|| format!("no node writes `{LOGITS}`"))
    }
}

/// A node and what it may read.
struct Operands<'a> {
    node: &'a NodeProto,
    values: &'a HashMap<&'a str, Array>,
    constants: &'a HashMap<&'a str, &'a TensorProto>,
}

impl<'a> Operands<'a> {
    fn run(&self) -> Result<Array, String> {
        match self.node.op_type.as_str() {
            "Sub" => self.array(0)?.zip(&*self.array(1)?, |a, b| a - b),
            "Div" => self.array(0)?.zip(&*self.array(1)?, |a, b| a / b),
            "Mul" => self.array(0)?.zip(&*self.array(1)?, |a, b| a * b),
            "Add" => self.array(0)?.zip(&*self.array(1)?, |a, b| a + b),
            "Relu" => Ok(self.array(0)?.map(|x| x.max(0.0))),
            "HardSwish" => Ok(self.array(0)?.map(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
            "HardSigmoid" => {
                let (alpha, beta) = (f64::from(self.float("alpha")?), f64::from(self.float("beta")?));
                Ok(self.array(0)?.map(|x| (alpha * x + beta).clamp(0.0, 1.0)))
            }
            "Conv" => {
                let [kernel, stride, pad] =
                    [("kernel_shape", 2), ("strides", 2), ("pads", 4)].map(|(name, count)| self.square(name, count));
                let window = Window { kernel: kernel?, stride: stride?, pad: pad?, group: self.int("group")? };
                self.array(0)?.convolve(&*self.array(1)?, &*self.array(2)?, window, MAX_VALUES)
            }
            "Cast" if self.int("to")? == TensorProto::FLOAT as usize => Ok(self.array(0)?.into_owned()),
            "GlobalAveragePool" => self.array(0)?.pool(),
            "Flatten" => self.array(0)?.flatten(self.int("axis")?),
            "Gemm" if self.int("transB")? == 1 => self.array(0)?.linear(&*self.array(1)?, &*self.array(2)?),
            "Slice" if self.integers(3)? == [1] => {
                let (starts, ends) = (self.integers(1)?, self.integers(2)?);
                let ([start], [end]) = (starts.as_slice(), ends.as_slice()) else {
                    return Err("one start and one end are read".into());
                };
                self.array(0)?.slice(*start, *end)
            }
            "Concat" if self.int("axis")? == 1 => self.array(0)?.concat(&*self.array(1)?),
            "Pad" => match self.integers(1)?.as_slice() {
                [0, 0, 0, 0, 0, channels, 0, 0] => self.array(0)?.widen(*channels, MAX_VALUES),
                other => Err(format!("pads {other:?} are not those of channels at the end")),
            },
            other => Err(format!("operator `{other}` as it is here is not one that netadapt writes")),
        }
    }

    fn constant(&self, name: &str) -> Result<&TensorProto, String> {
        self.constants.get(name).copied().ok_or_else(|| format!("`{name}` has no value here"))
    }

    fn name(&self, index: usize) -> Result<&str, String> {
        self.node.input.get(index).map(String::as_str).ok_or_else(|| format!("input {index} is missing"))
    }

    /// What a node before this one made, or a constant.
    fn array(&self, index: usize) -> Result<Cow<'a, Array>, String> {
        let name = self.name(index)?;
        if let Some(value) = self.values.get(name) {
            return Ok(Cow::Borrowed(value));
        }
        let tensor = self.constant(name)?;
        let shape = tensor.dims.iter().map(|size| usize::try_from(*size)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| format!("`{name}` has the shape {:?}", tensor.dims))?;
        let raw = &tensor.raw_data;
        let values = match tensor.data_type {
            TensorProto::FLOAT => {
                raw.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
            }
            TensorProto::FLOAT16 => raw.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
            _ => return Err(format!("`{name}` is neither of f32 nor of f16")),
        };
        Array::new(shape, values).map(Cow::Owned).map_err(|problem| format!("`{name}`: {problem}"))
    }

    fn integers(&self, index: usize) -> Result<Vec<usize>, String> {
        let name = self.name(index)?;
        let tensor = self.constant(name)?;
        if tensor.data_type != TensorProto::INT64 || tensor.raw_data.len() > 64 {
            return Err(format!("`{name}` is not a short list of i64"));
        }
        let value = |bytes: &[u8]| bytes.try_into().ok().and_then(|b| usize::try_from(i64::from_le_bytes(b)).ok());
        let values = tensor.raw_data.chunks(8).map(value).collect::<Option<Vec<_>>>();
        values.ok_or_else(|| format!("`{name}` has a value that is no size"))
    }

    fn attribute(&self, name: &str) -> Result<&AttributeProto, String> {
        let found = self.node.attribute.iter().find(|attribute| attribute.name == name);
        found.ok_or_else(|| format!("attribute `{name}` is missing"))
    }

    fn float(&self, name: &str) -> Result<f32, String> {
        self.attribute(name)?.f.ok_or_else(|| format!("attribute `{name}` is not a number"))
    }

    fn int(&self, name: &str) -> Result<usize, String> {
        let value = self.attribute(name)?.i.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| format!("attribute `{name}` is not a size"))
    }

    /// A size given `count` times.
    fn square(&self, name: &str, count: usize) -> Result<usize, String> {
        let values = &self.attribute(name)?.ints;
        let first = values.first().and_then(|value| usize::try_from(*value).ok());
        first
            .filter(|_| values.len() == count && values.iter().all(|v| *v == values[0]))
            .ok_or_else(|| format!("attribute `{name}` is {values:?}, and {count} times the same size is read"))
    }
}
