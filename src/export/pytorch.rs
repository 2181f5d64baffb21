//! `model.py`: a PyTorch module of exactly this architecture, its parameters named as in `train.safetensors`.

use crate::data::Format;
use crate::model::Network;
use crate::space::{Activation, LayerKind, LayerShape, Shortcut};
use std::fmt::Write as _;

/// All but the numbers of one network.
const TEMPLATE: &str = include_str!("../../assets/export/model.py");

/// The module's text. Nothing in it but numbers comes from the architecture: names could hold code.
pub(super) fn module(network: &Network) -> String {
    let architecture = &network.architecture;
    let format = Format { size: architecture.size, channels: architecture.channels };
    let channels = format.channels as usize;
    let normalisation = &architecture.normalisation;
    let constants = format!(
        "SIZE, STORED, CHANNELS, CLASSES = {}, {}, {}, {}\nMEAN, STD = {:?}, {:?}",
        format.size,
        format.stored(),
        format.channels,
        network.net.classes(),
        &normalisation.mean[..channels],
        &normalisation.std[..channels],
    );
    TEMPLATE.replace("# CONSTANTS", &constants).replace("        # LAYERS\n", &layers(network))
}

/// The statements that make the layers.
fn layers(network: &Network) -> String {
    let (mut before, mut blocks, mut after) = (String::new(), String::new(), String::new());
    let shapes = &network.graph.shapes;
    for (layer, shape) in network.net.layers().iter().zip(shapes).filter(|(_, shape)| !shape.is_removed()) {
        let value = match &layer.kind {
            LayerKind::Conv { kernel } => format!("Layer({})", convolution(shape, *kernel)),
            LayerKind::InvertedResidual { .. } => format!("Block({})", block(shape)),
        };
        match layer.name.strip_prefix("blocks.") {
            Some(index) => blocks += &format!("            \"{index}\": {value},\n"),
            None if shape.layer == 0 => before += &format!("        self.{} = {value}\n", layer.name),
            None => after += &format!("        self.{} = {value}\n", layer.name),
        }
    }
    let width = shapes.last().map_or(0, |shape| shape.output);
    format!(
        "{before}        self.blocks = nn.ModuleDict({{\n{blocks}        }})\n{after}        \
         self.classifier = nn.Linear({width}, CLASSES)\n"
    )
}

fn convolution(shape: &LayerShape, kernel: u32) -> String {
    let LayerShape { input, kept, stride, .. } = shape;
    let mut text = format!("{input}, {kept}, kernel={kernel}, stride={stride}, activation={}", activation(shape));
    shortcut(shape, &mut text);
    text
}

fn block(shape: &LayerShape) -> String {
    let LayerShape { input, expansion, kept, kernel, stride, squeezed, .. } = shape;
    let activation = activation(shape);
    let mut text = format!("{input}, {expansion}, {kept}, kernel={kernel}, stride={stride}, activation={activation}");
    if *squeezed > 0 {
        let _ = write!(text, ", squeezed={squeezed}");
    }
    shortcut(shape, &mut text);
    text
}

fn shortcut(shape: &LayerShape, text: &mut String) {
    *text += match shape.shortcut {
        Shortcut::None => "",
        Shortcut::Bypass => ", shortcut=\"bypass\"",
        Shortcut::Residual => ", shortcut=\"residual\"",
    };
}

fn activation(shape: &LayerShape) -> &'static str {
    match shape.activation {
        Activation::Identity => "\"identity\"",
        Activation::Relu => "\"relu\"",
        Activation::HardSwish => "\"hard-swish\"",
        Activation::HardSigmoid => "\"hard-sigmoid\"",
    }
}
