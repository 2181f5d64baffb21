//! Kernels on a device against their references, a case at a time.
//!
//! `netadapt doctor` runs `checks`, a case or two of each kernel; the tests run tables of shapes, widths and tile
//! sizes through the same functions. Operands are full of traps: NaN wherever a kernel may not read, and wherever
//! it has to write.

pub mod agreement; // how far a result may lie from its reference
pub mod operands; // operands full of traps
pub mod bias; // bias and activation on maps of one pixel
pub mod conv; // dense convolutions, linear layers
pub mod convert; // f32 to the precision of maps
pub mod depthwise; // one filter a channel
pub mod excite; // channels times their gates
pub mod loss; // cross-entropy, totals of an epoch
pub mod norm; // batch normalisation, activation, shortcut
pub mod optimizer; // SGD and AdamW
pub mod pool; // mean over the pixels
pub mod probe; // kernels that only measure
pub mod reduce; // sums of parts, norms

use crate::gpu::{Gpu, GpuError, Kernel, Precision, Program, Recording};
use crate::kernels::Tuning;

/// A device and tile sizes to run a case with.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Tile sizes.
    pub tuning: Tuning,
    /// Precision of the feature maps; whatever else a case has is of f32.
    pub precision: Precision,
}

/// Why a case did not come out as its reference.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The device did not do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// It did something else.
    #[error("{0}")]
    Differs(String),
}

impl Fault {
    /// The same, with what of the result differs.
    pub fn of(self, part: &str) -> Self {
        match self {
            Self::Differs(text) => Self::Differs(format!("{part}: {text}")),
            other => other,
        }
    }
}

/// What a case comes to.
pub type Outcome = Result<(), Fault>;

/// A case that stands for some kernels.
pub struct Check {
    /// The kernels that it runs: where it fails, one of them is wrong.
    pub kernels: &'static [&'static Kernel],
    run: fn(Setting) -> Outcome,
}

impl Check {
    /// Runs the kernels on the device, with maps of every precision that they know, and compares.
    ///
    /// # Errors
    /// What the device says, or where its numbers differ by more than rounding explains.
    pub fn run(&self, gpu: &Gpu, tuning: Tuning) -> Outcome {
        for (name, precision) in Precision::ALL {
            if self.kernels.iter().any(|kernel| kernel.precisions().any(|known| known == precision)) {
                (self.run)(Setting { gpu, tuning, precision }).map_err(|fault| fault.of(name))?;
            }
        }
        Ok(())
    }
}

/// Cases that together run every kernel of `kernels::ALL` that the device can run, a fraction of a second each.
pub fn checks(gpu: &Gpu) -> impl Iterator<Item = &'static Check> {
    let families = [
        conv::CHECKS,
        convert::CHECKS,
        depthwise::CHECKS,
        norm::CHECKS,
        bias::CHECKS,
        pool::CHECKS,
        excite::CHECKS,
        loss::CHECKS,
        reduce::CHECKS,
        optimizer::CHECKS,
        probe::CHECKS,
    ];
    families.into_iter().flatten().filter(|check| check.kernels.iter().all(|kernel| gpu.runs(kernel)))
}

/// Runs launches once.
fn run(gpu: &Gpu, recording: Recording) -> Outcome {
    Program::new(gpu, recording)?.run();
    Ok(())
}

/// Channels that may pass a layer of `filters`, of a source of these widths.
fn bypass(source: &[usize], filters: usize) -> Vec<usize> {
    source.iter().map(|c| crate::space::shape::bypass_width(true, *c as u32, filters as u32) as usize).collect()
}

/// Channels of a layer's output.
fn output(kept: &[usize], bypass: &[usize]) -> Vec<usize> {
    kept.iter().zip(bypass).map(|(kept, bypass)| *kept.max(bypass)).collect()
}
