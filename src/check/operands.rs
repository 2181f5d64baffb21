//! Operands of a case: random values, the numbers of kept channels, and NaN where there is no value.

use super::Setting;
use crate::gpu::{Buf, Gpu, GpuError, Precision};
use crate::kernels::{Map, RowId, Widths};
use crate::reference::Array;
use crate::rng::{Purpose, stream};
use crate::space::{Activation, Shortcut};
use rand::Rng;

/// All activations.
pub const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::HardSwish, Activation::HardSigmoid];

/// All shortcuts.
pub const SHORTCUTS: [Shortcut; 3] = [Shortcut::None, Shortcut::Bypass, Shortcut::Residual];

/// Values below 1 that f32 holds exactly, a function of `seed` and of nothing else.
pub fn random(seed: u64, shape: [usize; 4]) -> Array {
    let mut rng = stream(seed, Purpose::Data, 0, 0);
    Array::from_fn(shape, |_| f64::from((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0))
}

/// Which numbers of kept channels the images of a case have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// All of them in every image.
    Full,
    /// Another number in every image, most of them ending within a quad.
    Different,
    /// None in every second image.
    SomeNone,
    /// The same small number everywhere, so that whole quads are kept by nobody.
    Narrow,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Different, Self::SomeNone, Self::Narrow];

    /// A width for each of `images`; `salt` makes two tensors of one case differ.
    pub fn widths(self, images: usize, full: usize, salt: usize) -> Vec<usize> {
        let width = |n: usize| match self {
            Self::Full => full,
            Self::Different => 1 + (n * 5 + salt * 3 + full * 2 / 3) % full,
            Self::SomeNone if (n + salt).is_multiple_of(2) => 0,
            Self::SomeNone => full - (n + salt) % full.min(4),
            Self::Narrow => full.div_ceil(3),
        };
        (0..images).map(width).collect()
    }

    /// Sides of kernels, centres of a super-kernel of side `kernel`.
    pub fn sides(self, images: usize, kernel: usize) -> Vec<usize> {
        let side = |n: usize| match self {
            Self::Full => kernel,
            Self::Different | Self::SomeNone => kernel - 2 * (n % kernel.div_ceil(2)),
            Self::Narrow => kernel.saturating_sub(2).max(1),
        };
        (0..images).map(side).collect()
    }
}

/// The rows of a `Widths` being put together.
pub(super) struct Rows {
    images: usize,
    values: Vec<u32>,
}

impl Rows {
    pub(super) fn new(images: usize) -> Self {
        Self { images, values: vec![u32::MAX; images] }
    }

    pub(super) fn add(&mut self, row: &[usize]) -> RowId {
        assert_eq!(row.len(), self.images, "a row has one number an image");
        self.values.extend(row.iter().map(|value| *value as u32));
        RowId((self.values.len() / self.images - 1) as u32)
    }

    pub(super) fn upload(&self, gpu: &Gpu) -> Result<Widths, GpuError> {
        Ok(Widths { buf: gpu.upload("widths", &self.values)?, images: self.images as u32 })
    }
}

fn as_u32(shape: [usize; 4]) -> [u32; 4] {
    shape.map(|size| size as u32)
}

/// Memory of `quads` quads of NaN: what is read before it is written shows, and so does what is never written.
pub(super) fn trap(gpu: &Gpu, name: &str, quads: usize) -> Result<Buf, GpuError> {
    gpu.upload(name, &vec![f32::NAN; quads * 4])
}

impl Setting<'_> {
    /// The values that maps of this precision hold in the place of these.
    pub(super) fn held(&self, mut array: Array) -> Array {
        array.values.iter_mut().for_each(|value| *value = f64::from(self.precision.rounded(*value as f32)));
        array
    }

    /// As [`random`], of values that maps hold exactly.
    pub(super) fn random(&self, seed: u64, shape: [usize; 4]) -> Array {
        self.held(random(seed, shape))
    }

    /// A feature map of NaN.
    pub(super) fn trap_map(&self, name: &str, shape: [usize; 4]) -> Result<Map, GpuError> {
        let map = Map::of_precision(self.gpu, name, as_u32(shape), self.precision)?;
        let values = map.buf.bytes() / self.precision.quad_bytes() * 4;
        self.gpu.write(&map.buf, &self.precision.pack(&vec![f32::NAN; values as usize]));
        Ok(map)
    }

    /// A feature map by the quad rule: an image's channels from its width to the next quad are zeros, those
    /// after them NaN.
    pub(super) fn map(&self, name: &str, array: &Array, widths: &[usize]) -> Result<Map, GpuError> {
        let map = Map::of_precision(self.gpu, name, as_u32(array.shape()), self.precision)?;
        self.gpu.write(&map.buf, &self.precision.pack(&by_the_quad_rule(array, widths).to_quads()));
        Ok(map)
    }

    /// The same for maps of one pixel, which are of f32.
    pub(super) fn vector(&self, name: &str, array: &Array, widths: &[usize]) -> Result<Map, GpuError> {
        Setting { precision: Precision::F32, ..*self }.map(name, array, widths)
    }

    /// One of them of NaN.
    pub(super) fn trap_vector(&self, name: &str, shape: [usize; 4]) -> Result<Map, GpuError> {
        Setting { precision: Precision::F32, ..*self }.trap_map(name, shape)
    }
}

fn by_the_quad_rule(array: &Array, widths: &[usize]) -> Array {
    let padded = array.resized(array.width, array.channels.next_multiple_of(4));
    Array::from_fn(padded.shape(), |at| {
        let [n, _, _, c] = at;
        match c {
            _ if c < widths[n] => padded[at],
            _ if c < widths[n].next_multiple_of(4) => 0.0,
            _ => f64::NAN,
        }
    })
}
