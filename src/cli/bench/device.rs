//! `netadapt-bench device`: what the device can do at most.

use crate::gpu::{Gpu, Options};
use crate::kernels::Tuning;
use crate::latency;
use crate::run::RunError;

/// Options of `netadapt-bench device`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Device, by its number in `netadapt devices`.
    #[arg(long)]
    device: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let gpu = Gpu::open(Options { device: args.device, portable: false }).map_err(RunError::from)?;
    let device = latency::device(&gpu, &Tuning::for_adapter(gpu.adapter())).map_err(RunError::from)?;
    if args.json {
        say!("{}", serde_json::to_string(&device)?);
        return Ok(());
    }
    say!("{}", device.adapter);
    say!("multiply-adds, f32 in WGSL      {:10.1} GFLOP/s", device.fma_gflops);
    if let Some(native) = device.native_fma_gflops {
        let share = device.fma_gflops / native * 100.0;
        say!("multiply-adds, native loop      {native:10.1} GFLOP/s  (WGSL reaches {share:.0} %)");
    }
    say!("copy by a kernel                {:10.1} GB/s", device.copy_gbs);
    say!("copy of buffers                 {:10.1} GB/s", device.buffer_copy_gbs);
    say!("workgroup memory, with barriers {:10.1} GB/s", device.workgroup_gbs);
    say!("a launch                        {:10.1} us", device.dispatch_us);
    say!("a submit, until it is done      {:10.1} us", device.submit_us);
    Ok(())
}
