//! Accuracy and loss of a network on a split, its statistics recalibrated first.

use super::trainer::TrainError;
use crate::data::{Images, Normalisation};
use crate::gpu::Gpu;
use crate::graph::{Graph, Scoring, Weights};
use crate::kernels::Tuning;
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

/// Images of a pass of an evaluation at most: large enough for steady statistics.
const PASS_IMAGES: u32 = 128;

/// Indices of `count` of `all` images, or of all where there are fewer, spread evenly.
pub(crate) fn spread(count: u32, all: usize) -> Vec<u32> {
    let all = all as u64;
    let count = u64::from(count).min(all);
    (0..count).map(|i| (i * all / count) as u32).collect()
}

/// Indices of `count` of `all` images in passes of equally many, `most` at most. Each is spread over the whole split, which
/// is sorted by class: statistics of a pass that saw some classes alone would miss how far classes differ.
fn passes(count: u32, all: usize, most: u32) -> Vec<Vec<u32>> {
    let count = u64::from(count).min(all as u64) as u32;
    let passes = count.div_ceil(most);
    let indices = spread(count / passes * passes, all);
    (0..passes as usize).map(|pass| indices[pass..].iter().step_by(passes as usize).copied().collect()).collect()
}

impl Recalibration<'_> {
    /// Indices of the images in passes of equally many, `most` at most, each spread over the whole split.
    pub(crate) fn passes(&self, most: u32) -> Vec<Vec<u32>> {
        passes(self.count, self.images.len(), most)
    }
}

/// `weights` with running statistics that are those of recalibration images, not augmented.
pub fn recalibrated(
    gpu: &Gpu,
    graph: &Graph,
    weights: &Weights,
    recalibration: Recalibration<'_>,
    normalisation: &Normalisation,
    tuning: &Tuning,
) -> Result<Weights, TrainError> {
    let passes = recalibration.passes(PASS_IMAGES.min(Scoring::most_images(graph)));
    let scoring = Scoring::new(gpu, graph.clone(), tuning, [1, passes[0].len() as u32])?;
    scoring.load(weights)?;
    scoring.set_networks(&[&graph.shapes]);
    for (pass, indices) in passes.iter().enumerate() {
        let batch = recalibration.images.batch(indices, normalisation, None)?;
        scoring.recalibrate(&batch.images, pass as u32);
    }
    Ok(Weights { values: weights.values.clone(), running: scoring.running()? })
}

/// Loss and predictions on all of `images` with the running statistics of `weights`.
pub fn evaluate(
    gpu: &Gpu,
    graph: &Graph,
    weights: &Weights,
    images: &Images,
    normalisation: &Normalisation,
    tuning: &Tuning,
) -> Result<Evaluation, TrainError> {
    let pass_images = PASS_IMAGES.min(Scoring::most_images(graph)).min(images.len() as u32);
    let scoring = Scoring::new(gpu, graph.clone(), tuning, [1, pass_images])?;
    scoring.load(weights)?;
    scoring.set_networks(&[&graph.shapes]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pass_of_a_recalibration_sees_the_whole_split() {
        for (count, all, most) in [(1024, 9000, 128), (256, 9000, 204), (1024, 255, 128), (256, 1000, 16), (8, 5, 128)]
        {
            let passes = passes(count, all, most);
            let seen: BTreeSet<u32> = passes.iter().flatten().copied().collect();
            let used = passes.iter().map(Vec::len).sum::<usize>();
            assert_eq!(seen.len(), used, "an image twice");
            assert!(used <= count.min(all as u32) as usize);
            assert!(used + passes.len() > count.min(all as u32) as usize, "more is left out than does not divide");
            for pass in &passes {
                assert_eq!(pass.len(), passes[0].len());
                assert!(pass.len() <= most as usize);
                // Of each fifth of the split, as of five classes, the pass has a fifth, up to one image at either end.
                for class in 0..5 {
                    let of_class = |index: &&u32| **index as usize * 5 / all == class;
                    let share = pass.iter().filter(of_class).count() as f64;
                    assert!((share - pass.len() as f64 / 5.0).abs() <= 2.0, "{count} of {all} by {most}: {share}");
                }
            }
        }
    }
}
