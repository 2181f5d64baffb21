//! `netadapt-bench all`: everything about a device in one object.

use super::outcome::{Outcome, object};
use super::peer::Peer;
use super::{device, kernels, step};
use crate::gpu::Gpu;
use crate::kernels::Tuning;

/// Seconds that all kernels may take, and each of the two steps: with the bounds and what is not counted, a first step
/// and a last launch, eight minutes on a slow adapter.
const KERNEL_SECONDS: f64 = 240.0;
const STEP_SECONDS: f64 = 80.0;

/// Bounds, kernels with and without widths drawn, and training steps: what a few minutes tell.
pub(super) fn measure(gpu: &Gpu, tuning: &Tuning, mut peer: Option<&mut Peer>) -> anyhow::Result<Outcome> {
    let bounds = device::measure(gpu, tuning)?;
    let json = object(serde_json::json!({ "adapter": gpu.adapter(), "device": bounds }));
    let mut all = Outcome { json, ..device::outcome(&bounds) };
    let Outcome { json, lines, quantities } =
        kernels::measure(gpu, tuning, &bounds, &kernels::Args::everything(KERNEL_SECONDS), peer.as_deref_mut())?;
    // The first line of each is the device again.
    all.lines.extend(lines.into_iter().skip(1));
    all.quantities.extend(quantities);
    all.json.extend(json.into_iter().filter(|(name, _)| name == "batch" || name == "kernels" || name == "peer"));
    let steps = match gpu.adapter().is_software() {
        true => [("tiny", 28, None), ("mobile", 64, None)],
        false => [("mobile", 64, None), ("mobile", 128, Some(256))],
    };
    let mut objects = Vec::new();
    for (space, size, batch) in steps {
        let args = step::Args::of(space, size, batch, STEP_SECONDS);
        let Outcome { json, lines, quantities } = step::measure(gpu, tuning, &args, peer.as_deref_mut())?;
        all.lines.extend(lines.into_iter().skip(1));
        all.quantities.extend(quantities);
        objects.push(serde_json::Value::Object(json));
    }
    all.json.insert("steps".into(), objects.into());
    Ok(all)
}
