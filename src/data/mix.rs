//! Two training images made one: mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019), drawn image by image.

use std::ops::Range;

use rand::{Rng, RngExt as _};

use super::augment::Augment;

/// How another image comes into one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mix {
    /// With this share of every pixel.
    Blend(f32),
    /// With its pixels in these columns and rows.
    Patch([Range<usize>; 2]),
}

impl Mix {
    /// What is drawn for one image of `size` pixels a side. The shares are uniform, as the papers have them for an alpha
    /// of 1; a blend is half another image at most, since with the roles changed it is the same one.
    pub(super) fn draw(augment: &Augment, size: usize, rng: &mut impl Rng) -> Option<Self> {
        let kind = rng.random_range(0.0..1.0);
        if kind < augment.mixup {
            return Some(Self::Blend(rng.random_range(0.0..0.5)));
        }
        if kind < augment.mixup + augment.cutmix {
            let half = rng.random_range(0.0f32..1.0).sqrt() * size as f32 / 2.0;
            let mut span = || {
                let centre = rng.random_range(0.0..size as f32);
                let end = |at: f32| at.round().clamp(0.0, size as f32) as usize;
                end(centre - half)..end(centre + half)
            };
            return Some(Self::Patch([span(), span()]));
        }
        None
    }

    /// Puts `other` (size, size, 4) into `image`; returns its share.
    pub(super) fn apply(&self, image: &mut [f32], other: &[f32], size: usize) -> f32 {
        match self {
            Self::Blend(share) => {
                for (to, value) in image.iter_mut().zip(other) {
                    *to += share * (value - *to);
                }
                *share
            }
            Self::Patch([columns, rows]) => {
                for y in rows.clone() {
                    let span = (y * size + columns.start) * 4..(y * size + columns.end) * 4;
                    image[span.clone()].copy_from_slice(&other[span]);
                }
                (columns.len() * rows.len()) as f32 / (size * size) as f32
            }
        }
    }
}
