//! Kernels timed one by one, beside the least time that the device's bounds leave them.

use super::device::{Device, Rates};
use super::layer::Layer;
use super::measure::{alone, empty_elapsed};
use super::stats::Spread;
use crate::gpu::{Elapsed, Gpu, GpuError, Precision, Program, Work};
use crate::kernels::Tuning;
use serde::Serialize;
use std::time::Instant;

/// A kernel at one shape.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// The kernel.
    pub kernel: &'static str,
    /// The layer (see `Layer`'s `Display`).
    pub shape: String,
    /// Milliseconds of a launch.
    pub ms: Spread,
    /// Milliseconds of processors, where these are the adapter.
    pub processor_ms: Option<Spread>,
    /// Operations at full width, a multiply-add being two.
    pub flops: u64,
    /// Bytes of its operands at full width.
    pub bytes: u64,
    /// 10^9 operations a second.
    pub gflops: f64,
    /// 10^9 bytes a second.
    pub gbs: f64,
    /// What bounds it.
    pub bound: Bound,
    /// Share of what the bound leaves: 1 is as fast as can be. Of processor time where that is known.
    pub share: f64,
    /// With widths drawn, where that was measured.
    pub dropout: Option<DropoutTime>,
    /// Time over that of the same in another framework, where that was measured.
    pub over_peer: Option<Spread>,
}

/// A kernel with widths drawn, in turn with full width.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DropoutTime {
    /// Time over that at full width, round by round; processor time where that is known.
    pub ratio: Spread,
    /// The least ratio that the bounds leave.
    pub ideal: f64,
    /// Median ratio over the ideal one: 1 is as good as can be.
    pub over_ideal: f64,
}

/// What a kernel cannot be faster than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The rate of multiply-adds.
    Rate,
    /// The bandwidth of a kernel that copies.
    Bandwidth,
}

/// How kernels are timed.
#[derive(Clone, Copy, Debug)]
pub struct KernelOptions {
    /// Images of a batch.
    pub images: u32,
    /// Precision of the feature maps.
    pub precision: Precision,
    /// Whether widths are drawn too.
    pub dropout: bool,
    /// Rounds; medians count.
    pub rounds: u32,
    /// Seconds that a layer may take, compilation included: fewer rounds then, but one of each kernel at least.
    pub seconds: f64,
}

/// What kernels of a device are held against: its rates by the clock that says most. A software adapter's own time is
/// that of processors, which repeats while other work runs beside it; a GPU's is on the wall.
struct Yardstick {
    rates: Rates,
    by_processor: bool,
}

impl Yardstick {
    fn of(device: &Device) -> Self {
        Self { rates: device.processor.unwrap_or_else(|| device.wall()), by_processor: device.processor.is_some() }
    }

    /// A time by its clock.
    fn seconds(&self, elapsed: Elapsed) -> f64 {
        elapsed.processor.filter(|_| self.by_processor).unwrap_or(elapsed.wall)
    }
}

impl KernelTime {
    fn new(yardstick: &Yardstick, kernel: &'static str, shape: String, rounds: &[Elapsed], work: Work) -> Self {
        let (flops, bytes) = (work.flops as f64, work.bytes as f64);
        let [by_rate, by_bandwidth] = yardstick.rates.least([flops, bytes]);
        let spread = |time: &dyn Fn(&Elapsed) -> f64| Spread::of(&rounds.iter().map(time).collect::<Vec<_>>());
        let seconds = spread(&|round| round.wall);
        let counted = spread(&|round| yardstick.seconds(*round));
        Self {
            kernel,
            shape,
            ms: seconds.scaled(1e3),
            processor_ms: yardstick.by_processor.then(|| counted.scaled(1e3)),
            flops: work.flops,
            bytes: work.bytes,
            gflops: flops / seconds.median / 1e9,
            gbs: bytes / seconds.median / 1e9,
            bound: if by_rate > by_bandwidth { Bound::Rate } else { Bound::Bandwidth },
            share: by_rate.max(by_bandwidth) / counted.median,
            dropout: None,
            over_peer: None,
        }
    }
}

/// The ratio to full width that is ideal: both bounds of what is kept over both of everything.
fn ideal(rates: &Rates, work: Work, [flops, bytes]: [f64; 2]) -> f64 {
    let all = rates.least([work.flops as f64, work.bytes as f64]);
    let kept = rates.least([work.flops as f64 * flops, work.bytes as f64 * bytes]);
    kept[0].max(kept[1]) / all[0].max(all[1])
}

/// Times those kernels of a layer whose names are `wanted`; in turn with `beside`, which says how many seconds the same
/// kernel takes elsewhere, and says nothing where it cannot.
///
/// # Errors
/// What the device says.
pub fn layer_kernels(
    gpu: &Gpu,
    tuning: &Tuning,
    device: &Device,
    layer: &Layer,
    options: KernelOptions,
    wanted: &dyn Fn(&str) -> bool,
    beside: &mut dyn FnMut(&str) -> Option<f64>,
) -> Result<Vec<KernelTime>, GpuError> {
    let begun = Instant::now();
    let mut recorded = layer.record(gpu, tuning, options.images, options.precision)?;
    if !recorded.recording.launches().iter().any(|launch| wanted(launch.kernel.name)) {
        return Ok(Vec::new());
    }
    let program = Program::new(gpu, std::mem::take(&mut recorded.recording))?;
    let empty = empty_elapsed(gpu)?;
    let yardstick = Yardstick::of(device);
    let full = vec![layer.full(); options.images as usize];
    let drawn = options.dropout.then(|| layer.drawn(options.images)).flatten();
    // Once in order: operands that later launches read are there, and everything is compiled.
    program.seconds(1)?;
    let mut times = Vec::new();
    let chosen: Vec<_> = program.launches().enumerate().filter(|(_, (_, kernel, _))| wanted(kernel)).collect();
    for (done, &(index, (_, kernel, work))) in chosen.iter().enumerate() {
        let round = alone(&program, index, empty)?;
        // What a kernel does not need of its share is left for those after it.
        let left = options.seconds - begun.elapsed().as_secs_f64();
        let (mine, share) = (Instant::now(), left / (chosen.len() - done) as f64);
        let (mut rounds, mut ratios, mut over_peer) = (Vec::new(), Vec::new(), Vec::new());
        let counted = |elapsed| yardstick.seconds(elapsed);
        while rounds.is_empty() || rounds.len() < options.rounds as usize && mine.elapsed().as_secs_f64() < share {
            let before = round()?;
            rounds.push(before);
            over_peer.extend(beside(kernel).map(|theirs| before.wall / theirs));
            if let Some(drawn) = &drawn {
                recorded.set_widths(gpu, drawn);
                let mine = round()?;
                recorded.set_widths(gpu, &full);
                ratios.push(counted(mine) / ((counted(before) + counted(round()?)) / 2.0));
            }
        }
        let mut time = KernelTime::new(&yardstick, kernel, layer.to_string(), &rounds, work);
        time.dropout = drawn.as_ref().map(|drawn| {
            let (ratio, ideal) = (Spread::of(&ratios), ideal(&yardstick.rates, work, layer.shares(drawn)));
            DropoutTime { ratio, ideal, over_ideal: ratio.median / ideal }
        });
        time.over_peer = (!over_peer.is_empty()).then(|| Spread::of(&over_peer));
        times.push(time);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_processor_time_where_the_rates_are() {
        let rates = Rates { fma_gflops: 1.0, native_fma_gflops: Some(4.0), copy_gbs: 1.0 };
        // 2 * 10^9 operations and 10^9 bytes take half a second and a second at most.
        let work = Work { flops: 2_000_000_000, bytes: 1_000_000_000 };
        let rounds = [Elapsed { wall: 10.0, processor: Some(4.0), device: None }; 3];
        let time = |by_processor| {
            let yardstick = Yardstick { rates, by_processor };
            KernelTime::new(&yardstick, "conv/forward", "shape".into(), &rounds, work)
        };
        let (processor, wall) = (time(true), time(false));
        assert_eq!((processor.bound, processor.share, processor.ms.median), (Bound::Bandwidth, 0.25, 10_000.0));
        assert_eq!(processor.processor_ms.map(|ms| ms.median), Some(4000.0));
        assert_eq!((wall.share, wall.processor_ms), (0.1, None));
        assert_eq!((wall.gflops, processor.gflops), (0.2, 0.2));
    }
}
