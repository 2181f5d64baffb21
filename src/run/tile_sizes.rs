//! Which tile sizes the kernels of a new run have. One that goes on has those in its folder.

use super::config::Config;
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener};
use super::started::env_beside;
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::tune::chosen;
use std::path::Path;

/// Those of the run that is replayed, or those for the device.
///
/// # Errors
/// `RunError` where the replayed run's record of them is damaged.
pub(super) fn of_new_run(
    config: &Config,
    gpu: &Gpu,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<Tuning, RunError> {
    match &config.replay {
        Some(replay) => for_replay(replay, gpu, environment, listener),
        None => Ok(for_device(gpu, environment, listener)),
    }
}

/// Those that were found by measuring this device, or else the usual ones.
pub(super) fn for_device(gpu: &Gpu, environment: &Environment, listener: &mut dyn Listener) -> Tuning {
    let (tuning, remark) = chosen(environment.tunings.as_deref(), gpu);
    remark.into_iter().for_each(|text| listener.event(&Event::Note { text }));
    tuning
}

/// Those of the run whose measurements these are, on the same device, so that the same bits come out.
fn for_replay(
    replay: &Path,
    gpu: &Gpu,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<Tuning, RunError> {
    let folder = replay.parent().unwrap_or(Path::new("."));
    let text = match env_beside(folder)? {
        Some(env) if env.adapter == *gpu.adapter() => return Ok(env.tuning),
        Some(env) => format!("{} was measured on {}", replay.display(), env.adapter),
        None => format!("no env.json lies beside {}", replay.display()),
    };
    let text = format!("{text}: the last bits of this run may differ from those of the run that measured it");
    listener.event(&Event::Note { text });
    Ok(for_device(gpu, environment, listener))
}
