//! What a report is made of: plain values that a run fills in and may save. No device, no file.
//!
//! Accuracies are shares of 1, latencies milliseconds.

use crate::search::{Candidate, Iterate};
use crate::space::LayerShape;
use crate::train::EpochReport;
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// All that the page shows. What is empty is left out of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The page's title: the dataset's name and what was asked for.
    pub title: String,
    /// Where everything was trained and measured.
    pub device: Device,
    /// The images.
    pub dataset: DatasetSummary,
    /// Name of the search space.
    pub space: String,
    /// Name of the strategy.
    pub strategy: String,
    /// Seed of the run.
    pub seed: u64,
    /// The command that repeats the run.
    pub command: String,
    /// When it was started.
    pub date: String,
    /// Version of this crate.
    pub version: String,
    /// What was limited, as `search::Resource` writes it: `latency`, `MACs`, `parameters` and so on.
    pub resource: String,
    /// Where the time of the run went.
    pub seconds: Seconds,
    /// The network that the search began with.
    pub initial: InitialSummary,
    /// What was found, one for each budget.
    pub networks: Vec<NetworkSummary>,
    /// What it is compared with.
    pub comparison: Vec<Compared>,
    /// The networks that the search stood at.
    pub iterates: Vec<Iterate>,
    /// Every network that it scored.
    pub candidates: Vec<Candidate>,
    /// Every training of the run.
    pub trainings: Vec<Curve>,
    /// Images of the first batch, as the network saw them.
    #[serde(default)]
    pub batch: Vec<TrainingPicture>,
}

/// The adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its driver with the version.
    pub driver: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated` or `software`: the page warns of latencies of the last.
    pub kind: String,
}

/// The images and how they were split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// The folder.
    pub path: String,
    /// Names of the classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// Training images.
    pub train: usize,
    /// Held-out images, which scored the candidates.
    pub holdout: usize,
    /// Test images, touched once.
    pub test: usize,
    /// Pixels a side, as the network takes them.
    pub size: u32,
    /// 1 (grey) or 3 (colour).
    pub channels: u32,
}

/// Wall-clock seconds of each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seconds {
    /// Timing operations.
    pub table: f64,
    /// Training the super-network.
    pub supernet: f64,
    /// Sampling and scoring.
    pub search: f64,
    /// Final trainings.
    pub r#final: f64,
    /// Training and measuring what they are compared with.
    pub compare: f64,
}

/// The network that the search began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InitialSummary {
    /// Measured latency.
    pub latency_ms: f64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Trainable parameters.
    pub params: u64,
    /// Accuracy on the held-out images, with the super-network's weights.
    pub holdout_accuracy: f64,
}

/// One network that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSummary {
    /// The budget as it was written: `8ms`, `50%`.
    pub budget_text: String,
    /// The budget in the resource's unit.
    pub limit: f64,
    /// Measured latency, median.
    pub latency_ms: f64,
    /// Measured latency, 90th percentile.
    pub latency_p90_ms: f64,
    /// Latency by the table, uncorrected; `None` where there is no table.
    pub predicted_ms: Option<f64>,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Trainable parameters.
    pub params: u64,
    /// Bytes of the deployed weights.
    #[serde(default)]
    pub weight_bytes: u64,
    /// Bytes of activations that a run holds at most.
    #[serde(default)]
    pub activation_bytes: u64,
    /// Milliseconds predicted for the device that was searched for, where that was another one.
    #[serde(default)]
    pub target_ms: Option<f64>,
    /// Accuracy on the held-out images with the super-network's weights.
    pub shared: f64,
    /// Accuracy on the held-out images after training by itself.
    pub holdout: f64,
    /// Accuracy on the test images after training by itself.
    pub test: f64,
    /// Mean of the classes' accuracies; `None` in what older versions saved.
    pub balanced: Option<f64>,
    /// Half the width of the 95 % interval of `test`.
    pub interval: f64,
    /// Every layer, the classifier included, in the order of the data.
    pub layers: Vec<LayerBar>,
    /// Test images by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<u32>>,
    /// Some test images.
    pub samples: Vec<Picture>,
    /// The test images that it is most wrong about, the worst first.
    pub mistakes: Vec<Picture>,
}

/// One layer before and after the search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerBar {
    /// Its name in the space.
    pub name: String,
    /// What it is made of: `conv`, `inverted-residual`, `linear`.
    pub kind: String,
    /// Before.
    pub initial: LayerSize,
    /// After.
    pub found: LayerSize,
    /// Milliseconds by the table, before.
    pub initial_ms: Option<f64>,
    /// Milliseconds by the table, after; 0 for a removed layer.
    pub found_ms: Option<f64>,
    /// Whether nothing of it is left.
    pub removed: bool,
}

/// The sizes of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSize {
    /// Filters kept.
    pub filters: u32,
    /// Channels of the expansion; 0 without one.
    pub expansion: u32,
    /// Side of the spatial kernel; 0 where there is none.
    pub kernel: u32,
}

impl From<&LayerShape> for LayerSize {
    fn from(shape: &LayerShape) -> Self {
        Self { filters: shape.kept, expansion: shape.expansion, kernel: shape.kernel }
    }
}

/// A network that the found one is compared with, trained in the same way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// `initial`, `uniform` or `random`.
    pub name: String,
    /// Index in `Input::networks` of the one that it is compared with.
    pub network: usize,
    /// Measured latency, median.
    pub latency_ms: f64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Trainable parameters.
    pub params: u64,
    /// Bytes of the deployed weights.
    #[serde(default)]
    pub weight_bytes: u64,
    /// Bytes of activations that a run holds at most.
    #[serde(default)]
    pub activation_bytes: u64,
    /// Milliseconds predicted for the device that was searched for, where that was another one.
    #[serde(default)]
    pub target_ms: Option<f64>,
    /// Accuracy on the held-out images.
    pub holdout: f64,
    /// Accuracy on the test images.
    pub test: f64,
    /// Mean of the classes' accuracies; `None` in what older versions saved.
    pub balanced: Option<f64>,
    /// Half the width of the 95 % interval of `test`.
    pub interval: f64,
    /// The found network's test accuracy minus this one's, paired over the images.
    pub difference: Option<Difference>,
}

/// Test accuracy of a found network less another's, paired over the same images, with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The difference, a share of 1.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The epochs of one training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What was trained.
    pub name: String,
    /// Its epochs in order.
    pub epochs: Vec<EpochReport>,
}

/// A test image and what the network said of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// A PNG in base64, as `Picture::new` makes it.
    pub png_base64: String,
    /// Number of the true class.
    pub label: u32,
    /// Number of the predicted class.
    pub predicted: u32,
    /// Probability that the network gave to `predicted`.
    pub confidence: f32,
}

/// A training image as it was augmented, and what the network was told of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingPicture {
    /// A PNG in base64, as `Picture::new` makes it.
    pub png_base64: String,
    /// Number of its class.
    pub label: u32,
    /// Number of the class of the image that is mixed in.
    pub other: u32,
    /// Share of that image, 0 without one.
    pub share: f32,
}

/// Why pixels are not a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The number of bytes does not fit.
    #[error("a picture of {size} x {size} pixels with {channels} channels cannot have {bytes} bytes")]
    Shape {
        /// Pixels a side.
        size: u32,
        /// Channels; 1 and 3 are known.
        channels: u32,
        /// Bytes that there were.
        bytes: usize,
    },
    /// The encoder failed.
    #[error("a picture cannot be written as PNG: {0}")]
    Encode(#[from] image::ImageError),
}

impl Picture {
    /// A picture from `pixels` (size, size, channels), 8 bits each, of class 0; set the other fields after.
    ///
    /// # Errors
    /// Pixels of another count, or other channels than 1 and 3.
    pub fn new(pixels: &[u8], size: u32, channels: u32) -> Result<Self, PictureError> {
        let fits = size as usize * size as usize * channels as usize == pixels.len();
        let color = match channels {
            1 if fits => image::ExtendedColorType::L8,
            3 if fits => image::ExtendedColorType::Rgb8,
            _ => return Err(PictureError::Shape { size, channels, bytes: pixels.len() }),
        };
        let mut png = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut png, pixels, size, size, color, image::ImageFormat::Png)?;
        Ok(Self { png_base64: super::html::base64(&png.into_inner()), ..Self::default() })
    }
}
