//! Networks made smaller until they meet a target: how every strategy draws them.

use super::cap::Ceiling;
use super::strategy::Cost;
use crate::space::{Arch, Axis, Supernet};
use rand::{Rng, RngExt};

/// The values that coordinates may take, widths in steps that the device likes.
pub(super) struct Choices<'a> {
    /// The space.
    pub(super) net: &'a Supernet,
    /// Ascending values of every coordinate; the first is its smallest, the last its full one.
    pub(super) values: Vec<Vec<u32>>,
}

impl<'a> Choices<'a> {
    /// Multiples of `width_step`, and the smallest and the full value in any case.
    pub(super) fn new(net: &'a Supernet, width_step: u32) -> Self {
        let values = net.coordinates().iter().map(|coordinate| {
            let choices = &coordinate.choices;
            let last = choices.len() - 1;
            let keep = |&(at, &value): &(usize, &u32)| {
                let end = at == 0 || at == last;
                end || coordinate.axis == Axis::Kernel || value.is_multiple_of(width_step.max(1))
            };
            choices.iter().enumerate().filter(keep).map(|(_, &value)| value).collect()
        });
        Self { net, values: values.collect() }
    }
}

/// Shrinks networks until their corrected prediction meets a target.
pub(super) struct Shrink<'a> {
    /// What coordinates may become.
    pub(super) choices: &'a Choices<'a>,
    /// What networks cost.
    pub(super) cost: &'a dyn Cost,
    /// Measured over predicted of the network that was measured last.
    pub(super) correction: f64,
    /// What else networks have to keep.
    pub(super) ceilings: Vec<Ceiling<'a>>,
}

impl Shrink<'_> {
    /// The corrected prediction.
    pub(super) fn predict(&self, arch: &Arch) -> f64 {
        self.cost.predict(arch) * self.correction
    }

    /// Whether a network is predicted to cost `target` at most, and keeps what else there is to keep.
    fn meets(&self, arch: &Arch, target: f64) -> bool {
        self.predict(arch) <= target && self.ceilings.iter().all(|ceiling| ceiling.holds(arch))
    }

    /// The largest share of what it may have that a network has of anything.
    pub(super) fn load(&self, arch: &Arch, target: f64) -> f64 {
        let counted = self.ceilings.iter().map(|ceiling| (ceiling.count)(arch) / ceiling.most);
        counted.fold(self.predict(arch) / target, f64::max)
    }

    /// `base` with the coordinates `picks` shrunk together, just until it costs `target` at most;
    /// `None` where their smallest values do not suffice.
    ///
    /// The saving is spread at random: coordinate i shrinks by `min(1, lambda E_i)` of its steps, with
    /// `E_i` exponentially distributed (so that the shares are uniform on the simplex) and the least
    /// `lambda` that meets the target. Each coordinate rounds with a random phase of its own, since
    /// otherwise one with a single step, such as a kernel, would always be the last to shrink. Steps
    /// that turn out not to be needed are undone, one coordinate after the other, in random order:
    /// what is below the target is accuracy given away.
    pub(super) fn to(&self, base: &Arch, picks: &[usize], target: f64, rng: &mut impl Rng) -> Option<Arch> {
        let mut steps = Vec::new();
        for &c in picks {
            let share = -(1.0 - rng.random::<f64>()).ln();
            let phase: f64 = rng.random();
            let values = &self.choices.values[c];
            let smaller = values.partition_point(|&value| value < base.values()[c]);
            for (step, &value) in values[..smaller].iter().rev().enumerate() {
                let lambda = (step as f64 + 1.0 - phase) / (smaller as f64 * share);
                steps.push((lambda, c, value));
            }
        }
        // Stable: a coordinate's own steps stay in order even where its share is zero.
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut arch = self.taken(base, &steps, target)?;
        let mut order = picks.to_vec();
        for i in (1..order.len()).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        for c in order {
            for &value in &self.choices.values[c] {
                if value <= arch.values()[c] || value > base.values()[c] {
                    continue;
                }
                let larger = self.set(&arch, [(c, value)]);
                if !self.meets(&larger, target) {
                    break;
                }
                arch = larger;
            }
        }
        Some(arch)
    }

    /// `base` after the fewest of the steps that meet the target, found by bisection.
    fn taken(&self, base: &Arch, steps: &[(f64, usize, u32)], target: f64) -> Option<Arch> {
        let after = |count: usize| self.set(base, steps[..count].iter().map(|s| (s.1, s.2)));
        let meets = |arch: &Arch| self.meets(arch, target);
        if meets(base) {
            return Some(base.clone());
        }
        let mut arch = after(steps.len());
        if !meets(&arch) {
            return None;
        }
        let (mut fails, mut enough) = (0, steps.len());
        while enough - fails > 1 {
            let middle = fails.midpoint(enough);
            let candidate = after(middle);
            if meets(&candidate) {
                (enough, arch) = (middle, candidate);
            } else {
                fails = middle;
            }
        }
        Some(arch)
    }

    fn set(&self, arch: &Arch, changes: impl IntoIterator<Item = (usize, u32)>) -> Arch {
        let mut values = arch.values().to_vec();
        for (c, value) in changes {
            values[c] = value;
        }
        self.choices.net.arch(values).expect("choices of a coordinate make an architecture")
    }
}
