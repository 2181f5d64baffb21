//! A pack to be: each file decoded once, by threads, and written in order.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use sha2::{Digest as _, Sha256};

use super::super::augment::View;
use super::super::batch::Sums;
use super::super::check;
use super::super::decode::{Format, decode, detect_channels};
use super::super::divide::path_from;
use super::super::error::{BadFile, DataError};
use super::super::folder::{Found, Options, find_source, open};
use super::super::import::ImportError;
use super::super::scan::Entry;
use super::index::{Block, HEADER, Image, Index, Kept, MAGIC, Name, VERSION};
use crate::digest::hex;
use crate::disk::{Disk as _, SystemDisk, folder_of};

/// Bytes of a block, where an image is not larger.
const BLOCK_BYTES: usize = 256 << 10;

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
            .and_then(|()| fs::rename(&self.partial, &self.path))
            .and_then(|()| SystemDisk.sync_folder(folder_of(&self.path)));
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
