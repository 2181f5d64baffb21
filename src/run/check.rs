//! Predictions of a table against whole networks, drawn at random from its space.

use super::environment::Environment;
use super::error::RunError;
use super::events::Listener;
use super::ground::Ground;
use super::table::{TableRequest, build};
use crate::latency::{Agreement, Correction};
use crate::space::{Arch, WidthSampler};
use serde::Serialize;

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
    let correction = table.correction(net);
    // Another step of the sampler than the table's, which draws others.
    let archs = WidthSampler::uniform(0).draw(net, CHECKED, networks);
    // All of them, then all once more.
    let twice: Vec<&Arch> = archs.iter().chain(&archs).collect();
    let measured = ground.measure_all(twice.into_iter(), &request.out, environment, listener)?;
    let (first, second) = measured.split_at(archs.len());
    let predicted = |arch| table.corrected_ms(&correction, net, arch).expect("the table has all of its space");
    let pairs: Vec<[f64; 3]> =
        archs.iter().zip(first).zip(second).map(|((arch, one), other)| [predicted(arch), *one, *other]).collect();
    let of = |one: usize, other: usize| {
        Agreement::of(&pairs.iter().map(|pair| (pair[one], pair[other])).collect::<Vec<_>>())
    };
    Ok(Check { networks: pairs.len(), agreement: of(0, 1), repeat: of(2, 1), correction, pairs })
}
