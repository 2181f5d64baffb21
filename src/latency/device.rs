//! What a device can do at most: rates, bandwidths and the cost of asking, in the manner of clpeak.
//!
//! Each is the median of some rounds, each round long enough for the clock.

use super::measure::{LAUNCH_SECONDS, MOST_LAUNCHES, empty_submits, filling, least, median};
use super::native;
use super::stats::Spread;
use crate::gpu::{Adapter, Buf, Elapsed, Gpu, GpuError, Program, Recording};
use crate::kernels::{Tuning, probe};
use serde::Serialize;

/// The bounds of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// Whose.
    pub adapter: Adapter,
    /// Multiply-adds of f32 in WGSL, each two operations.
    pub fma_gflops: f64,
    /// The same of f16, where the device has it.
    pub fma_f16_gflops: Option<f64>,
    /// The same of f32 in a native loop on all threads of this machine, where the adapter is its processor.
    pub native_fma_gflops: Option<f64>,
    /// Bytes read and written by a kernel that copies.
    pub copy_gbs: f64,
    /// Bytes read and written by the device's own copy of buffers.
    pub buffer_copy_gbs: f64,
    /// Bytes written to and read from workgroup memory, its barriers included.
    pub workgroup_gbs: f64,
    /// A launch among others of a submit.
    pub dispatch_us: f64,
    /// A submit that does nothing, until the host knows that it is done.
    pub submit_us: f64,
    /// What it does in a second of one processor's time, where the adapter is this machine's processor: unlike the rates
    /// above that does not fall when something else runs beside it.
    pub processor: Option<Rates>,
}

/// Rates that bound kernels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Multiply-adds of f32 in WGSL, each two operations.
    pub fma_gflops: f64,
    /// The same in a native loop, where the adapter is a processor.
    pub native_fma_gflops: Option<f64>,
    /// Bytes read and written by a kernel that copies.
    pub copy_gbs: f64,
}

impl Rates {
    /// The least seconds that operations and bytes take, each alone: the larger of the two bounds a kernel.
    pub fn least(&self, [flops, bytes]: [f64; 2]) -> [f64; 2] {
        let gflops = self.fma_gflops.max(self.native_fma_gflops.unwrap_or(0.0));
        [flops / gflops / 1e9, bytes / self.copy_gbs / 1e9]
    }
}

impl Device {
    /// Rates in a second on the wall.
    pub fn wall(&self) -> Rates {
        let Self { fma_gflops, native_fma_gflops, copy_gbs, .. } = *self;
        Rates { fma_gflops, native_fma_gflops, copy_gbs }
    }
}

/// Rounds of each measurement.
const ROUNDS: usize = 11;
/// Bytes of the operands of copies on a software adapter: larger than most caches, within WebGPU's smallest limits of
/// a binding and, with the fewest lanes, of a launch.
const COPY_BYTES: u64 = 48 << 20;
/// The same on others, whose second-level caches have up to 60 MB; no more than a binding may have.
const GPU_COPY_BYTES: u64 = 256 << 20;
/// Multiply-adds of a chain in one launch at most, and exchanges of a lane.
const PROBE_ROUNDS: u32 = 2048;
/// Seconds of such a launch, about, on a device that is slow: some drivers end what takes two.
const PROBE_SECONDS: f64 = 0.05;
/// Launches that share the cost of a submit.
const LAUNCHES: u32 = 256;

/// Measures a device; takes some seconds.
///
/// # Errors
/// What the device says.
pub fn device(gpu: &Gpu, tuning: &Tuning) -> Result<Device, GpuError> {
    let submits = empty_submits(gpu)?;
    let empty = least(&submits);
    let probes = Probes { gpu, empty };
    let software = gpu.adapter().is_software();
    // Enough workgroups for every core of a large GPU; a processor has few and runs each for long.
    let (lanes, groups) = if software { (tuning.lanes, 1024) } else { (256, 4096) };
    let operand = |bytes: u64| -> Result<[Buf; 2], GpuError> {
        let x = gpu.upload("x", &vec![0.3f32; bytes as usize / 4])?;
        Ok([x, gpu.allocate("y", bytes)?])
    };
    let [x, y] = operand(u64::from(lanes * groups) * 16)?;
    let copy_bytes = if software { COPY_BYTES } else { GPU_COPY_BYTES.min(gpu.limits().buffer_bytes) };
    let [large_x, large_y] = operand(copy_bytes)?;

    type Probe = fn(&mut Recording, u32, u32, &Buf, &Buf);
    let probed = |record: Probe, most: u32, amount: fn(crate::gpu::Work) -> u64| {
        let of = |rounds: u32| {
            let mut rec = Recording::new();
            record(&mut rec, lanes, rounds, &x, &y);
            rec
        };
        let few = most / 64;
        let seconds = probes.elapsed(&Program::new(gpu, of(few))?)?.wall;
        probes.rate(of(filling(PROBE_SECONDS, seconds / f64::from(few), most).max(few)), amount)
    };
    let chains = |record: Probe| probed(record, PROBE_ROUNDS, |work| work.flops);
    let fma = chains(probe::multiply_add)?;
    let f16 = gpu.runs(&probe::MULTIPLY_ADD_F16).then(|| chains(probe::multiply_add_f16)).transpose()?;
    let workgroup = probed(probe::exchange, PROBE_ROUNDS / 8, |work| work.bytes)?;
    let mut rec = Recording::new();
    probe::copy(&mut rec, tuning, tuning.pixels, &large_x, &large_y);
    let copy = probes.rate(rec, |work| work.bytes)?;
    let mut rec = Recording::new();
    let one = x.range(0, u64::from(lanes.max(16)) * 16, "x");
    let other = y.range(0, u64::from(lanes.max(16)) * 16, "y");
    (0..LAUNCHES).for_each(|_| probe::copy(&mut rec, tuning, 1, &one, &other));
    let dispatch_us = probes.elapsed(&Program::new(gpu, rec)?)?.wall * 1e6 / f64::from(LAUNCHES);
    let copies = (0..ROUNDS).map(|_| gpu.copy_seconds(&large_x, &large_y, 4)).collect::<Result<Vec<_>, _>>()?;
    let buffer_copy = (Spread::of(&copies).median - empty.wall).max(1e-9) / 4.0;
    let native = software.then(native::fma);
    let processor = native.as_ref().and_then(|native| {
        let native_fma_gflops = Some(native.processor_gflops?);
        Some(Rates { fma_gflops: fma.processor?, native_fma_gflops, copy_gbs: copy.processor? })
    });
    Ok(Device {
        adapter: gpu.adapter().clone(),
        fma_gflops: fma.wall,
        fma_f16_gflops: f16.map(|f16| f16.wall),
        native_fma_gflops: native.map(|native| native.gflops),
        copy_gbs: copy.wall,
        buffer_copy_gbs: 2.0 * copy_bytes as f64 / buffer_copy / 1e9,
        workgroup_gbs: workgroup.wall,
        dispatch_us,
        submit_us: median(&submits).wall * 1e6,
        processor,
    })
}

/// A rate in a second of each clock.
struct ByClock {
    wall: f64,
    processor: Option<f64>,
}

struct Probes<'a> {
    gpu: &'a Gpu,
    empty: Elapsed,
}

impl Probes<'_> {
    /// Thousand millions of what `amount` says of a launch, in a second of each clock.
    fn rate(&self, rec: Recording, amount: fn(crate::gpu::Work) -> u64) -> Result<ByClock, GpuError> {
        let program = Program::new(self.gpu, rec)?;
        let all = program.launches().map(|(_, _, work)| amount(work)).sum::<u64>() as f64 / 1e9;
        let elapsed = self.elapsed(&program)?;
        Ok(ByClock { wall: all / elapsed.wall, processor: elapsed.processor.map(|seconds| all / seconds) })
    }

    /// Median time of a run, the submit left out.
    fn elapsed(&self, program: &Program) -> Result<Elapsed, GpuError> {
        program.seconds(1)?;
        let one = (program.seconds(1)? - self.empty.wall).max(1e-6);
        let repeats = filling(LAUNCH_SECONDS, one, MOST_LAUNCHES);
        let rounds = (0..ROUNDS).map(|_| program.elapsed(repeats)).collect::<Result<Vec<_>, _>>()?;
        Ok(median(&rounds).part(self.empty, repeats))
    }
}
