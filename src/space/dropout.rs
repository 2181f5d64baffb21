//! Widths drawn for ordered dropout: one architecture per group of images of a training batch.

use super::settings::{TrainSettings, WidthDistribution};
use super::supernet::{Arch, Supernet};
use crate::rng::{Purpose, stream};
use rand::RngExt;

/// Levels go from the inverse of this to this.
const LARGEST_EXPONENT: f64 = 4.0;

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

    /// Random networks of a space: every image its own, no choice likelier than another.
    pub fn uniform(seed: u64) -> Self {
        Self { seed, distribution: WidthDistribution::Uniform, full_images: 0, images_per_draw: 1 }
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

    /// The architecture of draw `index`: every coordinate independently, but for the level that all have in common.
    fn one(&self, net: &Supernet, index: u64) -> Arch {
        let mut rng = stream(self.seed, Purpose::Widths, 0, index);
        let exponent = match self.distribution {
            WidthDistribution::Uniform => 1.0,
            WidthDistribution::Large => 0.5,
            WidthDistribution::Levels => LARGEST_EXPONENT.powf(rng.random_range(-1.0..=1.0)),
        };
        let values = net
            .coordinates()
            .iter()
            .map(|coordinate| {
                let u: f64 = rng.random();
                let count = coordinate.choices.len();
                coordinate.choices[((u.powf(exponent) * count as f64) as usize).min(count - 1)]
            })
            .collect();
        net.arch(values).expect("a choice of every coordinate is an architecture")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Space;

    /// Share of the full network's MACs that a tenth of the draws lies below, and that a tenth lies above.
    fn tenths(distribution: WidthDistribution) -> [f64; 2] {
        let net = Space::open("tiny").expect("it ships").supernet(28, 1, 10);
        let sampler = WidthSampler { seed: 3, distribution, full_images: 0, images_per_draw: 1 };
        let full = net.macs(&net.full()) as f64;
        let mut shares: Vec<f64> = sampler.draw(&net, 0, 400).iter().map(|arch| net.macs(arch) as f64 / full).collect();
        shares.sort_by(f64::total_cmp);
        [shares[40], shares[360]]
    }

    #[test]
    fn levels_train_small_and_large_networks_alike() {
        let [low, high] = tenths(WidthDistribution::Levels);
        assert!(low < 0.1 && high > 0.6, "{low} to {high}");
        for narrow in [WidthDistribution::Uniform, WidthDistribution::Large] {
            let [low, high] = tenths(narrow);
            assert!(high - low < 0.45, "{narrow:?}: {low} to {high}");
        }
    }
}
