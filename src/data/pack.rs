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

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::augment::View;
use super::batch::Sums;
use super::check;
use super::decode::{Format, decode, detect_channels};
use super::divide::path_from;
use super::error::{BadFile, DataError, Fault};
use super::folder::{Found, Options, find_source, open};
use super::import::ImportError;
use super::manifest::{folder_of, stays_inside};
use super::scan::Entry;
use crate::digest::hex;

/// The version that is written and read. It changes when the file does, and when an image would be decoded to other
/// pixels.
pub const VERSION: u32 = 1;

/// What a pack begins with.
const MAGIC: [u8; 8] = *b"\x89napack\n";

/// Magic, version, place of the index, its length, its SHA-256.
const HEADER: usize = 8 + 4 + 8 + 8 + 32;

/// Largest index that is read, in bytes.
const MAX_INDEX: u64 = 1 << 30;

/// Bytes of a block, where an image is not larger.
const BLOCK_BYTES: usize = 256 << 10;

/// Changed files that a message names.
const NAMED: usize = 5;

/// What was packed.
#[derive(Debug)]
pub struct Written {
    /// Images in it.
    pub images: usize,
    /// What they were decoded for.
    pub format: Format,
    /// Its size in bytes.
    pub bytes: u64,
    /// Files that are no usable images.
    pub bad: Vec<BadFile>,
}

/// Writes the images of `root`, a folder or a manifest, into a pack at `file`, for a network that takes in `size`
/// pixels a side; decodes each once, on `threads` threads, and tells `progress` how many of all are done.
///
/// # Errors
/// As for [`open`], for a `file` that is there or would lie neither in the folder nor above it, and for a disk that
/// does not take it; nothing is left then.
pub fn pack(
    root: &Path,
    file: &Path,
    size: u32,
    options: &Options,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Written, DataError> {
    if file.symlink_metadata().is_ok() {
        return Err(ImportError::Exists { path: file.to_owned() }.into());
    }
    let inside = path_from(folder_of(file), root, file)?;
    let format = Format { size, channels: detect_channels(&open(root, options)?) };
    format.check()?;
    let Found { train, holdout, test, .. } = find_source(root)?;
    let entries: Vec<Entry> = [Some(train), holdout, test].into_iter().flatten().flatten().collect();
    let mut writer = Writer::new(file)?;
    let (images, blocks) = fill(&mut writer, &entries, format, threads, progress)?;
    let paths = entries.iter().map(|entry| &entry.path);
    let bad: Vec<BadFile> = images.iter().zip(paths).filter_map(|(image, path)| image.bad(path)).collect();
    let index = Index { size, channels: format.channels, root: inside, images, blocks };
    let bytes = writer.finish(&index)?;
    Ok(Written { images: entries.len() - bad.len(), format, bytes, bad })
}

/// Whether this would be read as a pack, sums aside, for `formats`.
pub(crate) fn reads_pack(bytes: &[u8]) -> bool {
    Index::read(bytes, false).is_ok()
}

/// Whether a file begins as a pack does.
pub(super) fn is_pack(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    path.is_file()
        && File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic)).is_ok()
        && magic == MAGIC
}

/// Decodes all images and writes them, block by block in their order.
fn fill(
    writer: &mut Writer,
    entries: &[Entry],
    format: Format,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(Vec<Image>, Vec<Block>), DataError> {
    let each = (BLOCK_BYTES / format.bytes()).max(1);
    let chunks: Vec<&[Entry]> = entries.chunks(each).collect();
    let threads = threads.clamp(1, chunks.len().max(1));
    let (mut images, mut blocks) = (Vec::new(), Vec::new());
    let written: Result<(), DataError> = std::thread::scope(|scope| {
        // As for a loader: a thread makes every so many blocks, at most one ahead, and they are taken in turn.
        let mut lanes = Vec::new();
        for lane in 0..threads {
            let (sender, lane_blocks) = sync_channel(1);
            let mine = chunks.iter().copied().skip(lane).step_by(threads);
            scope.spawn(move || {
                for chunk in mine {
                    if sender.send(decoded(chunk, format)).is_err() {
                        return;
                    }
                }
            });
            lanes.push(lane_blocks);
        }
        for (number, chunk) in chunks.iter().enumerate() {
            let (of_block, pixels) = lanes[number % threads].recv().expect("a thread sends all of its blocks");
            writer.write(&pixels)?;
            images.extend(of_block);
            blocks.push(Block { images: chunk.len(), sum: hex(&Sha256::digest(&pixels)) });
            progress(images.len(), entries.len());
        }
        Ok(())
    });
    written.map(|()| (images, blocks))
}

/// What is kept of each file, and the pixels of those that are images.
fn decoded(entries: &[Entry], format: Format) -> (Vec<Image>, Vec<u8>) {
    let mut pixels = Vec::with_capacity(entries.len() * format.bytes());
    let of = |entry: &Entry| {
        let mut image = Image {
            name: Name::of(&entry.name),
            bytes: entry.bytes,
            modified: entry.modified,
            short_side: None,
            kept: None,
            fault: None,
        };
        let looked_at = check::header(&entry.path);
        image.short_side = looked_at.as_ref().ok().copied();
        match looked_at.and_then(|_| decode(&entry.path, format)) {
            Ok(stored) => {
                image.kept =
                    Some(Kept { padded: stored.padded, sums: Sums::of(&View::of(&stored, format), format.channels) });
                pixels.extend(stored.pixels);
            }
            Err(BadFile { fault, reason, .. }) => image.fault = Some((fault, reason)),
        }
        image
    };
    (entries.iter().map(of).collect(), pixels)
}

/// What a pack says of its images.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    size: u32,
    channels: u32,
    /// The folder or the manifest, from the pack's folder.
    root: String,
    /// All files, in the order of their pixels.
    images: Vec<Image>,
    blocks: Vec<Block>,
}

/// A file as it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    name: Name,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// In pixels, where the header could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    short_side: Option<u32>,
    /// Of a usable image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
    /// Of any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<(Fault, String)>,
}

/// What is known of a decoded image beside its pixels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    padded: bool,
    sums: Sums,
}

/// Images with one sum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    /// Files, usable or not.
    images: usize,
    /// SHA-256 of the pixels.
    sum: String,
}

/// A path inside the folder, in words where it has some.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Name {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Image {
    fn bad(&self, path: &Path) -> Option<BadFile> {
        let (fault, reason) = self.fault.clone()?;
        Some(BadFile { path: path.to_owned(), fault, reason })
    }
}

impl Index {
    /// The index of a whole file, or what is wrong with it, as the end of a sentence.
    fn read(bytes: &[u8], with_sum: bool) -> Result<Self, String> {
        let cut = "is cut short or damaged: write it again";
        let (header, _) = bytes.split_at_checked(HEADER).ok_or(cut)?;
        if !header.starts_with(&MAGIC) {
            return Err("is no pack: it begins with other bytes".to_owned());
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let version = u32::from_le_bytes(std::array::from_fn(|i| header[8 + i]));
        if version != VERSION {
            return Err(format!("is of version {version}, and {VERSION} is read: write it again"));
        }
        let (start, length) = (number(12), number(20));
        let whole = start >= HEADER as u64 && start.checked_add(length) == Some(bytes.len() as u64);
        if !whole || length > MAX_INDEX {
            return Err(cut.to_owned());
        }
        let text = &bytes[start as usize..];
        if with_sum && Sha256::digest(text)[..] != header[28..] {
            return Err("has a damaged index: write it again".to_owned());
        }
        let index: Self =
            serde_json::from_slice(text).map_err(|error| format!("has an index that cannot be read ({error})"))?;
        index.check(start - HEADER as u64)?;
        Ok(index)
    }

    fn format(&self) -> Format {
        Format { size: self.size, channels: self.channels }
    }

    /// That everything in it holds for as many bytes of pixels.
    fn check(&self, pixels: u64) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("has an index that is wrong ({what}): write it again"));
        let format = self.format();
        if format.check().is_err() {
            return wrong("its format");
        }
        if !self.root.is_empty() && !stays_inside(&self.root) {
            return wrong("it leads outside its own folder");
        }
        let mut names = HashSet::new();
        let mut usable = 0u64;
        for image in &self.images {
            if !names.insert(image.name.bytes()) {
                return wrong("a name twice");
            }
            match (&image.kept, &image.fault) {
                (Some(kept), None) if image.short_side.is_some() && kept.sums.are_of(format) => usable += 1,
                (None, Some(_)) => {}
                _ => return wrong("an image"),
            }
        }
        let in_blocks = self.blocks.iter().try_fold(0usize, |all, block| all.checked_add(block.images));
        if in_blocks != Some(self.images.len()) || usable.checked_mul(format.bytes() as u64) != Some(pixels) {
            return wrong("its length");
        }
        Ok(())
    }
}

/// A pack that is mapped into memory.
#[derive(Debug)]
pub(super) struct Pack {
    path: PathBuf,
    map: Mmap,
    index: Index,
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
    fn open(path: &Path) -> Result<Self, DataError> {
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
    pub(super) fn format(&self) -> Format {
        self.index.format()
    }

    /// The image of a file.
    pub(super) fn image(&self, entry: &Entry) -> u32 {
        self.by_name[&entry.name]
    }

    /// The short side of a file, or why its header is none.
    pub(super) fn header(&self, entry: &Entry) -> Result<u32, BadFile> {
        let image = &self.index.images[self.image(entry) as usize];
        image.short_side.ok_or_else(|| image.bad(&entry.path).expect("a file without a header is bad"))
    }

    /// Why a file is no usable image, though its header is.
    pub(super) fn spoilt(&self, entry: &Entry) -> Option<BadFile> {
        let image = &self.index.images[self.image(entry) as usize];
        image.short_side.and_then(|_| image.bad(&entry.path))
    }

    /// Whether the margin of a usable image is empty, and its sums.
    pub(super) fn kept(&self, image: u32) -> (bool, &Sums) {
        let kept = self.index.images[image as usize].kept.as_ref().expect("it is usable");
        (kept.padded, &kept.sums)
    }

    /// # Errors
    /// [`DataError::Pack`] where it was written for another format.
    pub(super) fn fits(&self, format: Format) -> Result<(), DataError> {
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
    pub(super) fn pixels(&self, image: u32) -> Result<&[u8], DataError> {
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
    fn is_of(&self, entries: &[&Entry]) -> Result<(), DataError> {
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

/// A pack to be. It lies beside until it is whole, and goes when it does not come to that.
struct Writer {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    /// Bytes of pixels so far.
    bytes: u64,
}

impl Writer {
    fn new(path: &Path) -> Result<Self, DataError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = File::create(&partial).map_err(|source| cannot_write(&partial, source))?;
        let mut writer = Self { path: path.to_owned(), partial, file: BufWriter::new(file), bytes: 0 };
        // Its place; what it says is known at the end.
        writer.file.write_all(&[0; HEADER]).map_err(|source| cannot_write(&writer.partial, source))?;
        Ok(writer)
    }

    fn write(&mut self, pixels: &[u8]) -> Result<(), DataError> {
        self.bytes += pixels.len() as u64;
        self.file.write_all(pixels).map_err(|source| cannot_write(&self.partial, source))
    }

    /// Writes the index and the header, and gives the file its name; returns its size.
    fn finish(mut self, index: &Index) -> Result<u64, DataError> {
        let text = serde_json::to_vec(index).expect("it is plain data");
        let start = HEADER as u64 + self.bytes;
        let header = [
            &MAGIC[..],
            &VERSION.to_le_bytes(),
            &start.to_le_bytes(),
            &(text.len() as u64).to_le_bytes(),
            &Sha256::digest(&text),
        ]
        .concat();
        let written = self
            .file
            .write_all(&text)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(&header))
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.partial, &self.path));
        written.map_err(|source| cannot_write(&self.path, source))?;
        Ok(start + text.len() as u64)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Gone already when it has been finished.
        let _ = fs::remove_file(&self.partial);
    }
}

fn cannot_write(path: &Path, source: io::Error) -> DataError {
    ImportError::Io { action: "write", path: path.to_owned(), source }.into()
}
