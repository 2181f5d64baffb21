//! A folder's images decoded and resized once, in one file that a search maps into memory and begins with at once.
//!
//! **The promise**: a search of the pack sees the batches that a search of the folder sees, bit for bit, with any seed,
//! split, augmentation and number of threads, at the size and with the channels that the pack was written for. For what
//! an image is between decoding and augmentation is the square that [`decode`](super::decode::decode) makes, its
//! empty margin, and its sums; the pack holds these of every file, and what was wrong with the files that are
//! no images. The split is drawn anew from the folder's own list, which the pack is held against: a file
//! that was added, removed or changed since (by its size or its time) refuses the pack.
//!
//! A header, the pixels in blocks of about 256 KiB, an index in JSON. The index has a checksum, which is read at once, and
//! each block has one, which is looked at when an image of the block is first asked for. The file must not be cut short
//! while it is in use: the system would end the program.

mod index; // what it says of its images
mod mapped; // one that is mapped into memory
mod write; // one to be

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::error::DataError;
use super::folder::{Found, find_source};
use crate::disk::folder_of;
use index::{Index, MAGIC};

pub use index::VERSION;
pub(super) use mapped::Pack;
pub use write::{Written, pack};

/// Whether this would be read as a pack, sums aside, for `formats`.
pub(crate) fn reads_pack(bytes: &[u8]) -> bool {
    Index::read(bytes, false).is_ok()
}

/// Whether a file begins as a pack does.
pub(super) fn is_pack(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
}

/// The files of a pack as their folder, or its manifest, divides them now.
pub(super) fn find(path: &Path) -> Result<(Found, Pack), DataError> {
    let pack = Pack::open(path)?;
    let folder = folder_of(path);
    let root = if pack.index.root.is_empty() { folder.to_owned() } else { folder.join(&pack.index.root) };
    let found = find_source(&root)?;
    if !found.scan.lies_in(folder) {
        return Err(DataError::LinkLeaves { path: root });
    }
    let splits = [Some(&found.train), found.holdout.as_ref(), found.test.as_ref()];
    pack.is_of(&splits.into_iter().flatten().flatten().collect::<Vec<_>>())?;
    Ok((found, pack))
}
