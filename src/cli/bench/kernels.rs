//! `netadapt-bench kernels`: every kernel beside what the device leaves it.

use super::outcome::{Outcome, Quantity, object};
use super::peer::{Peer, Prepared};
use crate::cli::precision::precision;
use crate::gpu::{Gpu, Precision};
use crate::kernels::{self, Tuning};
use crate::latency::{Bound, Device, KernelOptions, KernelTime, LAYERS, Layer, layer_kernels};
use crate::run::RunError;
use std::collections::BTreeMap;
use std::time::Instant;

/// Seconds of a peer's round, as long as ours.
const PEER_SECONDS: f64 = 0.01;

/// Options of `netadapt-bench kernels`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Only kernels whose name or shape contains this: `conv`, `norm/apply`, `3x3`.
    #[arg(default_value = "")]
    family: String,
    /// Draw widths too, and print the time beside the ideal one.
    #[arg(long)]
    dropout: bool,
    /// Images of a batch: 32 on a software adapter, 256 on others.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// Precision of the feature maps.
    #[arg(long, default_value_t = Precision::F32, value_parser = precision())]
    precision: Precision,
    /// Rounds; medians are printed.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that it may take; where these are too few, fewer rounds are run, but one of each kernel at least.
    #[arg(long, default_value_t = f64::INFINITY, hide_default_value = true)]
    seconds: f64,
}

impl Args {
    /// All kernels, with and without drawn widths, in so many seconds.
    pub(super) fn everything(seconds: f64) -> Self {
        Self { family: String::new(), dropout: true, batch: None, precision: Precision::F32, rounds: 5, seconds }
    }
}

/// Times the kernels that were asked for beside `device`'s bounds.
///
/// # Errors
/// What the device or the peer says, or that nothing has such a name.
pub(super) fn measure(
    gpu: &Gpu,
    tuning: &Tuning,
    device: &Device,
    args: &Args,
    mut peer: Option<&mut Peer>,
) -> anyhow::Result<Outcome> {
    let images = args.batch.unwrap_or(if gpu.adapter().is_software() { 32 } else { 256 });
    let mut rows = Vec::new();
    let begun = Instant::now();
    for (done, layer) in LAYERS.iter().enumerate() {
        let seconds = (args.seconds - begun.elapsed().as_secs_f64()) / (LAYERS.len() - done) as f64;
        let options =
            KernelOptions { images, precision: args.precision, dropout: args.dropout, rounds: args.rounds, seconds };
        let shape = layer.to_string();
        let wanted = |kernel: &str| format!("{kernel} {shape}").contains(&args.family);
        let mut prepared = BTreeMap::new();
        let mut fault = None;
        let mut beside = |kernel: &str| {
            let peer = peer.as_deref_mut()?;
            let seconds = theirs(peer, &mut prepared, kernel, layer, images);
            seconds.unwrap_or_else(|error| {
                fault = Some(error);
                None
            })
        };
        let times = layer_kernels(gpu, tuning, device, layer, options, &wanted, &mut beside);
        rows.extend(times.map_err(RunError::from)?);
        if let Some(error) = fault {
            return Err(error);
        }
    }
    if rows.is_empty() {
        let mut families: Vec<&str> = kernels::ALL.iter().filter_map(|kernel| kernel.name.split('/').next()).collect();
        families.dedup();
        anyhow::bail!("no kernel's name or shape contains `{}`; the families are {}", args.family, families.join(", "));
    }
    let mut outcome = outcome(device, images, args.precision, &rows);
    if let Some(peer) = peer {
        outcome.json.insert("peer".into(), peer.name.clone().into());
        outcome.lines.insert(2, format!("in turn with {}", peer.name));
    }
    Ok(outcome)
}

/// Seconds of the same kernel in another framework, prepared when it is first asked for.
fn theirs(
    peer: &mut Peer,
    prepared: &mut BTreeMap<String, Option<Prepared>>,
    kernel: &str,
    layer: &Layer,
    images: u32,
) -> anyhow::Result<Option<f64>> {
    if !prepared.contains_key(kernel) {
        prepared.insert(kernel.to_owned(), peer.kernel(kernel, layer, images)?);
    }
    prepared[kernel].map(|work| peer.seconds(work, PEER_SECONDS)).transpose()
}

fn outcome(device: &Device, images: u32, precision: Precision, rows: &[KernelTime]) -> Outcome {
    let (rates, clock) = match device.processor {
        Some(rates) => (rates, "processor time"),
        None => (device.wall(), "wall clock"),
    };
    let json = serde_json::json!({
        "adapter": device.adapter, "device": device, "batch": images, "precision": precision, "shares_by": clock, "kernels": rows
    });
    let per = if device.processor.is_some() { " of a processor" } else { "" };
    let [rate, bandwidth] = rates.least([1e9, 1e9]).map(|seconds| 1.0 / seconds);
    let time = if device.processor.is_some() { "   cpu ms" } else { "" };
    let lines = vec![
        device.adapter.to_string(),
        format!(
            "batch {images}, maps of {precision}; shares by {clock} of bounds: {rate:.0} GFLOP of multiply-adds a second{per}, \
             {bandwidth:.1} GB copied by a kernel"
        ),
        format!("{:<24} {:<22} {:>9}{time} {:>8} {:>7} {:>6}  of", "kernel", "shape", "ms", "GFLOP/s", "GB/s", "share"),
    ];
    let mut outcome = Outcome { json: object(json), lines, quantities: super::device::quantities(device) };
    for row in rows {
        let bound = match row.bound {
            Bound::Rate => "multiply-adds",
            Bound::Bandwidth => "bandwidth",
        };
        let dropout = row.dropout.map_or_else(String::new, |d| {
            format!("  dropout {:.2}, ideal {:.2}: {:.2} of it", d.ratio.median, d.ideal, d.over_ideal)
        });
        let over_peer =
            row.over_peer.map_or_else(String::new, |ratio| format!("  {:.2} of the peer's time", ratio.median));
        let processor = row.processor_ms.map_or_else(String::new, |ms| format!("{:>9.3}", ms.median));
        outcome.lines.push(format!(
            "{:<24} {:<22} {:>9.3}{processor} {:>8.1} {:>7.1} {:>5.0} %  {bound}{dropout}{over_peer}",
            row.kernel,
            row.shape,
            row.ms.median,
            row.gflops,
            row.gbs,
            row.share * 100.0
        ));
        let quantity = row.processor_ms.as_ref().map_or_else(|| Quantity::ms(&row.ms), Quantity::processor_ms);
        outcome.quantities.insert(format!("{} {}", row.kernel, row.shape), quantity);
    }
    outcome
}
