//! `netadapt-bench step`: how fast this device runs a training step.

use super::outcome::{Outcome, Quantity, object};
use super::peer::{Peer, Prepared};
use crate::cli::precision::precision;
use crate::gpu::{Gpu, GpuError, Precision, Program, Work};
use crate::graph::{Footprint, NetworkError, Training, TrainingOptions, initial_weights, lower};
use crate::kernels::Tuning;
use crate::kernels::optimizer::Control;
use crate::latency::{Spread, launch_times};
use crate::run::RunError;
use crate::space::{LayerShape, Space, Supernet, WidthSampler};
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
    let begun = Instant::now();
    let (space, size) = Space::open_at(&args.space, args.size).map_err(RunError::from)?;
    let net = space.supernet(size, 3, 10);
    let batch = args.batch.unwrap_or(space.train.batch);
    let options = TrainingOptions { precision: args.precision, ..TrainingOptions::of(&space.train, batch, *tuning) };
    let (subject, memory) = Subject::new(gpu, &net, options).map_err(RunError::from)?;
    let theirs = match &mut peer {
        Some(peer) => Some([peer.step(&space, [size, batch], false)?, peer.step(&space, [size, batch], true)?]),
        None => None,
    };
    let is_late = || begun.elapsed().as_secs_f64() > args.seconds * WHOLE_STEPS;
    let rounds = Rounds::of(&subject, args.rounds, is_late, peer.as_deref_mut().zip(theirs))?;
    let measured = subject.measured(gpu, rounds, memory).map_err(RunError::from)?;

    let macs = net.macs(&net.full());
    let mut outcome = Outcome { json: object(measured.json()), ..Outcome::default() };
    let what = serde_json::json!({
        "adapter": gpu.adapter(), "space": args.space, "size": size, "batch": batch, "precision": args.precision, "macs": macs,
    });
    outcome.json.extend(object(what));
    let maps = if args.precision == Precision::F32 { String::new() } else { format!(" {}", args.precision) };
    let key = format!("step {} {size}px{maps}", args.space);
    outcome.quantities.insert(key.clone(), Quantity::ms(&measured.ms[FULL]));
    outcome.quantities.insert(format!("{key} uniform widths"), Quantity::ms(&measured.ms[DRAWN]));
    outcome.lines.push(gpu.adapter().to_string());
    outcome.lines.push(format!(
        "{} at {size} px, batch {batch}, maps of {}, {:.2} MMACs an image",
        args.space,
        args.precision,
        macs as f64 / 1e6
    ));
    outcome.lines.extend(measured.lines());
    if let Some(peer) = &peer {
        let [full, masked] = measured.over_peer.each_ref().map(|ratios| Spread::of(ratios));
        outcome.lines.push(format!(
            "{}: a step takes {:.2} of its time, with uniform widths {:.2} of its time with masks",
            peer.name, full.median, masked.median
        ));
        let ratios = serde_json::json!({ "name": peer.name, "full_ratio": full, "masked_ratio": masked });
        outcome.json.insert("peer".into(), ratios);
    }
    outcome.lines.extend(measured.kernel_lines());
    Ok(outcome)
}

/// Indices of what is measured at full width and with widths drawn for each image.
const FULL: usize = 0;
const DRAWN: usize = 1;

/// A training on one made-up batch, whose steps are timed.
struct Subject {
    training: Training,
    images: Vec<f32>,
    labels: Vec<u32>,
    /// Shapes of every image's layers.
    shapes: [Vec<Vec<LayerShape>>; 2],
}

impl Subject {
    /// Made ready, and the memory that it took.
    fn new(gpu: &Gpu, net: &Supernet, options: TrainingOptions) -> Result<(Self, MemoryTaken), NetworkError> {
        let graph = lower(net, &net.full());
        let weights = initial_weights(&graph, 0);
        let (batch, size) = (options.batch, net.input().size);
        gpu.wait()?;
        let before = (gpu.held_bytes(), gpu.allocated_bytes());
        let least_moved = graph.least_step_bytes(batch, options.rule.moments(), options.precision);
        let training = Training::new(gpu, graph, options)?;
        training.load(&weights)?;
        gpu.wait()?;
        let memory = MemoryTaken {
            footprint: training.footprint(),
            held: gpu.held_bytes() - before.0,
            allocated: gpu.allocated_bytes().zip(before.1).map(|(now, before)| now.saturating_sub(before)),
            least_moved,
        };
        let drawn = WidthSampler::uniform(0).draw(net, 0, batch);
        let drawn = drawn.iter().map(|arch| net.shapes(arch)).collect();
        let subject = Self {
            training,
            images: vec![0.5; (batch * size * size * 4) as usize],
            labels: (0..batch).map(|n| n % net.classes()).collect(),
            shapes: [vec![net.shapes(&net.full()); batch as usize], drawn],
        };
        Ok((subject, memory))
    }

    /// Takes a step that changes no weight. Widths stay as it wrote them: repeats of its program are timed.
    fn step(&self, shapes: &[Vec<LayerShape>]) {
        let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
        let shapes: Vec<&[LayerShape]> = shapes.iter().map(Vec::as_slice).collect();
        self.training.step(&self.images, &self.labels, &shapes, control);
    }

    /// What rounds of whole steps came to, and of each kernel alone.
    fn measured(&self, gpu: &Gpu, rounds: Rounds, memory: MemoryTaken) -> Result<Measured, GpuError> {
        let Rounds { seconds, over_peer } = rounds;
        let count = seconds[FULL].len();
        let submits =
            (0..count).map(|_| submit_seconds(gpu, self.training.program())).collect::<Result<Vec<_>, _>>()?;
        let ratios: Vec<f64> = seconds[DRAWN].iter().zip(&seconds[FULL]).map(|(drawn, full)| drawn / full).collect();
        let of_kernels = |shapes: &Vec<Vec<LayerShape>>| self.kernels(gpu, shapes, count.min(3) as u32);
        let drawn = of_kernels(&self.shapes[DRAWN])?;
        Ok(Measured {
            batch: self.labels.len(),
            ms: seconds.map(|seconds| Spread::of(&seconds).scaled(1e3)),
            ratio: Spread::of(&ratios),
            submit_ms: Spread::of(&submits).scaled(1e3),
            kernels: [of_kernels(&self.shapes[FULL])?, drawn],
            over_peer,
            memory,
        })
    }

    fn kernels(&self, gpu: &Gpu, shapes: &[Vec<LayerShape>], rounds: u32) -> Result<Kernels, GpuError> {
        self.step(shapes);
        let mut kernels = Kernels::new();
        for launch in launch_times(gpu, self.training.program(), rounds)? {
            let Launches { count, ms, work } = kernels.entry(launch.kernel).or_default();
            *count += 1;
            *ms += launch.ms.median;
            *work = Work { flops: work.flops + launch.work.flops, bytes: work.bytes + launch.work.bytes };
        }
        Ok(kernels)
    }
}

/// Bytes that a training holds, and the fewest that a step of it can move.
struct MemoryTaken {
    footprint: Footprint,
    held: u64,
    /// By the driver, where it says so.
    allocated: Option<u64>,
    least_moved: u64,
}

/// The launches of a kernel in a step: how many, and what they come to.
#[derive(Default)]
struct Launches {
    count: usize,
    ms: f64,
    work: Work,
}

/// Those of each kernel.
type Kernels = BTreeMap<&'static str, Launches>;

/// Seconds of whole steps and what they are of a peer's, in turn.
#[derive(Default)]
struct Rounds {
    seconds: [Vec<f64>; 2],
    over_peer: [Vec<f64>; 2],
}

impl Rounds {
    /// So many rounds, or as many as begin before it is late.
    fn of(
        subject: &Subject,
        rounds: u32,
        is_late: impl Fn() -> bool,
        mut peer: Option<(&mut Peer, [Prepared; 2])>,
    ) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for round in 0..=rounds {
            if round > 1 && is_late() {
                break;
            }
            for (way, shapes) in subject.shapes.iter().enumerate() {
                subject.step(shapes);
                let seconds = subject.training.program().seconds(2).map_err(RunError::from)? / 2.0;
                // The first round compiles and warms up.
                if round == 0 {
                    continue;
                }
                all.seconds[way].push(seconds);
                if let Some((peer, theirs)) = &mut peer {
                    all.over_peer[way].push(seconds / peer.seconds(theirs[way], seconds)?);
                }
            }
        }
        Ok(all)
    }
}

/// What a step takes.
struct Measured {
    batch: usize,
    ms: [Spread; 2],
    /// Drawn over full width.
    ratio: Spread,
    submit_ms: Spread,
    kernels: [Kernels; 2],
    over_peer: [Vec<f64>; 2],
    memory: MemoryTaken,
}

impl Measured {
    fn moved_bytes(&self) -> u64 {
        self.kernels[FULL].values().map(|launches| launches.work.bytes).sum()
    }

    fn launches(&self) -> usize {
        self.kernels[FULL].values().map(|launches| launches.count).sum()
    }

    fn images_per_second(&self) -> f64 {
        self.batch as f64 * 1e3 / self.ms[FULL].median
    }

    fn json(&self) -> serde_json::Value {
        let ms_of = |kernels: &Kernels| -> BTreeMap<_, _> { kernels.iter().map(|(k, l)| (*k, l.ms)).collect() };
        let [full, drawn] = &self.kernels;
        let MemoryTaken { footprint, held, allocated, least_moved } = &self.memory;
        serde_json::json!({
            "full_ms": self.ms[FULL], "uniform_widths_ms": self.ms[DRAWN], "ratio": self.ratio,
            "kernels_ms": ms_of(full), "kernels_uniform_widths_ms": ms_of(drawn),
            "images_per_second": self.images_per_second(), "submit_ms": self.submit_ms,
            "launches": self.launches(),
            "footprint": footprint, "predicted_bytes": footprint.bytes(), "held_bytes": held, "allocated_bytes": allocated,
            "moved_bytes": self.moved_bytes(), "least_bytes": least_moved,
        })
    }

    fn lines(&self) -> Vec<String> {
        let [full, drawn] = &self.ms;
        let MemoryTaken { footprint, allocated, least_moved, .. } = &self.memory;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let driver = allocated.map_or_else(String::new, |bytes| {
            format!("; the driver gave {:.1} MB, {:.3} of it", mb(bytes), bytes as f64 / footprint.bytes() as f64)
        });
        vec![
            format!(
                "full width       {:8.1} ms a step (deviation {:.1}), {:.0} images/s",
                full.median,
                full.mad,
                self.images_per_second()
            ),
            format!(
                "uniform widths   {:8.1} ms a step (deviation {:.1}), {:.2} of full width",
                drawn.median, drawn.mad, self.ratio.median
            ),
            format!(
                "memory           {:8.1} MB predicted: {:.1} maps, {:.1} state, {:.1} scratch{driver}",
                mb(footprint.bytes()),
                mb(footprint.maps),
                mb(footprint.state),
                mb(footprint.scratch)
            ),
            format!(
                "bytes moved      {:8.1} MB a step, {:.2} times the fewest possible ({:.1} MB)",
                mb(self.moved_bytes()),
                self.moved_bytes() as f64 / *least_moved as f64,
                mb(*least_moved)
            ),
            format!(
                "encode + submit  {:8.2} ms for {} launches, {:.1} % of a step",
                self.submit_ms.median,
                self.launches(),
                self.submit_ms.median / full.median * 100.0
            ),
        ]
    }

    /// A line for each kernel, and one for what none of them explains.
    fn kernel_lines(&self) -> Vec<String> {
        let [full, drawn] = &self.kernels;
        let of_kernel = |(kernel, Launches { count, ms, work }): (&&str, &Launches)| {
            format!(
                "  {kernel:<26} x{count:<4} {ms:7.2} ms  {:4.1} %  {:6.1} GFLOP/s  {:5.1} GB/s  uniform widths {:7.2} ms",
                ms * 1e2 / self.ms[FULL].median,
                work.flops as f64 / ms / 1e6,
                work.bytes as f64 / ms / 1e6,
                drawn[kernel].ms,
            )
        };
        let left = [FULL, DRAWN].map(|way| self.ms[way].median - self.kernels[way].values().map(|l| l.ms).sum::<f64>());
        let unexplained =
            format!("  {:<32} {:7.2} ms  {:>39} {:7.2} ms", "not explained", left[FULL], "uniform widths", left[DRAWN]);
        full.iter().map(of_kernel).chain([unexplained]).collect()
    }
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
