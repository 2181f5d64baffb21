//! The table of one device mapped to another by a few networks measured there.
//!
//! Devices differ in how dear kinds of operations are beside each other and in what a launch costs. So a time there is
//! `scale of its kind * time here + a constant of every operation`, fitted to whole networks by least squares of the
//! relative errors, in which a network that was measured while something else ran counts for less (Huber's weights,
//! reweighted some times over; Holland and Welsch 1977). Few networks do not tell the kinds apart for sure: their scales
//! are drawn towards a common one, as strongly as predicts best what is left out (ridge regression, leave-one-out).

use super::agreement::Agreement;
use super::least_squares::{dot, inverse};
use super::stats::Spread;
use super::table::{Entry, Table};
use crate::space::{Arch, Operation, OperationKind, Supernet};
use serde::{Deserialize, Serialize};

/// Networks that a fit takes at most.
pub const MOST_NETWORKS: u32 = 20;
/// Networks that a fit takes at least: as many as it has numbers.
pub const LEAST_NETWORKS: u32 = 5;

/// Kinds of operations that differ in what bounds them: dense 1x1, dense with a kernel, depthwise, and what is left.
const KINDS: usize = 4;
const TERMS: usize = KINDS + 1;
/// How strongly scales are drawn together, as shares of what the networks say; the last leaves one scale.
const RIDGES: [f64; 8] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 1e3];

/// Rounds in which networks are weighted again.
const ROUNDS: usize = 10;
/// Errors of up to so many deviations count in full: of normal errors that wastes one in twenty.
const HUBER: f64 = 1.345;
/// Deviation of the errors that is assumed at least.
const LEAST_DEVIATION: f64 = 1e-3;

/// From the times of one device to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Factors of dense 1x1, dense with a kernel, depthwise and other operations.
    pub scales: [f64; KINDS],
    /// Milliseconds for each operation.
    pub per_operation_ms: f64,
}

/// What a table is that was fitted and not measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// The device whose table it was.
    pub from: String,
    /// Networks that were measured on this one.
    pub networks: usize,
    /// The map.
    pub transfer: Transfer,
    /// Of networks that were left out in turn with their measurements.
    pub agreement: Agreement,
    /// The same of the other device's table times one factor.
    pub plain: Agreement,
}

/// The sums of a network's operations by kind, in ms, and their number.
type Terms = [f64; TERMS];

fn kind(operation: &Operation) -> usize {
    match operation.kind {
        OperationKind::Conv if operation.kernel == 1 => 0,
        OperationKind::Linear => 0,
        OperationKind::Conv => 1,
        OperationKind::Depthwise => 2,
        OperationKind::Pool | OperationKind::Excite => 3,
    }
}

fn terms(table: &Table, net: &Supernet, arch: &Arch) -> Option<Terms> {
    let mut terms = [0.0; TERMS];
    for operation in net.operations(arch) {
        terms[kind(&operation)] += table.operation_ms(&operation)?;
        terms[KINDS] += 1.0;
    }
    Some(terms)
}

impl Transfer {
    /// Fitted to networks with their milliseconds on the other device, and how it agrees with what is left out.
    /// `None` where there are fewer than `LEAST_NETWORKS`, or `table` has not all of their operations.
    pub fn fit(table: &Table, net: &Supernet, networks: &[(Arch, f64)]) -> Option<(Self, [Agreement; 2])> {
        if networks.len() < LEAST_NETWORKS as usize {
            return None;
        }
        let all: Vec<(Terms, f64)> =
            networks.iter().map(|(arch, ms)| Some((terms(table, net, arch)?, *ms))).collect::<Option<_>>()?;
        let left_out = |ridge: f64| -> Option<Vec<(f64, f64)>> {
            let pair = |index: usize| {
                let others: Vec<_> = [&all[..index], &all[index + 1..]].concat();
                Some((Self::robust(&others, ridge)?.of(&all[index].0), all[index].1))
            };
            (0..all.len()).map(pair).collect()
        };
        let error = |pairs: &[(f64, f64)]| -> f64 { pairs.iter().map(|(got, want)| (got / want - 1.0).abs()).sum() };
        let candidates = RIDGES.iter().filter_map(|ridge| Some((*ridge, left_out(*ridge)?)));
        let (ridge, pairs) = candidates.min_by(|(_, a), (_, b)| error(a).total_cmp(&error(b)))?;
        let plain: Vec<(f64, f64)> = all.iter().map(|(terms, ms)| (terms[..KINDS].iter().sum(), *ms)).collect();
        let factor = Spread::of(&plain.iter().map(|(sum, ms)| ms / sum).collect::<Vec<_>>()).median;
        let plain: Vec<(f64, f64)> = plain.into_iter().map(|(sum, ms)| (factor * sum, ms)).collect();
        Some((Self::robust(&all, ridge)?, [Agreement::of(&pairs), Agreement::of(&plain)]))
    }

    /// The fit in which networks far off count for less. `None` as of `ridge`.
    fn robust(networks: &[(Terms, f64)], ridge: f64) -> Option<Self> {
        let mut weights = vec![1.0; networks.len()];
        for _ in 0..ROUNDS {
            let fit = Self::ridge(networks, &weights, ridge)?;
            let errors: Vec<f64> = networks.iter().map(|(terms, ms)| (fit.of(terms) / ms - 1.0).abs()).collect();
            let deviation = (1.4826 * Spread::of(&errors).median).max(LEAST_DEVIATION);
            weights = errors.iter().map(|error| (HUBER * deviation / error).min(1.0)).collect();
        }
        Self::ridge(networks, &weights, ridge)
    }

    /// `None` where the networks have no single solution, or work would cost less than nothing.
    fn ridge(networks: &[(Terms, f64)], weights: &[f64], ridge: f64) -> Option<Self> {
        let relative = |(terms, ms): &(Terms, f64)| terms.map(|term| term / ms);
        let (mut once, mut twice) = (0.0, 0.0);
        let (mut normal, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
        for (network, weight) in networks.iter().zip(weights) {
            let row = relative(network);
            let sum = row[..KINDS].iter().sum::<f64>();
            (once, twice) = (once + weight * sum, twice + weight * sum * sum);
            for (i, a) in row.iter().enumerate() {
                right[i] += weight * a;
                row.iter().enumerate().for_each(|(j, b)| normal[i][j] += weight * a * b);
            }
        }
        let common = once / twice;
        let mean = (0..KINDS).map(|k| normal[k][k]).sum::<f64>() / KINDS as f64;
        for k in 0..KINDS {
            normal[k][k] += ridge * mean;
            right[k] += ridge * mean * common;
        }
        // Counts are large beside sums of milliseconds: one unit for all.
        let unit: [f64; TERMS] = std::array::from_fn(|i| normal[i][i].sqrt());
        for i in 0..TERMS {
            right[i] /= unit[i];
            (0..TERMS).for_each(|j| normal[i][j] /= unit[i] * unit[j]);
        }
        let inverse = inverse(normal)?;
        let solution: Terms = std::array::from_fn(|i| dot(&inverse[i], &right) / unit[i]);
        let (scales, per_operation_ms) = (std::array::from_fn(|k| solution[k]), solution[KINDS]);
        scales.iter().all(|scale: &f64| *scale > 0.0).then_some(Self { scales, per_operation_ms })
    }

    fn of(&self, terms: &Terms) -> f64 {
        let [a, b, c, d] = self.scales;
        dot(&[a, b, c, d, self.per_operation_ms], terms)
    }

    /// The entry on the other device, at least a thousandth of its scaled time.
    pub fn entry(&self, entry: &Entry) -> Entry {
        let scaled = entry.ms.scaled(self.scales[kind(&entry.operation)]);
        let add = self.per_operation_ms.max(-0.999 * scaled.median);
        let ms = Spread { median: scaled.median + add, p90: scaled.p90 + add, ..scaled };
        Entry { ms, timestamps: None, ..*entry }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{origin, table};
    use super::*;
    use crate::rng::{Purpose, stream};
    use crate::space::{Space, WidthSampler};
    use rand::RngExt;

    /// Networks and what they take on a device on which `there` is the time of an operation.
    fn measured(net: &Supernet, count: u32, noise: f64, there: impl Fn(&Operation) -> f64) -> Vec<(Arch, f64)> {
        let mut rng = stream(5, Purpose::Data, 0, 0);
        let archs = WidthSampler::uniform(7).draw(net, 0, count);
        let ms = |arch: &Arch| net.operations(arch).iter().map(&there).sum::<f64>();
        let mut noisy = |ms: f64| ms * (1.0 + noise * (2.0 * rng.random::<f64>() - 1.0));
        archs.into_iter().map(|arch| (arch.clone(), noisy(ms(&arch)))).collect()
    }

    fn here(op: &Operation) -> f64 {
        0.01 + 1e-3 * f64::from(op.output) + 5e-4 * f64::from(op.input)
    }

    /// Depthwise three times as dear, launches free.
    fn there(op: &Operation) -> f64 {
        let factor = if op.kind == OperationKind::Depthwise { 6.0 } else { 2.0 };
        factor * here(op) - 0.005
    }

    #[test]
    fn another_balance_of_kinds_is_learned_from_few_networks() {
        let net = Space::open("mobile").unwrap().supernet(64, 3, 10);
        let table = table(&net, here);
        for noise in [0.0, 0.02] {
            let networks = measured(&net, 60, noise, there);
            let (known, unknown) = networks.split_at(MOST_NETWORKS as usize);
            let (transfer, [left_out, plain]) = Transfer::fit(&table, &net, known).unwrap();
            let fitted = Fitted { from: String::new(), networks: 20, transfer, agreement: left_out, plain };
            let mapped = table.transferred(origin(), Vec::new(), fitted);
            let of = |table: &Table| {
                let pair = |(arch, ms): &(Arch, f64)| (table.network_ms(&net, arch).unwrap(), *ms);
                Agreement::of(&unknown.iter().map(pair).collect::<Vec<_>>())
            };
            assert!(of(&mapped).median_error < 0.01 + noise, "{noise}: {:?}", of(&mapped));
            assert!(of(&mapped).kendall_tau >= of(&table).kendall_tau);
            assert!(left_out.median_error < 0.02 + noise && plain.median_error > left_out.median_error);
        }
    }

    #[test]
    fn networks_that_were_measured_under_load_spoil_nothing() {
        let net = Space::open("mobile").unwrap().supernet(64, 3, 10);
        let table = table(&net, here);
        let networks = measured(&net, 60, 0.02, there);
        let (known, unknown) = networks.split_at(MOST_NETWORKS as usize);
        let mut known = known.to_vec();
        // Every fifth took several times as long.
        known.iter_mut().step_by(5).enumerate().for_each(|(index, (_, ms))| *ms *= 2.0 + index as f64);
        let (transfer, _) = Transfer::fit(&table, &net, &known).unwrap();
        let pair = |(arch, ms): &(Arch, f64)| (transfer.of(&terms(&table, &net, arch).unwrap()), *ms);
        let agreement = Agreement::of(&unknown.iter().map(pair).collect::<Vec<_>>());
        assert!(agreement.median_error < 0.03, "{agreement:?}");
    }

    #[test]
    fn too_few_networks_and_a_table_that_lacks_operations_fit_nothing() {
        let net = Space::open("tiny").unwrap().supernet(28, 1, 10);
        let table = table(&net, here);
        let networks = measured(&net, LEAST_NETWORKS, 0.0, there);
        assert!(Transfer::fit(&table, &net, &networks).is_some());
        assert!(Transfer::fit(&table, &net, &networks[1..]).is_none());
        let less = Table::new(origin(), [table.entries[..2].to_vec(), Vec::new()]);
        assert!(Transfer::fit(&less, &net, &networks).is_none());
    }
}
