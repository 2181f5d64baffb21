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
/// Networks at least, of a quarter of all, that are measured twice.
const LEAST_REPEATED: usize = 20;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Networks.
    pub networks: usize,
    /// Of the predictions.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// Of the second measurement of some of them with the first: what no prediction can be better than.
    pub repeat: Agreement,
    /// What the table's own networks show, none of which is among these.
    pub correction: Correction,
    /// Predicted and measured ms of each.
    pub pairs: Vec<(f64, f64)>,
    /// Measured ms of some, again after all of them, and the first time.
    pub repeats: Vec<(f64, f64)>,
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
    // All of them, then as many again as tell the noise.
    let again = &archs[..(archs.len() / 4).max(LEAST_REPEATED).min(archs.len())];
    let all: Vec<&Arch> = archs.iter().chain(again).collect();
    let measured = ground.measure_all(all.into_iter(), &request.out, environment, listener)?;
    let (first, second) = measured.split_at(archs.len());
    let predicted = |arch| table.corrected_ms(&correction, net, arch).expect("the table has all of its space");
    let pairs: Vec<_> = archs.iter().map(predicted).zip(first).map(|(ms, measured)| (ms, *measured)).collect();
    let repeats: Vec<_> = second.iter().zip(first).map(|(second, first)| (*second, *first)).collect();
    Ok(Check {
        networks: pairs.len(),
        agreement: Agreement::of(&pairs),
        repeat: Agreement::of(&repeats),
        correction,
        pairs,
        repeats,
    })
}
