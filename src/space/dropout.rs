//! Widths drawn for ordered dropout: one architecture per group of images of a training batch.

use super::settings::{TrainSettings, WidthDistribution};
use super::supernet::{Arch, Supernet};
use crate::rng::{Purpose, stream};
use rand::RngExt;

/// Draws the architecture of every image of a step.
#[derive(Clone, Debug)]
pub struct WidthSampler {
    /// Seed of the run.
    pub seed: u64,
    /// How widths are drawn.
    pub distribution: WidthDistribution,
    /// Images of each batch that run the full network.
    pub full_images: u32,
    /// Images that share a draw.
    pub images_per_draw: u32,
}

impl WidthSampler {
    /// The sampler of a training.
    pub fn new(seed: u64, settings: &TrainSettings) -> Self {
        Self {
            seed,
            distribution: settings.widths,
            full_images: settings.full_images,
            images_per_draw: settings.images_per_draw.max(1),
        }
    }

    /// The architectures of step `step`, one per image of a batch of `batch`.
    pub fn draw(&self, net: &Supernet, step: u64, batch: u32) -> Vec<Arch> {
        let full = net.full();
        (0..batch)
            .map(|image| {
                if image < self.full_images {
                    return full.clone();
                }
                let group = (image / self.images_per_draw) * self.images_per_draw;
                self.one(net, step * u64::from(batch) + u64::from(group))
            })
            .collect()
    }

    /// The architecture of draw `index`: every coordinate independently.
    fn one(&self, net: &Supernet, index: u64) -> Arch {
        let mut rng = stream(self.seed, Purpose::Widths, 0, index);
        let values = net
            .coordinates()
            .iter()
            .map(|coordinate| {
                let u: f64 = rng.random();
                let position = match self.distribution {
                    WidthDistribution::Uniform => u,
                    WidthDistribution::Large => u.sqrt(),
                };
                let count = coordinate.choices.len();
                coordinate.choices[((position * count as f64) as usize).min(count - 1)]
            })
            .collect();
        net.arch(values).expect("a choice of every coordinate is an architecture")
    }
}
