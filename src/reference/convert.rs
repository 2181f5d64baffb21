//! Maps of f32 in the precision of others.

use super::Array;
use crate::gpu::Precision;

/// The values of `x`, which f32 holds exactly, rounded to a precision.
pub fn narrow(x: &Array, precision: Precision) -> Array {
    Array::from_fn(x.shape(), |at| f64::from(precision.rounded(x[at] as f32)))
}
