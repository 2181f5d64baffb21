//! What is in a folder, in numbers, and the input that suits it.

use serde::Serialize;

use super::batch::Images;
use super::examine::Counts;
use super::folder::{Dataset, Sample};
use super::preset::Preset;

/// Input sizes that are suggested, in pixels.
const SIZES: [u32; 9] = [28, 32, 48, 64, 96, 128, 160, 192, 224];
/// The least input that `mobile` is made for, in pixels.
const MOBILE: u32 = 64;
/// Training images of which fewer are few. Larger sets were not measured, and get what is milder.
const FEW: usize = 10_000;
/// Short sides at which a bar of the histogram begins, in pixels.
const BINS: [u32; 14] = [0, 16, 28, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048];

/// A folder in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// Classes, sorted as labels are.
    pub classes: Vec<Class>,
    /// Usable images in all splits.
    pub all: Counts,
    /// 1 = grey, 3 = red, green, blue.
    pub channels: u32,
    /// Images by their short side, from the least to the largest that occur.
    pub short_sides: Vec<Bin>,
    /// Median short side in pixels.
    pub median_short_side: u32,
    /// Files that are no images by name.
    pub skipped: usize,
    /// Pixels a side at which mean and deviation are taken.
    pub size: u32,
    /// Mean of each channel of the training images, 0 to 1.
    pub mean: Vec<f32>,
    /// Standard deviation likewise.
    pub std: Vec<f32>,
    /// The input that suits the images.
    pub suggested: Suggested,
}

/// A class and its usable images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// By split.
    pub images: Counts,
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The least short side in it, in pixels.
    pub from: u32,
    /// The first that is above it; none for the last bar.
    pub below: Option<u32>,
    /// Images in it.
    pub images: usize,
}

/// What a search of a folder would do well to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Suggested {
    /// Pixels a side: the largest usual input that three quarters of the images fill.
    pub size: u32,
    /// The preset that is made for it.
    pub preset: &'static str,
    /// The augmentation that suits so many images of a network that is trained alone, from new weights, until it has
    /// seen each some ninety times.
    pub augment: Preset,
}

/// The numbers of `dataset`, `train` being its training images.
pub fn survey(dataset: &Dataset, train: &Images) -> Survey {
    let of = |samples: &[Sample]| {
        let mut counts = vec![0; dataset.classes.len()];
        samples.iter().for_each(|sample| counts[sample.label as usize] += 1);
        counts
    };
    let [trained, held_out, tested] = [&dataset.train, &dataset.holdout, &dataset.test].map(|samples| of(samples));
    let classes = dataset.classes.iter().enumerate().map(|(label, name)| Class {
        name: name.clone(),
        images: Counts { train: trained[label], holdout: held_out[label], test: tested[label] },
    });
    let normalisation = train.statistics();
    let format = train.format();
    let channels = format.channels as usize;
    Survey {
        classes: classes.collect(),
        all: Counts { train: dataset.train.len(), holdout: dataset.holdout.len(), test: dataset.test.len() },
        channels: format.channels,
        short_sides: histogram(&dataset.short_sides),
        median_short_side: dataset.short_side(),
        skipped: dataset.skipped,
        size: format.size,
        mean: normalisation.mean[..channels].to_vec(),
        std: normalisation.std[..channels].to_vec(),
        suggested: suggest(&dataset.short_sides, dataset.train.len()),
    }
}

/// `sides` are sorted.
fn histogram(sides: &[u32]) -> Vec<Bin> {
    let bin = |(index, &from): (usize, &u32)| {
        let below = BINS.get(index + 1).copied();
        let end = below.map_or(sides.len(), |below| sides.partition_point(|side| *side < below));
        Bin { from, below, images: end - sides.partition_point(|side| *side < from) }
    };
    let bins: Vec<Bin> = BINS.iter().enumerate().map(bin).collect();
    let occurs = |bin: &Bin| bin.images > 0;
    match (bins.iter().position(occurs), bins.iter().rposition(occurs)) {
        (Some(first), Some(last)) => bins[first..=last].to_vec(),
        _ => Vec::new(),
    }
}

/// `sides` are sorted.
fn suggest(sides: &[u32], trained: usize) -> Suggested {
    let filled = sides.get(sides.len() / 4).copied().unwrap_or_default();
    let size = SIZES.iter().copied().rfind(|size| *size <= filled).unwrap_or(SIZES[0]);
    let is_photo = size >= MOBILE;
    // `strong` was ahead for 703 and 2,556 photos, `light` for 1,744 small images and the small network that suits them.
    let augment = if is_photo && trained < FEW { Preset::Strong } else { Preset::Light };
    Suggested { size, preset: if is_photo { "mobile" } else { "tiny" }, augment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_quarters_of_the_images_fill_the_suggested_input() {
        let of = |sides: &[u32]| (suggest(sides, 8).size, suggest(sides, 8).preset);
        assert_eq!(of(&[28; 8]), (28, "tiny"));
        assert_eq!(of(&[10; 8]), (28, "tiny"));
        assert_eq!(of(&[63; 8]), (48, "tiny"));
        assert_eq!(of(&[112; 8]), (96, "mobile"));
        assert_eq!(of(&[4000; 8]), (224, "mobile"));
        assert_eq!(of(&[40, 40, 128, 128, 128, 128, 128, 128]), (128, "mobile"));
        assert_eq!(of(&[40, 40, 40, 128, 128, 128, 128, 128]), (32, "tiny"));
    }

    #[test]
    fn few_photos_want_more_augmentation() {
        assert_eq!(suggest(&[128; 8], 9_999).augment, Preset::Strong);
        assert_eq!(suggest(&[128; 8], 10_000).augment, Preset::Light);
        assert_eq!(suggest(&[28; 8], 100).augment, Preset::Light);
    }

    #[test]
    fn every_image_is_in_one_bar() {
        let sides = [15, 16, 27, 28, 28, 100, 3000];
        let bins = histogram(&sides);
        assert_eq!(bins.iter().map(|bin| bin.images).sum::<usize>(), sides.len());
        assert_eq!(bins[0], Bin { from: 0, below: Some(16), images: 1 });
        assert_eq!(bins[2], Bin { from: 28, below: Some(32), images: 2 });
        assert_eq!(bins.last(), Some(&Bin { from: 2048, below: None, images: 1 }));
        assert_eq!(histogram(&[300]), [Bin { from: 256, below: Some(384), images: 1 }]);
        assert!(histogram(&[]).is_empty());
    }
}
