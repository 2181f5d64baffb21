//! A pack that is mapped into memory, and what it has of each file.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::Mmap;
use sha2::{Digest as _, Sha256};

use super::super::batch::Sums;
use super::super::decode::Format;
use super::super::error::{BadFile, DataError};
use super::super::scan::Entry;
use super::index::{HEADER, Index};
use crate::digest::hex;

/// Changed files that a message names.
const NAMED: usize = 5;

/// A pack that is mapped into memory.
#[derive(Debug)]
pub(in crate::data) struct Pack {
    path: PathBuf,
    map: Mmap,
    pub(super) index: Index,
    /// The image of each name.
    by_name: HashMap<Vec<u8>, u32>,
    /// How many usable images are before each image.
    places: Vec<u32>,
    /// The block of each image.
    blocks: Vec<u32>,
    /// How many images are before each block, and before the end.
    starts: Vec<u32>,
    /// Blocks whose sum was found to be right.
    sound: Vec<AtomicBool>,
}

impl Pack {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let unread = |source| DataError::Read { path: path.to_owned(), source };
        let refused = |problem| DataError::Pack { path: path.to_owned(), problem };
        let file = File::open(path).map_err(unread)?;
        // SAFETY: the map is only read, as bytes. Who changes the file meanwhile changes pixels, and their sums tell; who
        // cuts it short ends the program, which the module says.
        let map = unsafe { Mmap::map(&file) }.map_err(unread)?;
        let index = Index::read(&map, true).map_err(refused)?;
        let (mut places, mut blocks, mut starts, mut usable) = (Vec::new(), Vec::new(), vec![0], 0);
        for image in &index.images {
            places.push(usable);
            usable += u32::from(image.kept.is_some());
        }
        for (number, block) in index.blocks.iter().enumerate() {
            blocks.extend(std::iter::repeat_n(number as u32, block.images));
            starts.push(blocks.len() as u32);
        }
        places.push(usable);
        let by_name =
            index.images.iter().enumerate().map(|(i, image)| (image.name.bytes().to_vec(), i as u32)).collect();
        let sound = index.blocks.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { path: path.to_owned(), map, index, by_name, places, blocks, starts, sound })
    }

    /// What the images were decoded for.
    pub(in crate::data) fn format(&self) -> Format {
        self.index.format()
    }

    /// The image of a file.
    pub(in crate::data) fn image(&self, entry: &Entry) -> u32 {
        self.by_name[&entry.name]
    }

    /// The short side of a file, or why its header is none.
    pub(in crate::data) fn header(&self, entry: &Entry) -> Result<u32, BadFile> {
        let image = &self.index.images[self.image(entry) as usize];
        image.short_side.ok_or_else(|| image.bad(&entry.path).expect("a file without a header is bad"))
    }

    /// Why a file is no usable image, though its header is.
    pub(in crate::data) fn spoilt(&self, entry: &Entry) -> Option<BadFile> {
        let image = &self.index.images[self.image(entry) as usize];
        image.short_side.and_then(|_| image.bad(&entry.path))
    }

    /// Whether the margin of a usable image is empty, and its sums.
    pub(in crate::data) fn kept(&self, image: u32) -> (bool, &Sums) {
        let kept = self.index.images[image as usize].kept.as_ref().expect("it is usable");
        (kept.padded, &kept.sums)
    }

    /// # Errors
    /// [`DataError::Pack`] where it was written for another format.
    pub(in crate::data) fn fits(&self, format: Format) -> Result<(), DataError> {
        let Format { size, channels } = self.format();
        if self.format() == format {
            return Ok(());
        }
        let problem = format!(
            "is for {size} px and {channels} channels, and {} px and {} channels are asked for: give --size {size}, or \
             write another with netadapt-data pack --size {}",
            format.size, format.channels, format.size
        );
        Err(DataError::Pack { path: self.path.clone(), problem })
    }

    /// Pixels (stored, stored, channels) of a usable image.
    ///
    /// # Errors
    /// [`DataError::Pack`] names a damaged block.
    pub(in crate::data) fn pixels(&self, image: u32) -> Result<&[u8], DataError> {
        let block = self.blocks[image as usize];
        if !self.sound[block as usize].load(Ordering::Relaxed) {
            self.check(block as usize)?;
            self.sound[block as usize].store(true, Ordering::Relaxed);
        }
        Ok(self.between(image, image + 1))
    }

    /// Pixels of the usable images from one image on and before another one.
    fn between(&self, from: u32, to: u32) -> &[u8] {
        let place = |image: u32| HEADER + self.places[image as usize] as usize * self.format().bytes();
        &self.map[place(from)..place(to)]
    }

    fn check(&self, block: usize) -> Result<(), DataError> {
        let (from, to) = (self.starts[block], self.starts[block + 1]);
        if hex(&Sha256::digest(self.between(from, to))) == self.index.blocks[block].sum {
            return Ok(());
        }
        let name = |image: u32| String::from_utf8_lossy(self.index.images[image as usize].name.bytes());
        let problem = format!(
            "is damaged in block {block} of {} ('{}' to '{}'): write it again",
            self.index.blocks.len(),
            name(from),
            name(to - 1)
        );
        Err(DataError::Pack { path: self.path.clone(), problem })
    }

    /// # Errors
    /// [`DataError::Pack`] where the folder is not what was packed.
    pub(super) fn is_of(&self, entries: &[&Entry]) -> Result<(), DataError> {
        let mut found = vec![false; self.index.images.len()];
        let mut changes = Vec::new();
        for entry in entries {
            let name = String::from_utf8_lossy(&entry.name);
            let Some(&image) = self.by_name.get(&entry.name) else {
                changes.push(format!("'{name}' is new"));
                continue;
            };
            found[image as usize] = true;
            let packed = &self.index.images[image as usize];
            if (packed.bytes, packed.modified) != (entry.bytes, entry.modified) {
                changes.push(format!("'{name}' was changed"));
            }
        }
        let gone = self.index.images.iter().zip(found).filter(|(_, found)| !found);
        changes.extend(gone.map(|(image, _)| format!("'{}' is gone", String::from_utf8_lossy(image.name.bytes()))));
        if changes.is_empty() {
            return Ok(());
        }
        let more = match changes.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        changes.truncate(NAMED);
        let problem = format!("is not of these images any more ({}{more}): write it again", changes.join(", "));
        Err(DataError::Pack { path: self.path.clone(), problem })
    }
}
