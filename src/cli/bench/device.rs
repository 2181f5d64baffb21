//! `netadapt-bench device`: what the device can do at most.

use super::outcome::{Outcome, Quantity, object};
use crate::gpu::Gpu;
use crate::kernels::Tuning;
use crate::latency::{self, Device};
use crate::run::RunError;
use std::collections::BTreeMap;

/// Measures the device's bounds.
pub(super) fn measure(gpu: &Gpu, tuning: &Tuning) -> anyhow::Result<Device> {
    Ok(latency::device(gpu, tuning).map_err(RunError::from)?)
}

/// The bounds on one screen.
pub(super) fn outcome(device: &Device) -> Outcome {
    let mut lines = vec![device.adapter.to_string()];
    lines.push(format!("multiply-adds, f32 in WGSL      {:10.1} GFLOP/s", device.fma_gflops));
    if let Some(f16) = device.fma_f16_gflops {
        let ratio = f16 / device.fma_gflops;
        lines.push(format!("multiply-adds, f16 in WGSL      {f16:10.1} GFLOP/s  ({ratio:.2} of f32's)"));
    }
    if let Some(native) = device.native_fma_gflops {
        let share = device.fma_gflops / native * 100.0;
        lines.push(format!("multiply-adds, native loop      {native:10.1} GFLOP/s  (WGSL reaches {share:.0} %)"));
    }
    lines.push(format!("copy by a kernel                {:10.1} GB/s", device.copy_gbs));
    lines.push(format!("copy of buffers                 {:10.1} GB/s", device.buffer_copy_gbs));
    lines.push(format!("workgroup memory, with barriers {:10.1} GB/s", device.workgroup_gbs));
    if let Some(rates) = &device.processor {
        let native = rates.native_fma_gflops.unwrap_or(0.0);
        lines.push(format!(
            "a second of one processor's time: {:.1} GFLOP in WGSL, {native:.1} GFLOP native, {:.1} GB copied",
            rates.fma_gflops, rates.copy_gbs
        ));
    }
    lines.push(format!("a launch                        {:10.1} us", device.dispatch_us));
    lines.push(format!("a submit, until it is done      {:10.1} us", device.submit_us));
    Outcome { json: object(serde_json::json!(device)), lines, quantities: quantities(device) }
}

/// The bounds by name, to be compared with those of another time.
pub(super) fn quantities(device: &Device) -> BTreeMap<String, Quantity> {
    let f16 = device.fma_f16_gflops.map(|f16| ("fma_f16_gflops", Quantity::rate(f16, "GFLOP/s")));
    let native = device.native_fma_gflops.map(|native| ("native_fma_gflops", Quantity::rate(native, "GFLOP/s")));
    let all = [
        ("fma_gflops", Quantity::rate(device.fma_gflops, "GFLOP/s")),
        ("copy_gbs", Quantity::rate(device.copy_gbs, "GB/s")),
        ("buffer_copy_gbs", Quantity::rate(device.buffer_copy_gbs, "GB/s")),
        ("workgroup_gbs", Quantity::rate(device.workgroup_gbs, "GB/s")),
        ("dispatch_us", Quantity::us(device.dispatch_us)),
        ("submit_us", Quantity::us(device.submit_us)),
    ];
    all.into_iter().chain(f16).chain(native).map(|(name, quantity)| (name.to_owned(), quantity)).collect()
}
