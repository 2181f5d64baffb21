//! `netadapt-bench device`: what the device can do at most.

use super::outcome::{Outcome, Quantity};
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::latency::{self, Device};
use crate::run::RunError;

/// Measures the device's bounds.
pub(super) fn measure(gpu: &Gpu) -> anyhow::Result<Device> {
    Ok(latency::device(gpu, &Tuning::for_adapter(gpu.adapter())).map_err(RunError::from)?)
}

/// The bounds on one screen.
pub(super) fn outcome(device: &Device) -> Outcome {
    let mut outcome = Outcome::default();
    let lines = &mut outcome.lines;
    lines.push(device.adapter.to_string());
    lines.push(format!("multiply-adds, f32 in WGSL      {:10.1} GFLOP/s", device.fma_gflops));
    if let Some(native) = device.native_fma_gflops {
        let share = device.fma_gflops / native * 100.0;
        lines.push(format!("multiply-adds, native loop      {native:10.1} GFLOP/s  (WGSL reaches {share:.0} %)"));
        outcome.quantities.insert("native_fma_gflops".into(), Quantity::rate(native, "GFLOP/s"));
    }
    lines.push(format!("copy by a kernel                {:10.1} GB/s", device.copy_gbs));
    lines.push(format!("copy of buffers                 {:10.1} GB/s", device.buffer_copy_gbs));
    lines.push(format!("workgroup memory, with barriers {:10.1} GB/s", device.workgroup_gbs));
    lines.push(format!("a launch                        {:10.1} us", device.dispatch_us));
    lines.push(format!("a submit, until it is done      {:10.1} us", device.submit_us));
    let quantities = [
        ("fma_gflops", Quantity::rate(device.fma_gflops, "GFLOP/s")),
        ("copy_gbs", Quantity::rate(device.copy_gbs, "GB/s")),
        ("buffer_copy_gbs", Quantity::rate(device.buffer_copy_gbs, "GB/s")),
        ("workgroup_gbs", Quantity::rate(device.workgroup_gbs, "GB/s")),
        ("dispatch_us", Quantity::us(device.dispatch_us)),
        ("submit_us", Quantity::us(device.submit_us)),
    ];
    outcome.quantities.extend(quantities.map(|(name, quantity)| (name.to_owned(), quantity)));
    let serde_json::Value::Object(json) = serde_json::json!(device) else { unreachable!("a struct is an object") };
    outcome.json = json;
    outcome
}
