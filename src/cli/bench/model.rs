//! `netadapt-bench model`: the latency of networks that exist, one by layers, two in turn, or in a stream of queries.

use super::outcome::{Outcome, Quantity, object};
use crate::cli::stored::network_folder;
use crate::gpu::{Gpu, Program};
use crate::graph::{Deployed, initial_weights, lower};
use crate::kernels::Tuning;
use crate::latency::{MLPERF, Measurement, Stream, alternate, launch_times, single_stream};
use crate::model::Architecture;
use crate::run::RunError;
use anyhow::Context;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Options of `netadapt-bench model`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A run (its first network), an exported folder, or any folder with an `architecture.json`.
    a: PathBuf,
    /// A second one: both are timed in turn.
    b: Option<PathBuf>,
    /// Images at a time, instead of what the first network's space measures latency with.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// Seconds that the measurement of whole networks may take, where noise keeps it from settling sooner.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How images come.
    #[arg(long, value_enum, default_value = "repeated")]
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The same run many times in one submit: what the network costs.
    Repeated,
    /// MLPerf's single stream: one image after the other from memory to logits in memory, 1,024 at least and 60 s.
    SingleStream,
}

/// Rounds of each launch alone.
const ROUNDS: u32 = 9;

/// Times one network by layers, or two in turn.
pub(super) fn measure(gpu: &Gpu, tuning: &Tuning, args: &Args) -> anyhow::Result<Outcome> {
    let a = architecture(&args.a)?;
    if args.mode == Mode::SingleStream {
        return streamed(gpu, tuning, args, &a);
    }
    let batch = args.batch.unwrap_or(a.space.search.latency_batch);
    let first = deployed(gpu, tuning, &args.a, &a, batch)?;
    let Some(path) = &args.b else { return one(gpu, &args.a, first, batch, args.seconds) };
    let second = deployed(gpu, tuning, path, &architecture(path)?, batch)?;
    let measured = alternate(gpu, &[&first, &second], args.seconds).map_err(RunError::from)?;
    Ok(two(gpu, [&args.a, path], [measured[0], measured[1]], batch))
}

fn architecture(path: &Path) -> anyhow::Result<Architecture> {
    Ok(Architecture::open(&network_folder(path, None)?)?)
}

/// MLPerf's single stream.
fn streamed(gpu: &Gpu, tuning: &Tuning, args: &Args, architecture: &Architecture) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        args.b.is_none() && args.batch.unwrap_or(1) == 1,
        "a single stream is of one network and one image at a time: leave out the second network and --batch"
    );
    let network = network(gpu, tuning, &args.a, architecture, 1)?;
    let size = architecture.size as usize;
    // A pixel is a quad of channels.
    let image = vec![0.5f32; size * size * 4];
    let stream = single_stream(MLPERF, || network.logits(&image).map(drop)).map_err(RunError::from)?;
    let Stream { ms, seconds } = stream;
    let mut outcome = Outcome::default();
    outcome.lines.push(gpu.adapter().to_string());
    outcome.lines.push(format!(
        "{}, single stream of {} queries in {seconds:.0} s: 90th percentile {:.3} ms, median {:.3} ms, {:.1} fps",
        args.a.display(),
        ms.count,
        ms.p90,
        ms.median,
        ms.count as f64 / seconds
    ));
    outcome.json = object(serde_json::json!({
        "adapter": gpu.adapter(), "network": args.a.display().to_string(), "mode": "single-stream",
        "queries": ms.count, "seconds": seconds, "p90_ms": ms.p90, "latency": ms, "fps": ms.count as f64 / seconds,
    }));
    outcome.quantities.insert(format!("single stream {}", args.a.display()), Quantity::ms(&ms));
    Ok(outcome)
}

/// A network's launches; its latency does not depend on its weights, which need not be there.
fn deployed(
    gpu: &Gpu,
    tuning: &Tuning,
    path: &Path,
    architecture: &Architecture,
    batch: u32,
) -> anyhow::Result<Program> {
    Ok(network(gpu, tuning, path, architecture, batch)?.into_program())
}

fn network(
    gpu: &Gpu,
    tuning: &Tuning,
    path: &Path,
    architecture: &Architecture,
    batch: u32,
) -> anyhow::Result<Deployed> {
    let (net, arch) = architecture.build().with_context(|| path.display().to_string())?;
    let graph = lower(&net, &arch);
    let weights = initial_weights(&graph, 0);
    Ok(Deployed::new(gpu, &graph, &weights, tuning, batch).map_err(RunError::from)?)
}

/// Images a second at a batch.
fn fps(latency: &Measurement, batch: u32) -> f64 {
    f64::from(batch) * 1e3 / latency.median_ms
}

fn one(gpu: &Gpu, path: &Path, program: Program, batch: u32, seconds: f64) -> anyhow::Result<Outcome> {
    let whole = alternate(gpu, &[&program], seconds).map_err(RunError::from)?[0];
    let launches = launch_times(gpu, &program, ROUNDS).map_err(RunError::from)?;
    let mut outcome = Outcome::default();
    let sum: f64 = launches.iter().map(|launch| launch.ms.median).sum();
    outcome.lines.push(gpu.adapter().to_string());
    outcome.lines.push(format!("{}, batch {batch}: {}, {:.1} fps", path.display(), words(&whole), fps(&whole, batch)));
    for launch in &launches {
        outcome.lines.push(format!(
            "  {:<44} {:9.4} ms  {:4.1} %  {:6.1} GFLOP/s  {:5.1} GB/s",
            launch.label,
            launch.ms.median,
            launch.ms.median / sum * 100.0,
            launch.work.flops as f64 / launch.ms.median / 1e6,
            launch.work.bytes as f64 / launch.ms.median / 1e6
        ));
    }
    let rest = whole.median_ms - sum;
    outcome.lines.push(format!(
        "  {:<44} {sum:9.4} ms, {} {:.4} ms",
        "all of them, each alone",
        if rest < 0.0 { "more than together by" } else { "not explained" },
        rest.abs()
    ));
    let layers: Vec<_> = launches
        .iter()
        .map(|launch| serde_json::json!({ "layer": launch.label, "kernel": launch.kernel, "ms": launch.ms }))
        .collect();
    outcome.json = object(serde_json::json!({
        "adapter": gpu.adapter(), "network": path.display().to_string(), "batch": batch,
        "latency": whole, "fps": fps(&whole, batch), "layers": layers, "not_explained_ms": rest,
    }));
    outcome.quantities.insert(format!("model {}", path.display()), Quantity::measured(&whole));
    Ok(outcome)
}

fn two(gpu: &Gpu, paths: [&Path; 2], measured: [Measurement; 2], batch: u32) -> Outcome {
    let [a, b] = measured;
    let ratio = a.median_ms / b.median_ms;
    let mut outcome = Outcome::default();
    outcome.lines.push(gpu.adapter().to_string());
    for (path, measurement) in paths.iter().zip(&measured) {
        outcome.lines.push(format!("{}, batch {batch}: {}", path.display(), words(measurement)));
        outcome.quantities.insert(format!("model {}", path.display()), Quantity::measured(measurement));
    }
    // Three standard errors of a ratio of medians.
    let noise = 3.0 * a.spread().median_error().hypot(b.spread().median_error());
    let verdict = match ratio.ln() {
        difference if difference.abs() <= noise => "they cannot be told apart",
        difference if difference > 0.0 => "it is the slower one",
        _ => "it is the faster one",
    };
    let [a_path, b_path] = paths.map(Path::display);
    outcome.lines.push(format!("{a_path} takes {ratio:.3} of the time of {b_path}: {verdict}"));
    let network =
        |path: &Path, m: Measurement| serde_json::json!({ "network": path.display().to_string(), "latency": m });
    outcome.json = object(serde_json::json!({
        "adapter": gpu.adapter(), "batch": batch, "a": network(paths[0], a), "b": network(paths[1], b), "ratio": ratio,
    }));
    outcome
}

fn words(m: &Measurement) -> String {
    format!("{:.3} ms (deviation {:.3}, 90th percentile {:.3}, {} rounds)", m.median_ms, m.mad_ms, m.p90_ms, m.rounds)
}
