//! Uniform scaling: all widths of the initial network times one factor. No search at all, and the
//! first thing that a search has to beat.

use super::budget::Resource;
use super::cap::Ceiling;
use super::error::SearchError;
use super::shrink::Choices;
use super::strategy::{Cost, price};
use crate::space::{Arch, Axis, Supernet};

/// Networks that are measured on the way to the largest factor, at most.
const MEASUREMENTS: u32 = 12;

/// A uniformly scaled network.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    /// The network.
    pub arch: Arch,
    /// The factor of its widths, before they are rounded to choices.
    pub factor: f64,
    /// Predicted cost, not corrected, in the resource's unit.
    pub predicted: f64,
    /// Measured cost.
    pub measured: f64,
}

/// What is scaled.
#[derive(Clone, Copy)]
pub struct Uniform<'a> {
    /// The space.
    pub net: &'a Supernet,
    /// What is limited; for messages only.
    pub resource: Resource,
    /// Widths are multiples of this many channels, as in the search that it is compared with.
    pub width_step: u32,
    /// What it has to keep beside.
    pub ceilings: &'a [Ceiling<'a>],
}

/// The largest uniformly scaled network whose measured cost is at most `limit`.
///
/// Filters and expansions are rounded to the nearest choice, and never to 0: uniform scaling removes
/// no layer. Widths that would step at the same factor step one after the other, from the last layer
/// to the first, so that the network is as close to the limit as the grid permits. Kernels stay
/// full, or, where the smallest widths are above the limit, are at their smallest. `None` where that
/// is too much still.
///
/// # Errors
/// `SearchError::Measure` and `SearchError::Value`: what the cost said.
pub fn uniform(space: Uniform<'_>, cost: &mut dyn Cost, limit: f64) -> Result<Option<Scaled>, SearchError> {
    let full = space.net.full();
    let mut slim = full.values().to_vec();
    for (value, coordinate) in slim.iter_mut().zip(space.net.coordinates()) {
        if coordinate.axis == Axis::Kernel {
            *value = coordinate.choices[0];
        }
    }
    let steps = steps(&Choices::new(space.net, space.width_step));
    for start in [full.values(), &slim] {
        let ladder = Ladder { space, start, steps: &steps };
        if let Some(found) = ladder.largest(cost, limit)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// One width falls to its next smaller choice.
struct Step {
    /// Below this factor.
    factor: f64,
    coordinate: usize,
    value: u32,
}

/// The order in which widths fall as the factor falls.
fn steps(choices: &Choices<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, coordinate) in choices.net.coordinates().iter().enumerate().rev() {
        if coordinate.axis == Axis::Kernel {
            continue;
        }
        let values: Vec<u32> = choices.values[index].iter().copied().filter(|v| *v > 0).collect();
        let full = f64::from(*values.last().expect("a width has a positive choice"));
        steps.extend(values.windows(2).rev().map(|pair| {
            let factor = f64::from(pair[0] + pair[1]) / 2.0 / full;
            Step { factor, coordinate: index, value: pair[0] }
        }));
    }
    steps.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    steps
}

/// The networks from `start` down, one width step apart.
struct Ladder<'a> {
    space: Uniform<'a>,
    start: &'a [u32],
    steps: &'a [Step],
}

impl Ladder<'_> {
    fn arch(&self, count: usize) -> Arch {
        let mut values = self.start.to_vec();
        for step in &self.steps[..count] {
            values[step.coordinate] = step.value;
        }
        self.space.net.arch(values).expect("choices of a coordinate make an architecture")
    }

    fn measured(&self, count: usize, cost: &mut dyn Cost) -> Result<Scaled, SearchError> {
        let arch = self.arch(count);
        let (predicted, measured) = price(cost, self.space.resource, &arch)?;
        let factor = count.checked_sub(1).map_or(1.0, |last| self.steps[last].factor);
        Ok(Scaled { arch, factor, predicted, measured })
    }

    /// Bisection on measured costs, with the next network to measure taken from the predictions.
    fn largest(&self, cost: &mut dyn Cost, limit: f64) -> Result<Option<Scaled>, SearchError> {
        let holds = |count: &usize| self.space.ceilings.iter().all(|ceiling| ceiling.holds(&self.arch(*count)));
        let Some(first) = (0..=self.steps.len()).find(holds) else { return Ok(None) };
        let top = self.measured(first, cost)?;
        if top.measured <= limit {
            return Ok(Some(top));
        }
        let mut best = self.measured(self.steps.len(), cost)?;
        if best.measured > limit {
            return Ok(None);
        }
        let (mut over, mut within) = (first, self.steps.len());
        let mut correction = top.measured / top.predicted;
        for _ in 0..MEASUREMENTS {
            if within - over <= 1 {
                break;
            }
            let guess = self.predicted_within(&*cost, limit / correction);
            let count = guess.clamp(over + 1, within - 1);
            let scaled = self.measured(count, cost)?;
            correction = scaled.measured / scaled.predicted;
            if scaled.measured <= limit {
                (within, best) = (count, scaled);
            } else {
                over = count;
            }
        }
        Ok(Some(best))
    }

    /// The fewest steps that predict `limit` at most.
    fn predicted_within(&self, cost: &dyn Cost, limit: f64) -> usize {
        let (mut low, mut high) = (0, self.steps.len());
        while low < high {
            let middle = low.midpoint(high);
            if cost.predict(&self.arch(middle)) <= limit {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}
