//! The super-network's layers, the coordinates that shrink them, and one choice of them: an architecture.

use super::shape::{self, LayerShape};
use serde::{Deserialize, Serialize};

/// An activation function, applied to the filters of a layer and never to bypassed channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x * min(max(x + 3, 0), 6) / 6` (Howard et al., MobileNetV3, 2019).
    HardSwish,
    /// `min(max(x + 3, 0), 6) / 6`, the gate of squeeze-and-excite.
    HardSigmoid,
}

/// What a layer is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// Convolution, batch normalisation, activation.
    Conv {
        /// Side of the square kernel, odd.
        kernel: u32,
    },
    /// 1x1 expansion, depthwise convolution, optional squeeze-and-excite, 1x1 projection (MobileNetV3).
    InvertedResidual {
        /// Channels of the expansion at most.
        expansion: u32,
        /// The fewest channels that the expansion may keep.
        min_expansion: u32,
        /// Sides of the depthwise kernel to choose from, odd, ascending: one super-kernel, the largest, holds them.
        kernels: Vec<u32>,
        /// Whether a squeeze-and-excite follows the depthwise convolution.
        squeeze: bool,
    },
}

/// One layer of the super-network at its full size.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// A name without spaces, the prefix of its parameters' names.
    pub name: String,
    /// What it is made of.
    pub kind: LayerKind,
    /// Output filters at most.
    pub filters: u32,
    /// Output filters at least: 0 only where the bypass is allowed.
    pub min_filters: u32,
    /// Stride of its spatial convolution, 1 or 2.
    pub stride: u32,
    /// Whether dropped filters are replaced by the layer's input channels.
    pub bypass: bool,
    /// Activation of its inner convolutions (the projection has none).
    pub activation: Activation,
}

/// What a coordinate shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Filters kept by the layer (the projection's, in an inverted residual block).
    Filters,
    /// Channels kept by the expansion.
    Expansion,
    /// Side of the depthwise kernel.
    Kernel,
}

/// One searchable number of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// Index of its layer.
    pub layer: usize,
    /// What it shrinks.
    pub axis: Axis,
    /// Its values, ascending, on the finest grid; the last is the full size.
    pub choices: Vec<u32>,
}

/// Side and channels of the images that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Pixels a side.
    pub size: u32,
    /// 1 (grey) or 3 (colour).
    pub channels: u32,
}

/// The network that contains all others: layers at full size, in order, then mean pooling and a
/// linear classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Supernet {
    input: Input,
    classes: u32,
    layers: Vec<Layer>,
    coordinates: Vec<Coordinate>,
}

/// One choice of every coordinate, valid for the super-network that made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Arch(Vec<u32>);

impl Arch {
    /// The value of every coordinate, in the super-network's order.
    pub fn values(&self) -> &[u32] {
        &self.0
    }
}

impl Supernet {
    /// A super-network from layers that `Space` has validated.
    pub(super) fn new(input: Input, classes: u32, layers: Vec<Layer>) -> Self {
        let mut coordinates = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let mut push = |axis, choices: Vec<u32>| {
                coordinates.push(Coordinate { layer: index, axis, choices });
            };
            push(Axis::Filters, steps(layer.min_filters, layer.filters));
            if let LayerKind::InvertedResidual { expansion, min_expansion, kernels, .. } = &layer.kind {
                push(Axis::Expansion, steps(*min_expansion, *expansion));
                push(Axis::Kernel, kernels.clone());
            }
        }
        Self { input, classes, layers, coordinates }
    }

    /// Side and channels of its images.
    pub fn input(&self) -> Input {
        self.input
    }

    /// Number of classes.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Layers in the order of the data, without the classifier.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What can be searched, in the order of an `Arch`'s values.
    pub fn coordinates(&self) -> &[Coordinate] {
        &self.coordinates
    }

    /// A readable, unique name of a coordinate, such as `blocks.2.expansion`.
    pub fn coordinate_name(&self, index: usize) -> String {
        let coordinate = &self.coordinates[index];
        let axis = match coordinate.axis {
            Axis::Filters => "filters",
            Axis::Expansion => "expansion",
            Axis::Kernel => "kernel",
        };
        format!("{}.{axis}", self.layers[coordinate.layer].name)
    }

    /// The initial network: every coordinate at its largest.
    pub fn full(&self) -> Arch {
        Arch(self.coordinates.iter().map(|c| *c.choices.last().expect("a coordinate has choices")).collect())
    }

    /// The network with every coordinate at its smallest.
    pub fn smallest(&self) -> Arch {
        Arch(self.coordinates.iter().map(|c| c.choices[0]).collect())
    }

    /// The architecture with these values, or `None` where one is not a choice of its coordinate.
    pub fn arch(&self, values: Vec<u32>) -> Option<Arch> {
        let valid = values.len() == self.coordinates.len()
            && values.iter().zip(&self.coordinates).all(|(value, c)| c.choices.contains(value));
        valid.then_some(Arch(values))
    }

    /// `arch` with one coordinate changed, or `None` where `value` is not one of its choices.
    pub fn with(&self, arch: &Arch, coordinate: usize, value: u32) -> Option<Arch> {
        self.coordinates[coordinate].choices.contains(&value).then(|| {
            let mut values = arch.0.clone();
            values[coordinate] = value;
            Arch(values)
        })
    }

    /// Whether a coordinate can still shrink and matters: a removed block's expansion and kernel are dead.
    pub fn is_live(&self, arch: &Arch, coordinate: usize) -> bool {
        let c = &self.coordinates[coordinate];
        let shrinks = arch.0[coordinate] > c.choices[0];
        shrinks && (c.axis == Axis::Filters || self.value(arch, c.layer, Axis::Filters) > 0)
    }

    /// The value of one layer's axis; the layer's own constant where it is not a coordinate.
    pub fn value(&self, arch: &Arch, layer: usize, axis: Axis) -> u32 {
        self.coordinates.iter().position(|c| c.layer == layer && c.axis == axis).map(|index| arch.0[index]).unwrap_or(
            match &self.layers[layer].kind {
                LayerKind::Conv { kernel } if axis == Axis::Kernel => *kernel,
                _ => 0,
            },
        )
    }

    /// The sizes that `arch` gives to every layer.
    pub fn shapes(&self, arch: &Arch) -> Vec<LayerShape> {
        shape::walk(self, arch)
    }

    /// The operations of `arch` as a deployed network, in order.
    pub fn operations(&self, arch: &Arch) -> Vec<super::Operation> {
        super::operation::deployed(self, arch)
    }

    /// Multiply-accumulates of one image.
    pub fn macs(&self, arch: &Arch) -> u64 {
        self.operations(arch).iter().map(super::Operation::macs).sum()
    }

    /// Bytes of the deployed network's weights and biases in f32, normalisation folded in.
    pub fn weight_bytes(&self, arch: &Arch) -> u64 {
        self.operations(arch).iter().map(super::Operation::weight_bytes).sum()
    }

    /// Trainable parameters: weights, and two numbers a normalised channel.
    pub fn params(&self, arch: &Arch) -> u64 {
        self.operations(arch).iter().map(super::Operation::params).sum()
    }
}

/// `min`, then the multiples of the grid up to `max`.
fn steps(min: u32, max: u32) -> Vec<u32> {
    let mut choices = vec![min];
    let mut next = (min / super::GRID + 1) * super::GRID;
    while next < max {
        choices.push(next);
        next += super::GRID;
    }
    if max > min {
        choices.push(max);
    }
    choices
}
