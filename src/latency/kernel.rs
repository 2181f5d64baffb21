//! Kernels timed one by one, beside the least time that the device's bounds leave them.

use super::device::Device;
use super::layer::Layer;
use super::measure::{alone, empty_submit};
use super::stats::Spread;
use crate::gpu::{Gpu, GpuError, Program, Work};
use crate::kernels::Tuning;
use serde::Serialize;

/// A kernel at one shape.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    /// The kernel.
    pub kernel: &'static str,
    /// The layer (see `Layer`'s `Display`).
    pub shape: String,
    /// Milliseconds of a launch.
    pub ms: Spread,
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
    /// Share of what the bound leaves: 1 is as fast as can be.
    pub share: f64,
    /// With widths drawn, where that was measured.
    pub dropout: Option<DropoutTime>,
    /// Time over that of the same in another framework, where that was measured.
    pub over_peer: Option<Spread>,
}

/// A kernel with widths drawn, in turn with full width.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DropoutTime {
    /// Time over that at full width, round by round.
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
    /// Whether widths are drawn too.
    pub dropout: bool,
    /// Rounds; medians count.
    pub rounds: u32,
}

/// The least seconds of work on a device, by its rate of multiply-adds and by its bandwidth.
fn least(device: &Device, [flops, bytes]: [f64; 2]) -> [f64; 2] {
    let rate = device.fma_gflops.max(device.native_fma_gflops.unwrap_or(0.0));
    [flops / rate / 1e9, bytes / device.copy_gbs / 1e9]
}

impl KernelTime {
    fn new(device: &Device, kernel: &'static str, shape: String, seconds: Spread, work: Work) -> Self {
        let (flops, bytes) = (work.flops as f64, work.bytes as f64);
        let [by_rate, by_bandwidth] = least(device, [flops, bytes]);
        Self {
            kernel,
            shape,
            ms: seconds.scaled(1e3),
            flops: work.flops,
            bytes: work.bytes,
            gflops: flops / seconds.median / 1e9,
            gbs: bytes / seconds.median / 1e9,
            bound: if by_rate > by_bandwidth { Bound::Rate } else { Bound::Bandwidth },
            share: by_rate.max(by_bandwidth) / seconds.median,
            dropout: None,
            over_peer: None,
        }
    }
}

/// The ratio to full width that is ideal: both bounds of what is kept over both of everything.
fn ideal(device: &Device, work: Work, [flops, bytes]: [f64; 2]) -> f64 {
    let all = least(device, [work.flops as f64, work.bytes as f64]);
    let kept = least(device, [work.flops as f64 * flops, work.bytes as f64 * bytes]);
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
    let mut recorded = layer.record(gpu, tuning, options.images)?;
    if !recorded.recording.launches().iter().any(|launch| wanted(launch.kernel.name)) {
        return Ok(Vec::new());
    }
    let program = Program::new(gpu, std::mem::take(&mut recorded.recording))?;
    let empty = empty_submit(gpu)?;
    let full = vec![layer.full(); options.images as usize];
    let drawn = options.dropout.then(|| layer.drawn(options.images)).flatten();
    // Once in order: operands that later launches read are there, and everything is compiled.
    program.seconds(1)?;
    let mut times = Vec::new();
    for (index, (_, kernel, work)) in program.launches().enumerate().filter(|(_, (_, kernel, _))| wanted(kernel)) {
        let round = alone(&program, index, empty)?;
        let (mut seconds, mut ratios, mut over_peer) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let before = round()?;
            seconds.push(before);
            over_peer.extend(beside(kernel).map(|theirs| before / theirs));
            if let Some(drawn) = &drawn {
                recorded.set_widths(gpu, drawn);
                let mine = round()?;
                recorded.set_widths(gpu, &full);
                ratios.push(mine / ((before + round()?) / 2.0));
            }
        }
        let mut time = KernelTime::new(device, kernel, layer.to_string(), Spread::of(&seconds), work);
        time.dropout = drawn.as_ref().map(|drawn| {
            let (ratio, ideal) = (Spread::of(&ratios), ideal(device, work, layer.shares(drawn)));
            DropoutTime { ratio, ideal, over_ideal: ratio.median / ideal }
        });
        time.over_peer = (!over_peer.is_empty()).then(|| Spread::of(&over_peer));
        times.push(time);
    }
    Ok(times)
}
