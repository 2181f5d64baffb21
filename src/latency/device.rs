//! What a device can do at most: rates, bandwidths and the cost of asking, in the manner of clpeak.
//!
//! Each is the median of some rounds, each round long enough for the clock.

use super::measure::{ROUND_SECONDS, empty_submit};
use super::native;
use super::stats::Spread;
use crate::gpu::{Adapter, Buf, Gpu, GpuError, Program, Recording};
use crate::kernels::{Tuning, probe};
use serde::Serialize;

/// The bounds of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// Whose.
    pub adapter: Adapter,
    /// Multiply-adds of f32 in WGSL, each two operations.
    pub fma_gflops: f64,
    /// The same in a native loop on all threads of this machine, where the adapter is its processor.
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
}

/// Rounds of each measurement.
const ROUNDS: usize = 11;
/// Bytes of the operands of copies: larger than most caches, within WebGPU's smallest limits of a binding and, with
/// the fewest lanes, of a launch.
const COPY_BYTES: u64 = 48 << 20;
/// Multiply-adds of a chain in one launch, and exchanges of a lane.
const PROBE_ROUNDS: u32 = 2048;
/// Launches that share the cost of a submit.
const LAUNCHES: u32 = 256;

/// Measures a device; takes some seconds.
///
/// # Errors
/// What the device says.
pub fn device(gpu: &Gpu, tuning: &Tuning) -> Result<Device, GpuError> {
    let empty = empty_submit(gpu)?;
    let probes = Probes { gpu, empty };
    let software = gpu.adapter().is_software();
    // Enough workgroups for every core of a large GPU; a processor has few and runs each for long.
    let (lanes, groups) = if software { (tuning.lanes, 1024) } else { (256, 4096) };
    let operand = |bytes: u64| -> Result<[Buf; 2], GpuError> {
        let x = gpu.upload("x", &vec![0.3f32; bytes as usize / 4])?;
        Ok([x, gpu.allocate("y", bytes)?])
    };
    let [x, y] = operand(u64::from(lanes * groups) * 16)?;
    let [large_x, large_y] = operand(COPY_BYTES)?;

    let mut rec = Recording::new();
    probe::multiply_add(&mut rec, lanes, PROBE_ROUNDS, &x, &y);
    let fma_gflops = probes.rate(rec, |work| work.flops)?;
    let mut rec = Recording::new();
    probe::exchange(&mut rec, lanes, PROBE_ROUNDS / 8, &x, &y);
    let workgroup_gbs = probes.rate(rec, |work| work.bytes)?;
    let mut rec = Recording::new();
    probe::copy(&mut rec, lanes, tuning.pixels, &large_x, &large_y);
    let copy_gbs = probes.rate(rec, |work| work.bytes)?;
    let mut rec = Recording::new();
    let one = x.range(0, u64::from(lanes.max(16)) * 16, "x");
    let other = y.range(0, u64::from(lanes.max(16)) * 16, "y");
    (0..LAUNCHES).for_each(|_| probe::copy(&mut rec, lanes, 1, &one, &other));
    let dispatch_us = probes.seconds(&Program::new(gpu, rec)?)? * 1e6 / f64::from(LAUNCHES);
    let copies = (0..ROUNDS).map(|_| gpu.copy_seconds(&large_x, &large_y, 4)).collect::<Result<Vec<_>, _>>()?;
    let copy = (Spread::of(&copies).median - empty).max(1e-9) / 4.0;
    Ok(Device {
        adapter: gpu.adapter().clone(),
        fma_gflops,
        native_fma_gflops: software.then(native::fma_gflops),
        copy_gbs,
        buffer_copy_gbs: 2.0 * COPY_BYTES as f64 / copy / 1e9,
        workgroup_gbs,
        dispatch_us,
        submit_us: empty * 1e6,
    })
}

struct Probes<'a> {
    gpu: &'a Gpu,
    empty: f64,
}

impl Probes<'_> {
    /// Thousand millions a second of what `amount` says of a launch.
    fn rate(&self, rec: Recording, amount: fn(crate::gpu::Work) -> u64) -> Result<f64, GpuError> {
        let program = Program::new(self.gpu, rec)?;
        let all: u64 = program.launches().map(|(_, _, work)| amount(work)).sum();
        Ok(all as f64 / self.seconds(&program)? / 1e9)
    }

    /// Median seconds of a run, the submit left out.
    fn seconds(&self, program: &Program) -> Result<f64, GpuError> {
        program.seconds(1)?;
        let one = (program.seconds(1)? - self.empty).max(1e-6);
        let repeats = (ROUND_SECONDS / one).ceil().clamp(1.0, 1024.0) as u32;
        let rounds = (0..ROUNDS).map(|_| program.seconds(repeats)).collect::<Result<Vec<_>, _>>()?;
        Ok((Spread::of(&rounds).median - self.empty).max(1e-9) / f64::from(repeats))
    }
}
