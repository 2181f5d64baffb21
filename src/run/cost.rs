//! What a network costs, for the search: latency predicted by a table and measured on the device.

use super::error::RunError;
use super::folder::Folder;
use super::prepare::Prepared;
use crate::graph::{Deployed, Weights, lower};
use crate::latency::{Measurement, Meter, Table};
use crate::search::{BoxError, Cost};
use crate::space::Arch;
use serde::Serialize;

/// A line of `measurements.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    network: &'a [u32],
    predicted_ms: Option<f64>,
    #[serde(flatten)]
    latency: Measurement,
}

/// Measures whole networks and writes every measurement down.
pub(super) struct LatencyMeter<'a> {
    prepared: &'a Prepared,
    meter: Meter,
    weights: Weights,
    folder: &'a Folder,
    initial: Measurement,
}

impl<'a> LatencyMeter<'a> {
    /// Times the initial network, the reference of all later measurements. The values of `weights` do
    /// not matter for the time, as long as they are ordinary numbers.
    pub(super) fn new(prepared: &'a Prepared, weights: Weights, folder: &'a Folder) -> Result<Self, RunError> {
        let full = prepared.net.full();
        let program = deployed(prepared, &full, &weights)?.into_program();
        let (meter, initial) = Meter::new(&prepared.gpu, program)?;
        let line = Line { network: full.values(), predicted_ms: None, latency: initial };
        folder.append_json("measurements.jsonl", &line)?;
        Ok(Self { prepared, meter, weights, folder, initial })
    }

    /// The initial network's latency.
    pub(super) fn initial(&self) -> Measurement {
        self.initial
    }

    /// Times a network as deployed.
    pub(super) fn measure(&self, arch: &Arch, predicted_ms: Option<f64>) -> Result<Measurement, RunError> {
        let latency = self.meter.measure(deployed(self.prepared, arch, &self.weights)?.program())?;
        self.folder.append_json("measurements.jsonl", &Line { network: arch.values(), predicted_ms, latency })?;
        Ok(latency)
    }
}

/// A network as it is deployed, with its part of the super-network's weights.
fn deployed(prepared: &Prepared, arch: &Arch, weights: &Weights) -> Result<Deployed, RunError> {
    let graph = lower(&prepared.net, arch);
    let weights = weights.prefix(&prepared.graph, &graph);
    let shapes = prepared.net.shapes(arch);
    let batch = prepared.space.search.latency_batch;
    Ok(Deployed::new(&prepared.gpu, &graph, &weights, &shapes, &prepared.tuning, batch)?)
}

/// Latency as a resource.
pub(super) struct LatencyCost<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) table: &'a Table,
    pub(super) meter: &'a LatencyMeter<'a>,
}

impl Cost for LatencyCost<'_> {
    fn predict(&self, arch: &Arch) -> f64 {
        self.table.network_ms(&self.prepared.net, arch).expect("the table has every operation of its space")
    }

    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError> {
        Ok(self.meter.measure(arch, Some(self.predict(arch)))?.median_ms)
    }
}
