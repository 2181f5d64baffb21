//! The cheap look at every file of a dataset: is there an image header, and is its size sane.
//!
//! Pixels are not decoded here: a file cut short is found when it is loaded.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use image::ImageReader;

use super::decode::{MAX_PIXELS, MAX_SIDE, unreadable};
use super::error::BadFile;

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
    dimensions(path)
        .and_then(|(width, height)| sane(width, height).map(|()| width.min(height)))
        .map_err(|reason| BadFile { path: path.to_owned(), reason })
}

/// Refuses sizes that no dataset of photographs has and that would take gigabytes to decode.
pub(super) fn sane(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 {
        Err(format!("an image of {width} x {height} pixels"))
    } else if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        Err(format!(
            "{width} x {height} pixels is more than {MAX_SIDE} a side or {} megapixels",
            MAX_PIXELS / 1_000_000
        ))
    } else {
        Ok(())
    }
}

fn dimensions(path: &Path) -> Result<(u32, u32), String> {
    let mut file = File::open(path).map_err(|e| format!("cannot be opened ({e})"))?;
    let mut bytes = Vec::new();
    let mut read = |limit: u64, bytes: &mut Vec<u8>| {
        file.by_ref().take(limit).read_to_end(bytes).map_err(|e| format!("cannot be read ({e})"))
    };
    let got = read(HEADER_BYTES as u64, &mut bytes)?;
    if got == 0 {
        return Err("an empty file".to_owned());
    }
    match parse(&bytes) {
        Err(_) if got == HEADER_BYTES => {
            read(u64::MAX, &mut bytes)?;
            parse(&bytes)
        }
        result => result,
    }
}

fn parse(bytes: &[u8]) -> Result<(u32, u32), String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.expect("memory can be read");
    reader.into_dimensions().map_err(|e| unreadable(&e))
}
