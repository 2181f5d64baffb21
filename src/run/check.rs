//! Predictions of a table against whole networks, drawn at random from its space.

use super::cost::effort;
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::table::{Ground, TableRequest, build};
use crate::graph::{Deployed, initial_weights, lower};
use crate::latency::{Agreement, Correction, Meter};
use crate::space::{Arch, WidthSampler};
use serde::Serialize;

/// Networks that the correction is fitted to; none of them is among those that are checked.
const FITTED: u32 = 10;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Networks.
    pub networks: usize,
    /// Of the predictions.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// Of a network's first measurement with its second: what no prediction can be better than.
    pub repeat: Agreement,
    /// What was fitted to other networks.
    pub correction: Correction,
    /// Predicted and measured ms of each, and measured once more.
    pub pairs: Vec<[f64; 3]>,
}

/// Measures `networks` random networks of a space and compares them with what its table predicts; what is missing of
/// the table is measured first.
///
/// # Errors
/// As for `build_table`; `RunError::Latency` where the device is too noisy.
pub fn check_table(
    request: &TableRequest,
    networks: u32,
    environment: &Environment,
    listener: &mut dyn Listener,
) -> Result<Check, RunError> {
    let ground = Ground::new(request, environment, listener)?;
    let table = build(&ground, &request.out, environment, listener)?.table;
    let Ground { space, net, gpu, tuning, batch } = &ground;
    let whole = lower(net, &net.full());
    let weights = initial_weights(&whole, 0);
    let deployed = |arch: &Arch| {
        let graph = lower(net, arch);
        Deployed::new(gpu, &graph, &weights.prefix(&whole, &graph), &net.shapes(arch), tuning, *batch)
    };
    let (meter, _) = Meter::new(gpu, deployed(&net.full())?.into_program(), effort(space))?;
    let sampler = WidthSampler::uniform(0);
    let phase = Phase::Check;
    listener.event(&Event::Begin { phase: phase.clone() });
    let begun = std::time::Instant::now();
    let all = f64::from(FITTED + 2 * networks);
    let mut done = 0.0;
    let mut measured = |arch: &Arch| -> Result<f64, RunError> {
        if environment.stop.look() {
            return Err(RunError::TableStopped { path: request.out.clone(), left: 0 });
        }
        let latency = meter.measure(deployed(arch)?.program())?;
        done += 1.0;
        listener.event(&Event::Progress { done, all });
        Ok(latency.median_ms)
    };
    let sum = |arch: &Arch| {
        let sum = table.network_ms(net, arch).expect("the table has every operation of its space");
        (sum, net.operations(arch).len())
    };
    let mut fitted = Vec::new();
    for arch in sampler.draw(net, 0, FITTED) {
        let (sum, count) = sum(&arch);
        fitted.push((sum, count, measured(&arch)?));
    }
    let correction = Correction::fit(&fitted).expect("there are networks to fit to");
    let mut pairs = Vec::new();
    // Another step of the sampler, which draws others.
    let archs = sampler.draw(net, 1 + u64::from(FITTED), networks);
    for arch in &archs {
        let (sum, count) = sum(arch);
        pairs.push([correction.predict(sum, count), measured(arch)?, 0.0]);
    }
    for (arch, pair) in archs.iter().zip(&mut pairs) {
        pair[2] = measured(arch)?;
    }
    listener.event(&Event::End { phase, seconds: begun.elapsed().as_secs_f64() });
    let of = |one: usize, other: usize| {
        Agreement::of(&pairs.iter().map(|pair| (pair[one], pair[other])).collect::<Vec<_>>())
    };
    Ok(Check { networks: pairs.len(), agreement: of(0, 1), repeat: of(2, 1), correction, pairs })
}
