//! One PNG or JPEG file to a square of 8-bit pixels, or a reason why not; never a panic.
//!
//! The square kept is larger than the network's input by a margin on each side, so that a random
//! crop needs no second decoding. An image with more pixels than the input fills the whole
//! square; a smaller one fills only the middle, and the margin counts as the mean colour.
//! Transparency is dropped: a transparent pixel has the colour stored under it.

use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};

use super::check::sane;
use super::error::{BadFile, BadFiles, DataError};
use super::folder::{Dataset, Sample};

/// Longest side of a file that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// Largest file that is decoded, in pixels.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Most memory a decoder may take for one file: [`MAX_PIXELS`] of 16-bit RGBA and some room.
const MAX_DECODER_BYTES: u64 = 1 << 30;

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
/// The file with the reason: unreadable, not PNG or JPEG, cut short, or too large.
pub fn decode(path: &Path, format: Format) -> Result<Stored, BadFile> {
    load(path)
        .and_then(|bytes| decode_bytes(&bytes, format))
        .map_err(|reason| BadFile { path: path.to_owned(), reason })
}

/// The same of a file's content.
///
/// # Errors
/// The reason in words.
pub fn decode_bytes(bytes: &[u8], format: Format) -> Result<Stored, String> {
    let (image, orientation) = read(bytes)?;
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
/// by colour type or because red = green = blue everywhere; else 3.
///
/// # Errors
/// [`DataError::BadFiles`] names the image that cannot be decoded.
pub fn detect_channels(dataset: &Dataset) -> Result<u32, DataError> {
    let samples: &[Sample] = &dataset.train;
    let looked_at = samples.len().min(CHANNEL_SAMPLES);
    for i in 0..looked_at {
        let path = &samples[i * samples.len() / looked_at].path;
        let image = match load(path).and_then(|bytes| read(&bytes)) {
            Ok((image, _)) => image,
            Err(reason) => {
                let first = vec![BadFile { path: path.clone(), reason }];
                return Err(DataError::BadFiles(BadFiles { count: 1, first }));
            }
        };
        let grey = !image.color().has_color() || image.into_rgb8().pixels().all(|p| p[0] == p[1] && p[1] == p[2]);
        if !grey {
            return Ok(3);
        }
    }
    Ok(1)
}

fn load(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot be read ({e})"))
}

/// A file's pixels as they lie in it, and how to turn them upright.
fn read(bytes: &[u8]) -> Result<(DynamicImage, Orientation), String> {
    if bytes.is_empty() {
        return Err("an empty file".to_owned());
    }
    if bytes.starts_with(&[0xff, 0xd8]) && !jpeg_ends(bytes) {
        return Err("a jpeg that is cut short: its end marker is missing".to_owned());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("memory can be read");
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| unreadable(&e))?;
    let (width, height) = decoder.dimensions();
    sane(width, height)?;
    // Metadata that cannot be read does not make the pixels any worse.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|e| unreadable(&e))?;
    Ok((image, orientation))
}

/// Why the decoder refused a file.
pub(super) fn unreadable(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => "neither png nor jpeg, whatever its name says".to_owned(),
        other => format!("damaged or cut short ({other})"),
    }
}

/// Whether a JPEG has an end marker after its first scan. The decoder fills what is missing with
/// grey, and a network would learn that. Headers are stepped over, because a thumbnail in them
/// has an end marker of its own; inside a scan 0xff is always followed by 0x00 or a restart.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[lead, marker]) = bytes.get(at..at + 2) {
        match (lead, marker) {
            (0xff, 0xda) => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            // Not a marker, fill bytes, and markers without a length.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => at += 1,
        }
    }
    false
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
