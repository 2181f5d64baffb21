//! The last steps of a run: the networks found and what they are compared with, trained and measured.

use super::config::Comparison;
use super::cost::{LatencyMeter, cost, count};
use super::descent::sampled;
use super::error::RunError;
use super::events::{Event, Phase};
use super::initial::Untrained;
use super::intervals::{interval, paired};
use super::limits::Limits;
use super::page;
use super::prepare::Prepared;
use super::records::{Scores, Thoroughness};
use super::result::{Accuracy, ClassAccuracy, ComparedNetwork, FoundNetwork, ResultBudget, ResultLimit};
use super::scorer::{Passes, RecordedScorer};
use super::search::Run;
use super::training::{REPORT_RECALIBRATION, Trained};
use crate::graph::Weights;
use crate::latency::{Measurement, Table};
use crate::search::{Budget, Found, Problem, Random, Resource, Score, Scorer, SearchError, Strategy, Uniform, uniform};
use crate::space::Arch;
use crate::task::{Recall, balanced_accuracy, recalls};
use crate::train::Evaluation;

/// What the run knows by the time that it searches.
pub(super) struct Known<'a> {
    pub(super) meter: &'a LatencyMeter<'a>,
    pub(super) table: &'a Table,
    pub(super) untrained: &'a Untrained,
    pub(super) shared: &'a Weights,
    pub(super) scores: &'a Scores<'a>,
    pub(super) passes: &'a Passes,
    /// Channels that widths are multiples of.
    pub(super) width_step: u32,
    /// Weights at full widths of what teaches the final trainings, if anything does.
    pub(super) teacher: Option<&'a Weights>,
}

impl Known<'_> {
    /// Milliseconds that the table gives a network: the sum of its operations.
    pub(super) fn sum_ms(&self, prepared: &Prepared, arch: &Arch) -> f64 {
        self.table.network_ms(&prepared.net, arch).expect("the table has every operation of its space")
    }

    /// What the initial network measured over its sum.
    fn correction(&self, prepared: &Prepared) -> f64 {
        self.meter.initial().median_ms / self.sum_ms(prepared, &prepared.net.full())
    }

    /// What a network is predicted to measure.
    pub(super) fn predicted_ms(&self, prepared: &Prepared, arch: &Arch) -> f64 {
        self.sum_ms(prepared, arch) * self.correction(prepared)
    }
}

/// What a comparison is made for.
pub(super) struct Rival<'a> {
    /// The found network.
    pub(super) index: usize,
    /// Its measured cost.
    pub(super) limit: f64,
    /// Candidates that the search scored on the way to it.
    pub(super) scored: u32,
    /// The budgets.
    pub(super) limits: &'a Limits,
}

fn hits(evaluation: &Evaluation, labels: &[u32]) -> Vec<bool> {
    evaluation.predicted.iter().zip(labels).map(|(a, b)| a == b).collect()
}

/// Balanced accuracy and the accuracy of each class, on the test images.
fn classwise(prepared: &Prepared, trained: &Trained) -> (Option<f64>, Vec<ClassAccuracy>) {
    let names = &prepared.dataset.classes;
    let recalls = recalls(&trained.test.predicted, prepared.test.labels(), names.len());
    let of_class = |(name, recall): (&String, &Recall)| ClassAccuracy {
        name: name.clone(),
        images: recall.images,
        accuracy: recall.share(),
    };
    (balanced_accuracy(&recalls), names.iter().zip(&recalls).map(of_class).collect())
}

impl Run<'_> {
    /// Tells what scoring had to remark.
    pub(super) fn tell_passes(&mut self, known: &Known<'_>) {
        for text in known.passes.take_notes() {
            self.listener.event(&Event::Note { text });
        }
    }

    /// Scores on all held-out images after a thorough recalibration.
    pub(super) fn shared_score(&mut self, known: &Known<'_>, arch: &Arch) -> Result<Score, RunError> {
        let held_out = self.prepared.holdout.len() as u32;
        let on = Thoroughness { recalibration: REPORT_RECALIBRATION, held_out };
        let scores = RecordedScorer::new(self.prepared, known, self.stop, on).score(std::slice::from_ref(arch));
        self.tell_passes(known);
        Ok(self.unless_stopped(scores.map_err(RunError::Other))?[0])
    }

    /// Trains the network of one budget and measures it again.
    pub(super) fn found(
        &mut self,
        index: usize,
        found: &Found,
        known: &Known<'_>,
    ) -> Result<(FoundNetwork, Trained), RunError> {
        let prepared = self.prepared;
        let budget = &self.config.budgets[index];
        let mut watch = self.begin(Phase::Final(budget.to_string()));
        let shared_score = self.shared_score(known, &found.arch)?;
        let name = format!("network-{index}");
        let (weights, trained) = self.train_compact(&name, &found.arch, known, &mut watch)?;
        let path = format!("networks/{index}");
        self.save(&path, &found.arch, &weights)?;
        let limit = found.budget / self.margin();
        let (measured, predicted_ms) = self.measured(known, &name, &found.arch)?;
        // The worse of two: both are within a latency budget.
        let latency = measured.iter().copied().max_by(|a, b| a.median_ms.total_cmp(&b.median_ms));
        let latency = latency.expect("it was measured");
        let (balanced, classes) = classwise(prepared, &trained);
        let network = FoundNetwork {
            budget: ResultBudget {
                text: budget.to_string(),
                resource: self.resource().to_string(),
                limit,
                latency_ms: (self.resource() == Resource::Latency).then_some(limit),
                others: self.others(index, &found.arch),
            },
            latency_ms: latency.median_ms,
            latency_p90_ms: latency.p90_ms,
            measured_ms: measured.iter().map(|latency| latency.median_ms).collect(),
            predicted_ms,
            macs: prepared.net.macs(&found.arch),
            params: prepared.net.params(&found.arch),
            weight_bytes: prepared.net.weight_bytes(&found.arch),
            activation_bytes: count(Resource::Memory, prepared, &found.arch) as u64,
            target_ms: self.target_ms(&found.arch),
            accuracy: Accuracy {
                shared: Some(shared_score.accuracy),
                holdout: Some(trained.holdout.accuracy),
                test: Some(trained.test.accuracy),
                balanced,
            },
            classes,
            shared_loss: shared_score.loss,
            interval: interval(trained.test.accuracy, prepared.test.len()),
            path: path.clone(),
        };
        let layers = page::layer_bars(prepared, known.table, known.correction(prepared), &found.arch);
        let summary = page::network_summary(prepared, &network, layers, &trained.test);
        self.folder.write_json(
            &format!("{path}/metrics.json"),
            &serde_json::json!({
                "network": network,
                "classes": prepared.dataset.classes,
                "confusion": summary.confusion,
                "layers": summary.layers,
            }),
        )?;
        self.report.networks.push(summary);
        self.end(watch)?;
        Ok((network, trained))
    }

    /// What is limited beside the main resource, and what a network has of it.
    fn others(&self, index: usize, arch: &Arch) -> Vec<ResultLimit> {
        let of = |resource: Resource, arch: &Arch| count(resource, self.prepared, arch);
        let full = self.prepared.net.full();
        let other = |budget: &Budget| ResultLimit {
            resource: budget.resource().to_string(),
            limit: budget.resolve(of(budget.resource(), &full)),
            value: of(budget.resource(), arch),
        };
        self.config.budgets[index].others().iter().map(other).collect()
    }

    /// The measurements of a found network that its result is about, with the prediction: the two that have confirmed
    /// a latency budget, or one that is made now where latency is not limited.
    fn measured(&mut self, known: &Known<'_>, name: &str, arch: &Arch) -> Result<(Vec<Measurement>, f64), RunError> {
        if self.resource() == Resource::Latency
            && let Some(two) = known.meter.last_two(arch)
        {
            for latency in two {
                self.listener.event(&Event::Measured { network: name.to_owned(), latency });
            }
            return Ok((two.to_vec(), known.predicted_ms(self.prepared, arch)));
        }
        let (latency, predicted) = self.measure(known, name, arch)?;
        Ok((vec![latency], predicted))
    }

    /// Measures a network whole; also the table's prediction, corrected by the initial network.
    fn measure(&mut self, known: &Known<'_>, name: &str, arch: &Arch) -> Result<(Measurement, f64), RunError> {
        let predicted = known.predicted_ms(self.prepared, arch);
        let latency = known.meter.measure(arch, Some(predicted))?;
        self.listener.event(&Event::Measured { network: name.to_owned(), latency });
        Ok((latency, predicted))
    }

    /// Trains what a search has to beat; `None` where the space has no such network at that cost.
    pub(super) fn compared(
        &mut self,
        comparison: Comparison,
        rival: Rival<'_>,
        own: &Trained,
        known: &Known<'_>,
    ) -> Result<Option<ComparedNetwork>, RunError> {
        let prepared = self.prepared;
        let name = comparison.name();
        let mut watch = self.begin(Phase::Compare(name.to_owned()));
        let arch = match comparison {
            Comparison::Initial => Some(prepared.net.full()),
            Comparison::Uniform => {
                let counts = rival.limits.counts(prepared);
                let space = Uniform {
                    net: &prepared.net,
                    resource: self.resource(),
                    width_step: known.width_step,
                    ceilings: &rival.limits.ceilings(&counts, rival.index),
                };
                let scaled = uniform(space, cost(self.resource(), prepared, known).as_mut(), rival.limit);
                self.unless_stopped(scaled)?.map(|scaled| scaled.arch)
            }
            Comparison::Random => self.best_random(&rival, known)?,
        };
        let Some(arch) = arch else {
            let what = match comparison {
                Comparison::Random => "random network",
                _ => "network with all widths scaled alike",
            };
            let text = format!("no {what} measures as little: {name} is left out of the comparison");
            self.listener.event(&Event::Note { text });
            return Ok(None);
        };
        // The same network for every budget: what was trained of it is found again.
        let label = match comparison {
            Comparison::Initial => name.to_owned(),
            Comparison::Uniform | Comparison::Random => format!("{name}-{}", rival.index),
        };
        let score = self.shared_score(known, &arch)?;
        let (weights, trained) = self.train_compact(&label, &arch, known, &mut watch)?;
        self.save(&format!("networks/{label}"), &arch, &weights)?;
        let (latency, _) = self.measure(known, &label, &arch)?;
        let [mine, theirs] = [own, &trained].map(|trained| hits(&trained.test, prepared.test.labels()));
        let (balanced, classes) = classwise(prepared, &trained);
        let compared = ComparedNetwork {
            name: name.to_owned(),
            network: rival.index,
            latency_ms: latency.median_ms,
            macs: prepared.net.macs(&trained.arch),
            params: prepared.net.params(&trained.arch),
            weight_bytes: prepared.net.weight_bytes(&trained.arch),
            activation_bytes: count(Resource::Memory, prepared, &trained.arch) as u64,
            target_ms: self.target_ms(&trained.arch),
            accuracy: Accuracy {
                shared: Some(score.accuracy),
                holdout: Some(trained.holdout.accuracy),
                test: Some(trained.test.accuracy),
                balanced,
            },
            classes,
            shared_loss: score.loss,
            interval: interval(trained.test.accuracy, mine.len()),
            difference: paired(&mine, &theirs),
        };
        self.end(watch)?;
        Ok(Some(compared))
    }

    /// The best of as many random networks as the search scored, at the same budget; `None` where all measure more.
    fn best_random(&mut self, rival: &Rival<'_>, known: &Known<'_>) -> Result<Option<Arch>, RunError> {
        let prepared = self.prepared;
        let strategy = Random { samples: rival.scored, seed: self.config.seed, width_step: known.width_step };
        let counts = rival.limits.counts(prepared);
        let mut caps = rival.limits.caps(&counts);
        caps.iter_mut().for_each(|cap| cap.limits = vec![cap.limits[rival.index]]);
        let outcome = strategy.search(Problem {
            net: &prepared.net,
            resource: self.resource(),
            budgets: &[rival.limits.main[rival.index] * self.margin()],
            caps: &caps,
            cost: cost(self.resource(), prepared, known).as_mut(),
            scorer: &mut RecordedScorer::new(prepared, known, self.stop, sampled(prepared)),
            observer: &mut (),
        });
        self.tell_passes(known);
        if let Err(SearchError::OutOfReach { .. }) = outcome {
            return Ok(None);
        }
        Ok(self.unless_stopped(outcome)?.networks.into_iter().next().map(|found| found.arch))
    }
}
