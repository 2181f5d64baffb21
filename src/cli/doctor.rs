//! `netadapt doctor`: what may go wrong on this machine.

use super::attended::NoTune;
use crate::doctor::{Question, Report, examine};
use crate::gpu::{Gpu, Options};
use crate::run::RunError;
use crate::space::Space;
use std::path::PathBuf;

/// Options of `netadapt doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder that runs would be written to.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Device, by its number in `netadapt devices`.
    #[arg(long, env = "NETADAPT_DEVICE")]
    device: Option<usize>,
    #[command(flatten)]
    tune: NoTune,
    /// Preset or file of the search space whose training is tried.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Seconds that the device's pace is watched for.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let (space, size) = Space::open_at(&args.preset, args.size).map_err(RunError::from)?;
    let gpu = Gpu::open(Options { device: args.device, portable: false }).map_err(RunError::from)?;
    let tuning = args.tune.tuning(&gpu);
    let (folder, seconds) = (args.folder.as_path(), args.seconds);
    let question = Question { name: &args.preset, space: &space, size, tuning, folder, seconds };
    let mut tell = |what: &str| {
        if !args.json {
            eprintln!("looking at {what}");
        }
    };
    let report = examine(&gpu, &question, &mut tell).map_err(RunError::from)?;
    if args.json {
        let mut value = serde_json::to_value(&report)?;
        value["warnings"] = serde_json::to_value(report.warnings())?;
        say!("{value}");
    } else {
        print(&report);
    }
    Ok(report.verdict().map_err(RunError::from)?)
}

fn print(report: &Report) {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let line = |what: &str, text: String| say!("{what:<11}{text}");
    line("device", report.adapter.to_string());
    let limits = &report.limits;
    line(
        "limits",
        format!(
            "buffers of {:.0} MB, {} workgroups a dimension, {} lanes and {} kB a workgroup",
            megabytes(limits.buffer_bytes),
            limits.workgroups,
            limits.lanes,
            limits.workgroup_bytes / 1024
        ),
    );
    let kernels = &report.kernels;
    let wrong = kernels.wrong.len();
    let outcome = if wrong == 0 { "all as their references".into() } else { format!("{wrong} checks failed") };
    line("kernels", format!("{} of them, {outcome}, in {:.1} s", kernels.kernels, kernels.seconds));
    if !kernels.left_out.is_empty() {
        say!("  without {}: the device has no f16", kernels.left_out.join(", "));
    }
    for wrong in &kernels.wrong {
        say!("  {}: {}", wrong.kernels.join(", "), wrong.problem);
    }
    let memory = &report.memory;
    let host = memory.host.map_or("this machine does not say what it has".into(), |host| {
        format!("{:.1} of {:.1} GB left on this machine", host.available as f64 / 1e9, host.total as f64 / 1e9)
    });
    line(
        "memory",
        format!(
            "the device gave {:.0} MB when asked for as many as the largest training needs; {host}",
            megabytes(memory.device_gave)
        ),
    );
    for need in &memory.needs {
        let (size, batch) = (need.size, need.batch);
        say!("  {:<24} {:5.0} MB at {size} px, {batch} images a step", need.name, megabytes(need.footprint.bytes()));
    }
    match &report.launches {
        Some(launches) => {
            line(
                "launches",
                format!(
                    "{} in a step of {} at {} px, which takes {:.0} ms; the longest takes {:.1} ms: {}",
                    launches.launches,
                    launches.space,
                    launches.size,
                    launches.step_ms,
                    launches.longest_ms,
                    launches.longest
                ),
            );
            line("watchdog", launches.watchdog(&report.adapter).to_owned());
        }
        None => line("launches", "none: there is no room for a training step".into()),
    }
    let pace = &report.pace;
    line(
        "pace",
        format!(
            "after {:.0} s the same work takes {:.2} of its first time, samples deviate by {:.1} %",
            pace.seconds,
            pace.last_over_first,
            pace.deviation * 100.0
        ),
    );
    let storage = &report.storage;
    let free = storage.free.map_or("unknown room".into(), |free| format!("{:.1} GB free", free as f64 / 1e9));
    let speed = storage.checkpoint_ms.map_or("nothing can be written".into(), |ms| {
        format!("a checkpoint of {:.1} MB lasts after {ms:.0} ms", megabytes(storage.checkpoint_bytes))
    });
    line("disk", format!("{}: {free}, {speed}", storage.folder.display()));
    for warning in report.warnings() {
        say!("warning: {warning}");
    }
}
