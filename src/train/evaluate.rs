//! Accuracy and loss of a network on a split, its statistics recalibrated first.

use super::trainer::TrainError;
use crate::data::{Images, Normalisation};
use crate::gpu::Gpu;
use crate::graph::{Graph, Scoring, Weights};
use crate::kernels::Tuning;
use crate::space::LayerShape;
use crate::task;

/// What a network came to on a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of hits.
    pub accuracy: f64,
    /// Predicted class of every image.
    pub predicted: Vec<u32>,
    /// Probability of the predicted class.
    pub confidence: Vec<f32>,
}

/// The training images that batch statistics are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Recalibration<'a> {
    /// Training images.
    pub images: &'a Images,
    /// How many of them, spread evenly.
    pub count: u32,
}

/// Images of a pass of an evaluation: large enough for steady statistics, small enough for any memory.
const PASS_IMAGES: u32 = 128;

impl Recalibration<'_> {
    /// Indices of the images, spread evenly over the split.
    pub(crate) fn indices(&self) -> Vec<u32> {
        let all = self.images.len() as u64;
        let count = u64::from(self.count).min(all);
        (0..count).map(|i| (i * all / count) as u32).collect()
    }
}

/// `weights` with running statistics that are those of recalibration images, not augmented.
pub fn recalibrated(
    gpu: &Gpu,
    graph: &Graph,
    shapes: &[LayerShape],
    weights: &Weights,
    recalibration: Recalibration<'_>,
    normalisation: &Normalisation,
    tuning: &Tuning,
) -> Result<Weights, TrainError> {
    let indices = recalibration.indices();
    let pass_images = PASS_IMAGES.min(indices.len() as u32);
    let scoring = Scoring::new(gpu, graph.clone(), tuning, [1, pass_images])?;
    scoring.load(weights)?;
    scoring.set_networks(&[shapes]);
    // A last, incomplete pass is left out: every pass weighs the same in the average.
    for (pass, chunk) in indices.chunks_exact(pass_images as usize).enumerate() {
        let batch = recalibration.images.batch(chunk, normalisation, None)?;
        scoring.recalibrate(&batch.images, pass as u32);
    }
    Ok(Weights { values: weights.values.clone(), running: scoring.running()? })
}

/// Loss and predictions on all of `images` with the running statistics of `weights`.
pub fn evaluate(
    gpu: &Gpu,
    graph: &Graph,
    shapes: &[LayerShape],
    weights: &Weights,
    images: &Images,
    normalisation: &Normalisation,
    tuning: &Tuning,
) -> Result<Evaluation, TrainError> {
    let pass_images = PASS_IMAGES.min(images.len() as u32);
    let scoring = Scoring::new(gpu, graph.clone(), tuning, [1, pass_images])?;
    scoring.load(weights)?;
    scoring.set_networks(&[shapes]);
    let classes = graph.tensors[graph.logits].channels as usize;
    let mut logits = Vec::with_capacity(images.len() * classes);
    let all: Vec<u32> = (0..images.len() as u32).collect();
    for chunk in all.chunks(pass_images as usize) {
        // The last pass is filled up with its first image; what comes of it is cut off.
        let mut indices = chunk.to_vec();
        indices.resize(pass_images as usize, chunk[0]);
        let batch = images.batch(&indices, normalisation, None)?;
        logits.extend_from_slice(&scoring.logits(&batch.images)?[..chunk.len() * classes]);
    }
    Ok(task::evaluate(&logits, images.labels(), classes))
}
