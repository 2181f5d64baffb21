//! Sets in other programs' forms as folders of images: IDX and CIFAR files, tables that name files, archives.
//!
//! A source is checked by its magic and its length, and the folder is there whole or not at all.

pub mod table; // a table of files and classes

pub mod archive; // tar and zip

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use super::manifest::stays_inside;
use crate::disk::read_text_at_most;

/// Side of a CIFAR image in pixels.
const CIFAR_SIDE: u32 = 32;
/// Bytes of one: red, green, blue.
const CIFAR_PIXELS: usize = 3 * (CIFAR_SIDE * CIFAR_SIDE) as usize;
/// Largest side of an image in an IDX file that is believed, in pixels.
const MAX_SIDE: u32 = 4096;
/// Most images that are taken from one source.
const MAX_IMAGES: usize = 10_000_000;
/// The largest file of classes' names.
const MAX_NAMES_BYTES: u64 = 1 << 20;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A source that is not what it should be.
    #[error("'{path}' {problem}")]
    Source {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do, as the end of a sentence.
        problem: String,
    },
    /// The operating system refused to read or write something.
    #[error("cannot {action} '{path}'")]
    Io {
        /// `read`, `write` or `copy`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder to be is there.
    #[error("'{path}' exists already: remove it, or name another with -o")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}

/// What an import made.
#[derive(Debug, PartialEq, Eq)]
pub struct Imported {
    /// Images of each class.
    pub classes: BTreeMap<String, usize>,
}

/// The images of an IDX file (MNIST, Fashion-MNIST; gzipped or not) by the labels of another one, as PNG files in a
/// folder per class that `into` gets. A class is its number, or the line of `names` that it numbers from 0.
///
/// # Errors
/// [`ImportError`] names the file and what is wrong with it.
pub fn idx(images: &Path, labels: &Path, names: Option<&Path>, into: &Path) -> Result<Imported, ImportError> {
    let mut pictures = Idx::open(images, 3)?;
    let mut numbers = Idx::open(labels, 1)?;
    let &[count, height, width] = pictures.dimensions.as_slice() else { unreachable!("three were asked for") };
    if count != numbers.dimensions[0] {
        let problem = format!("has {count} images and '{}' {} labels", labels.display(), numbers.dimensions[0]);
        return Err(ImportError::Source { path: images.to_owned(), problem });
    }
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || count as usize > MAX_IMAGES {
        let problem = format!("has {count} images of {width} x {height} pixels, which are none or too many");
        return Err(ImportError::Source { path: images.to_owned(), problem });
    }
    let labels = numbers.values(count as usize)?;
    numbers.end()?;
    let classes = Classes::new(names, labels.iter().copied().max().unwrap_or_default())?;
    let mut folder = Target::new(into)?;
    for (index, &number) in labels.iter().enumerate() {
        let pixels = pictures.values(width as usize * height as usize)?;
        let image = GrayImage::from_raw(width, height, pixels).expect("one byte a pixel");
        folder.image(classes.name(number), index, &image.into())?;
    }
    pictures.end()?;
    folder.finish()
}

/// The images of CIFAR-10 or CIFAR-100 binary files (by fine labels), as PNG files in a folder per class that `into`
/// gets; names as for [`idx`].
///
/// # Errors
/// [`ImportError`] names the file and what is wrong with it.
pub fn cifar(files: &[PathBuf], names: Option<&Path>, into: &Path) -> Result<Imported, ImportError> {
    let mut sources = Vec::new();
    for path in files {
        let length = fs::metadata(path).map_err(|source| cannot_read(path, source))?.len() as usize;
        let labels = [1, 2].into_iter().find(|labels| length > 0 && length.is_multiple_of(labels + CIFAR_PIXELS));
        let Some(labels) = labels.filter(|labels| length / (labels + CIFAR_PIXELS) <= MAX_IMAGES) else {
            let problem = format!("is no CIFAR file: {length} bytes are no whole number of images");
            return Err(ImportError::Source { path: path.clone(), problem });
        };
        sources.push((path, labels, length / (labels + CIFAR_PIXELS)));
    }
    let most = if sources.iter().any(|(_, labels, _)| *labels == 2) { 99 } else { 9 };
    let classes = Classes::new(names, most)?;
    let mut folder = Target::new(into)?;
    let mut index = 0;
    for (path, labels, count) in sources {
        let mut file = BufReader::new(File::open(path).map_err(|source| cannot_read(path, source))?);
        let mut record = vec![0; labels + CIFAR_PIXELS];
        for _ in 0..count {
            file.read_exact(&mut record).map_err(|source| cannot_read(path, source))?;
            let (number, planes) = (record[labels - 1], &record[labels..]);
            if number > most {
                let problem = format!("is no CIFAR file: a label is {number}, and {most} is the last");
                return Err(ImportError::Source { path: path.clone(), problem });
            }
            let each = CIFAR_PIXELS / 3;
            let image = RgbImage::from_fn(CIFAR_SIDE, CIFAR_SIDE, |x, y| {
                let at = (y * CIFAR_SIDE + x) as usize;
                image::Rgb([planes[at], planes[each + at], planes[2 * each + at]])
            });
            folder.image(classes.name(number), index, &image.into())?;
            index += 1;
        }
    }
    folder.finish()
}

fn cannot_write(path: &Path, source: io::Error) -> ImportError {
    ImportError::Io { action: "write", path: path.to_owned(), source }
}

fn cannot_read(path: &Path, source: io::Error) -> ImportError {
    ImportError::Io { action: "read", path: path.to_owned(), source }
}

/// Whether a class may be a folder of this name.
fn is_class_name(name: &str) -> bool {
    stays_inside(name) && !name.contains(['/', '\\']) && !name.starts_with('.') && !name.chars().any(char::is_control)
}

/// The names of the classes.
struct Classes(Vec<String>);

impl Classes {
    /// Lines of a file, or numbers of as many digits as the last one has, so that their order is that of the names.
    fn new(names: Option<&Path>, last: u8) -> Result<Self, ImportError> {
        let Some(path) = names else {
            let digits = last.to_string().len();
            return Ok(Self((0..=last).map(|number| format!("{number:0digits$}")).collect()));
        };
        let text = read_text_at_most(path, MAX_NAMES_BYTES).map_err(|source| cannot_read(path, source))?;
        let names: Vec<String> =
            text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        let refused = |problem| ImportError::Source { path: path.to_owned(), problem };
        if let Some(name) = names.iter().find(|name| !is_class_name(name)) {
            return Err(refused(format!("has a name that can be no folder's: '{name}'")));
        }
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Err(refused("has a name twice".to_owned()));
        }
        if names.len() <= usize::from(last) {
            return Err(refused(format!("has {} names, and the last class is number {last} from 0", names.len())));
        }
        Ok(Self(names))
    }

    fn name(&self, number: u8) -> &str {
        &self.0[usize::from(number)]
    }
}

/// A file of numbers of 8 bits: two zeros, their type, how many dimensions, each dimension, the numbers.
struct Idx {
    path: PathBuf,
    reader: Box<dyn Read>,
    dimensions: Vec<u32>,
}

impl Idx {
    fn open(path: &Path, dimensions: u8) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(|source| cannot_read(path, source))?;
        let length = file.metadata().map_err(|source| cannot_read(path, source))?.len();
        let mut file = BufReader::new(file);
        let zipped = file.fill_buf().map_err(|source| cannot_read(path, source))?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = match zipped {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut idx = Self { path: path.to_owned(), reader, dimensions: Vec::new() };
        if idx.values(4)? != [0, 0, 8, dimensions] {
            let what = if dimensions == 1 { "labels" } else { "images" };
            return Err(idx.refused(format!("is no IDX file of {what}: it begins with other bytes")));
        }
        for _ in 0..dimensions {
            let bytes = idx.values(4)?;
            idx.dimensions.push(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let header = 4 + 4 * u64::from(dimensions);
        let whole = idx.dimensions.iter().try_fold(1u64, |all, &one| all.checked_mul(one.into()));
        match whole.and_then(|numbers| numbers.checked_add(header)) {
            // The length of what is zipped is known once it is read.
            Some(whole) if zipped || whole == length => Ok(idx),
            _ => Err(idx.refused(format!("has another length than {:?} numbers take: copy it again", idx.dimensions))),
        }
    }

    /// The next `count` numbers.
    fn values(&mut self, count: usize) -> Result<Vec<u8>, ImportError> {
        let mut values = Vec::new();
        let read = self.reader.by_ref().take(count as u64).read_to_end(&mut values);
        match read.map_err(|source| cannot_read(&self.path, source))? == count {
            true => Ok(values),
            false => Err(self.refused("is cut short: copy it again".to_owned())),
        }
    }

    /// That there are no more numbers.
    fn end(mut self) -> Result<(), ImportError> {
        let mut more = [0];
        match self.reader.read(&mut more).map_err(|source| cannot_read(&self.path, source))? {
            0 => Ok(()),
            _ => Err(self.refused(format!("is longer than {:?} numbers take: copy it again", self.dimensions))),
        }
    }

    fn refused(&self, problem: String) -> ImportError {
        ImportError::Source { path: self.path.clone(), problem }
    }
}

/// A folder to be. What is written lies beside it until all of it is there, and goes when it does not come to that.
struct Target {
    path: PathBuf,
    partial: PathBuf,
    classes: BTreeMap<String, usize>,
}

impl Target {
    fn new(path: &Path) -> Result<Self, ImportError> {
        if path.symlink_metadata().is_ok() {
            return Err(ImportError::Exists { path: path.to_owned() });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        fs::create_dir_all(&partial).map_err(|source| cannot_write(&partial, source))?;
        Ok(Self { path: path.to_owned(), partial, classes: BTreeMap::new() })
    }

    /// Adds an image as a PNG file that is named after its index.
    fn image(&mut self, class: &str, index: usize, image: &DynamicImage) -> Result<(), ImportError> {
        let mut bytes = io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).expect("memory can be written to");
        let path = self.place(class, &format!("{index:07}.png"))?;
        fs::write(&path, bytes.into_inner()).map_err(|source| cannot_write(&path, source))
    }

    fn place(&mut self, class: &str, name: &str) -> Result<PathBuf, ImportError> {
        *self.classes.entry(class.to_owned()).or_default() += 1;
        self.below(&format!("{class}/{name}"))
    }

    /// The place of a file to be, in a folder that is made where there is none.
    fn below(&self, name: &str) -> Result<PathBuf, ImportError> {
        let path = self.partial.join(name);
        let folder = path.parent().expect("it lies in the folder to be");
        fs::create_dir_all(folder).map_err(|source| cannot_write(folder, source))?;
        Ok(path)
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        fs::rename(&self.partial, &self.path).map_err(|source| cannot_write(&self.path, source))?;
        Ok(Imported { classes: std::mem::take(&mut self.classes) })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Gone already when it has been finished.
        let _ = fs::remove_dir_all(&self.partial);
    }
}
