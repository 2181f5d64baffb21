//! RandAugment's operations (Cubuk et al. 2020): so many drawn from a list with replacement, all at one strength.
//!
//! Those that move an image are made into one map, which is carried out once and before the changes of colour, so that
//! the image is resampled once. Of the paper's list the equalised histogram is left out.

use rand::{Rng, RngExt as _};

use super::batch::Normalisation;
use super::colour::{Colour, change};

/// Operations of an image at most.
pub(super) const MOST: u32 = 4;

/// Identity, rotation, two shears, two shifts, seven changes of colour.
const KINDS: u32 = 13;

/// At full strength: the tangent of half of 30 degrees, the shear, the shift as a share of the side.
const TURN: f32 = 0.267_949_2;
const SHEAR: f32 = 0.3;
const SHIFT: f32 = 0.45;
/// At full strength factors are 1 - 0.9 or 1 + 0.9, four bits are left, and everything is inverted.
const FACTOR: f32 = 0.9;
const BITS: f32 = 4.0;

/// What is done to one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Operations {
    /// Where a pixel comes from, (x, y) from (x, y, 1), in sides from the centre.
    map: Option<[[f32; 3]; 2]>,
    colours: [Option<Colour>; MOST as usize],
}

impl Operations {
    /// Draws `count` operations at a strength of 0 to 1.
    pub(super) fn draw(count: u32, strength: f32, rng: &mut impl Rng) -> Self {
        let mut drawn = Self::default();
        for colour in drawn.colours.iter_mut().take(count as usize) {
            let kind = rng.random_range(0..KINDS);
            let signed = if rng.random_bool(0.5) { strength } else { -strength };
            let moved = match kind {
                1 => {
                    // The sine and cosine by the tangent of half the angle: the same bits on every machine.
                    let t = TURN * signed;
                    let (sin, cos) = (2.0 * t / (1.0 + t * t), (1.0 - t * t) / (1.0 + t * t));
                    Some([[cos, -sin, 0.0], [sin, cos, 0.0]])
                }
                2 => Some([[1.0, SHEAR * signed, 0.0], [0.0, 1.0, 0.0]]),
                3 => Some([[1.0, 0.0, 0.0], [SHEAR * signed, 1.0, 0.0]]),
                4 => Some([[1.0, 0.0, SHIFT * signed], [0.0, 1.0, 0.0]]),
                5 => Some([[1.0, 0.0, 0.0], [0.0, 1.0, SHIFT * signed]]),
                _ => None,
            };
            if let Some(next) = moved {
                drawn.map = Some(drawn.map.map_or(next, |map| after(map, next)));
            }
            let factor = 1.0 + FACTOR * signed;
            *colour = match kind {
                6 => Some(Colour::Brightness(factor)),
                7 => Some(Colour::Saturation(factor)),
                8 => Some(Colour::Contrast(factor)),
                9 => Some(Colour::Sharpness(factor)),
                10 => Some(Colour::Posterize(8 - (BITS * strength).round() as u32)),
                11 => Some(Colour::Solarize(1.0 - strength)),
                12 => Some(Colour::AutoContrast),
                _ => None,
            };
        }
        drawn
    }

    /// Carries them out on normalised values (size, size, 4), of which zero is the mean colour.
    pub(super) fn apply(&self, out: &mut [f32], sides: [usize; 2], normalisation: &Normalisation) {
        if let Some(map) = self.map {
            warp(out, sides[0], map);
        }
        change(out, self.colours.iter().flatten().copied(), sides, normalisation);
    }
}

/// The map of an image that is moved by `first` and then by `next`.
fn after(first: [[f32; 3]; 2], next: [[f32; 3]; 2]) -> [[f32; 3]; 2] {
    let column = |row: [f32; 3], c: usize| row[0] * next[0][c] + row[1] * next[1][c];
    first.map(|row| [column(row, 0), column(row, 1), column(row, 2) + row[2]])
}

/// Bilinear; what comes from outside the image is the mean colour.
fn warp(out: &mut [f32], size: usize, map: [[f32; 3]; 2]) {
    let from = out.to_vec();
    let side = size as f32;
    let inside = 0..size as isize;
    for (place, pixel) in out.chunks_exact_mut(4).enumerate() {
        let of_centre = |i: usize| (i as f32 + 0.5) / side - 0.5;
        let (x, y) = (of_centre(place % size), of_centre(place / size));
        let [x, y] = map.map(|row| (row[0] * x + row[1] * y + row[2] + 0.5) * side - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (right, down) = (x - left, y - top);
        pixel.fill(0.0);
        for (dx, dy, share) in [
            (0, 0, (1.0 - right) * (1.0 - down)),
            (1, 0, right * (1.0 - down)),
            (0, 1, (1.0 - right) * down),
            (1, 1, right * down),
        ] {
            let (x, y) = (left as isize + dx, top as isize + dy);
            if inside.contains(&x) && inside.contains(&y) {
                let source = &from[(y as usize * size + x as usize) * 4..][..4];
                pixel.iter_mut().zip(source).for_each(|(to, value)| *to += share * value);
            }
        }
    }
}
