//! Folders of images, made on the spot; here what the tests share.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use netadapt::data::{DataError, Dataset, Format, Images, Normalisation, Options, Sample, open};
use tempfile::TempDir;

mod archive; // tar and zip from strangers
mod augment; // crops, flips, cutout, jitter
mod batch; // loading, statistics, loaders
mod corpus; // files as people have them, all at once
mod decode; // one file to pixels
mod examine; // what is wrong with a folder
mod many; // a check of many small files
mod pack; // images decoded once, in one file
mod preview; // sheets of pictures
mod import; // other programs' sets as folders
mod formats; // every format that is read, as other programs write it
mod divide; // splits of one's own, and the manifests that hold them
mod folder; // layouts, splits, refusals

const PLAIN: Normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };
const OPTIONS: Options = Options { seed: 1, holdout: 1000, max_bad: 0.0 };

/// A temporary folder to put images into.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    }

    fn folder(&self, name: &str) {
        fs::create_dir_all(self.root().join(name)).expect("a folder");
    }

    fn image(&self, name: &str, image: &DynamicImage) -> PathBuf {
        self.file(name, &encoded(image, ImageFormat::Png))
    }

    /// Small grey images `0.png`, `1.png` ... of different sizes in bytes in a class folder.
    fn class(&self, name: &str, count: usize) {
        for i in 0..count {
            self.image(&format!("{name}/{i}.png"), &grey(4 + (i % 5) as u32, 6, |_, _| i as u8));
        }
    }

    fn open(&self) -> Result<Dataset, DataError> {
        open(self.root(), &OPTIONS)
    }

    /// The names inside the root of some samples, sorted.
    fn names(&self, samples: &[Sample]) -> Vec<String> {
        let inside = |s: &Sample| s.path.strip_prefix(self.root()).expect("inside").to_owned();
        let mut names: Vec<String> = samples.iter().map(|s| inside(s).to_string_lossy().replace('\\', "/")).collect();
        names.sort();
        names
    }
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("memory can be written to");
    bytes.into_inner()
}

fn grey(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)])).into()
}

fn colour(width: u32, height: u32, value: impl Fn(u32, u32) -> [u8; 3]) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb(value(x, y))).into()
}

fn load(paths: &[PathBuf], format: Format) -> Images {
    load_with(paths, format, 2, usize::MAX).expect("images that can be loaded")
}

fn load_with(paths: &[PathBuf], format: Format, threads: usize, cap: usize) -> Result<Images, DataError> {
    let samples: Vec<Sample> =
        paths.iter().enumerate().map(|(i, path)| Sample { path: path.clone(), label: i as u32 % 7 }).collect();
    Images::load(&samples, format, threads, cap, &|_, _| ())
}

/// `count` images of 12 x 12 noise-like pixels, each different.
fn several(folder: &Folder, count: usize) -> Vec<PathBuf> {
    let one = |i: usize| {
        let i = i as u32;
        colour(12, 12, |x, y| [(i * 37 + x * 11 + y) as u8, (i + x * y * 5) as u8, (y * 17 + i * 3) as u8])
    };
    (0..count).map(|i| folder.image(&format!("{i}.png"), &one(i))).collect()
}

const SMALL: Format = Format { size: 8, channels: 3 };
