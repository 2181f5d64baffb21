//! What the search predicted of the networks that it accepted, against what they measured.

use super::chart::{Dot, Plot};
use super::descent::Unit;
use super::html::{percent, signed_percent};
use super::input::Input;
use super::scale::Scale;
use crate::latency::Agreement;
use crate::search::Iterate;

/// The figure; nothing where costs are counted, which are predicted exactly, or fewer than two were measured.
pub(super) fn figure(input: &Input, unit: &Unit) -> String {
    // The initial network is measured before anything is predicted.
    let iterates: Vec<&Iterate> = input.iterates.iter().filter(|i| is_predicted(input, i)).collect();
    if input.resource != "latency" || iterates.len() < 2 {
        return String::new();
    }
    let values = || iterates.iter().flat_map(|i| [i.predicted, i.measured]).map(|ms| unit.scaled(ms));
    let (Some(x), Some(y)) = (Scale::around(values()), Scale::around(values())) else { return String::new() };
    let [low, high] = x.ends();
    let mut plot = Plot::new(x, y, 300.0);
    plot.line("equal", &[(low, low), (high, high)]);
    let dots = iterates.iter().map(|i| Dot {
        x: unit.scaled(i.measured),
        y: unit.scaled(i.predicted),
        tip: format!(
            "iteration {}: predicted {}, measured {}, {}",
            i.iteration,
            unit.text(i.predicted),
            unit.text(i.measured),
            signed_percent(i.error())
        ),
    });
    plot.dots("iterates", 4.0, &dots.collect::<Vec<_>>());
    let chart = plot.finish(
        "square",
        "latency predicted against latency measured",
        [&format!("measured, {}", unit.name), &format!("predicted, {}", unit.name)],
    );
    let agreement = Agreement::of(&iterates.iter().map(|i| (i.predicted, i.measured)).collect::<Vec<_>>());
    format!(
        "<h3>Predicted against measured</h3><p class=\"about\">The {} accepted networks. On the dashed line a \
         prediction is right, above it is too much. Half of them are at most <b>{}</b> off, {} at most a tenth.</p>{chart}",
        iterates.len(),
        percent(agreement.median_error),
        percent(agreement.within_10_percent),
    )
}

/// Whether the prediction of an iterate is one that the search acted on.
fn is_predicted(input: &Input, iterate: &Iterate) -> bool {
    let initial = iterate.iteration == 0 && input.candidates.iter().all(|candidate| candidate.iteration > 0);
    !initial && [iterate.predicted, iterate.measured].iter().all(|ms| ms.is_finite() && *ms > 0.0)
}
