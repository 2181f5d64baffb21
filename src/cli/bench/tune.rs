//! `netadapt-bench tune`: tile sizes, measured and kept.

use super::outcome::{Outcome, object};
use crate::disk::SystemDisk;
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::run::{RunError, date};
use crate::tune::{self, Found, Knob, Tuned, cache_folder, find, keep};
use anyhow::Context;
use std::path::Path;
use std::time::Instant;

/// Options of `netadapt-bench tune`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Measure only these, from what is kept on: lanes, conv-tile, quad-lanes, weight-rows, weight-groups, pixels, quads,
    /// held-kernel, reduction, slices, ahead.
    knobs: Vec<Knob>,
    /// Measure again what is kept already, from the usual tile sizes on.
    #[arg(long)]
    again: bool,
}

/// Shows what is kept for the device, or measures it first.
///
/// # Errors
/// What the device says, or where nothing can be kept.
pub(super) fn measure(gpu: &Gpu, args: &Args) -> anyhow::Result<(Tuning, Outcome)> {
    let folder = cache_folder().context("there is no home folder to keep tile sizes in: name one in NETADAPT_CACHE")?;
    let kept = match find(&folder, gpu) {
        Found::Tuned(tuned, path) if args.knobs.is_empty() && !args.again => {
            return Ok((tuned.tuning, outcome(&tuned, &path, "as kept in")));
        }
        Found::Tuned(tuned, _) if !args.again => Some(tuned),
        Found::Unusable(path, reason) => {
            eprintln!("{} is no tuning of this device: {reason}; measuring again", path.display());
            None
        }
        Found::Tuned(..) | Found::Nothing => None,
    };
    let knobs = if args.knobs.is_empty() { Knob::ALL.to_vec() } else { args.knobs.clone() };
    let start = kept.as_ref().map_or_else(|| Tuning::for_adapter(gpu.adapter()), |tuned| tuned.tuning);
    let begun = Instant::now();
    let mut told = None;
    let (tuning, mut trials) = tune::measure(gpu, start, &knobs, &mut |trial| {
        if told.replace(trial.knob) != Some(trial.knob) {
            eprintln!("{} measured, {:.0} s", trial.knob, begun.elapsed().as_secs_f64());
        }
    })
    .map_err(RunError::from)?;
    let others = kept.into_iter().flat_map(|tuned| tuned.trials).filter(|trial| !knobs.contains(&trial.knob));
    trials.extend(others);
    let tuned = Tuned::new(gpu, date(), tuning, trials);
    let path =
        keep(&SystemDisk, &folder, &tuned).with_context(|| format!("cannot write below {}", folder.display()))?;
    let mut outcome = outcome(&tuned, &path, "kept in");
    outcome.json.insert("seconds".into(), begun.elapsed().as_secs_f64().into());
    Ok((tuning, outcome))
}

/// What was tried and taken, a line a knob.
fn outcome(tuned: &Tuned, path: &Path, kept: &str) -> Outcome {
    let mut lines =
        vec![tuned.adapter.to_string(), format!("{:<14} {:>6}  tried: time over that before", "tile sizes", "now")];
    for knob in Knob::ALL {
        let tried: Vec<String> = tuned.of(knob).map(words).collect();
        lines.push(format!("{knob:<14} {:>6}  {}", knob.value(&tuned.tuning), tried.join("  ")));
    }
    let faults = tuned.trials.iter().filter_map(|trial| Some((trial, trial.fault.as_ref()?)));
    lines.extend(faults.map(|(trial, fault)| format!("not taken: {} {}: {fault}", trial.knob, trial.value)));
    lines.push(format!(
        "{kept} {}, tuned on {}; searches take them, `--no-tune` the usual ones",
        path.display(),
        tuned.date
    ));
    let mut json = object(serde_json::json!(tuned));
    json.insert("path".into(), path.display().to_string().into());
    Outcome { json, lines, ..Outcome::default() }
}

/// `16 0.91`, with a star where it was taken.
fn words(trial: &tune::Trial) -> String {
    let ratio = trial.ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
    format!("{} {ratio}{}", trial.value, if trial.taken { "*" } else { "" })
}
