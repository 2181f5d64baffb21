//! A space on a device, without images: what tables are measured with.

use super::cost::effort;
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::table::TableRequest;
use super::tile_sizes;
use crate::gpu::Gpu;
use crate::graph::{Deployed, Graph, Weights, initial_weights, lower};
use crate::kernels::Tuning;
use crate::latency::{Effort, Meter};
use crate::space::{Arch, Space, Supernet};
use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::time::Instant;

/// A request's space, as a network on its device.
pub(super) struct Ground {
    pub(super) space: Space,
    pub(super) net: Supernet,
    pub(super) gpu: Gpu,
    pub(super) tuning: Tuning,
    pub(super) batch: u32,
    /// The initial network and weights that no training has changed: their values do not matter for the time.
    whole: Graph,
    weights: Weights,
    /// The initial network's latency, where it was measured before.
    initial_ms: Cell<Option<f64>>,
    /// Made when there is something to measure.
    meter: OnceCell<Meter>,
}

/// The effort for one of many networks, which are told from each other and not from a budget: half as exactly, which
/// takes a quarter of the rounds.
fn among_many(alone: Effort) -> Effort {
    Effort { seconds: alone.seconds / 2.0, precision: (2.0 * alone.precision).min(alone.tolerance), ..alone }
}

impl Ground {
    pub(super) fn new(
        request: &TableRequest,
        environment: &Environment,
        listener: &mut dyn Listener,
    ) -> Result<Self, RunError> {
        let (space, size) = Space::open_at(&request.space, request.size)?;
        let net = space.supernet(size, request.channels, request.classes);
        let gpu = (environment.open)(request.device)?;
        let tuning = tile_sizes::for_device(&gpu, environment, listener);
        let batch = request.batch.unwrap_or(space.search.latency_batch);
        let whole = lower(&net, &net.full());
        let weights = initial_weights(&whole, 0);
        let (initial_ms, meter) = (Cell::default(), OnceCell::new());
        Ok(Self { space, net, gpu, tuning, batch, whole, weights, initial_ms, meter })
    }

    /// Takes the initial network to have the latency that it had before: what is measured is at the device speed of
    /// then.
    pub(super) fn goes_on(&self, initial_ms: f64) {
        self.initial_ms.set(Some(initial_ms));
    }

    /// The latency of a whole network in ms, in turn with the initial one: at the device speed at which that was
    /// measured first.
    pub(super) fn measure(&self, arch: &Arch) -> Result<f64, RunError> {
        let full = self.net.full();
        let meter = match self.meter.get() {
            Some(meter) => meter,
            None => {
                let (reference, effort) = (self.deployed(&full)?.into_program(), among_many(effort(&self.space)));
                let made = match self.initial_ms.get() {
                    Some(ms) => Meter::resumed(&self.gpu, reference, ms, effort)?,
                    None => Meter::new(&self.gpu, reference, effort)?.0,
                };
                self.meter.get_or_init(|| made)
            }
        };
        match *arch == full {
            true => Ok(meter.reference_ms()),
            false => Ok(meter.measure(self.deployed(arch)?.program())?.median_ms),
        }
    }

    /// The latencies of whole networks in ms, in their order, as a phase of its own. `out` is the table's file, which
    /// what is left to do is told by where somebody wants to stop.
    pub(super) fn measure_all<'a>(
        &self,
        archs: impl ExactSizeIterator<Item = &'a Arch>,
        out: &Path,
        environment: &Environment,
        listener: &mut dyn Listener,
    ) -> Result<Vec<f64>, RunError> {
        let phase = Phase::Check;
        listener.event(&Event::Begin { phase: phase.clone() });
        let (begun, all) = (Instant::now(), archs.len() as f64);
        let mut measured = Vec::new();
        for arch in archs {
            if environment.stop.look() {
                return Err(RunError::TableStopped { path: out.to_owned(), left: 0 });
            }
            measured.push(self.measure(arch)?);
            listener.event(&Event::Progress { done: measured.len() as f64, all });
        }
        listener.event(&Event::End { phase, seconds: begun.elapsed().as_secs_f64() });
        Ok(measured)
    }

    fn deployed(&self, arch: &Arch) -> Result<Deployed, RunError> {
        let Self { net, gpu, tuning, batch, whole, weights, .. } = self;
        let graph = lower(net, arch);
        let weights = weights.prefix(whole, &graph);
        Ok(Deployed::new(gpu, &graph, &weights, tuning, *batch)?)
    }
}
