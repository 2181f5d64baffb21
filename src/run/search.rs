//! A run from its configuration to its result.

use super::compare::{interval, paired};
use super::config::{Comparison, Config, FinalStart, StrategyKind};
use super::cost::{LatencyCost, LatencyMeter};
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::folder::{Folder, FolderError};
use super::page;
use super::prepare::{Prepared, prepare, space};
use super::result::{Accuracy, ComparedNetwork, FoundNetwork, InitialNetwork, ResultBudget, RunResult, Seconds};
use super::scorer::{SharedScorer, Thoroughness};
use crate::gpu::Gpu;
use crate::graph::{Weights, initial_weights, lower};
use crate::latency::{Measurement, Table, TableBuilder};
use crate::model::{Architecture, to_safetensors};
use crate::report;
use crate::search::{
    Candidate, CoordinateDescent, Cost, Extent, Iterate, Macs, Observer, Outcome, Params, Problem, Random, Resource,
    Schedule, Settings, Strategy, Uniform, check_reach, uniform,
};
use crate::space::{Arch, GRID, WidthSampler};
use crate::train::{Evaluation, Recalibration, TrainError, Trainer, TrainerOptions, evaluate, recalibrated};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Training images that the statistics of a reported or exported network are taken from.
const REPORT_RECALIBRATION: u32 = 1024;
/// A latency budget is searched for this much below it, so that the result's own measurement keeps it.
const LATENCY_MARGIN: f64 = 0.985;

/// Runs a search from a folder of images to networks within their budgets.
///
/// `gpu` is the device to use; where there is none, one is opened as the configuration says.
///
/// # Errors
/// `RunError` names what went wrong; nothing is trained before budget, device and images are known to
/// be good.
pub fn search(config: &Config, gpu: Option<Gpu>, listener: &mut dyn Listener) -> Result<RunResult, RunError> {
    space(config)?;
    Folder::refuse_occupied(&config.out)?;
    let prepared = prepare(config, gpu, listener)?;
    let folder = Folder::create(&config.out)?;
    let mut listener = Journal { folder: &folder, listener, fault: None };
    let mut run = Run {
        config,
        prepared: &prepared,
        folder: &folder,
        listener: &mut listener,
        seconds: Seconds::default(),
        report: report::Input::default(),
    };
    run.describe()?;

    let untrained = initial_weights(&prepared.graph, config.seed);
    let meter = LatencyMeter::new(&prepared, untrained.clone(), &folder)?;
    run.listener.event(&Event::Measured { network: "initial".into(), latency: meter.initial() });
    let limits = run.check_budgets(&meter)?;
    let table = run.table()?;
    let shared = run.supernet(&untrained)?;
    let (initial, outcome, scored) = run.descend(&meter, &table, &shared, &limits)?;

    let mut networks = Vec::new();
    let mut trained = Vec::new();
    for (index, found) in outcome.networks.iter().enumerate() {
        let (network, own) = run.found(index, found, &meter, &table, &shared)?;
        networks.push(network);
        trained.push(own);
    }
    let mut compare = Vec::new();
    for (index, (found, own)) in outcome.networks.iter().zip(&trained).enumerate() {
        for comparison in &config.compare {
            let limit = found.iterate.measured;
            let rivals = Rival { index, limit, scored, budget: limits[index] };
            compare.extend(run.compared(*comparison, rivals, own, &meter, &table, &shared)?);
        }
    }
    let result = RunResult {
        version: 1,
        device: prepared.gpu.adapter().clone(),
        seconds: run.seconds,
        initial,
        networks,
        compare,
    };
    folder.write_json("result.json", &result)?;
    run.write_report(&result)?;
    run.listener.event(&Event::Result(Box::new(result.clone())));
    match listener.fault {
        Some(fault) => Err(fault.into()),
        None => Ok(result),
    }
}

/// Writes every event but progress into the run's folder and passes it on.
struct Journal<'a> {
    folder: &'a Folder,
    listener: &'a mut dyn Listener,
    fault: Option<FolderError>,
}

impl Listener for Journal<'_> {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Progress { .. })
            && let Err(fault) = self.folder.append_json("events.jsonl", event)
        {
            self.fault.get_or_insert(fault);
        }
        self.listener.event(event);
    }
}

/// A run that goes on.
struct Run<'a> {
    config: &'a Config,
    prepared: &'a Prepared,
    folder: &'a Folder,
    listener: &'a mut dyn Listener,
    seconds: Seconds,
    report: report::Input,
}

/// A trained network and how it did on the test images.
struct Trained {
    arch: Arch,
    holdout: Evaluation,
    test: Option<Evaluation>,
}

impl Trained {
    fn hits(evaluation: &Evaluation, labels: &[u32]) -> Vec<bool> {
        evaluation.predicted.iter().zip(labels).map(|(a, b)| a == b).collect()
    }
}

/// What a comparison is made for.
struct Rival {
    /// The found network.
    index: usize,
    /// Its measured cost.
    limit: f64,
    /// Candidates that the search scored.
    scored: u32,
    /// The budget.
    budget: f64,
}

impl Run<'_> {
    fn resource(&self) -> Resource {
        self.config.budgets[0].resource()
    }

    /// Writes `report.html`, and `report.json` that it can be made from again.
    fn write_report(&mut self, result: &RunResult) -> Result<(), RunError> {
        let budgets: Vec<String> = self.config.budgets.iter().map(ToString::to_string).collect();
        let name = self.config.data.file_name().unwrap_or(self.config.data.as_os_str()).to_string_lossy();
        let input = report::Input {
            title: format!("{name} within {}", budgets.join(", ")),
            strategy: match self.config.strategy {
                StrategyKind::Mcd => "multi-layer coordinate descent".into(),
                StrategyKind::Single => "one layer at a time (NetAdapt V1)".into(),
                StrategyKind::Random => "random".into(),
            },
            seed: self.config.seed,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            date: date(),
            resource: self.resource().to_string(),
            networks: std::mem::take(&mut self.report.networks),
            iterates: std::mem::take(&mut self.report.iterates),
            candidates: std::mem::take(&mut self.report.candidates),
            trainings: std::mem::take(&mut self.report.trainings),
            ..page::input(self.prepared, result)
        };
        self.folder.write_json("report.json", &input)?;
        self.folder.write("report.html", report::page(&input).as_bytes())?;
        Ok(())
    }

    /// What the run is about, written before anything takes long.
    fn describe(&mut self) -> Result<(), RunError> {
        let prepared = self.prepared;
        let config = toml::to_string_pretty(self.config).map_err(|e| RunError::Other(e.into()))?;
        let space = toml::to_string_pretty(&prepared.space).map_err(|e| RunError::Other(e.into()))?;
        let space = space.lines().map(|line| format!("# {line}\n")).collect::<String>();
        self.folder.write("config.toml", format!("{config}\n# The space, as resolved:\n{space}").as_bytes())?;
        self.folder.write_json(
            "env.json",
            &serde_json::json!({
                "adapter": prepared.gpu.adapter(),
                "version": env!("CARGO_PKG_VERSION"),
                "tuning": prepared.tuning,
            }),
        )?;
        let data = &prepared.dataset;
        self.folder.write_json(
            "data.json",
            &serde_json::json!({
                "fingerprint": data.fingerprint,
                "classes": data.classes,
                "train": data.train.len(),
                "holdout": data.holdout.len(),
                "test": data.test.len(),
                "normalisation": prepared.normalisation,
                "size": prepared.net.input().size,
                "channels": prepared.net.input().channels,
            }),
        )?;
        Ok(())
    }

    fn begin(&mut self, phase: &Phase) -> Instant {
        self.listener.event(&Event::Begin { phase: phase.clone() });
        Instant::now()
    }

    fn end(&mut self, phase: Phase, start: Instant) -> f64 {
        let seconds = start.elapsed().as_secs_f64();
        self.listener.event(&Event::End { phase, seconds });
        seconds
    }

    /// The limits in the resource's unit, once they are known to be within reach.
    fn check_budgets(&mut self, meter: &LatencyMeter) -> Result<Vec<f64>, RunError> {
        let net = &self.prepared.net;
        let (full, smallest) = (net.full(), net.smallest());
        let extent = match self.resource() {
            Resource::Latency => {
                Extent { initial: meter.initial().median_ms, fastest: meter.measure(&smallest, None)?.median_ms }
            }
            Resource::Macs => Extent { initial: net.macs(&full) as f64, fastest: net.macs(&smallest) as f64 },
            Resource::Params => Extent { initial: net.params(&full) as f64, fastest: net.params(&smallest) as f64 },
        };
        let limits: Vec<f64> = self.config.budgets.iter().map(|budget| budget.resolve(extent.initial)).collect();
        let searched: Vec<f64> = limits.iter().map(|limit| limit * self.margin()).collect();
        check_reach(self.schedule(), self.resource(), &searched, extent)?;
        Ok(limits)
    }

    fn margin(&self) -> f64 {
        if self.resource() == Resource::Latency { LATENCY_MARGIN } else { 1.0 }
    }

    fn schedule(&self) -> Schedule {
        let search = &self.prepared.space.search;
        Schedule { first_cut: search.first_cut, decay: search.decay }
    }

    /// Times every operation of the space.
    fn table(&mut self) -> Result<Table, RunError> {
        let prepared = self.prepared;
        let start = self.begin(&Phase::Table);
        let batch = prepared.space.search.latency_batch;
        let mut builder = TableBuilder::new(&prepared.gpu, &prepared.tuning, &prepared.net, batch)?;
        let all = builder.len() as f64;
        let mut done = 0.0;
        while let Some(entry) = builder.step()? {
            done += 1.0;
            let line = serde_json::json!({ "operation": entry.operation.to_string(), "ms": entry.ms });
            self.folder.append_json("measurements.jsonl", &line)?;
            self.listener.event(&Event::Progress { done, all });
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
        self.seconds.table = self.end(Phase::Table, start);
        Ok(table)
    }

    /// Trains `arch` from `weights`; with a sampler, the super-network.
    fn train(
        &mut self,
        name: &str,
        arch: &Arch,
        weights: &Weights,
        sampler: Option<WidthSampler>,
    ) -> Result<Weights, RunError> {
        let prepared = self.prepared;
        let settings = &prepared.space.train;
        let (epochs, learning_rate) = match (&sampler, self.config.final_start) {
            (Some(_), _) => (settings.epochs, settings.learning_rate),
            (None, FinalStart::Scratch) => (settings.final_epochs, settings.learning_rate),
            (None, FinalStart::Shared) => (settings.final_epochs, settings.final_learning_rate),
        };
        let options = TrainerOptions {
            net: &prepared.net,
            arch,
            settings,
            epochs,
            learning_rate,
            // The final trainings see other orders and crops than the super-network did.
            seed: self.config.seed.wrapping_add(u64::from(sampler.is_none())),
            sampler,
            images: Arc::clone(&prepared.train),
            normalisation: prepared.normalisation,
            augment: prepared.space.augment,
            threads: self.config.threads,
            tuning: prepared.tuning,
        };
        let graph = lower(&prepared.net, arch);
        let mut trainer = Trainer::new(&prepared.gpu, graph, weights, options)?;
        if !self.folder.path().join("results.csv").exists() {
            self.folder.append("results.csv", "training,epoch,epochs,loss,accuracy,learning_rate,seconds")?;
        }
        let mut curve = report::Curve { name: name.to_owned(), epochs: Vec::new() };
        while !trainer.is_done() {
            let listener = &mut *self.listener;
            let before = f64::from(trainer.epochs_done());
            let mut progress = |step: u64, steps: u64| {
                let done = before + step as f64 / steps as f64;
                listener.event(&Event::Progress { done, all: f64::from(epochs) });
            };
            let report = trainer.epoch(&mut progress)?;
            let row = format!(
                "{name},{},{},{},{},{},{:.3}",
                report.epoch, report.epochs, report.loss, report.accuracy, report.learning_rate, report.seconds
            );
            self.folder.append("results.csv", &row)?;
            curve.epochs.push(report);
            self.listener.event(&Event::Epoch { training: name.to_owned(), report });
        }
        self.report.trainings.push(curve);
        Ok(trainer.weights()?)
    }

    /// Trains the super-network and keeps its weights, recalibrated at full width.
    fn supernet(&mut self, untrained: &Weights) -> Result<Weights, RunError> {
        let prepared = self.prepared;
        let start = self.begin(&Phase::Supernet);
        let full = prepared.net.full();
        let sampler = WidthSampler::new(self.config.seed, &prepared.space.train);
        let weights = self.train("supernet", &full, untrained, Some(sampler))?;
        let weights = self.recalibrate(&full, &weights)?;
        self.save("initial", &full, &weights)?;
        self.seconds.supernet = self.end(Phase::Supernet, start);
        Ok(weights)
    }

    fn recalibrate(&self, arch: &Arch, weights: &Weights) -> Result<Weights, TrainError> {
        let prepared = self.prepared;
        recalibrated(
            &prepared.gpu,
            &lower(&prepared.net, arch),
            &prepared.net.shapes(arch),
            weights,
            Recalibration { images: &prepared.train, count: REPORT_RECALIBRATION },
            &prepared.normalisation,
            &prepared.tuning,
        )
    }

    /// Writes a network's two files.
    fn save(&self, name: &str, arch: &Arch, weights: &Weights) -> Result<(), RunError> {
        let prepared = self.prepared;
        self.folder.create_sub(name)?;
        let classes = &prepared.dataset.classes;
        let architecture = Architecture::new(&prepared.space, &prepared.net, arch, classes, prepared.normalisation);
        self.folder.write_json(&format!("{name}/architecture.json"), &architecture)?;
        let graph = lower(&prepared.net, arch);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        self.folder.write(&format!("{name}/model.safetensors"), &to_safetensors(&graph, weights, metadata)?)?;
        Ok(())
    }

    /// Searches; returns the initial network's result, the networks found and how many were scored.
    fn descend(
        &mut self,
        meter: &LatencyMeter,
        table: &Table,
        shared: &Weights,
        limits: &[f64],
    ) -> Result<(InitialNetwork, Outcome, u32), RunError> {
        let prepared = self.prepared;
        let start = self.begin(&Phase::Search);
        let full = prepared.net.full();
        let accuracy = self.shared_scores(shared, std::slice::from_ref(&full))?[0].accuracy;
        let initial = InitialNetwork {
            latency_ms: meter.initial().median_ms,
            macs: prepared.net.macs(&full),
            params: prepared.net.params(&full),
            accuracy: Accuracy { shared: Some(accuracy), holdout: Some(accuracy), test: None },
        };

        let search = &prepared.space.search;
        let settings = Settings::new(search, self.config.seed, GRID);
        let thoroughness = Thoroughness { recalibration: search.recalibration_images, held_out: search.score_images };
        let mut scorer = SharedScorer::new(prepared, shared, thoroughness)?;
        let budgets: Vec<f64> = limits.iter().map(|limit| limit * self.margin()).collect();
        let resource = self.resource();
        let initial_cost = match resource {
            Resource::Latency => initial.latency_ms,
            Resource::Macs => initial.macs as f64,
            Resource::Params => initial.params as f64,
        };
        let iterations = self.schedule().iterations(initial_cost, &budgets).unwrap_or(1);
        let strategy: Box<dyn Strategy> = match self.config.strategy {
            StrategyKind::Mcd => Box::new(CoordinateDescent::multi_layer(settings)),
            StrategyKind::Single => Box::new(CoordinateDescent::single_layer(settings)),
            StrategyKind::Random => {
                Box::new(Random { samples: iterations * search.samples, seed: self.config.seed, width_step: GRID })
            }
        };
        self.folder.append("candidates.csv", &Candidate::header(&prepared.net))?;
        self.folder.append("iterates.csv", &Iterate::header(&prepared.net))?;
        let mut cost = cost(resource, prepared, meter, table);
        let mut observer = FolderObserver {
            folder: self.folder,
            listener: self.listener,
            from: initial_cost,
            to: budgets.iter().copied().fold(f64::MAX, f64::min),
            candidates: Vec::new(),
            iterates: Vec::new(),
            fault: None,
        };
        let outcome = strategy.search(Problem {
            net: &prepared.net,
            resource,
            budgets: &budgets,
            cost: cost.as_mut(),
            scorer: &mut scorer,
            observer: &mut observer,
            history: &[],
        })?;
        if let Some(fault) = observer.fault {
            return Err(fault);
        }
        let scored = observer.candidates.len() as u32;
        (self.report.candidates, self.report.iterates) = (observer.candidates, observer.iterates);
        self.seconds.search = self.end(Phase::Search, start);
        Ok((initial, outcome, scored))
    }

    /// Scores on all held-out images after a thorough recalibration.
    fn shared_scores(&self, shared: &Weights, archs: &[Arch]) -> Result<Vec<crate::search::Score>, RunError> {
        let held_out = self.prepared.holdout.len() as u32;
        let thoroughness = Thoroughness { recalibration: REPORT_RECALIBRATION, held_out };
        SharedScorer::new(self.prepared, shared, thoroughness)?.score_all(archs)
    }

    /// Trains a network compactly and evaluates it.
    fn train_compact(&mut self, name: &str, arch: &Arch, shared: &Weights) -> Result<(Weights, Trained), RunError> {
        let prepared = self.prepared;
        let graph = lower(&prepared.net, arch);
        let start = match self.config.final_start {
            FinalStart::Shared => shared.prefix(&prepared.graph, &graph),
            FinalStart::Scratch => initial_weights(&graph, self.config.seed),
        };
        let weights = self.train(name, arch, &start, None)?;
        let weights = self.recalibrate(arch, &weights)?;
        let shapes = prepared.net.shapes(arch);
        let on = |images| {
            evaluate(&prepared.gpu, &graph, &shapes, &weights, images, &prepared.normalisation, &prepared.tuning)
        };
        let test = if prepared.test.len() == 0 { None } else { Some(on(&prepared.test)?) };
        let trained = Trained { arch: arch.clone(), holdout: on(&prepared.holdout)?, test };
        Ok((weights, trained))
    }

    /// Trains the network of one budget and measures it again.
    fn found(
        &mut self,
        index: usize,
        found: &crate::search::Found,
        meter: &LatencyMeter,
        table: &Table,
        shared: &Weights,
    ) -> Result<(FoundNetwork, Trained), RunError> {
        let prepared = self.prepared;
        let budget = &self.config.budgets[index];
        let phase = Phase::Final(budget.to_string());
        let start = self.begin(&phase);
        let shared_score = self.shared_scores(shared, std::slice::from_ref(&found.arch))?[0];
        let (weights, trained) = self.train_compact(&format!("network-{index}"), &found.arch, shared)?;
        let path = format!("networks/{index}");
        self.save(&path, &found.arch, &weights)?;
        let (latency, predicted_ms) = self.measure(meter, table, &format!("network-{index}"), &found.arch)?;
        let limit = found.budget / self.margin();
        let test = trained.test.as_ref().map(|t| t.accuracy);
        let network = FoundNetwork {
            budget: ResultBudget {
                text: budget.to_string(),
                resource: self.resource().to_string(),
                limit,
                latency_ms: (self.resource() == Resource::Latency).then_some(limit),
            },
            latency_ms: latency.median_ms,
            latency_p90_ms: latency.p90_ms,
            predicted_ms,
            macs: prepared.net.macs(&found.arch),
            params: prepared.net.params(&found.arch),
            accuracy: Accuracy { shared: Some(shared_score.accuracy), holdout: Some(trained.holdout.accuracy), test },
            shared_loss: shared_score.loss,
            interval: interval(test.unwrap_or(trained.holdout.accuracy), prepared.test.len()),
            path: path.clone(),
        };
        let correction =
            meter.initial().median_ms / table.network_ms(&prepared.net, &prepared.net.full()).unwrap_or(f64::NAN);
        let layers = page::layer_bars(prepared, table, correction, &found.arch);
        let (evaluation, images) = match &trained.test {
            Some(test) => (test, &prepared.test),
            None => (&trained.holdout, &prepared.holdout),
        };
        let summary = page::network_summary(prepared, &network, layers, evaluation, images);
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
        self.seconds.r#final += self.end(phase, start);
        Ok((network, trained))
    }

    /// Measures a network whole; also the table's prediction, corrected by the initial network.
    fn measure(
        &mut self,
        meter: &LatencyMeter,
        table: &Table,
        name: &str,
        arch: &Arch,
    ) -> Result<(Measurement, f64), RunError> {
        let net = &self.prepared.net;
        let predict = |arch: &Arch| table.network_ms(net, arch).expect("the table has every operation of its space");
        let predicted = predict(arch) * meter.initial().median_ms / predict(&net.full());
        let latency = meter.measure(arch, Some(predicted))?;
        self.listener.event(&Event::Measured { network: name.to_owned(), latency });
        Ok((latency, predicted))
    }

    /// Trains what a search has to beat; `None` where the space has no such network at that cost.
    fn compared(
        &mut self,
        comparison: Comparison,
        rival: Rival,
        own: &Trained,
        meter: &LatencyMeter,
        table: &Table,
        shared: &Weights,
    ) -> Result<Option<ComparedNetwork>, RunError> {
        let prepared = self.prepared;
        let name = comparison.name();
        let phase = Phase::Compare(name.to_owned());
        let start = self.begin(&phase);
        let arch = match comparison {
            Comparison::Initial => Some(prepared.net.full()),
            Comparison::Uniform => {
                let space = Uniform { net: &prepared.net, resource: self.resource(), width_step: GRID };
                uniform(space, cost(self.resource(), prepared, meter, table).as_mut(), rival.limit)?
                    .map(|scaled| scaled.arch)
            }
            Comparison::Random => Some(self.best_random(&rival, meter, table, shared)?),
        };
        let Some(arch) = arch else {
            let text =
                format!("no network of the space with all widths scaled alike costs as little: {name} is left out");
            self.listener.event(&Event::Note { text });
            return Ok(None);
        };
        let label = format!("{name}-{}", rival.index);
        let score = self.shared_scores(shared, std::slice::from_ref(&arch))?[0];
        let (weights, trained) = self.train_compact(&label, &arch, shared)?;
        self.save(&format!("networks/{label}"), &arch, &weights)?;
        let (latency, _) = self.measure(meter, table, &label, &arch)?;
        let labels = prepared.test.labels();
        let (mine, theirs) = match (&own.test, &trained.test) {
            (Some(mine), Some(theirs)) => (Trained::hits(mine, labels), Trained::hits(theirs, labels)),
            _ => {
                let labels = prepared.holdout.labels();
                (Trained::hits(&own.holdout, labels), Trained::hits(&trained.holdout, labels))
            }
        };
        let test = trained.test.as_ref().map(|t| t.accuracy);
        let compared = ComparedNetwork {
            name: name.to_owned(),
            network: rival.index,
            latency_ms: latency.median_ms,
            macs: prepared.net.macs(&trained.arch),
            params: prepared.net.params(&trained.arch),
            accuracy: Accuracy { shared: Some(score.accuracy), holdout: Some(trained.holdout.accuracy), test },
            shared_loss: score.loss,
            interval: interval(test.unwrap_or(trained.holdout.accuracy), mine.len()),
            difference: paired(&mine, &theirs),
        };
        self.seconds.compare += self.end(phase, start);
        Ok(Some(compared))
    }

    /// The best of as many random networks as the search scored, at the same budget.
    fn best_random(
        &mut self,
        rival: &Rival,
        meter: &LatencyMeter,
        table: &Table,
        shared: &Weights,
    ) -> Result<Arch, RunError> {
        let prepared = self.prepared;
        let search = &prepared.space.search;
        let thoroughness = Thoroughness { recalibration: search.recalibration_images, held_out: search.score_images };
        let mut scorer = SharedScorer::new(prepared, shared, thoroughness)?;
        let strategy = Random { samples: rival.scored, seed: self.config.seed, width_step: GRID };
        let outcome = strategy.search(Problem {
            net: &prepared.net,
            resource: self.resource(),
            budgets: &[rival.budget * self.margin()],
            cost: cost(self.resource(), prepared, meter, table).as_mut(),
            scorer: &mut scorer,
            observer: &mut (),
            history: &[],
        })?;
        let found = outcome.networks.into_iter().next().expect("a search finds a network for each budget");
        Ok(found.arch)
    }
}

/// What a budget of this resource limits.
fn cost<'a>(
    resource: Resource,
    prepared: &'a Prepared,
    meter: &'a LatencyMeter<'a>,
    table: &'a Table,
) -> Box<dyn Cost + 'a> {
    match resource {
        Resource::Latency => Box::new(LatencyCost { prepared, table, meter }),
        Resource::Macs => Box::new(Macs(&prepared.net)),
        Resource::Params => Box::new(Params(&prepared.net)),
    }
}

/// Writes what the search tells into the run's folder and passes it on.
struct FolderObserver<'a> {
    folder: &'a Folder,
    listener: &'a mut dyn Listener,
    from: f64,
    to: f64,
    candidates: Vec<Candidate>,
    iterates: Vec<Iterate>,
    fault: Option<RunError>,
}

impl FolderObserver<'_> {
    fn append(&mut self, name: &str, row: &str) {
        if let Err(error) = self.folder.append(name, row) {
            self.fault.get_or_insert(error.into());
        }
    }
}

impl Observer for FolderObserver<'_> {
    fn sample(&mut self, candidate: &Candidate) {
        self.append("candidates.csv", &candidate.row());
        self.candidates.push(candidate.clone());
        self.listener.event(&Event::Sample(candidate.clone()));
    }

    fn iterate(&mut self, iterate: &Iterate) {
        self.append("iterates.csv", &iterate.row());
        self.iterates.push(iterate.clone());
        self.listener.event(&Event::Iterate(iterate.clone()));
        // The way to the budget is the measure of what is done: cuts shrink only slowly.
        let done = (self.from - iterate.measured).max(0.0).min(self.from - self.to);
        self.listener.event(&Event::Progress { done, all: (self.from - self.to).max(f64::MIN_POSITIVE) });
    }
}

/// Today, in UTC, as 2026-11-22.
fn date() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Days to a civil date (Hinnant 2013): eras of 400 years that start on 1 March.
    let days = (since.as_secs() / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
