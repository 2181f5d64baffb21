//! Random networks at the budget, the best by score: what every other strategy has to beat.
//!
//! It learns nothing from its scores, and spends as many of them as it is told.

use super::budget::Resource;
use super::error::{Limit, SearchError};
use super::history::Scored;
use super::shrink::{Choices, Shrink};
use super::strategy::{Found, Outcome, Problem, Strategy, ranked};
use crate::rng::{Purpose, stream};
use crate::space::Arch;
use std::collections::HashSet;

/// Networks that cost less than this share of the budget are drawn again: they would lose for being
/// small, not for being random.
const CLOSE: f64 = 0.95;

/// How often a network that is not close, or was drawn before, is drawn again.
const REDRAWS: u32 = 20;

/// Scores `samples` random networks for each budget and takes the best whose measured cost is within.
///
/// The distribution: coordinate i of the initial network shrinks by `min(1, c E_i)` of its steps, with
/// `E_i` independent and exponentially distributed, and the same `c` for all coordinates, the least
/// that meets the budget; then steps that are not needed are undone in random order. The long tail
/// puts some coordinates at their smallest, so that layers are removed, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// Networks that are scored for each budget; to compare, as many as the other strategy scores.
    pub samples: u32,
    /// Seed of the networks.
    pub seed: u64,
    /// Widths are multiples of this many channels, their smallest choice in any case.
    pub width_step: u32,
}

impl Strategy for Random {
    fn search(&self, mut problem: Problem<'_>) -> Result<Outcome, SearchError> {
        let choices = Choices::new(problem.net, self.width_step);
        let (predicted, initial) = problem.price(&problem.net.full())?;
        let (_, least) = problem.price(&problem.net.smallest())?;
        let networks = problem.budgets.iter().enumerate().map(|(index, &budget)| {
            if budget.is_nan() || budget < least {
                return Err(out_of_reach(problem.resource, budget, least));
            }
            for cap in problem.caps {
                let (limit, least) = (cap.limits[index], (cap.count)(&problem.net.smallest()));
                if limit.is_nan() || limit < least {
                    return Err(out_of_reach(cap.resource, limit, least));
                }
            }
            let goal = OneBudget { index: index as u32, budget, choices: &choices };
            self.one(&mut problem, &goal, initial / predicted)
        });
        Ok(Outcome { networks: networks.collect::<Result<_, _>>()? })
    }
}

/// One of the budgets.
struct OneBudget<'a> {
    index: u32,
    budget: f64,
    choices: &'a Choices<'a>,
}

impl Random {
    fn one(
        &self,
        problem: &mut Problem<'_>,
        goal: &OneBudget<'_>,
        initial_correction: f64,
    ) -> Result<Found, SearchError> {
        let &OneBudget { index, budget, choices } = goal;
        // The initial network's correction says little about networks a few times smaller, so that one
        // of them is measured first.
        let mut correction = initial_correction;
        let shrink = Shrink { choices, cost: &*problem.cost, correction, ceilings: problem.ceilings(index as usize) };
        if let Some(probe) = self.draw(&shrink, goal, 0, &HashSet::new()) {
            let (predicted, measured) = problem.price(&probe)?;
            correction = measured / predicted;
        }
        let shrink = Shrink { choices, cost: &*problem.cost, correction, ceilings: problem.ceilings(index as usize) };
        let mut seen = HashSet::new();
        let mut archs = Vec::new();
        for sample in 0..self.samples {
            if let Some(arch) = self.draw(&shrink, goal, sample, &seen) {
                seen.insert(arch.clone());
                archs.push(arch);
            }
        }
        if archs.is_empty() {
            let least = shrink.predict(&problem.net.smallest());
            return Err(out_of_reach(problem.resource, budget, least));
        }
        let predicted = archs.iter().map(|arch| shrink.predict(arch)).collect();
        let scores = problem.scores(index, &archs)?;
        let order = ranked(&scores);
        if order.is_empty() {
            return Err(SearchError::NoScore { iteration: index });
        }
        let scored = Scored { iteration: index, target: budget, archs, predicted, scores };
        let mut measured = Vec::new();
        for best in order {
            let arch = scored.archs[best].clone();
            let price = problem.price(&arch)?;
            measured.push((best, price.1));
            let iterate = scored.iterate(best, price);
            if price.1 <= budget && problem.confirm(&iterate, &arch, budget)?.is_none() {
                scored.tell(problem.observer, Some(best), &measured);
                problem.observer.iterate(&iterate);
                return Ok(Found { budget, arch, iterate });
            }
        }
        scored.tell(problem.observer, None, &measured);
        let least = measured.iter().map(|(_, measured)| *measured).fold(f64::INFINITY, f64::min);
        let (resource, limit) = (problem.resource, Limit::Samples);
        Err(SearchError::OutOfReach { resource, budget, least, limit })
    }

    /// A network within the budget by its corrected prediction, close to it where one is found.
    fn draw(&self, shrink: &Shrink<'_>, goal: &OneBudget<'_>, sample: u32, seen: &HashSet<Arch>) -> Option<Arch> {
        let net = shrink.choices.net;
        let all: Vec<usize> = (0..net.coordinates().len()).collect();
        let mut rng = stream(self.seed, Purpose::Compare, u64::from(goal.index), u64::from(sample));
        let mut closest: Option<(f64, Arch)> = None;
        for _ in 0..REDRAWS {
            let arch = shrink.to(&net.full(), &all, goal.budget, &mut rng)?;
            if seen.contains(&arch) {
                continue;
            }
            let load = shrink.load(&arch, goal.budget);
            if load >= CLOSE {
                return Some(arch);
            }
            if closest.as_ref().is_none_or(|(other, _)| load > *other) {
                closest = Some((load, arch));
            }
        }
        closest.map(|(_, arch)| arch)
    }
}

fn out_of_reach(resource: Resource, budget: f64, least: f64) -> SearchError {
    SearchError::OutOfReach { resource, budget, least, limit: Limit::Space }
}
