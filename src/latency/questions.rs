//! What a table asks of a device, one question after the other: which they are depends on the answers.
//!
//! Operations that differ in their widths only are a family, timed on a grid of widths. Where a width midway between
//! two of the grid takes another time than the line between them says, by more than the noise, the grid gets that
//! width, and is asked again between its new neighbours. Last come neighbouring widths of the slowest families, which
//! show the device's step.

use super::staircase::LEAST_WIDTHS;
use super::stats::Spread;
use super::table::{Entry, Family, family, is_square};
use crate::space::{Activation, Arch, Axis, GRID, Operation, OperationKind, Shortcut, Supernet, round_up};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The operation that all others are timed in turn with, the same in every table.
pub const REFERENCE: Operation = Operation {
    kind: OperationKind::Conv,
    size: 16,
    kernel: 1,
    stride: 1,
    input: 64,
    output: 64,
    bypass: 0,
    shortcut: Shortcut::None,
    activation: Activation::Relu,
    normalised: true,
};

/// How often gaps of a grid are halved at most.
const REFINEMENTS: u32 = 3;
/// A miss of the line that is of no account, as a share.
const SMALL_MISS: f64 = 0.08;
/// Standard errors that are noise.
const NOISE: f64 = 3.0;
/// Families that are asked for neighbouring widths, and widths of each at most.
const SWEEPS: usize = 3;
const SWEEP_WIDTHS: u32 = 16;

/// The questions and answers of a table.
pub(super) struct Questions {
    families: BTreeMap<Family, Axes>,
    asked: Vec<Operation>,
    answers: HashMap<Operation, Entry>,
    stage: Stage,
}

/// What the last questions were for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The reference and the grids.
    Grid,
    /// The middles of gaps.
    Middles(u32),
    /// Widths that grids have got.
    Lines(u32),
    /// Neighbouring widths.
    Sweeps,
}

/// The grid of a family.
struct Axes {
    /// At its largest widths.
    largest: Operation,
    /// Widths in; empty where they are those out.
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    /// Gaps that need nothing between.
    smooth: BTreeSet<Gap>,
}

/// Two neighbours on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Gap {
    is_input: bool,
    low: u32,
    high: u32,
}

impl Questions {
    /// For all that networks of `net` can ask for.
    pub(super) fn new(net: &Supernet) -> Self {
        let mut questions =
            Self { families: axes(net), asked: Vec::new(), answers: HashMap::new(), stage: Stage::Grid };
        questions.ask([REFERENCE]);
        questions.ask_grids();
        questions
    }

    /// How many questions there are as far as is known.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// The question that has no answer yet; `None` where nothing is left to ask.
    pub(super) fn next(&self) -> Option<Operation> {
        self.asked.get(self.answers.len()).copied()
    }

    /// The answer to a question.
    pub(super) fn answer(&self, operation: &Operation) -> Option<Entry> {
        self.answers.get(operation).copied()
    }

    /// Answers the next question.
    ///
    /// # Panics
    /// Where it was another question.
    pub(super) fn add(&mut self, entry: Entry) {
        assert_eq!(self.next(), Some(entry.operation), "the answer is that to the next question");
        self.answers.insert(entry.operation, entry);
        while self.next().is_none() && self.stage != Stage::Sweeps {
            self.stage = self.follow_up();
        }
    }

    /// The grids' entries, and those of what was asked beside.
    pub(super) fn finish(self) -> [Vec<Entry>; 2] {
        let entry = |operation: Operation| self.answers[&operation];
        let grid: BTreeSet<Operation> = self.families.values().flat_map(Axes::grid).collect();
        let beside = self.asked.iter().copied().filter(|operation| !grid.contains(operation)).map(entry).collect();
        [self.families.values().flat_map(Axes::grid).map(entry).collect(), beside]
    }

    /// Asks what was not asked before.
    fn ask(&mut self, operations: impl IntoIterator<Item = Operation>) {
        for operation in operations {
            if !self.answers.contains_key(&operation) && !self.asked[self.answers.len()..].contains(&operation) {
                self.asked.push(operation);
            }
        }
    }

    fn ask_grids(&mut self) {
        let all: Vec<Operation> = self.families.values().flat_map(Axes::grid).collect();
        self.ask(all);
    }

    /// Asks what the answers so far make necessary.
    fn follow_up(&mut self) -> Stage {
        match self.stage {
            Stage::Grid => self.ask_middles(0),
            Stage::Middles(round) => {
                let answers = &self.answers;
                self.families.values_mut().for_each(|axes| axes.refine(answers));
                self.ask_grids();
                Stage::Lines(round)
            }
            Stage::Lines(round) if round + 1 < REFINEMENTS => self.ask_middles(round + 1),
            Stage::Lines(_) | Stage::Sweeps => {
                let sweeps = self.sweeps();
                self.ask(sweeps);
                Stage::Sweeps
            }
        }
    }

    fn ask_middles(&mut self, round: u32) -> Stage {
        let of = |axes: &Axes| axes.gaps().into_iter().map(|gap| axes.on_edge(gap, gap.middle())).collect::<Vec<_>>();
        let middles: Vec<Operation> = self.families.values().flat_map(of).collect();
        self.ask(middles);
        Stage::Middles(round)
    }

    /// The slowest families at their largest widths, a quad apart.
    fn sweeps(&self) -> Vec<Operation> {
        let wide = |axes: &&Axes| {
            matches!(axes.largest.kind, OperationKind::Conv | OperationKind::Depthwise)
                && axes.sweep().len() >= LEAST_WIDTHS
        };
        let mut slowest: Vec<&Axes> = self.families.values().filter(wide).collect();
        slowest.sort_by(|a, b| self.answers[&b.largest()].ms.median.total_cmp(&self.answers[&a.largest()].ms.median));
        slowest.into_iter().take(SWEEPS).flat_map(Axes::sweep).collect()
    }
}

impl Axes {
    /// The operation at these widths.
    fn at(&self, input: u32, output: u32) -> Operation {
        let input = if is_square(self.largest.kind) { output } else { input };
        Operation { input, output, ..self.largest }
    }

    fn largest(&self) -> Operation {
        self.at(self.largest.input, self.largest.output)
    }

    fn grid(&self) -> Vec<Operation> {
        let inputs = if self.inputs.is_empty() { &[0][..] } else { self.inputs.as_slice() };
        self.outputs.iter().flat_map(|output| inputs.iter().map(move |input| self.at(*input, *output))).collect()
    }

    /// The operation at a width on the axis of `gap`, the other width at its largest.
    fn on_edge(&self, gap: Gap, width: u32) -> Operation {
        match gap.is_input {
            true => self.at(width, self.largest.output),
            false => self.at(self.largest.input, width),
        }
    }

    /// Gaps that something lies between and of which nothing is known.
    fn gaps(&self) -> Vec<Gap> {
        let of = |widths: &[u32], is_input: bool| -> Vec<Gap> {
            widths.windows(2).map(|pair| Gap { is_input, low: pair[0], high: pair[1] }).collect()
        };
        let all = [of(&self.outputs, false), of(&self.inputs, true)].concat();
        let open = |gap: &Gap| (gap.low + 1..gap.high).contains(&gap.middle()) && !self.smooth.contains(gap);
        all.into_iter().filter(open).collect()
    }

    /// Takes the middles that the lines between their neighbours miss.
    fn refine(&mut self, answers: &HashMap<Operation, Entry>) {
        for gap in self.gaps() {
            let [low, middle, high] =
                [gap.low, gap.middle(), gap.high].map(|width| answers[&self.on_edge(gap, width)].ms);
            let share = f64::from(gap.middle() - gap.low) / f64::from(gap.high - gap.low);
            if misses(low, middle, high, share) {
                let widths = if gap.is_input { &mut self.inputs } else { &mut self.outputs };
                widths.push(gap.middle());
                widths.sort_unstable();
            } else {
                self.smooth.insert(gap);
            }
        }
    }

    /// Neighbouring widths up to the largest.
    fn sweep(&self) -> Vec<Operation> {
        let high = self.largest.output / GRID;
        let low = self.outputs[0].div_ceil(GRID).max((high + 1).saturating_sub(SWEEP_WIDTHS)).max(1);
        (low..=high).map(|quads| self.at(self.largest.input, quads * GRID)).collect()
    }
}

impl Gap {
    fn middle(self) -> u32 {
        round_up(self.low.midpoint(self.high))
    }
}

/// Whether the line from `low` to `high` misses what lies between them by more than noise.
fn misses(low: Spread, middle: Spread, high: Spread, share: f64) -> bool {
    let error = |ms: Spread, weight: f64| weight * ms.median * ms.median_error();
    let line = low.median + (high.median - low.median) * share;
    let noise = error(middle, 1.0).hypot(error(low, 1.0 - share)).hypot(error(high, share));
    let miss = (middle.median - line).abs();
    miss > NOISE * noise && miss > SMALL_MISS * middle.median
}

/// The operation of every family at its largest widths.
pub(super) fn largest(net: &Supernet) -> Vec<Operation> {
    axes(net).values().map(Axes::largest).collect()
}

/// Every family with three widths an axis: what is linear in each width needs no more.
fn axes(net: &Supernet) -> BTreeMap<Family, Axes> {
    let mut ranges: BTreeMap<Family, [Operation; 2]> = BTreeMap::new();
    for arch in extremes(net) {
        for operation in net.operations(&arch) {
            let range = ranges.entry(family(&operation)).or_insert([operation; 2]);
            let merge = |of: fn(u32, u32) -> u32, end: &Operation| Operation {
                input: of(end.input, operation.input),
                output: of(end.output, operation.output),
                bypass: end.bypass.max(operation.bypass),
                ..*end
            };
            *range = [merge(u32::min, &range[0]), merge(u32::max, &range[1])];
        }
    }
    let axes = |[smallest, mut largest]: [Operation; 2]| {
        if largest.shortcut == Shortcut::None {
            largest.bypass = 0;
        }
        let square = is_square(largest.kind);
        let inputs = if square { Vec::new() } else { points(smallest.input, largest.input) };
        Axes { largest, inputs, outputs: points(smallest.output, largest.output), smooth: BTreeSet::new() }
    };
    ranges.into_iter().map(|(family, range)| (family, axes(range))).collect()
}

/// Architectures whose operations span the space: every kernel size, widths at both ends.
fn extremes(net: &Supernet) -> Vec<Arch> {
    let pick = |widths: fn(&[u32]) -> u32, kernel: usize| {
        let values = net
            .coordinates()
            .iter()
            .map(|c| match c.axis {
                Axis::Kernel => c.choices[kernel.min(c.choices.len() - 1)],
                Axis::Filters | Axis::Expansion => widths(&c.choices),
            })
            .collect();
        net.arch(values).expect("a choice of every coordinate is an architecture")
    };
    // The smallest width that keeps a layer: a removed one has no operations.
    let narrow = |choices: &[u32]| *choices.iter().find(|c| **c > 0).expect("a layer can be kept");
    let wide = |choices: &[u32]| *choices.last().expect("a coordinate has choices");
    let kernels =
        net.coordinates().iter().filter(|c| c.axis == Axis::Kernel).map(|c| c.choices.len()).max().unwrap_or(1);
    (0..kernels).flat_map(|kernel| [pick(narrow, kernel), pick(wide, kernel)]).collect()
}

/// `low`, what lies midway, and `high`, as far as they differ.
fn points(low: u32, high: u32) -> Vec<u32> {
    let mut points = vec![low, round_up(low.midpoint(high)).min(high), high];
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Table;
    use crate::latency::table::tests::origin;
    use crate::rng::{Purpose, stream};
    use crate::space::{Space, WidthSampler};
    use rand::RngExt;

    fn net() -> Supernet {
        Space::open("tiny").expect("a preset").supernet(28, 1, 10)
    }

    /// All questions, answered by `ms` with noise of this share.
    fn ask(noise: f64, ms: impl Fn(&Operation) -> f64) -> (Vec<Operation>, Table) {
        let mut rng = stream(1, Purpose::Data, 0, 0);
        let (mut questions, mut asked) = (Questions::new(&net()), Vec::new());
        while let Some(operation) = questions.next() {
            let mut noisy = || ms(&operation) * (1.0 + noise * (2.0 * rng.random::<f64>() - 1.0));
            questions.add(Entry::new(operation, Spread::of(&(0..9).map(|_| noisy()).collect::<Vec<_>>())));
            asked.push(operation);
        }
        assert_eq!(questions.len(), asked.len());
        (asked, Table::new(origin(), questions.finish()))
    }

    fn smooth(operation: &Operation) -> f64 {
        0.01 + 1e-4 * f64::from(operation.output) + 2e-5 * f64::from(operation.input)
    }

    /// Rises by blocks of 32 channels out.
    fn stairs(operation: &Operation) -> f64 {
        0.01 + 1e-3 * f64::from(operation.output.next_multiple_of(32))
    }

    #[test]
    fn nothing_is_asked_twice_and_the_reference_first() {
        for ms in [smooth, stairs] {
            let (questions, table) = ask(0.01, ms);
            let distinct: BTreeSet<&Operation> = questions.iter().collect();
            assert_eq!(distinct.len(), questions.len());
            assert_eq!(questions[0], REFERENCE);
            assert!(questions.iter().all(|operation| table.entry(operation).is_some()));
            assert_eq!(table.entries.len() + table.beside.len(), questions.len());
        }
    }

    #[test]
    fn a_grid_is_refined_where_the_curve_is_not_smooth_and_only_there() {
        let (_, even) = ask(0.02, smooth);
        let (_, exact) = ask(0.0, smooth);
        assert_eq!(even.entries.len(), exact.entries.len(), "noise refines nothing");
        let mut coarse = Questions::new(&net());
        coarse.stage = Stage::Sweeps;
        assert_eq!(exact.entries.len(), coarse.len() - 1, "all but the reference");
        let (questions, stepped) = ask(0.02, stairs);
        assert!(stepped.entries.len() > exact.entries.len(), "{}", stepped.entries.len());
        assert!(questions.len() < 4 * coarse.len(), "{}", questions.len());
    }

    #[test]
    fn a_refined_grid_predicts_a_bend_better() {
        let net = net();
        // Flat as long as the device is not full.
        let bend = |operation: &Operation| 0.01 + 1e-3 * f64::from(operation.output.max(40));
        let (_, fine) = ask(0.0, bend);
        let mut questions = Questions::new(&net);
        questions.stage = Stage::Sweeps;
        while let Some(operation) = questions.next() {
            questions.add(Entry::new(operation, Spread::of(&[bend(&operation)])));
        }
        let coarse = Table::new(origin(), questions.finish());
        let error = |table: &Table| {
            let errors = WidthSampler::uniform(0).draw(&net, 0, 100).into_iter().map(|arch| {
                let exact: f64 = net.operations(&arch).iter().map(bend).sum();
                (table.network_ms(&net, &arch).expect("a prediction") / exact - 1.0).abs()
            });
            Spread::of(&errors.collect::<Vec<_>>()).median
        };
        assert!(error(&fine) < 0.5 * error(&coarse), "{} and {}", error(&fine), error(&coarse));
    }

    #[test]
    fn the_slowest_wide_operations_show_the_step() {
        let (_, table) = ask(0.01, stairs);
        for sweep in table.sweeps().iter().take(SWEEPS) {
            assert!(sweep.points.len() >= 16 && sweep.staircase.step == 32, "{sweep:?}");
        }
        assert_eq!(table.width_step(), 32);
        let (_, table) = ask(0.01, smooth);
        assert!(table.sweeps().len() >= SWEEPS);
        assert_eq!(table.width_step(), GRID);
    }
}
