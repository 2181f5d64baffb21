//! One image file's bytes and its pixels as they lie in it, or what is wrong with it; never a panic.
//!
//! What is too large is refused before it is read or decoded, by what the system and the header say.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Cursor, Read as _};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::error::{BadFile, Fault};
use super::whole;

/// Formats that are read.
pub(super) const READ: [ImageFormat; 6] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];

/// The same for people.
pub(super) const FORMATS: &str = "png, jpeg, webp, bmp, gif or tiff";

/// Longest side of a file that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// Largest file that is decoded, in pixels.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Largest file that is read, and most that its pixels may take while they are decoded, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;

/// Most memory a decoder may take for itself.
const MAX_DECODER_BYTES: u64 = 2 * MAX_BYTES;

/// The last byte of a GIF.
const GIF_END: u8 = 0x3b;

/// Why a file is not a usable image, before it is said which.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fault: Fault,
    pub(super) reason: String,
}

impl Refused {
    fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }

    pub(super) fn at(self, path: &Path) -> BadFile {
        BadFile { path: path.to_owned(), fault: self.fault, reason: self.reason }
    }
}

/// Opens a file that is neither empty nor too large to be read.
pub(super) fn open(path: &Path) -> Result<File, Refused> {
    let closed = |e| Refused::new(Fault::Unreadable, format!("cannot be opened ({e})"));
    // Asked first: opening a pipe would wait for somebody to write to it.
    let metadata = fs::metadata(path).map_err(closed)?;
    if !metadata.is_file() {
        return Err(Refused::new(Fault::Unreadable, "not a regular file"));
    }
    match metadata.len() {
        0 => Err(Refused::new(Fault::Empty, "an empty file")),
        length if length > MAX_BYTES => {
            let reason = format!("{} MB are more than {} MiB", length / 1_000_000, MAX_BYTES >> 20);
            Err(Refused::new(Fault::Oversized, reason))
        }
        _ => File::open(path).map_err(closed),
    }
}

/// Adds at most `limit` bytes of a file to `bytes`; how many there were.
pub(super) fn read(file: &mut File, limit: u64, bytes: &mut Vec<u8>) -> Result<usize, Refused> {
    let unread = |e| Refused::new(Fault::Unreadable, format!("cannot be read ({e})"));
    file.take(limit).read_to_end(bytes).map_err(unread)
}

/// All bytes of a file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    read(&mut open(path)?, MAX_BYTES, &mut bytes)?;
    Ok(bytes)
}

/// A decoder that has read the header, and found a size that is decoded.
pub(super) fn decoder(bytes: &[u8]) -> Result<impl ImageDecoder, Refused> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("memory can be read");
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error, bytes))?;
    let (width, height) = decoder.dimensions();
    let own = whole::decoder_bytes(bytes, u64::from(width) * u64::from(height));
    sane(width, height, decoder.total_bytes().saturating_add(own))?;
    if matches!(image::guess_format(bytes), Ok(ImageFormat::Gif)) {
        // Its frames have sizes of their own.
        limits.max_alloc = Some(MAX_BYTES - decoder.total_bytes());
        decoder.set_limits(limits).map_err(|error| refused(&error, bytes))?;
    }
    Ok(decoder)
}

/// Pixels as they lie in a file, and how to turn them upright (EXIF).
pub(super) fn pixels(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Refused> {
    if let Some(reason) = whole::lacks_its_end(bytes) {
        return Err(Refused::new(Fault::Truncated, reason));
    }
    let mut decoder = decoder(bytes)?;
    let (width, height) = decoder.dimensions();
    if whole::claims_too_much(bytes, u64::from(width) * u64::from(height)) {
        let reason = format!("cut short: {width} x {height} pixels cannot be in {} bytes", bytes.len());
        return Err(Refused::new(Fault::Truncated, reason));
    }
    // Metadata that cannot be read does not make the pixels any worse.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| refused(&error, bytes))?;
    Ok((image, orientation))
}

/// Whether turning an image upright exchanges its width and height.
pub(super) fn lies(orientation: Orientation) -> bool {
    matches!(orientation.to_exif(), 5..=8)
}

/// Refuses sizes that no dataset of photographs has and that would take gigabytes to decode.
fn sane(width: u32, height: u32, decoded: u64) -> Result<(), Refused> {
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 {
        Err(Refused::new(Fault::Unreadable, format!("an image of {width} x {height} pixels")))
    } else if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        let megapixels = MAX_PIXELS / 1_000_000;
        let reason = format!("{width} x {height} pixels is more than {MAX_SIDE} a side or {megapixels} megapixels");
        Err(Refused::new(Fault::Oversized, reason))
    } else if decoded > MAX_BYTES {
        let reason = format!("{width} x {height} pixels take more than {} MiB once decoded", MAX_BYTES >> 20);
        Err(Refused::new(Fault::Oversized, reason))
    } else {
        Ok(())
    }
}

/// Why the decoder refused a file.
fn refused(error: &ImageError, bytes: &[u8]) -> Refused {
    match error {
        ImageError::Unsupported(_) => Refused::new(Fault::Unreadable, unread(error, bytes)),
        ImageError::Limits(_) => Refused::new(Fault::Oversized, format!("takes too much memory to decode ({error})")),
        _ if cut_short(error, bytes) => Refused::new(Fault::Truncated, format!("cut short ({error})")),
        _ => Refused::new(Fault::Unreadable, format!("damaged ({error})")),
    }
}

/// What a file is that no decoder is for.
fn unread(error: &ImageError, bytes: &[u8]) -> String {
    match image::guess_format(bytes) {
        Ok(format) if READ.contains(&format) => format!("a {} of a kind that is not read ({error})", name(format)),
        Ok(format) => format!("a {} file, which is not read", name(format)),
        Err(_) => format!("not {FORMATS}, whatever its name says"),
    }
}

/// What a format is called at the end of a file's name.
pub(super) fn name(format: ImageFormat) -> &'static str {
    format.extensions_str()[0]
}

/// Whether a file that was refused lacks its end.
fn cut_short(error: &ImageError, bytes: &[u8]) -> bool {
    // Its source would be that of what it holds.
    let begin: &(dyn Error + 'static) = if let ImageError::IoError(error) = error { error } else { error };
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => !whole::jpeg_ends(bytes),
        Ok(ImageFormat::Png) => !bytes.windows(4).any(|chunk| chunk == b"IEND"),
        Ok(ImageFormat::Gif) => bytes.last() != Some(&GIF_END),
        _ => std::iter::successors(Some(begin), |&error| error.source())
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::UnexpectedEof),
    }
}
