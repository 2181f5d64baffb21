//! A space on a device, without images: what tables are measured with.

use super::cost::effort;
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::table::TableRequest;
use super::variants;
use crate::gpu::Gpu;
use crate::graph::{Deployed, Graph, Weights, initial_weights, lower};
use crate::kernels::Tuning;
use crate::latency::Meter;
use crate::space::{Arch, Space, Supernet};
use std::cell::OnceCell;
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
}

impl Ground {
    pub(super) fn new(
        request: &TableRequest,
        environment: &Environment,
        listener: &mut dyn Listener,
    ) -> Result<Self, RunError> {
        let space = Space::open(&request.space)?;
        let size = request.size.unwrap_or(space.size);
        space.validate_size(&request.space, size)?;
        let net = space.supernet(size, request.channels, request.classes);
        let gpu = (environment.open)(request.device)?;
        let tuning = variants::for_device(&gpu, environment, listener);
        let batch = request.batch.unwrap_or(space.search.latency_batch);
        let whole = lower(&net, &net.full());
        let weights = initial_weights(&whole, 0);
        Ok(Self { space, net, gpu, tuning, batch, whole, weights })
    }

    /// The latency of a whole network in ms; `meter` is made at its first use, with the initial network as reference.
    pub(super) fn measure(&self, meter: &OnceCell<Meter>, arch: &Arch) -> Result<f64, RunError> {
        let meter = match meter.get() {
            Some(meter) => meter,
            None => {
                let reference = self.deployed(&self.net.full())?.into_program();
                let (made, _) = Meter::new(&self.gpu, reference, effort(&self.space))?;
                meter.get_or_init(|| made)
            }
        };
        Ok(meter.measure(self.deployed(arch)?.program())?.median_ms)
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
        let (begun, meter, all) = (Instant::now(), OnceCell::new(), archs.len() as f64);
        let mut measured = Vec::new();
        for arch in archs {
            if environment.stop.look() {
                return Err(RunError::TableStopped { path: out.to_owned(), left: 0 });
            }
            measured.push(self.measure(&meter, arch)?);
            listener.event(&Event::Progress { done: measured.len() as f64, all });
        }
        listener.event(&Event::End { phase, seconds: begun.elapsed().as_secs_f64() });
        Ok(measured)
    }

    fn deployed(&self, arch: &Arch) -> Result<Deployed, RunError> {
        let Self { net, gpu, tuning, batch, whole, weights, .. } = self;
        let graph = lower(net, arch);
        let weights = weights.prefix(whole, &graph);
        Ok(Deployed::new(gpu, &graph, &weights, &net.shapes(arch), tuning, *batch)?)
    }
}
