//! One image file to a square of 8-bit pixels, or a reason why not; never a panic.
//!
//! The square kept is larger than the network's input by a margin on each side, so that a random
//! crop needs no second decoding. An image with more pixels than the input fills the whole
//! square; a smaller one fills only the middle, and the margin counts as the mean colour.
//! Transparency is dropped: a transparent pixel has the colour stored under it. Of an animation the first frame counts,
//! of a TIFF the first page.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use serde::{Deserialize, Serialize};

use super::error::{BadFile, DataError};
use super::file::{self, Refused};
use super::folder::{Dataset, Sample};

/// Training images looked at to tell a grey dataset from one in colour.
const CHANNEL_SAMPLES: usize = 64;

/// What a network takes in: the side of a square and the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// Side of the network's input in pixels, 1 to 4096.
    pub size: u32,
    /// 1 = grey, 3 = red, green, blue.
    pub channels: u32,
}

impl Format {
    /// Pixels kept beyond the input on each side: an eighth of the size, at least 2.
    pub fn margin(self) -> u32 {
        ((self.size + 4) / 8).max(2)
    }

    /// Side of the square that is kept of each image, in pixels.
    pub fn stored(self) -> u32 {
        self.size + 2 * self.margin()
    }

    /// Bytes kept of each image.
    pub fn bytes(self) -> usize {
        self.stored() as usize * self.stored() as usize * self.channels as usize
    }

    /// # Errors
    /// [`DataError::Format`] for a size or a number of channels that is not supported.
    pub fn check(self) -> Result<(), DataError> {
        if (1..=4096).contains(&self.size) && matches!(self.channels, 1 | 3) {
            return Ok(());
        }
        Err(DataError::Format { size: self.size, channels: self.channels })
    }
}

/// One image as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// 8-bit pixels (stored, stored, channels).
    pub pixels: Vec<u8>,
    /// True when only the middle (size, size) is image and the margin is zeros.
    pub padded: bool,
}

/// Decodes a file, turns it upright (EXIF), cuts the largest centred square and resizes it.
///
/// # Errors
/// The file with the reason: unreadable, of another format, cut short, or too large.
pub fn decode(path: &Path, format: Format) -> Result<Stored, BadFile> {
    file::bytes(path).and_then(|bytes| decode_bytes(&bytes, format)).map_err(|refused| refused.at(path))
}

/// Whether this is an image that can be decoded, for `formats`.
pub(crate) fn reads_image(bytes: &[u8]) -> bool {
    decode_bytes(bytes, Format { size: 8, channels: 3 }).is_ok()
}

fn decode_bytes(bytes: &[u8], format: Format) -> Result<Stored, Refused> {
    let (image, orientation) = file::pixels(bytes)?;
    let (width, height) = (image.width(), image.height());
    let short = width.min(height);
    let padded = short <= format.size;
    let side = if padded { format.size } else { format.stored() };
    let (pixels, pixel_type) = match format.channels {
        1 => (image.into_luma8().into_raw(), PixelType::U8),
        _ => (image.into_rgb8().into_raw(), PixelType::U8x3),
    };
    let source = ImageRef::new(width, height, &pixels, pixel_type).expect("an image has as many pixels as it says");
    let mut square = Image::new(side, side, pixel_type);
    // Whole pixels, so that an image that has the right size already is copied unchanged.
    let (left, top) = ((width - short) / 2, (height - short) / 2);
    let options = ResizeOptions::new()
        .crop(left.into(), top.into(), short.into(), short.into())
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    Resizer::new().resize(&source, &mut square, &options).expect("the square lies in the image and has its pixel type");
    let pixels = upright(square.into_vec(), side, format.channels, orientation);
    Ok(match padded {
        true => Stored { pixels: framed(&pixels, format), padded },
        false => Stored { pixels, padded },
    })
}

/// 1 when the images looked at (up to 64, spread evenly over the training images) are all grey,
/// by colour type or because red = green = blue everywhere; else 3. What cannot be decoded has no say.
/// A pack has as many as it was written with.
pub fn detect_channels(dataset: &Dataset) -> u32 {
    if let Some(packed) = &dataset.packed {
        return packed.pack.format().channels;
    }
    let samples: &[Sample] = &dataset.train;
    let looked_at = samples.len().min(CHANNEL_SAMPLES);
    let in_colour = (0..looked_at).any(|i| {
        let path = &samples[i * samples.len() / looked_at].path;
        let Ok((image, _)) = file::bytes(path).and_then(|bytes| file::pixels(&bytes)) else { return false };
        image.color().has_color() && image.into_rgb8().pixels().any(|p| p[0] != p[1] || p[1] != p[2])
    });
    if in_colour { 3 } else { 1 }
}

fn upright(pixels: Vec<u8>, side: u32, channels: u32, orientation: Orientation) -> Vec<u8> {
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    let complete = "a square has side * side * channels bytes";
    let mut image = match channels {
        1 => GrayImage::from_raw(side, side, pixels).expect(complete).into(),
        _ => DynamicImage::from(RgbImage::from_raw(side, side, pixels).expect(complete)),
    };
    image.apply_orientation(orientation);
    image.into_bytes()
}

/// The (size, size) square in the middle of a stored one, zeros around it.
fn framed(square: &[u8], format: Format) -> Vec<u8> {
    let (size, margin) = (format.size as usize, format.margin() as usize);
    let (stored, channels) = (format.stored() as usize, format.channels as usize);
    let mut pixels = vec![0; format.bytes()];
    for (y, row) in square.chunks_exact(size * channels).enumerate() {
        let start = ((y + margin) * stored + margin) * channels;
        pixels[start..start + row.len()].copy_from_slice(row);
    }
    pixels
}
