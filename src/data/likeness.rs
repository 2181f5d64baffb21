//! Which images look alike: difference hashes, and the grey levels they come from for a second look.
//!
//! Our own and not a crate's: a crate gives the 64 signs only. Of 3,000 pictures of Fashion-MNIST 41,753 pairs differ
//! in at most five of them; in the 72 grey levels behind them as well, one pair is alike. Photos saved anew as JPEG of
//! quality 60, or at half the size, differ from themselves by less than one level on average.

use super::file;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage};

/// Grey levels across; their differences are one fewer.
const WIDTH: u32 = 9;
/// Grey levels down.
const HEIGHT: u32 = 8;
/// Signs that may differ. With one band of signs more, at least one band is equal.
const MAX_SIGNS: u32 = 5;
/// Bits of a band.
const BAND: u32 = u64::BITS / (MAX_SIGNS + 1);
/// Levels of 256 that two images may differ by on average.
const MAX_DIFFERENCE: u32 = 2;
/// Levels between the darkest and the lightest pixel below which an image has no shape to go by.
const MIN_CONTRAST: u8 = 16;

/// What is kept of an image's looks.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Bit 8 y + x is set where pixel (x + 1, y) is lighter than pixel (x, y).
    signs: u64,
    /// Grey levels (8, 9), rows from the top of the upright image.
    grey: [u8; (WIDTH * HEIGHT) as usize],
}

impl Look {
    /// The looks of an image once turned upright.
    pub(super) fn of(image: DynamicImage, orientation: Orientation) -> Self {
        let (width, height) = (image.width(), image.height());
        let image = image.into_luma8();
        let source = ImageRef::new(width, height, image.as_raw(), PixelType::U8).expect("one byte a pixel");
        let (width, height) = if file::lies(orientation) { (HEIGHT, WIDTH) } else { (WIDTH, HEIGHT) };
        let mut small = Image::new(width, height, PixelType::U8);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Resizer::new().resize(&source, &mut small, &options).expect("both are grey");
        let small = GrayImage::from_raw(width, height, small.into_vec()).expect("one byte a pixel");
        let mut small = DynamicImage::from(small);
        small.apply_orientation(orientation);
        let grey: [u8; (WIDTH * HEIGHT) as usize] = small.into_bytes().try_into().expect("9 x 8 once upright");
        let mut signs = 0;
        for (y, row) in grey.chunks_exact(WIDTH as usize).enumerate() {
            for (x, pair) in row.windows(2).enumerate() {
                signs |= u64::from(pair[1] > pair[0]) << (y * 8 + x);
            }
        }
        Self { signs, grey }
    }

    /// How far apart two images look, or nothing when they do not look alike.
    fn distance(&self, other: &Self) -> Option<u32> {
        if (self.signs ^ other.signs).count_ones() > MAX_SIGNS {
            return None;
        }
        let sum: u32 = self.grey.iter().zip(&other.grey).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        (sum <= MAX_DIFFERENCE * WIDTH * HEIGHT).then_some(sum)
    }

    /// All grey levels together.
    fn brightness(&self) -> u32 {
        self.grey.iter().map(|&level| u32::from(level)).sum()
    }

    fn has_shape(&self) -> bool {
        let (least, most) = self.grey.iter().fold((u8::MAX, 0), |(least, most), &v| (least.min(v), most.max(v)));
        most - least >= MIN_CONTRAST
    }
}

/// For each look the earlier one that is most alike, if there is one; images without contrast are like no other.
pub(super) fn earlier_twins(looks: &[&Look]) -> Vec<Option<usize>> {
    let bands: Vec<Vec<Option<(u32, usize)>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..=MAX_SIGNS).map(|band| scope.spawn(move || nearest(looks, band * BAND))).collect();
        workers.into_iter().map(|worker| worker.join().expect("comparing does not panic")).collect()
    });
    let best = |i: usize| bands.iter().filter_map(|band| band[i]).min();
    (0..looks.len()).map(|i| best(i).map(|(_, earlier)| earlier)).collect()
}

/// Which images belong together: those that look alike, those that look like these, and so on.
pub(super) fn alike(looks: &[&Look]) -> Groups {
    let bands: Vec<Groups> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..=MAX_SIGNS).map(|band| scope.spawn(move || of_band(looks, band * BAND))).collect();
        workers.into_iter().map(|worker| worker.join().expect("comparing does not panic")).collect()
    });
    let mut groups = Groups::new(looks.len());
    for mut band in bands {
        for i in 0..looks.len() {
            groups.join(i, band.first(i));
        }
    }
    groups
}

/// Things of which some belong together (union-find).
#[derive(Debug)]
pub(super) struct Groups(Vec<usize>);

impl Groups {
    /// `count` things, each by itself.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The first thing of the group that `i` is in.
    pub(super) fn first(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    /// Makes one group of those of `a` and `b`.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Distance and index of the nearest earlier look among those with the same band of signs.
fn nearest(looks: &[&Look], shift: u32) -> Vec<Option<(u32, usize)>> {
    let mut nearest: Vec<Option<(u32, usize)>> = vec![None; looks.len()];
    for (a, b) in candidates(looks, shift) {
        if let Some(distance) = looks[a].distance(looks[b]) {
            let (earlier, nearest) = (a.min(b), &mut nearest[a.max(b)]);
            *nearest = Some(nearest.map_or((distance, earlier), |other| other.min((distance, earlier))));
        }
    }
    nearest
}

/// The groups of those with the same band of signs.
fn of_band(looks: &[&Look], shift: u32) -> Groups {
    let mut groups = Groups::new(looks.len());
    for (a, b) in candidates(looks, shift) {
        if groups.first(a) != groups.first(b) && looks[a].distance(looks[b]).is_some() {
            groups.join(a, b);
        }
    }
    groups
}

/// Pairs of images that have a shape and the same band of signs, and may be alike. Dark margins give many images the same
/// band, so they are in the order of their brightness: the sum of all levels differs by no more than the levels do.
fn candidates(looks: &[&Look], shift: u32) -> impl Iterator<Item = (usize, usize)> {
    let key = |look: &Look| (look.signs >> shift) & ((1u64 << BAND) - 1);
    let shaped = looks.iter().enumerate().filter(|(_, look)| look.has_shape());
    let mut order: Vec<(u64, u32, usize)> = shaped.map(|(i, look)| (key(look), look.brightness(), i)).collect();
    order.sort_unstable();
    (1..order.len()).flat_map(move |at| {
        let (band, brightness, later) = order[at];
        let near = order[..at]
            .iter()
            .rev()
            .take_while(move |other| other.0 == band && brightness - other.1 <= MAX_DIFFERENCE * WIDTH * HEIGHT);
        near.map(|other| (later, other.2)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use rand::RngExt as _;

    /// Looks of which many are alike and all have a dark upper half, as digits on black have.
    fn looks() -> Vec<Look> {
        let mut rng = stream(0, Purpose::Data, 0, 0);
        let mut looks: Vec<Look> = Vec::new();
        for i in 0..600 {
            let mut grey = [0; (WIDTH * HEIGHT) as usize];
            match looks.len() {
                0 => {}
                n if i % 3 > 0 => grey = looks[rng.random_range(0..n)].grey,
                _ => grey[36..].iter_mut().for_each(|level| *level = rng.random_range(0..=60)),
            }
            grey[36..].iter_mut().for_each(|level| *level = level.saturating_add(rng.random_range(0..4)));
            let mut signs = 0;
            for (y, row) in grey.chunks_exact(WIDTH as usize).enumerate() {
                row.windows(2).enumerate().for_each(|(x, pair)| signs |= u64::from(pair[1] > pair[0]) << (y * 8 + x));
            }
            looks.push(Look { signs, grey });
        }
        looks
    }

    /// That no pair is missed for the order in which they are compared.
    #[test]
    fn twins_are_those_that_comparing_all_finds() {
        let looks = looks();
        let looks: Vec<&Look> = looks.iter().collect();
        let distance = |a: usize, b: usize| {
            let both = looks[a].has_shape() && looks[b].has_shape();
            both.then(|| looks[a].distance(looks[b])).flatten()
        };
        let earlier = |later: usize| (0..later).filter_map(|i| distance(i, later).map(|d| (d, i))).min();
        let wanted: Vec<Option<usize>> = (0..looks.len()).map(|i| earlier(i).map(|(_, i)| i)).collect();
        assert!(wanted.iter().flatten().count() > 50, "many are alike");
        assert_eq!(earlier_twins(&looks), wanted);
        let mut groups = alike(&looks);
        for later in 0..looks.len() {
            for i in (0..later).filter(|&i| distance(i, later).is_some()) {
                assert_eq!(groups.first(i), groups.first(later));
            }
        }
    }
}
