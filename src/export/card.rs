//! The model card, `README.md`: what the network is, how good and fast it was measured to be, its limits.

use super::{Format, Options};
use crate::model::{Network, WeightType};
use std::fmt::Write as _;

/// What a run knows of a network beside its files; what is not known is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The data set's name.
    pub data: Option<String>,
    /// Training and test images.
    pub images: Option<(u64, u64)>,
    /// The budget that it was searched for, as it was asked for.
    pub budget: Option<String>,
    /// Share of the test images that it gets right, and half of the 95 % interval.
    pub accuracy: Option<(f64, f64)>,
    /// Measured latency in milliseconds of a batch.
    pub latency_ms: Option<f64>,
    /// The device and driver of that.
    pub device: Option<String>,
    /// What weights in f16 cost.
    pub half: Option<HalfCost>,
    /// The latency in another runtime, and here, one after the other.
    pub cross_check: Option<CrossCheck>,
}

/// Accuracy of a network with its weights rounded to f16, and as it was trained, on the same images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfCost {
    /// Share of hits with f16.
    pub half: f64,
    /// Share of hits with f32.
    pub full: f64,
    /// Images whose class differs between the two.
    pub changed: usize,
    /// Test images.
    pub images: usize,
}

impl std::fmt::Display for HalfCost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { half, full, changed, images } = self;
        let [half, full] = [half, full].map(|share| share * 100.0);
        write!(f, "{half:.2} % of the {images} test images, {full:.2} % with f32 ({:+.2} points; ", half - full)?;
        write!(f, "{changed} get another class)")
    }
}

/// The latency of `model.onnx` in another runtime and of the same network in this engine.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossCheck {
    /// The runtime, its version and what it ran on.
    pub runtime: String,
    /// Median latency there, in milliseconds.
    pub runtime_ms: f64,
    /// Median latency here.
    pub engine_ms: f64,
    /// The device here.
    pub device: String,
    /// Images of a batch.
    pub batch: u32,
}

impl std::fmt::Display for CrossCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runtime, runtime_ms, engine_ms, device, batch } = self;
        write!(f, "{runtime_ms:.3} ms in {runtime}, {engine_ms:.3} ms here on {device}, for a batch of {batch}")
    }
}

/// The card's text in Markdown.
pub(super) fn card(network: &Network, facts: &Facts, options: &Options) -> String {
    let architecture = &network.architecture;
    let batch = architecture.space.search.latency_batch;
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.push(("task", format!("classification of images, {} classes (labels.txt)", network.net.classes())));
    let kind = if architecture.channels == 1 { "grey" } else { "colour" };
    rows.push(("input", format!("{kind}, {0} x {0} px", architecture.size)));
    if let Some(data) = &facts.data {
        rows.push(("trained on", plain(data)));
    }
    if let Some((train, test)) = facts.images {
        rows.push(("images", format!("{train} for training, {test} for testing")));
    }
    rows.push(match facts.accuracy {
        Some((share, half)) => {
            ("test accuracy", format!("{:.1} ± {:.1} % (95 % interval of the sampling)", share * 100.0, half * 100.0))
        }
        None => ("test accuracy", "not measured".into()),
    });
    if let (Some(ms), Some(device)) = (facts.latency_ms, &facts.device) {
        rows.push(("latency", format!("{ms:.3} ms for a batch of {batch}, measured on {}", plain(device))));
    }
    if let Some(cost) = &facts.half {
        rows.push(("with weights in f16", cost.to_string()));
    }
    if let Some(check) = &facts.cross_check {
        rows.push(("cross-check", plain(&check.to_string())));
    }
    if let Some(budget) = &facts.budget {
        rows.push(("searched for", plain(budget)));
    }
    rows.push((
        "multiply-accumulates",
        format!("{:.2} million an image", network.net.macs(&network.arch) as f64 / 1e6),
    ));
    rows.push(("parameters", format!("{:.1} thousand", network.net.params(&network.arch) as f64 / 1e3)));
    rows.push(("licence", "that of the data set and of whoever trained it: say it here before passing it on".into()));

    let mut text = "# A network found by netadapt\n\n| | |\n|---|---|\n".to_owned();
    for (key, value) in rows {
        let _ = writeln!(text, "| {key} | {value} |");
    }
    text += "\n## Files\n\n";
    text += "- `train.safetensors`: weights with batch normalisation apart, to train on; PyTorch's names\n";
    if options.weights == WeightType::F16 {
        text += "- weights in `model.onnx` and `model.safetensors` are f16, biases and all arithmetic f32\n";
    }
    if options.formats.contains(&Format::Onnx) {
        text += "- `model.onnx`: pixels (N, C, H, W) from 0 to 1 in, logits out; normalisation inside, how to \
                 make the pixels in its metadata\n";
    }
    if options.formats.contains(&Format::Safetensors) {
        text += "- `model.safetensors`: weights with batch normalisation folded in\n";
    }
    if options.formats.contains(&Format::Pytorch) {
        text += "- `model.py`: `load()` and `preprocess()` for PyTorch\n";
    }
    text += "- `architecture.json`, `config.json` (timm's keys), `labels.txt`\n";
    text += "- `golden.safetensors`: made-up images and the logits that every form of the network must give\n";
    text += "- `manifest.json`: SHA-256 of every file; `netadapt export --verify .` checks all of this\n";
    text += "\n## Limits\n\n";
    text += "It knows the classes in `labels.txt` and nothing else: of any other image it still names one of them. \
             Its accuracy holds for images like those of the test set. Its latency holds for the device named; \
             other devices and runtimes rank networks differently.\n";
    text
}

/// Text from outside without what Markdown or HTML would read into it.
fn plain(text: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || " .,;:/()%+-_@".contains(c) { c } else { ' ' };
    text.chars().map(keep).collect()
}
