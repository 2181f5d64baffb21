//! Operations on a grid of widths, interpolated between.
//!
//! Operations that differ in their widths only are a family; each is timed at five widths an axis,
//! from the smallest to the largest that the space can ask for.

use super::measure::{empty_submit, quick};
use super::operation::operation_program;
use super::origin::Origin;
use super::stats::Spread;
use crate::gpu::{Gpu, GpuError};
use crate::kernels::Tuning;
use crate::space::{Arch, Axis, Operation, OperationKind, Shortcut, Supernet, round_up};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Operations that differ in their widths only: the operation with its widths set to 0.
pub type Family = Operation;

/// One timed operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The operation.
    pub operation: Operation,
    /// Milliseconds of one run, the launch included.
    pub ms: Spread,
}

impl Entry {
    /// Whether a clock can have shown it.
    pub fn is_possible(&self) -> bool {
        let Spread { median, p90, mad, .. } = self.ms;
        median > 0.0 && [median, p90, mad].iter().all(|ms| ms.is_finite() && *ms >= 0.0)
    }
}

/// The latency of every operation that a space can ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What was measured, and with what.
    pub origin: Origin,
    /// What was timed.
    pub entries: Vec<Entry>,
    #[serde(skip)]
    families: BTreeMap<Family, Grid>,
}

/// Milliseconds at (input, output) widths.
#[derive(Clone, Debug, Default, PartialEq)]
struct Grid {
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    ms: BTreeMap<(u32, u32), f64>,
}

/// Copies of an operation in one program, so that a submit's cost is small beside them.
const COPIES: u32 = 16;

/// Builds a table, one entry at a time.
pub struct TableBuilder {
    gpu: Gpu,
    origin: Origin,
    empty_seconds: f64,
    operations: Vec<Operation>,
    entries: Vec<Entry>,
}

impl TableBuilder {
    /// The operations that the networks of `net` can ask for, none timed yet.
    pub fn new(gpu: &Gpu, tuning: &Tuning, net: &Supernet, batch: u32) -> Result<Self, GpuError> {
        Ok(Self {
            gpu: gpu.clone(),
            origin: Origin::new(gpu, tuning, batch),
            empty_seconds: empty_submit(gpu)?,
            operations: grid_operations(net),
            entries: Vec::new(),
        })
    }

    /// The device and the build that it times.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// All operations, in the order in which they get their entries.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Operations to time in all.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to time.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The next operation that has no entry; `None` when all have.
    pub fn next_operation(&self) -> Option<Operation> {
        self.operations.get(self.entries.len()).copied()
    }

    /// Times an operation: milliseconds of one run.
    pub fn time(&self, operation: &Operation) -> Result<Spread, GpuError> {
        let Origin { tuning, batch, .. } = &self.origin;
        let program = operation_program(&self.gpu, tuning, operation, *batch, COPIES)?;
        quick(&program, COPIES, self.empty_seconds)
    }

    /// Adds the entry of the next operation.
    ///
    /// # Panics
    /// When all operations have one.
    pub fn add(&mut self, ms: Spread) {
        let operation = self.next_operation().expect("an operation is left");
        self.entries.push(Entry { operation, ms });
    }

    /// The table, once every operation has an entry.
    pub fn finish(self) -> Table {
        Table::new(self.origin, self.entries)
    }
}

impl Table {
    fn new(origin: Origin, entries: Vec<Entry>) -> Self {
        let mut table = Self { origin, entries, families: BTreeMap::new() };
        table.index();
        table
    }

    /// A table from its file. Times that no operation can have are refused.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut table: Self = serde_json::from_str(text)?;
        if let Some(entry) = table.entries.iter().find(|entry| !entry.is_possible()) {
            let problem = format!("{} takes {} ms, which is no time", entry.operation, entry.ms.median);
            return Err(serde::de::Error::custom(problem));
        }
        table.index();
        Ok(table)
    }

    /// The entry of exactly this operation.
    pub fn entry(&self, operation: &Operation) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.operation == *operation)
    }

    fn index(&mut self) {
        self.families.clear();
        for entry in &self.entries {
            let grid = self.families.entry(family(&entry.operation)).or_default();
            grid.inputs.push(entry.operation.input);
            grid.outputs.push(entry.operation.output);
            grid.ms.insert((entry.operation.input, entry.operation.output), entry.ms.median);
        }
        for grid in self.families.values_mut() {
            grid.inputs.sort_unstable();
            grid.inputs.dedup();
            grid.outputs.sort_unstable();
            grid.outputs.dedup();
        }
    }

    /// Predicted milliseconds of one operation; `None` where the table knows nothing like it.
    pub fn operation_ms(&self, operation: &Operation) -> Option<f64> {
        let grid = self.families.get(&family(operation))?;
        if is_square(operation.kind) {
            let (low, high, share) = bracket(&grid.outputs, operation.output)?;
            let at = |width: u32| grid.ms.get(&(width, width)).copied();
            return Some(lerp(at(low)?, at(high)?, share));
        }
        let (in_low, in_high, in_share) = bracket(&grid.inputs, operation.input)?;
        let (out_low, out_high, out_share) = bracket(&grid.outputs, operation.output)?;
        let at = |input: u32, output: u32| grid.ms.get(&(input, output)).copied();
        let low = lerp(at(in_low, out_low)?, at(in_low, out_high)?, out_share);
        let high = lerp(at(in_high, out_low)?, at(in_high, out_high)?, out_share);
        Some(lerp(low, high, in_share))
    }

    /// Predicted milliseconds of a network: the sum of its operations.
    pub fn network_ms(&self, net: &Supernet, arch: &Arch) -> Option<f64> {
        net.operations(arch).iter().map(|operation| self.operation_ms(operation)).sum()
    }
}

/// Whether input and output have one width.
fn is_square(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Depthwise | OperationKind::Pool | OperationKind::Excite)
}

/// The operation without its widths. A shortcut counts by its kind: it is timed at its full width.
fn family(operation: &Operation) -> Family {
    Operation { input: 0, output: 0, bypass: 0, ..*operation }
}

fn lerp(low: f64, high: f64, share: f64) -> f64 {
    low + (high - low) * share
}

/// The neighbours of `width` in `grid` and its place between them; the ends where it lies outside.
fn bracket(grid: &[u32], width: u32) -> Option<(u32, u32, f64)> {
    let position = grid.partition_point(|point| *point < width);
    let high = *grid.get(position).or(grid.last())?;
    let low = *grid.get(position.saturating_sub(1))?;
    if high <= low || width >= high || position == 0 {
        return Some((high, high, 0.0));
    }
    Some((low, high, f64::from(width - low) / f64::from(high - low)))
}

/// Every family's operations on its grid.
fn grid_operations(net: &Supernet) -> Vec<Operation> {
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
    let mut operations = Vec::new();
    for [smallest, largest] in ranges.into_values() {
        let outputs = points(smallest.output, largest.output);
        for output in outputs {
            if is_square(largest.kind) {
                operations.push(Operation { input: output, output, ..largest });
                continue;
            }
            for input in points(smallest.input, largest.input) {
                operations.push(Operation { input, output, ..largest });
            }
        }
    }
    for operation in &mut operations {
        if operation.shortcut == Shortcut::None {
            operation.bypass = 0;
        }
    }
    operations
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

/// Up to five widths from `low` to `high`, both included.
fn points(low: u32, high: u32) -> Vec<u32> {
    let mut points: Vec<u32> =
        (0..=4).map(|i| if i == 0 { low } else { round_up(low + (high - low) * i / 4).min(high) }).collect();
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Adapter;
    use crate::space::Space;

    /// A table whose entries cost what `ms` says.
    fn table(net: &Supernet, ms: impl Fn(&Operation) -> f64) -> Table {
        let entries = grid_operations(net)
            .into_iter()
            .map(|operation| Entry { operation, ms: Spread::of(&[ms(&operation)]) })
            .collect();
        Table::new(origin(), entries)
    }

    fn origin() -> Origin {
        let adapter = Adapter {
            name: "a".into(),
            driver: "b".into(),
            backend: "vulkan".into(),
            kind: "software".into(),
            pci: (0, 0),
        };
        let tuning = Tuning::for_adapter(&adapter);
        Origin { adapter, version: "0".into(), shaders: "00".into(), tuning, batch: 1 }
    }

    #[test]
    fn another_device_or_build_is_told_by_what_differs() {
        let here = origin();
        assert!(here.differences(&here).is_empty());
        let driver = Adapter { driver: "c".into(), ..here.adapter.clone() };
        let tuning = Tuning { lanes: 16, ..here.tuning };
        let others = [
            (Origin { adapter: driver, ..here.clone() }, "device"),
            (Origin { version: "1".into(), ..here.clone() }, "version"),
            (Origin { shaders: "01".into(), ..here.clone() }, "shaders"),
            (Origin { tuning, ..here.clone() }, "tuning"),
            (Origin { batch: 2, ..here.clone() }, "batch"),
        ];
        for (other, word) in others {
            let differences = other.differences(&here);
            assert!(differences.len() == 1 && differences[0].contains(word), "{word}: {differences:?}");
        }
    }

    #[test]
    fn a_time_that_no_clock_shows_is_refused() {
        let net = Space::open("tiny").unwrap().supernet(28, 1, 10);
        for ms in [0.0, -1.0] {
            let table = table(&net, |_| ms);
            assert!(Table::from_json(&serde_json::to_string(&table).unwrap()).is_err(), "{ms}");
        }
    }

    #[test]
    fn a_cost_linear_in_each_width_is_predicted_exactly_for_any_network() {
        let net = Space::open("mobile").unwrap().supernet(64, 3, 10);
        let cost = |op: &Operation| 1.0 + f64::from(op.output) + 0.5 * f64::from(op.input);
        let table = table(&net, cost);
        let sampler = crate::space::WidthSampler {
            seed: 3,
            distribution: crate::space::WidthDistribution::Uniform,
            full_images: 0,
            images_per_draw: 1,
        };
        for arch in sampler.draw(&net, 0, 50).into_iter().chain([net.full(), net.smallest()]) {
            let want: f64 = net.operations(&arch).iter().map(cost).sum();
            let got = table.network_ms(&net, &arch).unwrap();
            assert!((got - want).abs() < 1e-6 * want, "{got} is not {want}");
        }
    }

    #[test]
    fn widths_between_points_and_outside_of_them() {
        assert_eq!(bracket(&[4, 8, 16], 12), Some((8, 16, 0.5)));
        assert_eq!(bracket(&[4, 8, 16], 8), Some((8, 8, 0.0)));
        assert_eq!(bracket(&[4, 8, 16], 2), Some((4, 4, 0.0)));
        assert_eq!(bracket(&[4, 8, 16], 20), Some((16, 16, 0.0)));
        assert_eq!(bracket(&[], 20), None);
    }

    #[test]
    fn a_table_survives_its_file() {
        let net = Space::open("tiny").unwrap().supernet(28, 1, 10);
        let table = table(&net, |op| f64::from(op.output));
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(Table::from_json(&text).unwrap(), table);
    }
}
