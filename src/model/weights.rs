//! Weights as safetensors, under PyTorch's names and layouts.

use crate::graph::{Graph, Param, Role, Weights};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// Why a file of weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Not a safetensors file, or a damaged one.
    #[error("not a file of weights: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor is missing.
    #[error("the weights have no tensor `{name}`")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape or type.
    #[error("tensor `{name}` is {got}, and the network needs f32 {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What the network needs.
        expected: Vec<usize>,
        /// What the file has.
        got: String,
    },
    /// A value that no network can be run with.
    #[error("tensor `{name}` has a value that is not finite, or a negative variance")]
    Value {
        /// Its name.
        name: String,
    },
}

/// One tensor of a file: name, shape, and the place of every value in PyTorch's order.
struct Stored {
    name: String,
    shape: Vec<usize>,
    places: Vec<Place>,
}

/// Where a value lives in `Weights`.
enum Place {
    Value(usize),
    Running(usize, usize),
}

/// The tensors of a graph in the order of its parameters.
fn stored(graph: &Graph) -> Vec<Stored> {
    let mut tensors = Vec::new();
    for param in &graph.params {
        let of = |index| Place::Value(param.index(index));
        let o = param.channels;
        match param.role {
            Role::Dense | Role::Linear | Role::Depthwise => {
                let (shape, positions) = layout(param);
                let places = positions.into_iter().map(of).collect();
                tensors.push(Stored { name: param.name.clone(), shape, places });
            }
            Role::Bias => tensors.push(Stored {
                name: param.name.clone(),
                shape: vec![o as usize],
                places: (0..o).map(|channel| of([0, 0, 0, channel])).collect(),
            }),
            Role::Affine => {
                let index = graph
                    .statistics
                    .iter()
                    .position(|s| s.name == param.name)
                    .expect("a normalisation has statistics of its name");
                let width = param.row_quads() as usize * 4;
                let rows = [
                    ("weight", (0..o).map(|c| of([0, 0, 0, c])).collect()),
                    ("bias", (0..o).map(|c| of([0, 0, 1, c])).collect()),
                    ("running_mean", (0..o as usize).map(|c| Place::Running(index, c)).collect()),
                    ("running_var", (0..o as usize).map(|c| Place::Running(index, width + c)).collect()),
                ];
                tensors.extend(rows.map(|(suffix, places): (&str, Vec<Place>)| Stored {
                    name: format!("{}.{suffix}", param.name),
                    shape: vec![o as usize],
                    places,
                }));
            }
        }
    }
    tensors
}

/// PyTorch's shape of the weights of a convolution or linear layer, and the positions of its values in order.
pub(super) fn layout(param: &Param) -> (Vec<usize>, Vec<[u32; 4]>) {
    let (o, i, k) = (param.channels, param.inputs, param.kernel);
    let mut positions = Vec::with_capacity((o * i * k * k) as usize);
    for channel in 0..o {
        for input in 0..i {
            positions.extend((0..k * k).map(|tap| [tap / k, tap % k, input, channel]));
        }
    }
    let mut shape = vec![o as usize, i as usize];
    // Linear layers have two dimensions in PyTorch.
    if param.role != Role::Linear {
        shape.extend([k as usize; 2]);
    }
    (shape, positions)
}

/// A file of `weights`.
pub fn to_safetensors(graph: &Graph, weights: &Weights) -> Result<Vec<u8>, WeightsError> {
    let tensors: Vec<(Stored, Vec<u8>)> = stored(graph)
        .into_iter()
        .map(|tensor| {
            let value = |place: &Place| match *place {
                Place::Value(index) => weights.values[index],
                Place::Running(index, channel) => weights.running[index][channel],
            };
            let bytes = tensor.places.iter().flat_map(|place| value(place).to_le_bytes()).collect();
            (tensor, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(tensor, bytes)| Ok((&tensor.name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(safetensors::serialize(views, Some(metadata()))?)
}

/// What programs that load such files ask for: that tensors are laid out as PyTorch's.
pub(super) fn metadata() -> HashMap<String, String> {
    HashMap::from([("format".to_owned(), "pt".to_owned())])
}

/// The weights of `graph` in a file; tensors that the graph does not have are ignored.
pub fn from_safetensors(graph: &Graph, bytes: &[u8]) -> Result<Weights, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let running =
        graph.statistics.iter().map(|s| vec![0.0; s.channels.div_ceil(4) as usize * 8]).collect::<Vec<Vec<f32>>>();
    let mut weights = Weights { values: vec![0.0; graph.values()], running };
    for tensor in stored(graph) {
        let view = file.tensor(&tensor.name).map_err(|_| WeightsError::Missing { name: tensor.name.clone() })?;
        if !tensor.is_like(&view) {
            let got = format!("{:?} {:?}", view.dtype(), view.shape());
            return Err(WeightsError::Shape { name: tensor.name, expected: tensor.shape, got });
        }
        tensor.read(&view, &mut weights)?;
    }
    Ok(weights)
}

/// What a network's weights took from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Names of the tensors that were taken.
    pub taken: Vec<String>,
    /// Tensors of the network that the file does not have, or has in another shape, each in words.
    pub left: Vec<String>,
    /// Tensors of the file that the network does not have.
    pub unused: Vec<String>,
}

/// Overwrites every tensor of `weights` that the file has under the same name, in the same shape, as f32.
///
/// # Errors
/// `WeightsError` where it is no file of weights, or a value that is taken is none that a network can run with;
/// `weights` may have changed in part then.
pub fn take_matching(graph: &Graph, weights: &mut Weights, bytes: &[u8]) -> Result<Matched, WeightsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut matched = Matched::default();
    let tensors = stored(graph);
    for tensor in &tensors {
        match file.tensor(&tensor.name) {
            Ok(view) if tensor.is_like(&view) => {
                tensor.read(&view, weights)?;
                matched.taken.push(tensor.name.clone());
            }
            Ok(view) => matched.left.push(format!(
                "{} ({:?} {:?} in the file, {:?} here)",
                tensor.name,
                view.dtype(),
                view.shape(),
                tensor.shape
            )),
            Err(_) => matched.left.push(format!("{} (not in the file)", tensor.name)),
        }
    }
    let is_known = |name: &String| tensors.iter().any(|tensor| tensor.name == *name);
    matched.unused = file.names().into_iter().map(ToString::to_string).filter(|name| !is_known(name)).collect();
    matched.unused.sort();
    Ok(matched)
}

/// Gives `weights` the tensors with these names that `others`, of the same graph, have.
pub fn copy_tensors(graph: &Graph, weights: &mut Weights, others: &Weights, names: &[String]) {
    for place in stored(graph).iter().filter(|tensor| names.contains(&tensor.name)).flat_map(|tensor| &tensor.places) {
        match *place {
            Place::Value(index) => weights.values[index] = others.values[index],
            Place::Running(index, channel) => weights.running[index][channel] = others.running[index][channel],
        }
    }
}

impl Stored {
    /// Whether a tensor of a file has this one's shape, as f32.
    fn is_like(&self, view: &TensorView<'_>) -> bool {
        view.dtype() == Dtype::F32 && view.shape() == self.shape
    }

    /// Puts the values of a tensor of this shape into their places.
    fn read(&self, view: &TensorView<'_>, weights: &mut Weights) -> Result<(), WeightsError> {
        let is_variance = self.name.ends_with("running_var");
        for (place, bytes) in self.places.iter().zip(view.data().chunks_exact(4)) {
            let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if !value.is_finite() || (is_variance && value < 0.0) {
                return Err(WeightsError::Value { name: self.name.clone() });
            }
            match *place {
                Place::Value(index) => weights.values[index] = value,
                Place::Running(index, channel) => weights.running[index][channel] = value,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{initial_weights, lower};
    use crate::space::Space;

    #[test]
    fn weights_survive_their_file() {
        for preset in ["tiny", "mobile", "plain"] {
            let net = Space::open(preset).unwrap().supernet(64, 3, 7);
            let graph = lower(&net, &net.full());
            let mut weights = initial_weights(&graph, 5);
            for (index, running) in weights.running.iter_mut().enumerate() {
                // Padding channels are not stored: they keep what a file gives them, zero.
                let width = running.len() / 2;
                let channels = graph.statistics[index].channels as usize;
                for (place, value) in running.iter_mut().enumerate() {
                    *value = if place % width < channels { place as f32 * 0.25 } else { 0.0 };
                }
            }
            let file = to_safetensors(&graph, &weights).unwrap();
            assert_eq!(from_safetensors(&graph, &file).unwrap(), weights, "{preset}");
        }
    }

    #[test]
    fn what_matches_is_taken_and_what_does_not_is_named() {
        let net = Space::open("tiny").unwrap().supernet(28, 1, 10);
        let other = Space::open("tiny").unwrap().supernet(28, 1, 11);
        let (graph, other) = (lower(&net, &net.full()), lower(&other, &other.full()));
        let theirs = initial_weights(&other, 7);
        let file = to_safetensors(&other, &theirs).unwrap();
        let new = initial_weights(&graph, 0);
        let mut weights = new.clone();
        let matched = take_matching(&graph, &mut weights, &file).unwrap();
        let all = stored(&graph).len();
        assert_eq!(matched.taken.len(), all - 2);
        assert_eq!(
            matched.left,
            [
                "classifier.weight (F32 [11, 160] in the file, [10, 160] here)",
                "classifier.bias (F32 [11] in the file, [10] here)"
            ]
        );
        assert_eq!(matched.unused, [""; 0]);
        for (param, same) in graph.params.iter().zip(&other.params) {
            let from = if param.name.starts_with("classifier") { (&new, param) } else { (&theirs, same) };
            for place in param.positions() {
                assert_eq!(weights.values[param.index(place)], from.0.values[from.1.index(place)], "{}", param.name);
            }
        }

        let more = [("head.extra", TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap())];
        let matched = take_matching(&graph, &mut weights, &safetensors::serialize(more, None).unwrap()).unwrap();
        assert_eq!((matched.taken.len(), matched.left.len(), matched.unused), (0, all, vec!["head.extra".to_owned()]));
        let endless = to_safetensors(&graph, &Weights { values: vec![f32::NAN; new.values.len()], ..new.clone() });
        let error = take_matching(&graph, &mut weights, &endless.unwrap()).unwrap_err().to_string();
        assert!(error.contains("stem.conv.weight"), "{error}");
    }

    #[test]
    fn a_file_of_another_network_is_refused_by_name() {
        let net = Space::open("tiny").unwrap().supernet(28, 1, 10);
        let other = Space::open("tiny").unwrap().supernet(28, 1, 11);
        let (graph, other) = (lower(&net, &net.full()), lower(&other, &other.full()));
        let file = to_safetensors(&other, &initial_weights(&other, 0)).unwrap();
        let error = from_safetensors(&graph, &file).unwrap_err().to_string();
        assert!(error.contains("classifier"), "{error}");
        assert!(matches!(from_safetensors(&graph, b"nonsense"), Err(WeightsError::Format(_))));
    }
}
