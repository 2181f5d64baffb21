//! The cheap look at every file of a dataset: is there an image header, and is its size sane.
//!
//! Pixels are not decoded here: a file cut short is found when it is loaded.

use std::path::Path;

use image::ImageDecoder as _;

use super::each::each;
use super::error::BadFile;
use super::file::{self, Refused};

/// Headers end well before this in nearly all files; the rest is read only when they do not.
const HEADER_BYTES: usize = 64 * 1024;

/// Threads that look: they wait for a disk more than they compute, so there are more of them than processors.
const THREADS: usize = 16;

/// Short side in pixels of each file in their order, or why it is no usable image. `progress` is called on this thread
/// with (done, all).
pub(super) fn headers(paths: &[&Path], progress: &dyn Fn(usize, usize)) -> Vec<Result<u32, BadFile>> {
    each(paths, THREADS, &|path| header(path), &mut |done, all| progress(done, all))
}

/// Short side of a file in pixels, or why it is no usable image.
pub(super) fn header(path: &Path) -> Result<u32, BadFile> {
    dimensions(path).map(|(width, height)| width.min(height)).map_err(|refused| refused.at(path))
}

fn dimensions(path: &Path) -> Result<(u32, u32), Refused> {
    let mut file = file::open(path)?;
    let mut bytes = Vec::new();
    let got = file::read(&mut file, HEADER_BYTES as u64, &mut bytes)?;
    match file::decoder(&bytes).map(|decoder| decoder.dimensions()) {
        Err(_) if got == HEADER_BYTES => {
            file::read(&mut file, file::MAX_BYTES, &mut bytes)?;
            file::decoder(&bytes).map(|decoder| decoder.dimensions())
        }
        result => result,
    }
}
