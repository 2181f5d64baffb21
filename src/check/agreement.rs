//! How far a result may lie from its reference, and what is said where it lies farther.

use super::{Fault, Outcome};
use crate::gpu::{Buf, Gpu, GpuError, Precision};
use crate::kernels::Map;
use crate::reference::Array;

/// How far a result may lie from its reference: `abs + rel * |reference|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The part that does not depend on the reference.
    pub abs: f64,
    /// The share of the reference.
    pub rel: f64,
}

impl Tolerance {
    /// Not at all.
    pub const EXACT: Self = Self { abs: 0.0, rel: 0.0 };

    /// For a sum of `length` products of numbers below 1 in f32.
    ///
    /// Each of the `length` additions rounds by at most `eps / 2` of the partial sum. Terms of one sign
    /// make partial sums up to the result: errors that add up like a random walk are then
    /// `sqrt(length) * eps / 2 * |result|`. Terms of mixed sign can cancel: their partial sums are like
    /// `sqrt(length)`, the errors `length * eps / 2` together, however small the result. Both are
    /// taken four times, which covers rounded products, another order and the largest of many results.
    pub fn sum(length: usize) -> Self {
        Self::sum_in(f64::from(f32::EPSILON), length)
    }

    /// The same in numbers whose least above 1 is `1 + eps`.
    pub fn sum_in(eps: f64, length: usize) -> Self {
        let length = length.max(1) as f64;
        Self { abs: 2.0 * length * eps, rel: 2.0 * length.sqrt() * eps }
    }

    /// The same for a result that is rounded once more, to a map's precision: by half of its epsilon at most.
    fn stored(self, precision: Precision) -> Self {
        match precision {
            Precision::F32 => self,
            Precision::Bf16 if self == Self::EXACT => self,
            Precision::Bf16 => Self { abs: 1.01 * self.abs, rel: self.rel + 0.501 * precision.epsilon() },
        }
    }

    /// The same where terms are up to `magnitude`, or an operation after the sum magnifies its error so much.
    pub fn scaled(self, magnitude: f64) -> Self {
        Self { abs: self.abs * magnitude, ..self }
    }
}

/// Compares two arrays value by value; NaN equals nothing.
///
/// # Errors
/// `Fault::Differs` with the count, the worst and the first of the values that differ.
pub fn compare(got: &Array, want: &Array, tolerance: Tolerance) -> Outcome {
    if got.shape() != want.shape() || got.values.len() != want.values.len() {
        return Err(Fault::Differs(format!("shape {:?}, expected {:?}", got.shape(), want.shape())));
    }
    let excess = |i: usize| {
        let (got, want) = (got.values[i], want.values[i]);
        let excess = (got - want).abs() - tolerance.abs - tolerance.rel * want.abs();
        if excess.is_nan() { f64::INFINITY } else { excess }
    };
    let wrong: Vec<usize> = (0..got.values.len()).filter(|i| excess(*i) > 0.0).collect();
    let Some(worst) = wrong.iter().copied().max_by(|a, b| excess(*a).total_cmp(&excess(*b))) else { return Ok(()) };
    let pair = |i: usize| format!("\n  {:?}: {:e}, expected {:e}", got.index(i), got.values[i], want.values[i]);
    let pairs: String = wrong.iter().take(16).map(|i| pair(*i)).collect();
    Err(Fault::Differs(format!(
        "{} of {} values differ by more than {:.1e} + {:.1e} of themselves; the worst is{}\nthe first are{pairs}",
        wrong.len(),
        got.values.len(),
        tolerance.abs,
        tolerance.rel,
        pair(worst),
    )))
}

/// Compares a map with `want` in the quads that hold a channel below the image's width, padding included:
/// what lies after them may be anything.
pub(super) fn check_map(gpu: &Gpu, got: &Map, widths: &[usize], want: &Array, tolerance: Tolerance) -> Outcome {
    let channels = got.channels.next_multiple_of(4) as usize;
    let shape = [got.images as usize, got.height as usize, got.width as usize, channels];
    let bytes = shape.iter().product::<usize>() / 4 * got.precision().quad_bytes() as usize;
    let read = Array::from_quads(shape, &got.precision().unpack(&gpu.read::<u8>(&got.buf)?[..bytes]));
    let tolerance = tolerance.stored(got.precision());
    let written = Array::from_fn(shape, |at| if at[3] < widths[at[0]].next_multiple_of(4) { read[at] } else { 0.0 });
    compare(&written, &want.resized(want.width, channels), tolerance)
}

/// Memory as an array whose channels are whole quads.
pub(super) fn read(gpu: &Gpu, buf: &Buf, shape: [usize; 4]) -> Result<Array, GpuError> {
    let values = gpu.read::<f32>(buf)?;
    Ok(Array::from_quads(shape, &values[..shape.iter().product()]))
}

/// Numbers in a column.
pub(super) fn column(values: Vec<f64>) -> Array {
    Array { images: 1, height: 1, width: values.len(), channels: 1, values }
}
