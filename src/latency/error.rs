//! Why there is no measurement.

use crate::gpu::GpuError;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatencyError {
    /// The device.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Timings that scatter too much to say anything.
    #[error(
        "this device is too noisy to measure: after {tries} tries of {rounds} rounds a median is known to {:.1} % only, \
         and {:.1} % are allowed; end what else runs on it, fix its clock, or allow more with `search.latency_seconds` \
         and `search.latency_tolerance`",
        .error * 100.0, .tolerance * 100.0
    )]
    Noisy {
        /// How often it was measured.
        tries: u32,
        /// Rounds of the last try.
        rounds: usize,
        /// Error of its median, as a share.
        error: f64,
        /// What is allowed.
        tolerance: f64,
    },
}
