//! Operations on a grid of widths, interpolated between.
//!
//! Operations that differ in their widths only are a family; each is timed on a grid of widths, from the smallest to
//! the largest that the space can ask for.

use super::agreement::Correction;
use super::origin::Origin;
use super::questions::{REFERENCE, largest};
use super::staircase::{Curve, Sweep, width_step};
use super::stats::Spread;
use super::transfer::Fitted;
use crate::space::{Arch, Operation, OperationKind, Supernet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Two clocks that differ by less agree, as a share.
const CLOCKS_AGREE: f64 = 0.05;

/// Operations that differ in their widths only: the operation with its widths set to 0.
pub type Family = Operation;

/// One timed operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The operation.
    pub operation: Operation,
    /// Milliseconds of one run by the wall clock, the launch included.
    pub ms: Spread,
    /// What the device's own clock says, as a share of it; none where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<f64>,
}

impl Entry {
    /// What only the wall clock was asked for.
    pub fn new(operation: Operation, ms: Spread) -> Self {
        Self { operation, ms, timestamps: None }
    }

    /// Whether a clock can have shown it.
    pub fn is_possible(&self) -> bool {
        let Spread { median, p90, mad, .. } = self.ms;
        median > 0.0 && [median, p90, mad].iter().all(|ms| ms.is_finite() && *ms >= 0.0)
    }
}

/// A whole network that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WholeNetwork {
    /// Values of its coordinates.
    pub network: Vec<u32>,
    /// Milliseconds of one run.
    pub ms: f64,
}

impl WholeNetwork {
    /// Whether a clock can have shown it.
    pub fn is_possible(&self) -> bool {
        self.ms.is_finite() && self.ms > 0.0
    }
}

/// The latency of every operation that a space can ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What was measured, and with what.
    pub origin: Origin,
    /// What was timed on the grids of widths.
    pub entries: Vec<Entry>,
    /// What was timed beside them: the reference, widths that a grid can do without, neighbouring widths.
    #[serde(default)]
    pub beside: Vec<Entry>,
    /// Whole networks, which correct sums of operations.
    #[serde(default)]
    pub networks: Vec<WholeNetwork>,
    /// Where it was fitted to another device by networks, and its entries were not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<Fitted>,
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

impl Table {
    /// A table of entries on grids, and others beside them.
    pub(super) fn new(origin: Origin, [entries, beside]: [Vec<Entry>; 2]) -> Self {
        let (networks, fitted, families) = (Vec::new(), None, BTreeMap::new());
        let mut table = Self { origin, entries, beside, networks, fitted, families };
        table.index();
        table
    }

    /// A table from its file. Times that no operation can have are refused.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut table: Self = serde_json::from_str(text)?;
        if let Some(entry) = table.all().find(|entry| !entry.is_possible()) {
            let problem = format!("{} takes {} ms, which is no time", entry.operation, entry.ms.median);
            return Err(serde::de::Error::custom(problem));
        }
        if let Some(network) = table.networks.iter().find(|network| !network.is_possible()) {
            let problem = format!("network {:?} takes {} ms, which is no time", network.network, network.ms);
            return Err(serde::de::Error::custom(problem));
        }
        table.index();
        Ok(table)
    }

    /// The entry of exactly this operation.
    pub fn entry(&self, operation: &Operation) -> Option<&Entry> {
        self.all().find(|entry| entry.operation == *operation)
    }

    /// All entries.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.beside)
    }

    /// What the device's own clock says, as a median share of the wall clock's times; none where it says nothing.
    pub fn timestamps(&self) -> Option<f64> {
        let shares: Vec<f64> = self.all().filter_map(|entry| entry.timestamps).collect();
        (!shares.is_empty()).then(|| Spread::of(&shares).median)
    }

    /// Which clock the times are of, and why: the wall's, which works with every driver and is what an application waits
    /// for. The device's own is beside it.
    pub fn clock(&self) -> String {
        if let Some(Fitted { from, networks, .. }) = &self.fitted {
            return format!("times are not measured but fitted: those of {from}, by {networks} networks measured here");
        }
        let Some(share) = self.timestamps() else {
            return "times are the wall clock's: the device has no clock of its own that tells".into();
        };
        let percent = 100.0 * share;
        if (share - 1.0).abs() <= CLOCKS_AGREE {
            return format!("times are the wall clock's; the device's own clock says {percent:.0} % of them");
        }
        format!(
            "times are the wall clock's, since that is what an application waits for; the device's own clock disagrees: it \
             says {percent:.0} % of them"
        )
    }

    /// Every family of the space at its largest number of channels in, the slowest first.
    pub fn curves(&self) -> Vec<Curve> {
        let mut families: BTreeMap<Family, BTreeMap<(u32, u32), &Entry>> = BTreeMap::new();
        for entry in self.all().filter(|entry| entry.operation != REFERENCE) {
            let Operation { input, output, kind, .. } = entry.operation;
            let input = if is_square(kind) { 0 } else { input };
            families.entry(family(&entry.operation)).or_default().insert((input, output), entry);
        }
        let curve = |entries: BTreeMap<(u32, u32), &Entry>| {
            let ((largest, _), widest) = entries.last_key_value()?;
            let of_largest = entries.range((*largest, 0)..).map(|((_, output), entry)| (*output, entry.ms));
            Some(Curve { operation: widest.operation, points: of_largest.collect() })
        };
        let mut curves: Vec<Curve> = families.into_values().filter_map(curve).collect();
        let slowest = |curve: &Curve| curve.points.last().map_or(0.0, |(_, ms)| ms.median);
        curves.sort_by(|a, b| slowest(b).total_cmp(&slowest(a)));
        curves
    }

    /// The operations that were timed at neighbouring widths, the slowest first.
    pub fn sweeps(&self) -> Vec<Sweep> {
        self.curves().iter().filter_map(Sweep::of).collect()
    }

    /// The width step of the device: channels from one rise of the time to the next, a quad where there are none.
    pub fn width_step(&self) -> u32 {
        width_step(&self.sweeps())
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

    /// What its whole networks show beside the sums of their operations; nothing where it has none of `net`.
    pub fn correction(&self, net: &Supernet) -> Correction {
        let whole = |whole: &WholeNetwork| {
            let arch = net.arch(whole.network.clone())?;
            Some((self.network_ms(net, &arch)?, net.operations(&arch).len(), whole.ms))
        };
        Correction::fit(&self.networks.iter().filter_map(whole).collect::<Vec<_>>()).unwrap_or(Correction::NONE)
    }

    /// An operation that networks of `net` can ask for and of which it knows nothing, or nothing at that width; `None`
    /// where it knows all. Past the last width that was timed a prediction is that width's.
    pub fn lacks(&self, net: &Supernet) -> Option<Operation> {
        let past = |grid: &[u32], width: u32| grid.last().is_some_and(|last| width > *last);
        let is_wider = |operation: &Operation| {
            self.families.get(&family(operation)).is_some_and(|grid| {
                past(&grid.outputs, operation.output)
                    || !is_square(operation.kind) && past(&grid.inputs, operation.input)
            })
        };
        largest(net).into_iter().find(|operation| self.operation_ms(operation).is_none() || is_wider(operation))
    }

    /// The table of another device by a map of this one, which networks measured there have shown.
    pub fn transferred(&self, origin: Origin, networks: Vec<WholeNetwork>, fitted: Fitted) -> Self {
        // What later entries are timed in turn with has to be timed itself.
        let others = |entry: &&Entry| entry.operation != REFERENCE;
        let mapped =
            |entries: &[Entry]| entries.iter().filter(others).map(|entry| fitted.transfer.entry(entry)).collect();
        let table = Self::new(origin, [mapped(&self.entries), mapped(&self.beside)]);
        Self { networks, fitted: Some(fitted), ..table }
    }

    /// Predicted milliseconds of a network: the sum of its operations, corrected.
    pub fn corrected_ms(&self, correction: &Correction, net: &Supernet, arch: &Arch) -> Option<f64> {
        Some(correction.predict(self.network_ms(net, arch)?, net.operations(arch).len()))
    }

    /// Predicted milliseconds of a network: the sum of its operations.
    pub fn network_ms(&self, net: &Supernet, arch: &Arch) -> Option<f64> {
        net.operations(arch).iter().map(|operation| self.operation_ms(operation)).sum()
    }
}

/// Whether input and output have one width.
pub(super) fn is_square(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Depthwise | OperationKind::Pool | OperationKind::Excite)
}

/// The operation without its widths. A shortcut counts by its kind: it is timed at its full width.
pub(super) fn family(operation: &Operation) -> Family {
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

#[cfg(test)]
pub(super) mod tests {
    use super::super::questions::Questions;
    use super::*;
    use crate::gpu::Adapter;
    use crate::kernels::Tuning;
    use crate::space::Space;

    /// A table whose entries cost what `ms` says.
    pub(in crate::latency) fn table(net: &Supernet, ms: impl Fn(&Operation) -> f64) -> Table {
        let mut questions = Questions::new(net);
        while let Some(operation) = questions.next() {
            questions.add(Entry::new(operation, Spread::of(&[ms(&operation)])));
        }
        Table::new(origin(), questions.finish())
    }

    pub(in crate::latency) fn origin() -> Origin {
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
    fn wider_layers_than_were_timed_are_lacking() {
        let net = |classes: u32| Space::open("tiny").unwrap().supernet(28, 1, classes);
        let table = table(&net(10), |_| 1.0);
        assert_eq!(table.lacks(&net(10)), None);
        assert_eq!(table.lacks(&net(4)), None);
        assert_eq!(table.lacks(&net(20)).map(|lacking| lacking.output), Some(20));
        // Nor is a corner of a grid known by the others.
        let corner = largest(&net(10))[0];
        let others = table.entries.iter().filter(|entry| entry.operation != corner).cloned().collect();
        assert_eq!(Table::new(origin(), [others, Vec::new()]).lacks(&net(10)), Some(corner));
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
