//! Multi-layer coordinate descent (NetAdaptV2, section 3.3); NetAdapt V1 is a setting of it.
//!
//! Each iteration draws samples that shrink a few coordinates together until their predicted
//! resource meets a target, scores them, and goes on from the best, measured. The stop is on the
//! measured value; the predictions are scaled by measured over predicted of the last iterate. What is limited beside
//! holds, too: see `cap`.

use super::cap::{Cap, Ceiling, Way, targets};
use super::error::{Limit, SearchError};
use super::history::{Iterate, Scored};
use super::schedule::{Extent, Schedule, check_reach};
use super::shrink::{Choices, Shrink};
use super::strategy::{Found, Outcome, Problem, Strategy, ranked};
use crate::rng::{Purpose, stream};
use crate::space::{Arch, SearchSettings};
use rand::{Rng, RngExt};
use std::collections::HashSet;

/// How often a sample is drawn again before more coordinates take part.
const REDRAWS: u32 = 100;

/// How many times the ideal number of iterations a descent may take: measurements that drift cost
/// some rounds, and more than this means that they do not follow the predictions at all.
const PATIENCE: u32 = 4;

/// Settings of a coordinate descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `J`: samples of an iteration.
    pub samples: u32,
    /// `L`: coordinates that a sample shrinks together.
    pub coordinates: u32,
    /// The cuts of the resource.
    pub schedule: Schedule,
    /// Seed of the samples.
    pub seed: u64,
    /// Widths shrink to multiples of this many channels, which the device likes; a coordinate's
    /// smallest choice is always allowed.
    pub width_step: u32,
}

impl Settings {
    /// The settings that a space carries.
    pub fn new(space: &SearchSettings, seed: u64, width_step: u32) -> Self {
        Self {
            samples: space.samples,
            coordinates: space.coordinates,
            schedule: Schedule { first_cut: space.first_cut, decay: space.decay },
            seed,
            width_step,
        }
    }
}

/// Which coordinates a sample shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// `J` samples of `L` random live coordinates.
    Random,
    /// One sample for every live coordinate, which shrinks alone.
    EachOnce,
}

/// The descent.
#[derive(Clone, Debug, PartialEq)]
pub struct CoordinateDescent {
    /// Numbers.
    pub settings: Settings,
    /// Which coordinates a sample shrinks.
    pub visit: Visit,
}

impl CoordinateDescent {
    /// NetAdaptV2: `J` samples of `L` coordinates.
    pub fn multi_layer(settings: Settings) -> Self {
        Self { settings, visit: Visit::Random }
    }

    /// NetAdapt V1: every coordinate alone, in every iteration; `J` and `L` are not used.
    pub fn single_layer(settings: Settings) -> Self {
        Self { settings, visit: Visit::EachOnce }
    }
}

impl Strategy for CoordinateDescent {
    fn search(&self, mut problem: Problem<'_>) -> Result<Outcome, SearchError> {
        let choices = Choices::new(problem.net, self.settings.width_step);
        let mut goals = Progress::new(problem.budgets, problem.caps);
        let iterate = self.begin(&mut problem)?;
        let initial = iterate.measured;
        let mut standing = Standing { arch: problem.net.full(), iterate, initial };
        goals.pass(&standing);
        let schedule = self.settings.schedule;
        let full = problem.net.full();
        let of_caps = problem.caps.iter().map(|cap| schedule.iterations((cap.count)(&full), &cap.limits));
        let of_all = of_caps.chain([schedule.iterations(initial, problem.budgets)]);
        let ideal = of_all.map(|iterations| iterations.unwrap_or(u32::MAX)).max().unwrap_or(u32::MAX);
        let most = ideal.saturating_add(problem.budgets.len() as u32).saturating_mul(PATIENCE);
        loop {
            while let Some((index, budget)) = goals.next(&mut standing) {
                let Iterate { iteration, measured, .. } = standing.iterate;
                if iteration >= most {
                    let resource = problem.resource;
                    return Err(SearchError::Unsettled { resource, budget, measured, iterations: iteration });
                }
                standing = self.advance(&mut problem, &choices, &standing, index)?;
                goals.pass(&standing);
            }
            if goals.confirm(&mut problem)? {
                return Ok(Outcome { networks: goals.found() });
            }
        }
    }
}

/// Where a descent is: all of its state.
struct Standing {
    arch: Arch,
    iterate: Iterate,
    /// Measured cost of the initial network.
    initial: f64,
}

impl CoordinateDescent {
    /// The initial network, if the budgets can be reached from it.
    fn begin(&self, problem: &mut Problem<'_>) -> Result<Iterate, SearchError> {
        let full = problem.net.full();
        let price = problem.price(&full)?;
        let (predicted, initial) = price;
        let (_, least) = problem.price(&problem.net.smallest())?;
        let extent = Extent { initial, least };
        check_reach(self.settings.schedule, problem.resource, problem.budgets, extent)?;
        for cap in problem.caps {
            let [initial, least] = [&full, &problem.net.smallest()].map(cap.count);
            check_reach(self.settings.schedule, cap.resource, &cap.limits, Extent { initial, least })?;
        }
        let archs = vec![full];
        let scores = problem.scores(0, &archs)?;
        let scored = Scored { iteration: 0, target: initial, archs, predicted: vec![predicted], scores };
        let iterate = scored.iterate(0, price);
        problem.observer.iterate(&iterate);
        Ok(iterate)
    }

    /// One iteration: samples at the target, their scores, and the best of them, measured.
    fn advance(
        &self,
        problem: &mut Problem<'_>,
        choices: &Choices<'_>,
        from: &Standing,
        goal: usize,
    ) -> Result<Standing, SearchError> {
        let iteration = from.iterate.iteration + 1;
        let budget = problem.budgets[goal];
        let full = problem.net.full();
        let mut ways = vec![Way { initial: from.initial, now: from.iterate.measured, limit: budget }];
        ways.extend(problem.caps.iter().map(|cap| {
            let [initial, now] = [&full, &from.arch].map(cap.count);
            Way { initial, now, limit: cap.limits[goal] }
        }));
        let targets = targets(&ways, self.settings.schedule, iteration);
        let target = targets[0];
        let of_caps = problem.caps.iter().zip(&targets[1..]);
        let ceilings = of_caps.map(|(cap, most)| Ceiling { count: cap.count, most: *most }).collect();
        let correction = from.iterate.correction;
        let shrink = Shrink { choices, cost: &*problem.cost, correction, ceilings };
        let archs = self.samples(&shrink, &from.arch, target, iteration);
        if archs.is_empty() {
            return Err(SearchError::OutOfReach {
                resource: problem.resource,
                budget,
                least: shrink.predict(&problem.net.smallest()),
                limit: Limit::Space,
            });
        }
        let predicted = archs.iter().map(|arch| shrink.predict(arch)).collect();
        let scores = problem.scores(iteration, &archs)?;
        let best = *ranked(&scores).first().ok_or(SearchError::NoScore { iteration })?;
        let scored = Scored { iteration, target, archs, predicted, scores };
        let arch = scored.archs[best].clone();
        let price = problem.price(&arch)?;
        scored.tell(problem.observer, Some(best), &[(best, price.1)]);
        let iterate = scored.iterate(best, price);
        problem.observer.iterate(&iterate);
        Ok(Standing { arch, iterate, initial: from.initial })
    }

    /// Distinct networks at the target; none where even the smallest network is above it.
    fn samples(&self, shrink: &Shrink<'_>, base: &Arch, target: f64, iteration: u32) -> Vec<Arch> {
        let net = shrink.choices.net;
        let live: Vec<usize> = (0..net.coordinates().len()).filter(|&c| net.is_live(base, c)).collect();
        let mut seen = HashSet::new();
        let mut draw = |sample: usize, pick: Pick| {
            let rng = stream(self.settings.seed, Purpose::Sample, u64::from(iteration), sample as u64);
            let arch = pick.draw(shrink, base, target, rng, &seen)?;
            seen.insert(arch.clone());
            Some(arch)
        };
        let count = self.settings.coordinates.max(1) as usize;
        match self.visit {
            Visit::Random => (0..self.settings.samples as usize)
                .filter_map(|j| draw(j, Pick { live: &live, first: None, count, most: live.len() }))
                .collect(),
            Visit::EachOnce => {
                let mut each = |count, most| {
                    let one = |(j, &c)| draw(j, Pick { live: &live, first: Some(c), count, most });
                    live.iter().enumerate().filter_map(one).collect::<Vec<_>>()
                };
                // A coordinate that cannot save enough alone is skipped; only where none can,
                // others come to its help.
                let alone = each(1, 1);
                if alone.is_empty() { each(2, live.len()) } else { alone }
            }
        }
    }
}

/// Which coordinates a sample may draw.
struct Pick<'a> {
    /// Those that can still shrink and matter.
    live: &'a [usize],
    /// One that takes part in any case.
    first: Option<usize>,
    /// How many to begin with.
    count: usize,
    /// How many at most, when fewer cannot reach the target.
    most: usize,
}

impl Pick<'_> {
    /// A network that is not in `seen`, or `None` where there seems to be none.
    fn draw(
        &self,
        shrink: &Shrink<'_>,
        base: &Arch,
        target: f64,
        mut rng: impl Rng,
        seen: &HashSet<Arch>,
    ) -> Option<Arch> {
        let most = self.most.min(self.live.len());
        let mut count = self.count.min(most);
        loop {
            let mut reached = false;
            for _ in 0..REDRAWS {
                let picks = self.choose(count, &mut rng);
                if let Some(arch) = shrink.to(base, &picks, target, &mut rng) {
                    reached = true;
                    if !seen.contains(&arch) {
                        return Some(arch);
                    }
                } else if count == self.live.len() {
                    break; // another draw would shrink the same coordinates, all of them
                }
            }
            // More coordinates are for targets that fewer do not reach, not against duplicates.
            if reached || count == most {
                return None;
            }
            count = (2 * count).min(most);
        }
    }

    /// `count` different coordinates: the first steps of a Fisher-Yates shuffle.
    fn choose(&self, count: usize, rng: &mut impl Rng) -> Vec<usize> {
        let mut picks = self.live.to_vec();
        let mut fixed = 0;
        if let Some(at) = self.first.and_then(|first| picks.iter().position(|&c| c == first)) {
            picks.swap(0, at);
            fixed = 1;
        }
        for i in fixed..count {
            let other = rng.random_range(i..picks.len());
            picks.swap(i, other);
        }
        picks.truncate(count);
        picks
    }
}

/// The budgets in the order in which a descent passes them, and what it found for them.
struct Progress<'a> {
    /// The largest first.
    order: Vec<BudgetProgress>,
    caps: &'a [Cap<'a>],
}

/// One of the budgets.
struct BudgetProgress {
    /// Its place among those that were given.
    index: usize,
    budget: f64,
    found: Option<Found>,
    /// Whether what was found keeps it at its second measurement, too.
    is_confirmed: bool,
    /// What had been found and does not: the network to go on from.
    over: Option<(Arch, Iterate)>,
}

impl<'a> Progress<'a> {
    fn new(budgets: &[f64], caps: &'a [Cap<'a>]) -> Self {
        let goal = |(index, &budget)| BudgetProgress { index, budget, found: None, is_confirmed: false, over: None };
        let mut order: Vec<BudgetProgress> = budgets.iter().enumerate().map(goal).collect();
        // Where the budgets are one, what is limited beside tells which comes first.
        let limits = |index: usize| caps.iter().map(move |cap| cap.limits[index]);
        order.sort_by(|a, b| {
            b.budget
                .total_cmp(&a.budget)
                .then_with(|| limits(b.index).sum::<f64>().total_cmp(&limits(a.index).sum::<f64>()))
        });
        Self { order, caps }
    }

    /// The budget that the descent is on its way to. Where something was found for it that is over it, the descent
    /// stands there from then on; its iterations are numbered on.
    fn next(&mut self, at: &mut Standing) -> Option<(usize, f64)> {
        let goal = self.order.iter_mut().find(|goal| goal.found.is_none())?;
        if let Some((arch, iterate)) = goal.over.take() {
            at.arch = arch;
            at.iterate = Iterate { iteration: at.iterate.iteration, ..iterate };
        }
        Some((goal.index, goal.budget))
    }

    /// Notes the budgets that this network is the first to meet.
    fn pass(&mut self, at: &Standing) {
        for goal in self.order.iter_mut().filter(|goal| goal.found.is_none()) {
            let holds = self.caps.iter().all(|cap| cap.ceiling(goal.index).holds(&at.arch));
            if at.iterate.measured > goal.budget || !holds {
                break;
            }
            goal.found = Some(Found { budget: goal.budget, arch: at.arch.clone(), iterate: at.iterate.clone() });
        }
    }

    /// Measures once more what was found, all of it after the descent, so that one wait does for all. Whether every
    /// budget is kept; where one is not, the later value is the one to go on from.
    fn confirm(&mut self, problem: &mut Problem<'_>) -> Result<bool, SearchError> {
        problem.observer.confirming();
        for goal in self.order.iter_mut().filter(|goal| !goal.is_confirmed) {
            let Found { arch, iterate, .. } = goal.found.as_ref().expect("a descent ends when all are found");
            goal.over = problem.confirm(iterate, arch, goal.budget)?.map(|now| {
                let correction = iterate.correction * now / iterate.measured;
                (arch.clone(), Iterate { measured: now, correction, ..iterate.clone() })
            });
            goal.is_confirmed = goal.over.is_none();
            if !goal.is_confirmed {
                goal.found = None;
            }
        }
        Ok(self.order.iter().all(|goal| goal.is_confirmed))
    }

    /// In the order in which the budgets were given.
    fn found(mut self) -> Vec<Found> {
        self.order.sort_by_key(|goal| goal.index);
        self.order.into_iter().filter_map(|goal| goal.found).collect()
    }
}
