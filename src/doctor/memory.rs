//! Memory: what presets need of the device, and what there is.

use super::Question;
use crate::gpu::{Adapter, Gpu, GpuError};
use crate::graph::{Footprint, Graph, Training, TrainingOptions, lower};
use crate::kernels::Tuning;
use crate::space::Space;
use serde::Serialize;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Channels and classes that are reckoned with: colour, and as many classes as change nothing.
pub(super) const CHANNELS: u32 = 3;
const CLASSES: u32 = 10;
/// Pieces that the device is asked for.
const PIECE_BYTES: u64 = 64 << 20;
/// Decoded images and batches that a run keeps, about.
const HOST_BYTES: u64 = 1 << 30;

/// What training a preset needs.
#[derive(Clone, Debug, Serialize)]
pub struct Need {
    /// The space.
    pub name: String,
    /// Pixels a side.
    pub size: u32,
    /// Images of a batch.
    pub batch: u32,
    /// Bytes on the device.
    pub footprint: Footprint,
}

/// Memory of this machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Host {
    /// Bytes that programs may still take.
    pub available: u64,
    /// All of it.
    pub total: u64,
}

/// What there is, and what is needed.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// Trainings of the presets and of the space that was asked about, which comes first.
    pub needs: Vec<Need>,
    /// Bytes that the device gave when it was asked for as many as the largest of these needs.
    pub device_gave: u64,
    /// Bytes that a buffer may have.
    pub buffer_bytes: u64,
    /// This machine's own; `None` where the system does not say.
    pub host: Option<Host>,
    /// Bytes of a checkpoint of the space that was asked about.
    pub checkpoint_bytes: u64,
}

/// The largest network of a space as it is trained.
pub(super) fn training(space: &Space, size: u32, tuning: Tuning) -> (Graph, TrainingOptions) {
    let net = space.supernet(size, CHANNELS, CLASSES);
    let graph = lower(&net, &net.full());
    (graph, TrainingOptions::of(&space.train, space.train.batch, tuning))
}

pub(super) fn examine(gpu: &Gpu, question: &Question<'_>, tuning: Tuning) -> Result<Memory, GpuError> {
    let (graph, asked) = training(question.space, question.size, tuning);
    // Parameters and moments, at the beginning of an epoch and now.
    let checkpoint_bytes = 2 * graph.values() as u64 * 4 * u64::from(1 + asked.rule.moments());
    let need = |name: &str, size: u32, (graph, options): (Graph, TrainingOptions)| Need {
        name: name.to_owned(),
        size,
        batch: options.batch,
        footprint: Training::needs(&graph, &options),
    };
    let mut needs = vec![need(question.name, question.size, (graph, asked))];
    for (name, text) in crate::space::spec::PRESETS {
        let space = Space::parse(name, text).expect("the presets that come along are valid");
        if name != question.name || space.size != question.size {
            needs.push(need(name, space.size, training(&space, space.size, tuning)));
        }
    }
    let most = needs.iter().map(|need| need.footprint.bytes()).max().unwrap_or(0);
    Ok(Memory {
        needs,
        device_gave: room(gpu, most)?,
        buffer_bytes: gpu.limits().buffer_bytes,
        host: host(),
        checkpoint_bytes,
    })
}

/// What the system says of its memory. A container may have less than its machine.
fn host() -> Option<Host> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kind).ok()?;
    let all = Host { available: system.available_memory(), total: system.total_memory() };
    let own = system.cgroup_limits().map(|limits| Host { available: limits.free_memory, total: limits.total_memory });
    Some(own.filter(|own| own.total < all.total).unwrap_or(all))
}

/// Bytes, `most` of them at most, that the device gives in pieces; they are given back at once.
fn room(gpu: &Gpu, most: u64) -> Result<u64, GpuError> {
    let piece = PIECE_BYTES.min(gpu.limits().buffer_bytes);
    let mut held = Vec::new();
    while (held.len() as u64) * piece < most {
        match gpu.allocate("a piece of memory", piece) {
            Ok(buf) => held.push(buf),
            Err(GpuError::OutOfMemory { .. }) => return Ok(held.len() as u64 * piece),
            Err(error) => return Err(error),
        }
    }
    Ok(most)
}

impl Memory {
    pub(super) fn warnings(&self, adapter: &Adapter) -> Vec<String> {
        let mut warnings = Vec::new();
        for Need { name, size, batch, footprint } in &self.needs {
            let needs = format!("training {name} at {size} px in batches of {batch} needs");
            let remedy = "take a smaller `train.batch` or image size";
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            if footprint.largest > self.buffer_bytes {
                warnings.push(format!(
                    "{needs} a buffer of {:.0} MB, and the device binds at most {:.0}: {remedy}",
                    megabytes(footprint.largest),
                    megabytes(self.buffer_bytes)
                ));
            } else if footprint.bytes() > self.device_gave {
                warnings.push(format!(
                    "{needs} {:.0} MB of the device, which gave {:.0}: close what else uses it, or {remedy}",
                    megabytes(footprint.bytes()),
                    megabytes(self.device_gave)
                ));
            }
        }
        // A software adapter's memory is the machine's.
        let own = if adapter.is_software() { self.needs[0].footprint.bytes() } else { 0 };
        if let Some(host) = self.host.filter(|host| host.available < HOST_BYTES + own) {
            warnings.push(format!(
                "a run takes up to {:.1} GB of this machine's memory, and {:.1} are left: close other programs",
                (HOST_BYTES + own) as f64 / 1e9,
                host.available as f64 / 1e9
            ));
        }
        warnings
    }
}
