//! `netadapt-bench step`: how fast this device runs a training step.

use super::outcome::{Outcome, Quantity, object};
use super::peer::Peer;
use crate::cli::precision::precision;
use crate::gpu::{Gpu, GpuError, Precision, Program, Work};
use crate::graph::{BatchStatistics, Training, TrainingOptions, initial_weights, lower};
use crate::kernels::Tuning;
use crate::kernels::optimizer::{Control, Rule};
use crate::latency::{Spread, launch_times};
use crate::run::RunError;
use crate::space::{Space, WidthSampler};
use std::collections::BTreeMap;
use std::time::Instant;

/// Options of `netadapt-bench step`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Preset or file of a search space.
    #[arg(default_value = "tiny")]
    space: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Images of a batch, instead of the space's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// Precision of the feature maps.
    #[arg(long, default_value_t = Precision::F32, value_parser = precision())]
    precision: Precision,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that it may take; where these are too few, fewer rounds are run, but one at least.
    #[arg(long, default_value_t = f64::INFINITY, hide_default_value = true)]
    seconds: f64,
}

/// The share of the time that rounds of whole steps may take; the others are for launches alone.
const WHOLE_STEPS: f64 = 0.6;

impl Args {
    /// A space at a size, few rounds, in so many seconds.
    pub(super) fn of(space: &str, size: u32, batch: Option<u32>, seconds: f64) -> Self {
        Self { space: space.into(), size: Some(size), batch, precision: Precision::F32, rounds: 5, seconds }
    }
}

/// Times the step, then each of its launches alone.
///
/// # Errors
/// What the space, the device or the peer says.
pub(super) fn measure(gpu: &Gpu, tuning: &Tuning, args: &Args, mut peer: Option<&mut Peer>) -> anyhow::Result<Outcome> {
    let Args { space: name, size, batch, precision, rounds, seconds: most_seconds } = args;
    let begun = Instant::now();
    let space = Space::open(name).map_err(RunError::from)?;
    let size = size.unwrap_or(space.size);
    space.validate_size(name, size).map_err(RunError::from)?;
    let net = space.supernet(size, 3, 10);
    let graph = lower(&net, &net.full());
    let weights = initial_weights(&graph, 0);
    let settings = &space.train;
    let batch = batch.unwrap_or(settings.batch);
    let options = TrainingOptions {
        batch,
        rule: Rule::Sgd { momentum: settings.momentum, decay: settings.weight_decay },
        smoothing: settings.label_smoothing,
        statistics: BatchStatistics::OfBatch,
        precision: *precision,
        tuning: *tuning,
    };
    gpu.wait().map_err(RunError::from)?;
    let before = (gpu.held_bytes(), gpu.allocated_bytes());
    let least_bytes = graph.least_step_bytes(batch, options.rule.moments(), *precision);
    let training = Training::new(gpu, graph, options).map_err(RunError::from)?;
    training.load(&weights).map_err(RunError::from)?;
    gpu.wait().map_err(RunError::from)?;
    let held = gpu.held_bytes() - before.0;
    let allocated = gpu.allocated_bytes().zip(before.1).map(|(now, before)| now.saturating_sub(before));

    let images = vec![0.5; (batch * size * size * 4) as usize];
    let labels: Vec<u32> = (0..batch).map(|n| n % 10).collect();
    let full = net.shapes(&net.full());
    let sampler = WidthSampler::uniform(0);
    let drawn: Vec<_> = sampler.draw(&net, 0, batch).iter().map(|arch| net.shapes(arch)).collect();
    let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
    let program = training.program();
    // Widths stay as the last step wrote them, so a step sets them and repeats of it are timed.
    let full_shapes: Vec<_> = vec![full.as_slice(); batch as usize];
    let drawn_shapes: Vec<_> = drawn.iter().map(Vec::as_slice).collect();
    let theirs = match &mut peer {
        Some(peer) => Some([peer.step(&space, [size, batch], false)?, peer.step(&space, [size, batch], true)?]),
        None => None,
    };
    let (mut full_s, mut drawn_s) = (Vec::new(), Vec::new());
    let mut over_peer = [Vec::new(), Vec::new()];
    for round in 0..*rounds + 1 {
        if round > 1 && begun.elapsed().as_secs_f64() > most_seconds * WHOLE_STEPS {
            break;
        }
        let ways = [(&full_shapes, &mut full_s), (&drawn_shapes, &mut drawn_s)];
        for (way, (shapes, seconds)) in ways.into_iter().enumerate() {
            training.step(&images, &labels, shapes, control);
            let s = program.seconds(2).map_err(RunError::from)? / 2.0;
            // The first round compiles and warms up.
            if round > 0 {
                seconds.push(s);
                if let (Some(peer), Some(theirs)) = (&mut peer, theirs) {
                    over_peer[way].push(s / peer.seconds(theirs[way], s)?);
                }
            }
        }
    }
    let ratios: Vec<f64> = drawn_s.iter().zip(&full_s).map(|(d, f)| d / f).collect();
    let rounds = full_s.len();
    let submits: Vec<f64> =
        (0..rounds).map(|_| submit_seconds(gpu, program)).collect::<Result<_, _>>().map_err(RunError::from)?;
    let submit_ms = Spread::of(&submits).scaled(1e3);
    let (full_ms, drawn_ms) = (Spread::of(&full_s).scaled(1e3), Spread::of(&drawn_s).scaled(1e3));
    let ratio = Spread::of(&ratios);

    let split = |shapes: &[&[_]]| {
        training.step(&images, &labels, shapes, control);
        let mut kernels: BTreeMap<&str, (f64, Work)> = BTreeMap::new();
        for launch in launch_times(gpu, program, rounds.min(3) as u32)? {
            let (ms, work) = kernels.entry(launch.kernel).or_default();
            *ms += launch.ms.median;
            *work = Work { flops: work.flops + launch.work.flops, bytes: work.bytes + launch.work.bytes };
        }
        Ok::<_, GpuError>(kernels)
    };
    let kernels_drawn = split(&drawn_shapes).map_err(RunError::from)?;
    let kernels = split(&full_shapes).map_err(RunError::from)?;
    let ms_of = |kernels: &BTreeMap<_, (f64, Work)>| -> BTreeMap<_, _> {
        kernels.iter().map(|(k, (ms, _))| (*k, *ms)).collect()
    };
    let (kernels_ms, kernels_drawn_ms) = (ms_of(&kernels), ms_of(&kernels_drawn));
    let footprint = training.footprint();
    let moved_bytes: u64 = kernels.values().map(|(_, work)| work.bytes).sum();
    let json = serde_json::json!({
        "adapter": gpu.adapter(), "space": name, "size": size, "batch": batch, "precision": precision,
        "full_ms": full_ms, "uniform_widths_ms": drawn_ms, "ratio": ratio, "kernels_ms": kernels_ms, "kernels_uniform_widths_ms": kernels_drawn_ms,
        "images_per_second": f64::from(batch) * 1e3 / full_ms.median,
        "macs": net.macs(&net.full()), "footprint": footprint, "predicted_bytes": footprint.bytes(), "held_bytes": held, "allocated_bytes": allocated,
        "moved_bytes": moved_bytes, "least_bytes": least_bytes, "submit_ms": submit_ms,
    });
    let mut outcome = Outcome { json: object(json), ..Outcome::default() };
    let maps = if *precision == Precision::F32 { String::new() } else { format!(" {precision}") };
    let key = format!("step {name} {size}px{maps}");
    outcome.quantities.insert(key.clone(), Quantity::ms(&full_ms));
    outcome.quantities.insert(format!("{key} uniform widths"), Quantity::ms(&drawn_ms));
    let lines = &mut outcome.lines;
    lines.push(gpu.adapter().to_string());
    lines.push(format!(
        "{name} at {size} px, batch {batch}, maps of {precision}, {:.2} MMACs an image",
        net.macs(&net.full()) as f64 / 1e6
    ));
    lines.push(format!(
        "full width       {:8.1} ms a step (deviation {:.1}), {:.0} images/s",
        full_ms.median,
        full_ms.mad,
        f64::from(batch) * 1e3 / full_ms.median
    ));
    lines.push(format!(
        "uniform widths   {:8.1} ms a step (deviation {:.1}), {:.2} of full width",
        drawn_ms.median, drawn_ms.mad, ratio.median
    ));
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let driver = allocated.map_or_else(String::new, |bytes| {
        format!("; the driver gave {:.1} MB, {:.3} of it", mb(bytes), bytes as f64 / footprint.bytes() as f64)
    });
    lines.push(format!(
        "memory           {:8.1} MB predicted: {:.1} maps, {:.1} state, {:.1} scratch{driver}",
        mb(footprint.bytes()),
        mb(footprint.maps),
        mb(footprint.state),
        mb(footprint.scratch)
    ));
    lines.push(format!(
        "bytes moved      {:8.1} MB a step, {:.2} times the fewest possible ({:.1} MB)",
        mb(moved_bytes),
        moved_bytes as f64 / least_bytes as f64,
        mb(least_bytes)
    ));
    lines.push(format!(
        "encode + submit  {:8.2} ms, {:.1} % of a step",
        submit_ms.median,
        submit_ms.median / full_ms.median * 100.0
    ));
    if let Some(peer) = &peer {
        let [full, masked] = over_peer.map(|ratios| Spread::of(&ratios));
        lines.push(format!(
            "{}: a step takes {:.2} of its time, with uniform widths {:.2} of its time with masks",
            peer.name, full.median, masked.median
        ));
        let ratios = serde_json::json!({ "name": peer.name, "full_ratio": full, "masked_ratio": masked });
        outcome.json.insert("peer".into(), ratios);
    }
    let lines = &mut outcome.lines;
    for (kernel, (ms, work)) in &kernels {
        lines.push(format!(
            "  {kernel:<28} {ms:7.2} ms  {:4.1} %  {:6.1} GFLOP/s  {:5.1} GB/s  uniform widths {:7.2} ms",
            ms * 1e2 / full_ms.median,
            work.flops as f64 / ms / 1e6,
            work.bytes as f64 / ms / 1e6,
            kernels_drawn_ms[kernel],
        ));
    }
    let left = |whole: f64, kernels: &BTreeMap<&str, f64>| whole - kernels.values().sum::<f64>();
    lines.push(format!(
        "  {:<28} {:7.2} ms  {:>39} {:7.2} ms",
        "not explained",
        left(full_ms.median, &kernels_ms),
        "uniform widths",
        left(drawn_ms.median, &kernels_drawn_ms)
    ));
    Ok(outcome)
}

/// Seconds that the host takes to encode and submit a step while the device has nothing to do.
fn submit_seconds(gpu: &Gpu, program: &Program) -> Result<f64, GpuError> {
    gpu.wait()?;
    let start = Instant::now();
    program.run();
    let seconds = start.elapsed().as_secs_f64();
    gpu.wait()?;
    Ok(seconds)
}
