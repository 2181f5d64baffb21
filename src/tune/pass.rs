//! Which tile sizes are faster: candidates in turn with what they would replace, knob by knob.

use super::knob::Knob;
use crate::check::{self, Fault};
use crate::gpu::{Elapsed, Gpu, GpuError, Precision, Program};
use crate::kernels::{Tuning, conv, depthwise, reduce};
use crate::latency::{Layer, Spread, empty_elapsed, filling};
use serde::{Deserialize, Serialize};

/// A candidate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What was changed.
    pub knob: Knob,
    /// To what.
    pub value: String,
    /// From what.
    pub from: String,
    /// Time over that before the change, the geometric mean over layers; none where the device cannot run it.
    pub ratio: Option<f64>,
    /// Whether it was taken.
    pub taken: bool,
    /// Why it cannot be taken: what the device says, or where its results differ from the references.
    pub fault: Option<String>,
}

/// A candidate has to be faster by this share, twice, so that noise changes nothing.
const GAIN: f64 = 0.03;
/// Rounds of a first comparison, and of the one that confirms it.
const ROUNDS: [usize; 2] = [3, 5];
/// Seconds of a launch's repeats in a round, about.
const LAUNCH_SECONDS: f64 = 0.003;
/// Launches of such a round at most.
const MOST_LAUNCHES: u32 = 256;

/// Tries the candidates of `knobs`, one knob after another, from `start` on; `tell` hears of each trial.
///
/// # Errors
/// What the device says. A candidate that it cannot run, or computes wrongly, is a trial with a fault.
pub fn measure(
    gpu: &Gpu,
    start: Tuning,
    knobs: &[Knob],
    tell: &mut dyn FnMut(&Trial),
) -> Result<(Tuning, Vec<Trial>), GpuError> {
    let images = if gpu.adapter().is_software() { 16 } else { 128 };
    let bench = Bench { gpu, images, empty: empty_elapsed(gpu)? };
    let (mut now, mut trials) = (start, Vec::new());
    for knob in knobs {
        let before = bench.layers(*knob, &now)?;
        let mut tried = Vec::new();
        for candidate in knob.candidates(&now).into_iter().filter(|tuning| tuning.most_lanes() <= gpu.limits().lanes) {
            let trial = |ratio, fault| Trial {
                knob: *knob,
                value: knob.value(&candidate),
                from: knob.value(&now),
                ratio,
                taken: false,
                fault,
            };
            tried.push(match bench.compare(&before, *knob, &candidate, ROUNDS[0]) {
                Ok(ratio) => (candidate, trial(Some(ratio), None)),
                // More workgroups, memory or registers than the device has.
                Err(error) if !is_fatal(&error) => (candidate, trial(None, Some(error.to_string()))),
                Err(error) => return Err(error),
            });
        }
        let ratio = |trial: &Trial| trial.ratio.unwrap_or(f64::INFINITY);
        tried.sort_by(|(_, a), (_, b)| ratio(a).total_cmp(&ratio(b)));
        for (candidate, trial) in &mut tried {
            if ratio(trial) > 1.0 - GAIN {
                break;
            }
            trial.fault = fault(gpu, *knob, candidate)?;
            if trial.fault.is_none() && bench.compare(&before, *knob, candidate, ROUNDS[1])? <= 1.0 - GAIN {
                trial.taken = true;
                now = *candidate;
                break;
            }
        }
        for (_, trial) in tried {
            tell(&trial);
            trials.push(trial);
        }
    }
    Ok((now, trials))
}

/// Whether the device can do nothing any more.
fn is_fatal(error: &GpuError) -> bool {
    matches!(error, GpuError::Lost { .. } | GpuError::Device { .. })
}

/// Where a kernel that the knob affects differs from its reference with these tile sizes.
fn fault(gpu: &Gpu, knob: Knob, tuning: &Tuning) -> Result<Option<String>, GpuError> {
    let affected = |check: &&check::Check| check.kernels.iter().any(|kernel| knob.affects(kernel.name));
    for check in check::checks(gpu).filter(affected) {
        match check.run(gpu, *tuning) {
            Ok(()) => {}
            Err(Fault::Gpu(error)) if is_fatal(&error) => return Err(error),
            Err(fault) => {
                let kernels: Vec<&str> = check.kernels.iter().map(|kernel| kernel.name).collect();
                return Ok(Some(format!("{}: {fault}", kernels.join(", "))));
            }
        }
    }
    Ok(None)
}

/// A layer's launches that a knob affects, ready to run, each with its repeats in a round.
struct Timed {
    program: Program,
    launches: Vec<(usize, u32)>,
}

struct Bench<'a> {
    gpu: &'a Gpu,
    images: u32,
    empty: Elapsed,
}

impl Bench<'_> {
    fn layers(&self, knob: Knob, tuning: &Tuning) -> Result<Vec<Timed>, GpuError> {
        knob.layers().iter().map(|layer| self.layer(knob, tuning, layer)).collect()
    }

    fn layer(&self, knob: Knob, tuning: &Tuning, layer: &Layer) -> Result<Timed, GpuError> {
        let mut recording = layer.record(self.gpu, tuning, self.images, Precision::F32)?.recording;
        // Parts of a gradient are summed up: more of them are not for nothing.
        let bound = |kernel: &str, name: &str| {
            let launch = recording.launches().iter().find(|launch| launch.kernel.name == kernel)?;
            launch.bindings.iter().find(|(other, _)| *other == name).map(|(_, buf)| buf.clone())
        };
        let passes = [(&conv::FORWARD, &conv::BACKWARD_WEIGHT), (&depthwise::FORWARD, &depthwise::BACKWARD_WEIGHT)];
        let parts =
            passes.iter().find_map(|(forward, backward)| bound(forward.name, "weight").zip(bound(backward.name, "dw")));
        if let Some((weight, partial)) = parts {
            let [parts, quads] = [partial.bytes() / weight.bytes(), weight.bytes() / 16].map(|count| count as u32);
            if parts > 1 {
                let total = self.gpu.allocate("total", weight.bytes())?;
                reduce::sum(&mut recording, tuning, [parts, quads], &partial, &total);
            }
        }
        let program = Program::new(self.gpu, recording)?;
        let affected: Vec<usize> =
            program.launches().enumerate().filter(|(_, (_, kernel, _))| knob.affects(kernel)).map(|(i, _)| i).collect();
        let mut launches = Vec::with_capacity(affected.len());
        for index in affected {
            // The first compiles.
            program.launch_seconds(index, 1)?;
            let one = (program.launch_seconds(index, 1)? - self.empty.wall).max(1e-6);
            launches.push((index, filling(LAUNCH_SECONDS, one, MOST_LAUNCHES)));
        }
        Ok(Timed { program, launches })
    }

    /// Time with a candidate over that of `before`, the geometric mean over layers.
    fn compare(&self, before: &[Timed], knob: Knob, candidate: &Tuning, rounds: usize) -> Result<f64, GpuError> {
        let mut logs = 0.0;
        for (layer, before) in knob.layers().iter().zip(before) {
            let after = self.layer(knob, candidate, layer)?;
            let mut ratios = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                let (before, after) = (self.round(before)?, self.round(&after)?);
                ratios[0].push(after.wall / before.wall);
                ratios[1].extend(after.processor.zip(before.processor).map(|(after, before)| after / before));
            }
            // On a software adapter processor time repeats best, but does not see idle threads: the worse of both counts.
            let clocks = if self.gpu.adapter().is_software() { &ratios[..] } else { &ratios[..1] };
            let medians = clocks.iter().filter(|ratios| !ratios.is_empty()).map(|ratios| Spread::of(ratios).median);
            logs += medians.fold(0.0, f64::max).ln();
        }
        Ok((logs / before.len() as f64).exp())
    }

    /// Seconds of all affected launches of a layer, once each.
    fn round(&self, timed: &Timed) -> Result<Elapsed, GpuError> {
        let mut sum = Elapsed { wall: 0.0, processor: Some(0.0), device: None };
        for (index, repeats) in &timed.launches {
            let one = timed.program.launch_elapsed(*index, *repeats)?.part(self.empty, *repeats);
            sum.wall += one.wall;
            sum.processor = sum.processor.zip(one.processor).map(|(sum, one)| sum + one);
        }
        Ok(sum)
    }
}
