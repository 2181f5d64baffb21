//! The problem as a search strategy sees it: a space, a score, a cost.

use super::budget::Resource;
use super::cap::{Cap, Ceiling};
use super::error::{BoxError, SearchError};
use super::history::{Candidate, Iterate};
use crate::space::{Arch, Supernet};
use serde::{Deserialize, Serialize};

/// What a network costs, in the budget's unit; predictions are cheap, measurements are not.
pub trait Cost {
    /// A prediction, microseconds to make; the same for the same architecture.
    fn predict(&self, arch: &Arch) -> f64;

    /// The cost itself.
    ///
    /// # Errors
    /// Whatever the device says.
    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError>;

    /// Measures a network that was found within `budget` once more, some time later. `None` where the budget is
    /// kept, as it always is where a cost is counted; what the network costs now where it is not.
    ///
    /// # Errors
    /// As for `measure`.
    fn confirm(&mut self, _arch: &Arch, _budget: f64) -> Result<Option<f64>, BoxError> {
        Ok(None)
    }
}

/// Scores architectures with the shared weights on the held-out images, many in one call.
pub trait Scorer {
    /// One score for each architecture, in their order.
    ///
    /// # Errors
    /// Whatever the device says.
    fn score(&mut self, archs: &[Arch]) -> Result<Vec<Score>, BoxError>;
}

/// How well an architecture does; a lower cross-entropy is better, accuracy breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean cross-entropy of the images, in nats.
    pub loss: f64,
    /// Share of the images that is classified correctly, 0 to 1.
    pub accuracy: f64,
}

/// Is told what happens: progress bars and history files come from here.
pub trait Observer {
    /// A candidate was scored; those of one iteration come together.
    fn sample(&mut self, _candidate: &Candidate) {}

    /// The search stands at another network.
    fn iterate(&mut self, _iterate: &Iterate) {}

    /// Every budget has a network that measured within it; those are measured again, some time after.
    fn confirming(&mut self) {}

    /// The network that was found within a budget costs more now: the search goes on from it.
    fn not_confirmed(&mut self, _iterate: &Iterate, _now: f64) {}
}

/// Looks away.
impl Observer for () {}

/// What is to be solved, and with what.
pub struct Problem<'a> {
    /// The space.
    pub net: &'a Supernet,
    /// What is limited; for messages only.
    pub resource: Resource,
    /// Limits in the cost's unit, in any order: a network is found for each of them.
    pub budgets: &'a [f64],
    /// What is limited beside.
    pub caps: &'a [Cap<'a>],
    /// What networks cost.
    pub cost: &'a mut dyn Cost,
    /// How well networks do.
    pub scorer: &'a mut dyn Scorer,
    /// Who is told.
    pub observer: &'a mut dyn Observer,
}

/// A way to search: the same answers of cost and score lead to the same questions, in the same order. So one
/// that was interrupted is simply begun again with the answers that it had got.
pub trait Strategy {
    /// Finds a network for every budget.
    ///
    /// # Errors
    /// `SearchError`: a budget that cannot be met, or what the cost or the scorer said.
    fn search(&self, problem: Problem<'_>) -> Result<Outcome, SearchError>;
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One for each budget, in the order in which they were given.
    pub networks: Vec<Found>,
}

/// A network within a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The limit.
    pub budget: f64,
    /// The network.
    pub arch: Arch,
    /// The iterate that it was; its measured cost is within the budget.
    pub iterate: Iterate,
}

/// A cost that is counted, like MACs: exact, so that predicted and measured are one.
pub struct Counted<F>(pub F);

impl<F: Fn(&Arch) -> f64> Cost for Counted<F> {
    fn predict(&self, arch: &Arch) -> f64 {
        (self.0)(arch)
    }

    fn measure(&mut self, arch: &Arch) -> Result<f64, BoxError> {
        Ok(self.predict(arch))
    }
}

impl<'a> Problem<'a> {
    /// What goes with one of the budgets.
    pub(super) fn ceilings(&self, budget: usize) -> Vec<Ceiling<'a>> {
        self.caps.iter().map(|cap| cap.ceiling(budget)).collect()
    }

    /// Predicted and measured cost, both checked to be positive numbers.
    pub(super) fn price(&mut self, arch: &Arch) -> Result<(f64, f64), SearchError> {
        price(self.cost, self.resource, arch)
    }

    /// What a network that was found within a budget costs at its second measurement, where that is too much.
    pub(super) fn confirm(&mut self, found: &Iterate, arch: &Arch, budget: f64) -> Result<Option<f64>, SearchError> {
        let values = || arch.values().to_vec();
        let now = self.cost.confirm(arch, budget);
        let now = now.map_err(|source| SearchError::Measure { values: values(), source })?;
        if let Some(value) = now {
            if !(value.is_finite() && value > 0.0) {
                let resource = self.resource;
                return Err(SearchError::Value { resource, what: "measured", values: values(), value });
            }
            self.observer.not_confirmed(found, value);
        }
        Ok(now)
    }

    /// Scores, one for each of the networks.
    pub(super) fn scores(&mut self, iteration: u32, archs: &[Arch]) -> Result<Vec<Score>, SearchError> {
        let count = archs.len();
        let scores = self.scorer.score(archs).map_err(|source| SearchError::Score { iteration, count, source })?;
        if scores.len() != count {
            return Err(SearchError::ScoreCount { expected: count, got: scores.len() });
        }
        Ok(scores)
    }
}

/// Predicted and measured cost, both checked to be positive numbers.
pub(super) fn price(cost: &mut dyn Cost, resource: Resource, arch: &Arch) -> Result<(f64, f64), SearchError> {
    let values = || arch.values().to_vec();
    let predicted = cost.predict(arch);
    let measured = cost.measure(arch).map_err(|source| SearchError::Measure { values: values(), source })?;
    for (what, value) in [("predicted", predicted), ("measured", measured)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(SearchError::Value { resource, what, values: values(), value });
        }
    }
    Ok((predicted, measured))
}

/// The positions of finite scores, the best first; equal ones keep their order.
pub(super) fn ranked(scores: &[Score]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i].loss.is_finite()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (scores[a], scores[b]);
        a.loss.total_cmp(&b.loss).then(b.accuracy.total_cmp(&a.accuracy))
    });
    order
}
