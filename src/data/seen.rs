//! Every file of a dataset decoded once; of each only its sum, its size and 80 bytes of its looks are kept.

use std::path::Path;

use image::ImageFormat;
use image::metadata::Orientation;
use sha2::{Digest as _, Sha256};

use super::each::each;
use super::error::BadFile;
use super::file::{self, Refused};
use super::likeness::Look;
use super::scan::Entry;

/// What is kept of a usable image.
pub(super) struct Seen {
    /// SHA-256 of the file.
    pub(super) sum: [u8; 32],
    pub(super) look: Look,
    /// Upright, in pixels.
    pub(super) size: (u32, u32),
    /// What it is, whatever its name says.
    pub(super) format: ImageFormat,
    /// What a pixel is, in words.
    pub(super) channels: &'static str,
    /// Whether EXIF says to turn or mirror it.
    pub(super) turned: bool,
}

fn see(path: &Path) -> Result<Seen, Refused> {
    let bytes = file::bytes(path)?;
    let (image, orientation) = file::pixels(&bytes)?;
    let (width, height) = (image.width(), image.height());
    Ok(Seen {
        sum: Sha256::digest(&bytes).into(),
        size: if file::lies(orientation) { (height, width) } else { (width, height) },
        format: image::guess_format(&bytes).expect("it was decoded by its format"),
        channels: channels(image.color()),
        turned: orientation != Orientation::NoTransforms,
        look: Look::of(image, orientation),
    })
}

fn channels(colour: image::ColorType) -> &'static str {
    use image::ColorType::*;
    match colour {
        L8 => "grey",
        La8 => "grey-alpha",
        Rgb8 => "rgb",
        Rgba8 => "rgba",
        L16 => "grey16",
        La16 => "grey-alpha16",
        Rgb16 => "rgb16",
        Rgba16 => "rgba16",
        Rgb32F => "rgb-float",
        Rgba32F => "rgba-float",
        _ => "other",
    }
}

/// What was seen of each file, or nothing, and the files it was not seen of in their order.
pub(super) fn look_at(
    entries: &[&Entry],
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> (Vec<Option<Seen>>, Vec<BadFile>) {
    let see = |entry: &&Entry| see(&entry.path).map_err(|refused| refused.at(&entry.path));
    let mut bad = Vec::new();
    let seen =
        each(entries, threads, &see, progress).into_iter().map(|result| result.map_err(|file| bad.push(file)).ok());
    (seen.collect(), bad)
}
