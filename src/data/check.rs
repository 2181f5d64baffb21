//! The cheap look at every file of a dataset: is there an image header, and is its size sane.
//!
//! Pixels are not decoded here: a file cut short is found when it is loaded.

use std::path::Path;

use image::ImageDecoder as _;

use super::error::BadFile;
use super::file::{self, Refused};

/// Headers end well before this in nearly all files; the rest is read only when they do not.
const HEADER_BYTES: usize = 64 * 1024;

/// Short sides in pixels of all files in their order, or the files that are not usable images.
pub(super) fn headers(paths: &[&Path]) -> Result<Vec<u32>, Vec<BadFile>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
    let share = paths.len().div_ceil(threads).max(1);
    let parts: Vec<Vec<Result<u32, BadFile>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(|path| header(path)).collect()))
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("the look at a header does not panic")).collect()
    });
    let mut sides = Vec::with_capacity(paths.len());
    let mut bad = Vec::new();
    for result in parts.into_iter().flatten() {
        match result {
            Ok(side) => sides.push(side),
            Err(file) => bad.push(file),
        }
    }
    if bad.is_empty() { Ok(sides) } else { Err(bad) }
}

fn header(path: &Path) -> Result<u32, BadFile> {
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
