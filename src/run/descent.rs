//! The middle steps of a run: budgets checked, operations timed, the super-network shrunk.

use super::config::StrategyKind;
use super::cost::{LatencyMeter, cost, count};
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::limits::Limits;
use super::networks::Known;
use super::records::{Log, Thoroughness};
use super::result::{Accuracy, InitialNetwork};
use super::scorer::RecordedScorer;
use super::search::Run;
use super::table::own_table;
use crate::latency::{Table, TableBuilder};
use crate::search::{
    Candidate, CoordinateDescent, Extent, Iterate, Observer, Outcome, Problem, Random, Resource, Schedule, Settings,
    Strategy, check_reach,
};
use crate::space::{GRID, WidthStep};

/// A latency budget is searched for this much below it, so that the second measurement keeps it, too.
pub(super) const LATENCY_MARGIN: f64 = 0.985;

impl Run<'_> {
    /// The limits in their resources' units, once they are known to be within reach.
    pub(super) fn check_budgets(&mut self, meter: &LatencyMeter) -> Result<Limits, RunError> {
        let prepared = self.prepared;
        let smallest = prepared.net.smallest();
        let counted = |resource| {
            let [initial, least] = [&prepared.net.full(), &smallest].map(|arch| count(resource, prepared, arch));
            Extent { initial, least }
        };
        let extent = match self.resource() {
            Resource::Latency => {
                Extent { initial: meter.initial().median_ms, least: meter.measure(&smallest, None)?.median_ms }
            }
            resource => counted(resource),
        };
        let goals = &self.config.budgets;
        let main: Vec<f64> = goals.iter().map(|goal| goal.main().resolve(extent.initial)).collect();
        let searched: Vec<f64> = main.iter().map(|limit| limit * self.margin()).collect();
        check_reach(self.schedule(), self.resource(), &searched, extent)?;
        let mut others = Vec::new();
        for (index, budget) in goals[0].others().iter().enumerate() {
            let (resource, extent) = (budget.resource(), counted(budget.resource()));
            let limits: Vec<f64> = goals.iter().map(|goal| goal.others()[index].resolve(extent.initial)).collect();
            check_reach(self.schedule(), resource, &limits, extent)?;
            others.push((resource, limits));
        }
        Ok(Limits { main, others })
    }

    pub(super) fn margin(&self) -> f64 {
        if self.resource() == Resource::Latency { LATENCY_MARGIN } else { 1.0 }
    }

    fn schedule(&self) -> Schedule {
        let search = &self.prepared.space.search;
        Schedule { first_cut: search.first_cut, decay: search.decay }
    }

    /// Times every operation of the space.
    pub(super) fn table(&mut self) -> Result<Table, RunError> {
        let prepared = self.prepared;
        let watch = self.begin(Phase::Table);
        let search = &prepared.space.search;
        let mut builder = TableBuilder::new(
            &prepared.gpu,
            &prepared.tuning,
            &prepared.net,
            search.latency_batch,
            search.latency_tolerance,
        );
        let given = self.config.latency.as_deref().map(|path| own_table(path, builder.origin())).transpose()?;
        let mut done = 0.0;
        while let Some(operation) = builder.next_operation() {
            let entry = self.measurements.operation(&operation, || {
                if let Some(entry) = given.as_ref().and_then(|table| table.entry(&operation)) {
                    return Ok(*entry);
                }
                self.may_stop()?;
                Ok(builder.time(&operation)?)
            })?;
            builder.add(entry);
            done += 1.0;
            self.listener.event(&Event::Progress { done, all: builder.len() as f64 });
        }
        let table = builder.finish();
        let device: String = prepared
            .gpu
            .adapter()
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        self.folder.write_json(&format!("latency/{device}.json"), &table)?;
        self.end(watch)?;
        Ok(table)
    }

    /// Channels that widths are multiples of; says so where the device has decided it.
    pub(super) fn width_step(&mut self, table: &Table) -> u32 {
        if let WidthStep::Channels(step) = self.prepared.space.search.width_step {
            return step;
        }
        let (table, device) = match (self.resource(), &self.prepared.target) {
            (Resource::Latency, _) => (table, "this device"),
            (Resource::Target, Some(target)) => (&target.table, "the target"),
            _ => return GRID,
        };
        let step = table.width_step();
        if step > GRID {
            let text = format!(
                "time rises in steps of {step} channels on {device}: widths are multiples of {step} (search.width_step)"
            );
            self.listener.event(&Event::Note { text });
        }
        step
    }

    /// Searches; returns the initial network's result and the networks found.
    pub(super) fn descend(
        &mut self,
        known: &Known<'_>,
        limits: &Limits,
    ) -> Result<(InitialNetwork, Outcome), RunError> {
        let prepared = self.prepared;
        let watch = self.begin(Phase::Search);
        let full = prepared.net.full();
        let accuracy = self.shared_score(known, &full)?.accuracy;
        let initial = InitialNetwork {
            latency_ms: known.meter.initial().median_ms,
            target_ms: self.target_ms(&full),
            macs: prepared.net.macs(&full),
            params: prepared.net.params(&full),
            accuracy: Accuracy { shared: Some(accuracy), holdout: Some(accuracy), ..Accuracy::default() },
        };
        let budgets: Vec<f64> = limits.main.iter().map(|limit| limit * self.margin()).collect();
        let resource = self.resource();
        let initial_cost = match resource {
            Resource::Latency => initial.latency_ms,
            resource => count(resource, prepared, &full),
        };
        let counts = limits.counts(prepared);
        let strategy = self.strategy(initial_cost, &budgets, known.width_step);
        let mut observer = FolderObserver {
            candidates_log: Log::open(self.folder, "candidates.csv", Candidate::header(&prepared.net))?,
            iterates_log: Log::open(self.folder, "iterates.csv", Iterate::header(&prepared.net))?,
            listener: self.listener,
            from: initial_cost,
            to: budgets.iter().copied().fold(f64::MAX, f64::min),
            confirmed_after: (resource == Resource::Latency).then_some(prepared.space.search.confirm_seconds),
            candidates: Vec::new(),
            iterates: Vec::new(),
            fault: None,
        };
        let outcome = strategy.search(Problem {
            net: &prepared.net,
            resource,
            budgets: &budgets,
            caps: &limits.caps(&counts),
            cost: cost(resource, prepared, known).as_mut(),
            scorer: &mut RecordedScorer::new(prepared, known, self.stop, sampled(prepared)),
            observer: &mut observer,
        });
        let FolderObserver { candidates, iterates, fault, .. } = observer;
        self.tell_passes(known);
        if let Some(fault) = fault {
            return Err(fault);
        }
        let outcome = self.unless_stopped(outcome)?;
        (self.report.candidates, self.report.iterates) = (candidates, iterates);
        self.end(watch)?;
        Ok((initial, outcome))
    }

    /// The result of a search; what stopped it, where that was a wish to stop.
    pub(super) fn unless_stopped<T, E: Into<RunError>>(&self, result: Result<T, E>) -> Result<T, RunError> {
        match result {
            Err(_) if self.stop.is_requested() => Err(RunError::stopped(self.folder)),
            other => other.map_err(Into::into),
        }
    }

    fn strategy(&self, initial_cost: f64, budgets: &[f64], width_step: u32) -> Box<dyn Strategy> {
        let search = &self.prepared.space.search;
        let settings = Settings::new(search, self.config.seed, width_step);
        match self.config.strategy {
            StrategyKind::Mcd => Box::new(CoordinateDescent::multi_layer(settings)),
            StrategyKind::Single => Box::new(CoordinateDescent::single_layer(settings)),
            StrategyKind::Random => {
                let iterations = self.schedule().iterations(initial_cost, budgets).unwrap_or(1);
                let samples = iterations * search.samples;
                Box::new(Random { samples, seed: self.config.seed, width_step })
            }
        }
    }
}

/// How thoroughly a sample is scored.
pub(super) fn sampled(prepared: &super::prepare::Prepared) -> Thoroughness {
    let search = &prepared.space.search;
    Thoroughness { recalibration: search.recalibration_images, held_out: search.score_images }
}

/// Writes what the search tells into the run's folder and passes what is new on.
struct FolderObserver<'a> {
    candidates_log: Log<'a>,
    iterates_log: Log<'a>,
    listener: &'a mut dyn Listener,
    from: f64,
    to: f64,
    /// Seconds to a second measurement, where there is one.
    confirmed_after: Option<f64>,
    candidates: Vec<Candidate>,
    iterates: Vec<Iterate>,
    fault: Option<RunError>,
}

impl Observer for FolderObserver<'_> {
    fn sample(&mut self, candidate: &Candidate) {
        match self.candidates_log.tell(&candidate.row()) {
            Ok(true) => self.listener.event(&Event::Sample(candidate.clone())),
            Ok(false) => {}
            Err(error) => drop(self.fault.get_or_insert(error.into())),
        }
        self.candidates.push(candidate.clone());
    }

    fn iterate(&mut self, iterate: &Iterate) {
        match self.iterates_log.tell(&iterate.row()) {
            Ok(true) => self.listener.event(&Event::Iterate(iterate.clone())),
            Ok(false) => {}
            Err(error) => drop(self.fault.get_or_insert(error.into())),
        }
        self.iterates.push(iterate.clone());
        self.progress(iterate.measured);
    }

    fn confirming(&mut self) {
        if let Some(seconds) = self.confirmed_after {
            let text = format!("within every budget; measured once more after {seconds:.0} s, since devices drift");
            self.listener.event(&Event::Note { text });
        }
    }

    fn not_confirmed(&mut self, iterate: &Iterate, now: f64) {
        let text = format!(
            "the network of iteration {} measured {:.3} ms and measures {now:.3} ms now, which is over its budget: the \
             search goes on from it",
            iterate.iteration, iterate.measured
        );
        self.listener.event(&Event::Note { text });
    }
}

impl FolderObserver<'_> {
    fn progress(&mut self, measured: f64) {
        // The way to the budget is the measure of what is done: cuts shrink only slowly.
        let done = (self.from - measured).max(0.0).min(self.from - self.to);
        self.listener.event(&Event::Progress { done, all: (self.from - self.to).max(f64::MIN_POSITIVE) });
    }
}
