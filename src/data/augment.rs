//! What a training image goes through: crop or resized crop, flip, colour jitter, RandAugment's operations, cutout.
//!
//! An image's choices are drawn first, from a stream of its own, as a small plan; the plan is
//! then carried out on normalised values, where zero is the mean colour of the dataset.

use std::ops::Range;

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

use super::batch::Normalisation;
use super::colour::{away, grey};
use super::decode::{Format, Stored};
use super::error::DataError;
use super::operations::{MOST, Operations};

/// Which augmentations are on; by default all are off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirror left and right every second time.
    pub flip: bool,
    /// Shift by up to the margin (an eighth of the size) in each direction.
    pub crop: bool,
    /// Side of a square set to the mean colour, as a share of the image's side; 0 = off, at
    /// most 1. Its centre is anywhere, so a part of it may lie outside.
    pub cutout: f32,
    /// Smallest share of the image's area that a square cut out and resized to the input may
    /// have; 1 = off. When on it takes the place of `crop`.
    pub scale_min: f32,
    /// Brightness, contrast and (in colour) saturation, in this order, are multiplied by
    /// factors from 1 - jitter to 1 + jitter; 0 = off, at most 1.
    pub jitter: f32,
    /// Operations of RandAugment that an image goes through; 0 = off, at most 4.
    pub operations: u32,
    /// How strong these are, 0 to 1: 1 turns by 30 degrees, shifts by 0.45 of the side, solarises all.
    pub strength: f32,
    /// Share of the images that are blended with another, and their labels with them; 0 = off.
    pub mixup: f32,
    /// Share of the images of which a rectangle is another's, and as much of the label; 0 = off. The two shares are at
    /// most 1 together.
    pub cutmix: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            flip: false,
            crop: false,
            cutout: 0.0,
            scale_min: 1.0,
            jitter: 0.0,
            operations: 0,
            strength: 0.3,
            mixup: 0.0,
            cutmix: 0.0,
        }
    }
}

impl Augment {
    /// # Errors
    /// [`DataError::Augment`] names the setting that is out of its range.
    pub fn check(&self) -> Result<(), DataError> {
        let share = 0.0..=1.0;
        for (name, value, allowed, range) in [
            ("cutout", self.cutout, share.contains(&self.cutout), "0 to 1"),
            ("scale_min", self.scale_min, (0.01..=1.0).contains(&self.scale_min), "0.01 to 1"),
            ("jitter", self.jitter, share.contains(&self.jitter), "0 to 1"),
            ("operations", self.operations as f32, self.operations <= MOST, "0 to 4"),
            ("mixup", self.mixup, share.contains(&self.mixup), "0 to 1"),
            ("cutmix", self.cutmix, share.contains(&self.cutmix), "0 to 1"),
            ("mixup + cutmix", self.mixup + self.cutmix, share.contains(&(self.mixup + self.cutmix)), "0 to 1"),
            ("strength", self.strength, share.contains(&self.strength), "0 to 1"),
        ] {
            if !allowed {
                return Err(DataError::Augment { name, value, range });
            }
        }
        Ok(())
    }

    /// Whether images are mixed with others.
    pub(super) fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }
}

/// A stored image and where in it the image itself lies.
pub(super) struct View<'a> {
    pixels: &'a [u8],
    stored: usize,
    size: usize,
    channels: usize,
    content: Range<usize>,
}

impl<'a> View<'a> {
    pub(super) fn new(pixels: &'a [u8], padded: bool, format: Format) -> Self {
        let (stored, margin) = (format.stored() as usize, format.margin() as usize);
        Self {
            pixels,
            stored,
            size: format.size as usize,
            channels: format.channels as usize,
            content: if padded { margin..stored - margin } else { 0..stored },
        }
    }

    pub(super) fn of(image: &'a Stored, format: Format) -> Self {
        Self::new(&image.pixels, image.padded, format)
    }

    /// The rows of the image itself, (width * channels) bytes each.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        let (pixels, stored, channels) = (self.pixels, self.stored, self.channels);
        let (from, to) = (self.content.start, self.content.end);
        (from..to).map(move |y| &pixels[(y * stored + from) * channels..][..(to - from) * channels])
    }
}

/// The choices made for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    window: Window,
    flip: bool,
    /// Brightness, contrast, saturation.
    factors: Option<[f32; 3]>,
    operations: Operations,
    /// Centre (x, y) and side of the square set to the mean, in pixels of the input.
    hole: Option<(usize, usize, usize)>,
}

/// The part of the stored image that becomes the input.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Window {
    /// As many pixels as the input has, from (x, y).
    Cut { x: usize, y: usize },
    /// A square with another side, to be resampled.
    Scaled { x: f32, y: f32, side: f32 },
}

impl Plan {
    /// The middle, unchanged: what an image is evaluated on.
    pub(super) fn plain(view: &View<'_>) -> Self {
        let margin = (view.stored - view.size) / 2;
        let window = Window::Cut { x: margin, y: margin };
        Self { window, flip: false, factors: None, operations: Operations::default(), hole: None }
    }

    pub(super) fn draw(augment: &Augment, view: &View<'_>, rng: &mut impl Rng) -> Self {
        let mut plan = Self::plain(view);
        if augment.scale_min < 1.0 {
            let whole = view.content.len() as f32;
            let side = whole * rng.random_range(augment.scale_min..=1.0).sqrt();
            let mut start = || view.content.start as f32 + rng.random_range(0.0..=whole - side);
            plan.window = Window::Scaled { x: start(), y: start(), side };
        } else if augment.crop {
            let mut start = || rng.random_range(0..=view.stored - view.size);
            plan.window = Window::Cut { x: start(), y: start() };
        }
        plan.flip = augment.flip && rng.random_bool(0.5);
        if augment.jitter > 0.0 {
            let range = 1.0 - augment.jitter..=1.0 + augment.jitter;
            plan.factors = Some(std::array::from_fn(|_| rng.random_range(range.clone())));
        }
        plan.operations = Operations::draw(augment.operations, augment.strength, rng);
        if augment.cutout > 0.0 {
            let side = (augment.cutout * view.size as f32).round() as usize;
            let mut centre = || rng.random_range(0..view.size);
            plan.hole = Some((centre(), centre(), side));
        }
        plan
    }
}

/// Normalised value of every 8-bit value of every channel.
pub(super) struct Tables {
    values: [[f32; 256]; 3],
    normalisation: Normalisation,
}

impl Tables {
    pub(super) fn new(normalisation: &Normalisation) -> Self {
        let values = std::array::from_fn(|c| {
            let (mean, std) = (normalisation.mean[c], normalisation.std[c]);
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        });
        Self { values, normalisation: *normalisation }
    }
}

/// Carries out `plan` into `out` (size, size, 4), which holds zeros.
pub(super) fn render(view: &View<'_>, plan: &Plan, tables: &Tables, out: &mut [f32]) {
    match plan.window {
        Window::Cut { x, y } => cut(view, [x, y], tables, plan.flip, out),
        Window::Scaled { x, y, side } => resample(view, [x, y, side], tables, plan.flip, out),
    }
    if let Some(factors) = plan.factors {
        jitter(out, factors, view.channels, &tables.normalisation);
    }
    plan.operations.apply(out, [view.size, view.channels], &tables.normalisation);
    if let Some((x, y, side)) = plan.hole {
        let span = |centre: usize| {
            let start = centre.saturating_sub(side / 2);
            start..(centre + side - side / 2).min(view.size)
        };
        for row in span(y) {
            let columns = span(x);
            out[(row * view.size + columns.start) * 4..(row * view.size + columns.end) * 4].fill(0.0);
        }
    }
}

/// Copies whole pixels; what lies outside the image stays zero, the mean.
fn cut(view: &View<'_>, [left, top]: [usize; 2], tables: &Tables, flip: bool, out: &mut [f32]) {
    let (size, channels) = (view.size, view.channels);
    let inside = |start: usize| view.content.start.max(start)..view.content.end.min(start + size);
    for y in inside(top) {
        for x in inside(left) {
            let column = if flip { size - 1 - (x - left) } else { x - left };
            let pixel = &view.pixels[(y * view.stored + x) * channels..][..channels];
            let to = &mut out[((y - top) * size + column) * 4..][..channels];
            for ((to, &value), table) in to.iter_mut().zip(pixel).zip(&tables.values) {
                *to = table[usize::from(value)];
            }
        }
    }
}

/// Bilinear, pixel centres at halves; the window lies inside the image, whose edge is repeated.
fn resample(view: &View<'_>, [left, top, side]: [f32; 3], tables: &Tables, flip: bool, out: &mut [f32]) {
    let step = side / view.size as f32;
    let (first, last) = (view.content.start, view.content.end - 1);
    let at = |start: f32, i: usize| {
        let position = (start + (i as f32 + 0.5) * step - 0.5).clamp(first as f32, last as f32);
        let low = position as usize;
        (low, (low + 1).min(last), position - low as f32)
    };
    let columns: Vec<_> = (0..view.size).map(|x| at(left, x)).collect();
    for y in 0..view.size {
        let (y0, y1, down) = at(top, y);
        for (x, &(x0, x1, right)) in columns.iter().enumerate() {
            let column = if flip { view.size - 1 - x } else { x };
            let to = &mut out[(y * view.size + column) * 4..][..view.channels];
            for (c, (to, table)) in to.iter_mut().zip(&tables.values).enumerate() {
                let value =
                    |y: usize, x: usize| table[usize::from(view.pixels[(y * view.stored + x) * view.channels + c])];
                let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
                let upper = mix(value(y0, x0), value(y0, x1), right);
                *to = mix(upper, mix(value(y1, x0), value(y1, x1), right), down);
            }
        }
    }
}

/// Brightness, contrast and saturation on values in 0..1, clamped after each as torchvision does.
fn jitter(out: &mut [f32], factors: [f32; 3], channels: usize, normalisation: &Normalisation) {
    let [brightness, contrast, saturation] = factors;
    let mut sum = 0.0f64;
    let pixels = out.len() / 4;
    for pixel in out.chunks_exact_mut(4) {
        for (c, value) in pixel[..channels].iter_mut().enumerate() {
            let share = *value * normalisation.std[c] + normalisation.mean[c];
            *value = away(0.0, share, brightness);
        }
        sum += f64::from(grey(pixel, channels));
    }
    let mean = (sum / pixels as f64) as f32;
    for pixel in out.chunks_exact_mut(4) {
        for value in &mut pixel[..channels] {
            *value = away(mean, *value, contrast);
        }
        // Of a grey image the level is the value itself, which saturation leaves alone.
        let level = grey(pixel, channels);
        for (c, value) in pixel[..channels].iter_mut().enumerate() {
            let share = away(level, *value, saturation);
            *value = (share - normalisation.mean[c]) / normalisation.std[c];
        }
    }
}
