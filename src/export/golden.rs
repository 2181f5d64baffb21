//! Golden samples: images that every form of a network must agree on, with the engine's logits.
//!
//! They are made, not taken from the data set: an export may go to people who may not have its images.

use super::ExportError;
use super::array::Array;
use super::evaluate::Evaluator;
use crate::data::Normalisation;
use crate::model::{Model, Network};
use crate::rng::{Purpose, stream};
use rand::RngExt;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Samples of an export.
const COUNT: usize = 8;
/// How far two forms of a network may differ, as a share of the logits' range.
const TOLERANCE: f64 = 1e-4;
/// The same where one has weights in f16: each is off by up to a two-thousandth, and some tens of layers add up.
const HALF_TOLERANCE: f64 = 1e-2;

/// Images and what the engine says of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Golden {
    /// N, C, S, S.
    shape: [usize; 4],
    /// Pixels (N, C, S, S) from 0 to 1, of 8 bits.
    pixels: Vec<f32>,
    /// Logits (N, classes).
    logits: Vec<f32>,
}

/// How far another form of a network is from the engine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// The largest difference of a logit.
    pub largest: f64,
    /// The largest less the smallest logit of the engine, over all samples.
    pub range: f64,
    /// How large the difference may be, as a share of the range.
    pub tolerance: f64,
    /// Samples whose largest logit is the same class's.
    pub same_class: usize,
    /// Samples.
    pub samples: usize,
}

impl Agreement {
    /// Whether the difference is only that of rounding.
    pub fn holds(&self) -> bool {
        self.largest.is_finite() && self.largest <= self.tolerance * self.range
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = if self.largest == 0.0 { 0.0 } else { self.largest / self.range };
        let Self { same_class, samples, .. } = self;
        write!(f, "largest difference {share:.1e} of the logits' range, {same_class} of {samples} the same class")
    }
}

impl Golden {
    /// Samples for `model`, run on its device.
    pub(super) fn new(model: &Model) -> Result<Self, ExportError> {
        let architecture = &model.network().architecture;
        let (size, channels) = (architecture.size as usize, architecture.channels as usize);
        let shape = [COUNT, channels, size, size];
        let pixels: Vec<f32> = (0..COUNT).flat_map(|index| picture(index, shape)).collect();
        let logits = model.logits(&normalised(&pixels, shape, &architecture.normalisation))?;
        Ok(Self { shape, pixels, logits })
    }

    /// `golden.safetensors`: `pixels` and `logits`.
    pub(super) fn to_safetensors(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let logits = vec![COUNT, self.logits.len() / COUNT];
        let views = [
            ("pixels", TensorView::new(Dtype::F32, self.shape.to_vec(), bytemuck::cast_slice(&self.pixels))?),
            ("logits", TensorView::new(Dtype::F32, logits, bytemuck::cast_slice(&self.logits))?),
        ];
        safetensors::serialize(views, None)
    }

    /// The samples in a file, which must be those of `network`'s shape; else what is wrong.
    pub(super) fn parse(network: &Network, bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let tensor = |name: &str, sizes: &[usize]| {
            let view = file.tensor(name).map_err(|error| error.to_string())?;
            if view.dtype() != Dtype::F32 || view.shape() != sizes {
                return Err(format!("`{name}` is {:?} {:?} and not f32 {sizes:?}", view.dtype(), view.shape()));
            }
            let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            Ok(view.data().chunks_exact(4).map(value).collect())
        };
        let (size, channels) = (network.architecture.size as usize, network.architecture.channels as usize);
        let shape = [COUNT, channels, size, size];
        let classes = network.net.classes() as usize;
        Ok(Self { shape, pixels: tensor("pixels", &shape)?, logits: tensor("logits", &[COUNT, classes])? })
    }

    /// Runs the samples through an ONNX file.
    pub(super) fn compare(&self, onnx: &Evaluator) -> Result<Agreement, ExportError> {
        let each = self.shape[1..].iter().product();
        let shape = [&[1], &self.shape[1..]].concat();
        let mut got = Vec::with_capacity(self.logits.len());
        for image in self.pixels.chunks_exact(each) {
            let values = image.iter().map(|pixel| f64::from(*pixel)).collect();
            let image = Array::new(shape.clone(), values).map_err(|problem| ExportError::Onnx { problem })?;
            got.extend(onnx.logits(&image)?);
        }
        if got.len() != self.logits.len() {
            let problem = format!("{} logits come out instead of {}", got.len(), self.logits.len());
            return Err(ExportError::Onnx { problem });
        }
        let want: Vec<f64> = self.logits.iter().map(|logit| f64::from(*logit)).collect();
        // What is not a number is an infinite difference: `f64::max` would drop it.
        let differences = got.iter().zip(&want).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0.0, |largest: f64, d| if d.is_nan() { f64::INFINITY } else { largest.max(d) });
        let (low, high) = want.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let classes = self.logits.len() / COUNT;
        let same = got.chunks(classes).zip(want.chunks(classes)).filter(|(a, b)| best(a) == best(b));
        let tolerance = if onnx.is_half() { HALF_TOLERANCE } else { TOLERANCE };
        Ok(Agreement { largest, range: high - low, tolerance, same_class: same.count(), samples: COUNT })
    }
}

/// Index of the largest.
fn best(logits: &[f64]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// Pixels (C, S, S) of 8 bits from 0 to 1: patches of random colours, a noise of 1 px to large ones.
fn picture(index: usize, [_, channels, size, _]: [usize; 4]) -> Vec<f32> {
    let mut rng = stream(0, Purpose::Golden, 0, index as u64);
    let patch = (size >> (index % 4 * 2)).max(1);
    let across = size.div_ceil(patch);
    let colours: Vec<u8> = (0..channels * across * across).map(|_| rng.random()).collect();
    let pixel = |i: usize| {
        let (channel, y, x) = (i / (size * size), i / size % size, i % size);
        f32::from(colours[(channel * across + y / patch) * across + x / patch]) / 255.0
    };
    (0..channels * size * size).map(pixel).collect()
}

/// Pixels (N, C, S, S) as the engine takes them: normalised, (N, S, S, 4), padded with zeros.
fn normalised(pixels: &[f32], [n, channels, size, _]: [usize; 4], normalisation: &Normalisation) -> Vec<f32> {
    let mut images = vec![0.0; n * size * size * 4];
    for (i, value) in pixels.iter().enumerate() {
        let (plane, pixel) = (i / (size * size), i % (size * size));
        let (image, channel) = (plane / channels, plane % channels);
        let value = (value - normalisation.mean[channel]) / normalisation.std[channel];
        images[(image * size * size + pixel) * 4 + channel] = value;
    }
    images
}
