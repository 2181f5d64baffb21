//! The images of one split, decoded once and kept as 8-bit squares, and batches made of them.
//!
//! A batch is host memory in the layout that the kernels read: (N, H, W, 4) with the channels
//! padded by zeros. Images beyond a cap in bytes are decoded again each time they are asked for.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::augment::{Augment, Plan, Tables, View, render};
use super::decode::{Format, Stored, decode};
use super::each::each;
use super::error::{BadFile, BadFiles, DataError};
use super::folder::{Packed, Sample};
use super::mix::Mix;
use crate::rng::{Purpose, stream};

/// Decoded images of one split.
#[derive(Debug)]
pub struct Images {
    format: Format,
    paths: Vec<PathBuf>,
    labels: Vec<u32>,
    padded: Vec<bool>,
    /// The first images (kept, stored, stored, channels).
    pixels: Vec<u8>,
    kept: usize,
    /// A pack, and where in it each image is; then none is kept.
    packed: Option<(Arc<Packed>, Vec<u32>)>,
    sums: Sums,
}

/// Mean and standard deviation of each channel, for values in 0..1. Channels that the images do
/// not have are 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Subtracted first.
    pub mean: [f32; 3],
    /// Divided by then; never 0.
    pub std: [f32; 3],
}

impl Normalisation {
    /// A normalised pixel as 8-bit red, green and blue; of a grey one all are alike.
    pub fn colour(&self, pixel: &[f32], channels: u32) -> [u8; 3] {
        [0, 1, 2].map(|c| {
            let c = c.min(channels as usize - 1);
            let value = pixel[c] * self.std[c] + self.mean[c];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        })
    }
}

/// Images as a network takes them in.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Normalised values (N, size, size, 4); channels that the images do not have are 0.
    pub images: Vec<f32>,
    /// Class of each image (N).
    pub labels: Vec<u32>,
    /// Class of the image that each is mixed with (N); its own where it is not.
    pub others: Vec<u32>,
    /// Share of the other image and of its class (N), 0 to 1.
    pub shares: Vec<f32>,
    /// Place of each image in its split (N).
    pub indices: Vec<u32>,
}

/// What a batch is augmented with.
#[derive(Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) augment: &'a Augment,
    pub(super) seed: u64,
    pub(super) epoch: u64,
    /// Entries of `order` that images are mixed with; all images where there are none.
    pub(super) pool: &'a [u64],
}

impl Images {
    /// Decodes every image once, on `threads` threads, and keeps the first `cap_bytes` of them.
    /// The others are decoded too, so that a damaged file stops a run before it starts and the
    /// statistics are of all images. `progress` is called on this thread with (done, all).
    ///
    /// # Errors
    /// [`DataError::BadFiles`] names files that cannot be decoded, [`DataError::NoImages`] and
    /// [`DataError::Format`] refuse what cannot be loaded.
    pub fn load(
        samples: &[Sample],
        format: Format,
        threads: usize,
        cap_bytes: usize,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Self, DataError> {
        let (images, bad) = Self::load_usable(samples, format, threads, cap_bytes, progress)?;
        BadFiles::check(&bad, 0)?;
        Ok(images)
    }

    /// As [`Images::load`], with what cannot be decoded left out and named.
    ///
    /// # Errors
    /// As [`Images::load`], and [`DataError::BadFiles`] only where no file can be decoded.
    pub fn load_usable(
        samples: &[Sample],
        format: Format,
        threads: usize,
        cap_bytes: usize,
        progress: &dyn Fn(usize, usize),
    ) -> Result<(Self, Vec<BadFile>), DataError> {
        format.check()?;
        if samples.is_empty() {
            return Err(DataError::NoImages);
        }
        let kept = samples.len().min(cap_bytes / format.bytes());
        let mut pixels = vec![0; kept * format.bytes()];
        let places = pixels.chunks_exact_mut(format.bytes()).map(Some).chain(std::iter::repeat_with(|| None));
        // Each place is taken once, by the thread that decodes its image.
        let items: Vec<_> = samples.iter().zip(places.map(Mutex::new)).collect();
        let decoded = each(
            &items,
            threads,
            &|(sample, place)| {
                let image = decode(&sample.path, format)?;
                if let Some(place) = place.lock().expect("nobody panics with it").take() {
                    place.copy_from_slice(&image.pixels);
                }
                Ok((image.padded, Sums::of(&View::of(&image, format), format.channels)))
            },
            &mut |done, all| progress(done, all),
        );
        drop(items);

        let mut sums = Sums::default();
        let (mut usable, mut padded, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (i, image) in decoded.into_iter().enumerate() {
            match image {
                Ok((is_padded, of_image)) => {
                    usable.push(i);
                    padded.push(is_padded);
                    sums.add(&of_image);
                }
                Err(file) => bad.push(file),
            }
        }
        if usable.is_empty() {
            BadFiles::check(&bad, 0)?;
        }
        // The images in memory are moved together, into the places of those left out.
        let kept = usable.iter().take_while(|&&i| i < kept).count();
        for (to, &from) in usable[..kept].iter().enumerate().filter(|(to, from)| to != *from) {
            pixels.copy_within(from * format.bytes()..(from + 1) * format.bytes(), to * format.bytes());
        }
        pixels.truncate(kept * format.bytes());
        let images = Self {
            format,
            paths: usable.iter().map(|&i| samples[i].path.clone()).collect(),
            labels: usable.iter().map(|&i| samples[i].label).collect(),
            padded,
            pixels,
            kept,
            packed: None,
            sums,
        };
        Ok((images, bad))
    }

    /// The usable images of a pack that `samples` are.
    pub(super) fn of_pack(packed: &Arc<Packed>, samples: &[Sample]) -> Result<Self, DataError> {
        if samples.is_empty() {
            return Err(DataError::NoImages);
        }
        let places: Vec<u32> = samples.iter().map(|sample| packed.places[&sample.path]).collect();
        let mut sums = Sums::default();
        let mut padded = Vec::with_capacity(samples.len());
        for &place in &places {
            let (is_padded, of_image) = packed.pack.kept(place);
            padded.push(is_padded);
            sums.add(of_image);
        }
        Ok(Self {
            format: packed.pack.format(),
            paths: samples.iter().map(|sample| sample.path.clone()).collect(),
            labels: samples.iter().map(|sample| sample.label).collect(),
            padded,
            pixels: Vec::new(),
            kept: 0,
            packed: Some((Arc::clone(packed), places)),
            sums,
        })
    }

    /// Number of images.
    #[expect(clippy::len_without_is_empty, reason = "a split without images is not loaded")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Number of images in memory; the others are decoded each time.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Class of each image.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// What the images were decoded for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Mean and standard deviation of the images, margins of small images left out. A channel
    /// that is the same everywhere gets the deviation of one step of 8 bits.
    pub fn statistics(&self) -> Normalisation {
        let mut normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };
        let count = self.sums.count as f64;
        for c in 0..self.format.channels as usize {
            let mean = self.sums.sum[c] as f64 / count;
            let variance = (self.sums.squares[c] as f64 / count - mean * mean).max(0.0);
            normalisation.mean[c] = (mean / 255.0) as f32;
            normalisation.std[c] = (variance.sqrt().max(1.0) / 255.0) as f32;
        }
        normalisation
    }

    /// The images at `indices`, normalised; with (augmentation, seed, epoch) each goes through
    /// what is drawn for it in that epoch, without it is the middle of what is stored.
    ///
    /// # Errors
    /// [`DataError::BadFiles`] when an image that is not in memory can no longer be decoded.
    ///
    /// # Panics
    /// When an index is not below [`Images::len`].
    pub fn batch(
        &self,
        indices: &[u32],
        normalisation: &Normalisation,
        augment: Option<(&Augment, u64, u64)>,
    ) -> Result<Batch, DataError> {
        let draws: Vec<u64> = indices.iter().map(|&index| u64::from(index)).collect();
        self.draw(
            &draws,
            normalisation,
            augment.map(|(augment, seed, epoch)| Drawn { augment, seed, epoch, pool: &[] }),
        )
    }

    /// As [`Images::batch`] for entries of `order`: images that are shown again are augmented anew.
    pub(super) fn draw(
        &self,
        draws: &[u64],
        normalisation: &Normalisation,
        drawn: Option<Drawn<'_>>,
    ) -> Result<Batch, DataError> {
        let size = self.format.size as usize;
        let each = size * size * 4;
        let tables = Tables::new(normalisation);
        let mut images = vec![0.0; draws.len() * each];
        let indices: Vec<u32> = draws.iter().map(|&draw| self.index(draw)).collect();
        let labels: Vec<u32> = indices.iter().map(|&index| self.labels[index as usize]).collect();
        let (mut others, mut shares) = (labels.clone(), vec![0.0; draws.len()]);
        let mut partner = vec![0.0; if drawn.is_some_and(|drawn| drawn.augment.mixes()) { each } else { 0 }];
        for (place, (&draw, out)) in draws.iter().zip(images.chunks_exact_mut(each)).enumerate() {
            self.render(draw, &tables, drawn, out)?;
            let Some(drawn) = drawn.filter(|drawn| drawn.augment.mixes()) else { continue };
            let mut rng = stream(drawn.seed, Purpose::Mix, drawn.epoch, draw);
            let Some(mix) = Mix::draw(drawn.augment, size, &mut rng) else { continue };
            let other = match drawn.pool {
                [] => rng.random_range(0..self.len() as u64),
                pool => pool[rng.random_range(0..pool.len())],
            };
            partner.fill(0.0);
            self.render(other, &tables, Some(drawn), &mut partner)?;
            others[place] = self.labels[self.index(other) as usize];
            shares[place] = mix.apply(out, &partner, size);
        }
        Ok(Batch { images, labels, others, shares, indices })
    }

    /// The image of an entry of `order`.
    fn index(&self, draw: u64) -> u32 {
        (draw % self.len() as u64) as u32
    }

    /// An image as it is augmented before another is mixed in, into `out` (size, size, 4), which holds zeros.
    fn render(&self, draw: u64, tables: &Tables, drawn: Option<Drawn<'_>>, out: &mut [f32]) -> Result<(), DataError> {
        let (pixels, padded) = self.stored(self.index(draw) as usize)?;
        let view = View::new(&pixels, padded, self.format);
        let plan = match drawn {
            None => Plan::plain(&view),
            Some(Drawn { augment, seed, epoch, .. }) => {
                Plan::draw(augment, &view, &mut stream(seed, Purpose::Augment, epoch, draw))
            }
        };
        render(&view, &plan, tables, out);
        Ok(())
    }

    /// The image as it is evaluated, 8-bit (size, size, channels), for a person to look at.
    ///
    /// # Errors
    /// As for [`Images::batch`].
    ///
    /// # Panics
    /// When `index` is not below [`Images::len`].
    pub fn picture(&self, index: u32) -> Result<Vec<u8>, DataError> {
        let (pixels, _) = self.stored(index as usize)?;
        let (margin, channels) = (self.format.margin() as usize, self.format.channels as usize);
        let (size, stored) = (self.format.size as usize, self.format.stored() as usize);
        let rows = pixels.chunks_exact(stored * channels).skip(margin).take(size);
        Ok(rows.flat_map(|row| &row[margin * channels..][..size * channels]).copied().collect())
    }

    /// Pixels (stored, stored, channels) of an image, and whether its margin is empty.
    fn stored(&self, index: usize) -> Result<(Cow<'_, [u8]>, bool), DataError> {
        if let Some((packed, places)) = &self.packed {
            return Ok((packed.pack.pixels(places[index])?.into(), self.padded[index]));
        }
        let bytes = self.format.bytes();
        if index < self.kept {
            let pixels = &self.pixels[index * bytes..][..bytes];
            return Ok((pixels.into(), self.padded[index]));
        }
        match decode(&self.paths[index], self.format) {
            Ok(Stored { pixels, padded }) => Ok((pixels.into(), padded)),
            Err(file) => Err(DataError::BadFiles(BadFiles { count: 1, first: vec![file], allowed: 0 })),
        }
    }
}

/// Exact sums over pixels, so that the order in which threads finish does not show.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sums {
    count: u64,
    sum: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    pub(super) fn of(view: &View<'_>, channels: u32) -> Self {
        let mut sums = Self::default();
        for pixel in view.rows().flat_map(|row| row.chunks_exact(channels as usize)) {
            sums.count += 1;
            for (c, &value) in pixel.iter().enumerate() {
                sums.sum[c] += u64::from(value);
                sums.squares[c] += u64::from(value) * u64::from(value);
            }
        }
        sums
    }

    /// Whether an image of this format may have them, so that those of many can be added.
    pub(super) fn are_of(&self, format: Format) -> bool {
        let stored = u64::from(format.stored());
        let bounded = |sums: &[u64; 3], most: u64| sums.iter().all(|&sum| sum <= self.count * most);
        (1..=stored * stored).contains(&self.count) && bounded(&self.sum, 255) && bounded(&self.squares, 255 * 255)
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        for c in 0..3 {
            self.sum[c] += other.sum[c];
            self.squares[c] += other.squares[c];
        }
    }
}
