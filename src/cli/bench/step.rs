//! `netadapt-bench step`: how fast this device runs a training step.

use crate::gpu::{Gpu, Options};
use crate::graph::{BatchStatistics, Training, TrainingOptions, initial_weights, lower};
use crate::kernels::Tuning;
use crate::kernels::optimizer::{Control, Rule};
use crate::latency::Spread;
use crate::run::RunError;
use crate::space::{Space, WidthDistribution, WidthSampler};
use std::collections::BTreeMap;

/// Options of `netadapt-bench step`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Preset or file of a search space.
    #[arg(default_value = "tiny")]
    space: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Device, by its number in `netadapt devices`.
    #[arg(long)]
    device: Option<usize>,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 11)]
    rounds: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let Args { space: name, size, device, rounds, json } = args;
    let space = Space::open(&name).map_err(RunError::from)?;
    let size = size.unwrap_or(space.size);
    space.validate_size(&name, size).map_err(RunError::from)?;
    let gpu = Gpu::open(Options { device, portable: false }).map_err(RunError::from)?;
    let net = space.supernet(size, 3, 10);
    let graph = lower(&net, &net.full());
    let weights = initial_weights(&graph, 0);
    let settings = &space.train;
    let batch = settings.batch;
    let options = TrainingOptions {
        batch,
        rule: Rule::Sgd { momentum: settings.momentum, decay: settings.weight_decay },
        smoothing: settings.label_smoothing,
        statistics: BatchStatistics::OfBatch,
        tuning: Tuning::for_adapter(gpu.adapter()),
    };
    let training = Training::new(&gpu, graph, options).map_err(RunError::from)?;
    training.load(&weights).map_err(RunError::from)?;

    let images = vec![0.5; (batch * size * size * 4) as usize];
    let labels: Vec<u32> = (0..batch).map(|n| n % 10).collect();
    let full = net.shapes(&net.full());
    let sampler =
        WidthSampler { seed: 0, distribution: WidthDistribution::Uniform, full_images: 0, images_per_draw: 1 };
    let drawn: Vec<_> = sampler.draw(&net, 0, batch).iter().map(|arch| net.shapes(arch)).collect();
    let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
    let program = training.program();
    // Widths stay as the last step wrote them, so a step sets them and repeats of it are timed.
    let full_shapes: Vec<_> = vec![full.as_slice(); batch as usize];
    let drawn_shapes: Vec<_> = drawn.iter().map(Vec::as_slice).collect();
    let (mut full_s, mut drawn_s) = (Vec::new(), Vec::new());
    for round in 0..rounds + 1 {
        for (shapes, seconds) in [(&full_shapes, &mut full_s), (&drawn_shapes, &mut drawn_s)] {
            training.step(&images, &labels, shapes, control);
            let s = program.seconds(2).map_err(RunError::from)? / 2.0;
            // The first round compiles and warms up.
            if round > 0 {
                seconds.push(s);
            }
        }
    }
    let ratios: Vec<f64> = drawn_s.iter().zip(&full_s).map(|(d, f)| d / f).collect();
    let (full_ms, drawn_ms) = (Spread::of(&full_s).scaled(1e3), Spread::of(&drawn_s).scaled(1e3));
    let ratio = Spread::of(&ratios);

    training.step(&images, &labels, &full_shapes, control);
    let mut kernels: BTreeMap<&str, (f64, u64, u64)> = BTreeMap::new();
    let launches: Vec<_> = program.launches().map(|(_, kernel, work)| (kernel, work)).collect();
    for (index, (kernel, work)) in launches.iter().enumerate() {
        let times = (0..3).map(|_| program.launch_seconds(index, 8)).collect::<Result<Vec<_>, _>>();
        let seconds = Spread::of(&times.map_err(RunError::from)?).median / 8.0;
        let sum = kernels.entry(kernel).or_default();
        *sum = (sum.0 + seconds, sum.1 + work.flops, sum.2 + work.bytes);
    }
    if json {
        let kernels: BTreeMap<_, _> = kernels.iter().map(|(k, (s, ..))| (k, s * 1e3)).collect();
        say!(
            "{}",
            serde_json::json!({
                "adapter": gpu.adapter(), "space": name, "size": size, "batch": batch,
                "full_ms": full_ms, "uniform_widths_ms": drawn_ms, "ratio": ratio, "kernels_ms": kernels,
                "macs": net.macs(&net.full()), "footprint": training.footprint(),
            })
        );
        return Ok(());
    }
    say!("{}", gpu.adapter());
    say!("{name} at {size} px, batch {batch}, {:.2} MMACs an image", net.macs(&net.full()) as f64 / 1e6);
    say!(
        "full width       {:8.1} ms a step (deviation {:.1}), {:.0} images/s",
        full_ms.median,
        full_ms.mad,
        f64::from(batch) * 1e3 / full_ms.median
    );
    say!(
        "uniform widths   {:8.1} ms a step (deviation {:.1}), {:.2} of full width",
        drawn_ms.median,
        drawn_ms.mad,
        ratio.median
    );
    let footprint = training.footprint();
    say!(
        "memory           {:8.1} MB maps, {:.1} MB state, {:.1} MB scratch",
        footprint.maps as f64 / 1e6,
        footprint.state as f64 / 1e6,
        footprint.scratch as f64 / 1e6
    );
    let explained: f64 = kernels.values().map(|(s, ..)| s * 1e3).sum();
    for (kernel, (seconds, flops, bytes)) in &kernels {
        say!(
            "  {kernel:<28} {:7.2} ms  {:4.1} %  {:6.1} GFLOP/s  {:5.1} GB/s",
            seconds * 1e3,
            seconds * 1e5 / full_ms.median,
            *flops as f64 / seconds / 1e9,
            *bytes as f64 / seconds / 1e9
        );
    }
    say!("  {:<28} {:7.2} ms", "not explained", full_ms.median - explained);
    Ok(())
}
