//! Each kernel against its reference, with the tolerances and the traps of the tests.

use crate::check::{self, Fault};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{self, Tuning};
use serde::Serialize;
use std::time::Instant;

/// What the kernels came to.
#[derive(Clone, Debug, Serialize)]
pub struct KernelReport {
    /// Kernels that were run.
    pub kernels: usize,
    /// Kernels that were not: they compute in f16, which the device does not have.
    pub left_out: Vec<&'static str>,
    /// Seconds that it took, compilation included.
    pub seconds: f64,
    /// Those that are not what they should be.
    pub wrong: Vec<WrongKernels>,
}

/// A check that failed.
#[derive(Clone, Debug, Serialize)]
pub struct WrongKernels {
    /// The kernels that it runs, one of which is wrong.
    pub kernels: Vec<&'static str>,
    /// Where and how far the numbers differ.
    pub problem: String,
}

/// Runs all checks.
///
/// # Errors
/// A device that is lost; one that cannot compile or run a kernel is told of as one that computes it wrongly.
pub(super) fn examine(gpu: &Gpu, tuning: Tuning) -> Result<KernelReport, GpuError> {
    let start = Instant::now();
    let mut wrong = Vec::new();
    for check in check::checks(gpu) {
        match check.run(gpu, tuning) {
            Ok(()) => {}
            Err(Fault::Gpu(
                error @ (GpuError::Lost { .. } | GpuError::Device { .. } | GpuError::OutOfMemory { .. }),
            )) => {
                return Err(error);
            }
            Err(fault) => {
                let kernels = check.kernels.iter().map(|kernel| kernel.name).collect();
                wrong.push(WrongKernels { kernels, problem: fault.to_string() });
            }
        }
    }
    let left_out: Vec<_> = kernels::ALL.iter().filter(|kernel| !gpu.runs(kernel)).map(|kernel| kernel.name).collect();
    let kernels = kernels::ALL.len() - left_out.len();
    Ok(KernelReport { kernels, left_out, seconds: start.elapsed().as_secs_f64(), wrong })
}
