//! The cheap look at every file of a dataset: is there an image header, and is its size sane.
//!
//! Pixels are not decoded here: a file cut short is found when it is loaded.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use image::ImageDecoder as _;

use super::error::BadFile;
use super::file::{self, Refused};

/// Headers end well before this in nearly all files; the rest is read only when they do not.
const HEADER_BYTES: usize = 64 * 1024;

/// Threads that look: they wait for a disk more than they compute, so there are more of them than processors.
const THREADS: usize = 16;
/// Files that a thread takes at a time.
const AT_A_TIME: usize = 256;

/// Short side in pixels of each file in their order, or why it is no usable image. `progress` is called on this thread
/// with (done, all).
pub(super) fn headers(paths: &[&Path], progress: &dyn Fn(usize, usize)) -> Vec<Result<u32, BadFile>> {
    let parts: Vec<&[&Path]> = paths.chunks(AT_A_TIME).collect();
    let mut looked_at = vec![Vec::new(); parts.len()];
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (results, done) = mpsc::channel();
        for _ in 0..THREADS.min(parts.len()) {
            let (results, next, parts) = (results.clone(), &next, &parts);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(index) else { return };
                    let sides: Vec<_> = part.iter().map(|path| header(path)).collect();
                    results.send((index, sides)).expect("it is received as long as there are threads");
                }
            });
        }
        drop(results);
        let mut count = 0;
        for (index, sides) in done {
            count += sides.len();
            looked_at[index] = sides;
            progress(count, paths.len());
        }
    });
    looked_at.into_iter().flatten().collect()
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
