//! What travels with the weights for other programs: metadata of the ONNX file, timm's config, labels.

use crate::data::Format;
use crate::model::{Architecture, Network};
use serde_json::{Value, json};

/// Keys and values that an ONNX file carries: how to make its input, and its classes.
///
/// `Image.*` are ONNX's own names for what an image input holds.
pub(super) fn metadata(architecture: &Architecture) -> Vec<(String, String)> {
    let Architecture { size, channels, classes, .. } = architecture;
    let stored = Format { size: *size, channels: *channels }.stored();
    let normalised = &architecture.normalisation;
    let depth = *channels as usize;
    let colour = if depth == 1 { "grey" } else { "red, green, blue" };
    let layout = if depth == 1 { "Gray8" } else { "Rgb8" };
    let preprocessing = format!(
        "{colour}; upright by EXIF; centred square; resized (bilinear, antialiased) to {stored} px, of which the \
         middle {size} px are taken, or to {size} px where it is not larger; divided by 255; as (N, C, H, W)"
    );
    // As JSON would have it, without the digits that f64 adds.
    let list = |values: &[f32]| format!("{values:?}");
    [
        ("classes", json!(classes).to_string()),
        ("preprocessing", preprocessing),
        ("mean_inside", list(&normalised.mean[..depth])),
        ("std_inside", list(&normalised.std[..depth])),
        ("Image.BitmapPixelFormat", layout.into()),
        ("Image.ColorSpaceGamma", "SRGB".into()),
        ("Image.NominalPixelRange", "Normalized_0_1".into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// `config.json` under timm's key names. Its mean and deviation are for `train.safetensors` and `model.safetensors`,
/// whose networks take normalised images; `model.onnx` and `model.py` normalise by themselves.
pub(super) fn config(network: &Network) -> Value {
    let architecture = &network.architecture;
    let format = Format { size: architecture.size, channels: architecture.channels };
    let depth = format.channels as usize;
    // The shortest decimal that is the same f32, not its digits as f64.
    let list = |values: &[f32]| values.iter().map(|v| v.to_string().parse::<f64>().unwrap_or(0.0)).collect::<Vec<_>>();
    let features = network.graph.shapes.last().map_or(0, |shape| shape.output);
    json!({
        "architecture": "netadapt",
        "num_classes": network.net.classes(),
        "num_features": features,
        "global_pool": "avg",
        "label_names": architecture.classes,
        "pretrained_cfg": {
            "input_size": [format.channels, format.size, format.size],
            "fixed_input_size": true,
            "interpolation": "bilinear",
            "crop_pct": f64::from(format.size) / f64::from(format.stored()),
            "crop_mode": "center",
            "mean": list(&architecture.normalisation.mean[..depth]),
            "std": list(&architecture.normalisation.std[..depth]),
            "num_classes": network.net.classes(),
            "first_conv": "stem.conv",
            "classifier": "classifier",
        },
    })
}

/// `labels.txt`: a class a line, in the order of the logits. A line break in a name becomes a space.
pub(super) fn labels(architecture: &Architecture) -> String {
    architecture.classes.iter().map(|class| format!("{}\n", class.replace(['\n', '\r'], " "))).collect()
}
