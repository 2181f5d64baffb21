//! Predictions of a table against whole networks, drawn at random from its space.

use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::ground::Ground;
use super::table::{TableRequest, build};
use crate::latency::{Agreement, Correction};
use crate::space::{Arch, WidthSampler};
use serde::Serialize;
use std::cell::OnceCell;

/// The step of the sampler that draws the networks.
const CHECKED: u64 = 11;

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
    /// What the table's own networks show, none of which is among these.
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
    let net = &ground.net;
    let meter = OnceCell::new();
    let phase = Phase::Check;
    listener.event(&Event::Begin { phase: phase.clone() });
    let begun = std::time::Instant::now();
    let all = f64::from(2 * networks);
    let mut done = 0.0;
    let mut measured = |arch: &Arch| -> Result<f64, RunError> {
        if environment.stop.look() {
            return Err(RunError::TableStopped { path: request.out.clone(), left: 0 });
        }
        let ms = ground.measure(&meter, arch)?;
        done += 1.0;
        listener.event(&Event::Progress { done, all });
        Ok(ms)
    };
    let correction = table.correction(net);
    let mut pairs = Vec::new();
    // Another step of the sampler than the table's, which draws others.
    let archs = WidthSampler::uniform(0).draw(net, CHECKED, networks);
    for arch in &archs {
        let predicted = table.corrected_ms(&correction, net, arch).expect("the table has every operation of its space");
        pairs.push([predicted, measured(arch)?, 0.0]);
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
