//! What may go wrong on this machine, found in seconds instead of in the third hour of a run.
//!
//! It looks and measures; it changes nothing, decides nothing and prints nothing. `Report::warnings` says what to
//! mind, `Report::verdict` whether the device can be used at all.

mod kernels; // each kernel against its reference
mod launches; // the longest launch, and who would end it
mod memory; // what presets need, and what there is
mod storage; // room, and how long a checkpoint takes
mod pace; // the same kernel again and again

use crate::gpu::{Adapter, Gpu, GpuError, Limits};
use crate::graph::NetworkError;
use crate::kernels::Tuning;
use crate::space::Space;
pub use kernels::{KernelReport, WrongKernels};
pub use launches::Launches;
pub use memory::{Host, Memory, Need};
pub use pace::Pace;
use serde::Serialize;
use std::path::Path;
pub use storage::Storage;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Name of the space that a training is tried of.
    pub name: &'a str,
    /// The space.
    pub space: &'a Space,
    /// Pixels a side.
    pub size: u32,
    /// Tile sizes that runs would have.
    pub tuning: Tuning,
    /// Folder that runs would be written to.
    pub folder: &'a Path,
    /// Seconds that the device is watched for.
    pub seconds: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The device and its driver.
    pub adapter: Adapter,
    /// What it accepts.
    pub limits: Limits,
    /// Kernels against their references.
    pub kernels: KernelReport,
    /// Memory.
    pub memory: Memory,
    /// Launches of a training step; `None` where the device has no room for one.
    pub launches: Option<Launches>,
    /// Pace under load.
    pub pace: Pace,
    /// The folder.
    pub storage: Storage,
}

/// Looks at a device and a folder; `tell` is given what is looked at next.
///
/// # Errors
/// Where the device or the network fails in a way that leaves nothing to look at. A kernel that is wrong, too little
/// memory and a folder that cannot be written to are part of the report.
pub fn examine(gpu: &Gpu, question: &Question<'_>, tell: &mut dyn FnMut(&str)) -> Result<Report, NetworkError> {
    let tuning = question.tuning;
    tell("each kernel against its reference");
    let kernels = kernels::examine(gpu, tuning)?;
    tell("memory");
    let memory = memory::examine(gpu, question, tuning)?;
    tell(&format!("each launch of a training step of {}", question.name));
    let launches = launches::examine(gpu, question, tuning)?;
    tell(&format!("the device's pace for {} s", question.seconds));
    let pace = pace::examine(gpu, tuning, question.seconds)?;
    tell("the folder");
    let storage = storage::examine(question.folder, memory.checkpoint_bytes);
    let (adapter, limits) = (gpu.adapter().clone(), gpu.limits());
    Ok(Report { adapter, limits, kernels, memory, launches, pace, storage })
}

impl Report {
    /// What to mind, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.adapter.is_software() {
            warnings.push("this is a software adapter: latencies are this processor's, not a GPU's".to_owned());
        }
        warnings.extend(self.launches.as_ref().and_then(|launches| launches.warning(&self.adapter)));
        warnings.extend(self.memory.warnings(&self.adapter));
        warnings.extend(self.pace.warnings());
        warnings.extend(self.storage.warnings());
        warnings
    }

    /// Whether the device computes what it should.
    ///
    /// # Errors
    /// `GpuError::Wrong` names the kernels that it does not compute.
    pub fn verdict(&self) -> Result<(), GpuError> {
        if self.kernels.wrong.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.kernels.wrong.iter().map(|wrong| wrong.kernels.join(" or ")).collect();
        let first = self.kernels.wrong[0].problem.lines().next().unwrap_or_default().trim_end_matches(" the worst is");
        let problem = format!("{} ({})", names.join(", "), first.trim_end_matches(';'));
        Err(GpuError::Wrong { adapter: self.adapter.to_string(), problem })
    }
}
