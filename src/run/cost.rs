//! What a network costs, for the search: latency predicted by a table and measured on the device.

use super::descent::LATENCY_MARGIN;
use super::error::RunError;
use super::networks::Known;
use super::prepare::Prepared;
use super::records::Measurements;
use super::stop::Stop;
use crate::graph::{Deployed, Weights, lower};
use crate::latency::{Effort, LEAST_ROUNDS, Measurement, Meter, ROUND_SECONDS};
use crate::search::{BoxError, Cost, Counted, Resource};
use crate::space::{Arch, Space};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Measures whole networks, or reads back what was measured of them.
pub(super) struct LatencyMeter<'a> {
    prepared: &'a Prepared,
    measurements: &'a Measurements<'a>,
    stop: &'a Stop,
    weights: Weights,
    initial: Measurement,
    /// What this run measured of each network.
    history: RefCell<HashMap<Vec<u32>, Past>>,
    /// Made when there is something to measure.
    meter: OnceCell<Meter>,
}

/// What was measured of a network.
struct Past {
    /// In order.
    measured: Vec<Measurement>,
    /// When the last of it was, or was read back.
    last: Instant,
}

impl<'a> LatencyMeter<'a> {
    /// Times the initial network, the reference of all later measurements. The values of `weights` do
    /// not matter for the time, as long as they are ordinary numbers.
    pub(super) fn new(
        prepared: &'a Prepared,
        weights: Weights,
        measurements: &'a Measurements<'a>,
        stop: &'a Stop,
    ) -> Result<Self, RunError> {
        let full = prepared.net.full();
        let meter = OnceCell::new();
        let initial = measurements.network(full.values(), None, || {
            let program = deployed(prepared, &full, &weights)?.into_program();
            let (made, initial) = Meter::new(&prepared.gpu, program, effort(&prepared.space))?;
            meter.get_or_init(|| made);
            Ok(initial)
        })?;
        Ok(Self { prepared, measurements, stop, weights, initial, history: RefCell::default(), meter })
    }

    /// The initial network's latency.
    pub(super) fn initial(&self) -> Measurement {
        self.initial
    }

    /// The latency of a network as deployed.
    pub(super) fn measure(&self, arch: &Arch, predicted_ms: Option<f64>) -> Result<Measurement, RunError> {
        self.measure_after(0.0, arch, predicted_ms)
    }

    /// The latency of a network that was measured before, some time after that.
    fn again(&self, arch: &Arch, predicted_ms: Option<f64>) -> Result<Measurement, RunError> {
        self.measure_after(self.prepared.space.search.confirm_seconds, arch, predicted_ms)
    }

    /// The last two measurements of a network; `None` where it was not measured twice.
    pub(super) fn last_two(&self, arch: &Arch) -> Option<[Measurement; 2]> {
        self.history.borrow().get(arch.values())?.measured.last_chunk().copied()
    }

    /// Measures, `seconds` after the last time at the earliest, unless the measurement is read back.
    fn measure_after(&self, seconds: f64, arch: &Arch, predicted_ms: Option<f64>) -> Result<Measurement, RunError> {
        let latency = self.measurements.network(arch.values(), predicted_ms, || {
            let last = self.history.borrow().get(arch.values()).map_or_else(Instant::now, |past| past.last);
            loop {
                if self.stop.look() {
                    return Err(RunError::stopped(self.measurements.folder));
                }
                let left = seconds - last.elapsed().as_secs_f64();
                if left <= 0.0 {
                    break;
                }
                std::thread::sleep(Duration::from_secs_f64(left.min(0.1)));
            }
            let program = deployed(self.prepared, arch, &self.weights)?;
            Ok(self.meter()?.measure(program.program())?)
        })?;
        let mut history = self.history.borrow_mut();
        let past = history.entry(arch.values().to_vec());
        let past = past.or_insert_with(|| Past { measured: Vec::new(), last: Instant::now() });
        past.measured.push(latency);
        past.last = Instant::now();
        Ok(latency)
    }

    fn meter(&self) -> Result<&Meter, RunError> {
        if let Some(meter) = self.meter.get() {
            return Ok(meter);
        }
        let reference = deployed(self.prepared, &self.prepared.net.full(), &self.weights)?.into_program();
        let effort = effort(&self.prepared.space);
        let meter = Meter::resumed(&self.prepared.gpu, reference, self.initial.median_ms, effort)?;
        Ok(self.meter.get_or_init(|| meter))
    }
}

/// The error of a median that is small enough, as a share of it.
const PRECISION: f64 = 0.01;

/// How exactly whole networks are measured.
pub(super) fn effort(space: &Space) -> Effort {
    let search = &space.search;
    Effort {
        seconds: search.latency_seconds,
        precision: PRECISION.min(search.latency_tolerance),
        tolerance: search.latency_tolerance,
        rounds: LEAST_ROUNDS,
        round_seconds: ROUND_SECONDS,
    }
}

/// A network as it is deployed, with its part of the super-network's weights.
fn deployed(prepared: &Prepared, arch: &Arch, weights: &Weights) -> Result<Deployed, RunError> {
    let graph = lower(&prepared.net, arch);
    let weights = weights.prefix(&prepared.graph, &graph);
    let batch = prepared.space.search.latency_batch;
    Ok(Deployed::new(&prepared.gpu, &graph, &weights, &prepared.tuning, batch)?)
}

/// What a budget of this resource limits.
pub(super) fn cost<'a>(resource: Resource, prepared: &'a Prepared, known: &'a Known<'a>) -> Box<dyn Cost + 'a> {
    match resource {
        Resource::Latency => Box::new(LatencyCost { prepared, known }),
        counted => Box::new(Counted(move |arch: &Arch| count(counted, prepared, arch))),
    }
}

/// What a network has of a resource that is counted.
///
/// # Panics
/// For a latency.
pub(super) fn count(resource: Resource, prepared: &Prepared, arch: &Arch) -> f64 {
    let net = &prepared.net;
    let counted = match resource {
        Resource::Latency => unreachable!("a latency is measured"),
        Resource::Target => {
            return prepared.target.as_ref().expect("a run has the target that it is for").predict(net, arch);
        }
        Resource::Macs => net.macs(arch),
        Resource::Params => net.params(arch),
        Resource::Bytes => net.weight_bytes(arch),
        Resource::Memory => {
            Deployed::needs(&lower(net, arch), &prepared.tuning, prepared.space.search.latency_batch).maps
        }
    };
    counted as f64
}

/// Latency as a resource.
struct LatencyCost<'a> {
    prepared: &'a Prepared,
    known: &'a Known<'a>,
}

impl Cost for LatencyCost<'_> {
    fn predict(&self, arch: &Arch) -> f64 {
        self.known.sum_ms(self.prepared, arch)
    }

    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError> {
        let predicted = self.known.predicted_ms(self.prepared, arch);
        Ok(self.known.meter.measure(arch, Some(predicted))?.median_ms)
    }

    fn confirm(&mut self, arch: &Arch, budget: f64) -> Result<Option<f64>, BoxError> {
        // What is searched for lies a little below what the user allows.
        let limit = budget / LATENCY_MARGIN;
        let predicted = self.known.predicted_ms(self.prepared, arch);
        let now = self.known.meter.again(arch, Some(predicted))?.median_ms;
        Ok((now > limit).then_some(now))
    }
}
