//! A run from its configuration to its result, and on from wherever it was stopped.
//!
//! Going on is going over the run again: what it measured, scored and trained is read back from its folder
//! (`records`, `checkpoint`), and everything else is computed again and comes out the same.

use super::config::Config;
use super::cost::LatencyMeter;
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::folder::{Folder, FolderError};
use super::networks::{Known, Rival};
use super::page;
use super::prepare::{Prepared, prepare, space};
use super::records::{Log, Measurements, Scores};
use super::result::{RunResult, Seconds};
use super::scorer::Passes;
use super::started;
use super::stop::Stop;
use super::table::own_table;
use crate::latency::Origin;
use crate::report;
use crate::search::{Candidate, Resource, SearchError};
use crate::space::Arch;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// How often a run opens a device again after it was lost.
const MOST_LOSSES: u32 = 3;
/// Wall-clock seconds of the steps so far.
const SECONDS: &str = "state/seconds.json";
const RESULTS: &str = "training,epoch,epochs,loss,accuracy,learning_rate";

/// Runs a search from a folder of images to networks within their budgets.
///
/// # Errors
/// `RunError` names what went wrong; nothing is trained before budget, device and images are known to
/// be good. After `RunError::Stopped`, and after any other end, [`resume`] goes on; but of a run whose budget is out of
/// reach nothing stays.
pub fn search(config: &Config, environment: Environment, listener: &mut dyn Listener) -> Result<RunResult, RunError> {
    let space = space(config)?;
    Folder::refuse_occupied(&config.out)?;
    let prepared = prepare(config, space, &environment, None, listener)?;
    if let Some(run) = &config.from {
        let source = started::source(run)?;
        source.check_data(&prepared)?;
        source.shared(&prepared)?;
    }
    if let Some(file) = &config.init_from {
        file.check(&prepared.graph)?;
    }
    if let Some(path) = &config.latency {
        let batch = prepared.space.search.latency_batch;
        own_table(path, &Origin::new(&prepared.gpu, &prepared.tuning, batch))?;
    }
    let folder = Folder::create(&config.out, environment.disk.clone(), environment.patience.clone())?;
    started::write(&folder, config, &prepared)?;
    let result = Attempts { config, folder: &folder, environment: &environment }.run(prepared, listener);
    // Nothing was trained yet, and the next try with another budget may want the folder's name.
    if matches!(result, Err(RunError::Search(SearchError::OutOfReach { .. })))
        && folder.files("initial").is_ok_and(|files| files.is_empty())
    {
        // What cannot be removed stays: what is told is why there is no result.
        let _ = folder.discard();
    }
    result
}

/// Goes on with the run in this folder, and gives the result that it would have given.
///
/// # Errors
/// As for [`search`]; a configuration or a data set that is not the one that the run was started with is refused
/// with what changed.
pub fn resume(path: &Path, environment: Environment, listener: &mut dyn Listener) -> Result<RunResult, RunError> {
    let folder = Folder::open(path, environment.disk.clone(), environment.patience.clone())?;
    folder.remove_unfinished()?;
    let (config, started) = started::read(&folder)?;
    let attempts = Attempts { config: &config, folder: &folder, environment: &environment };
    let Some((recorded, env)) = started else {
        let prepared = prepare(&config, space(&config)?, &environment, None, listener)?;
        started::write(&folder, &config, &prepared)?;
        return attempts.run(prepared, listener);
    };
    let size = config.size.unwrap_or(recorded.size);
    recorded.validate_size("state/started.json", size)?;
    let prepared = prepare(&config, (recorded, size), &environment, Some(&env), listener)?;
    started::check_data(&folder, &prepared)?;
    if *prepared.gpu.adapter() != env.adapter {
        let text = format!(
            "the run began on {} and goes on on {}: the last bits of its numbers may differ",
            env.adapter,
            prepared.gpu.adapter()
        );
        listener.event(&Event::Note { text });
        started::write_env(&folder, &prepared)?;
    }
    attempts.run(prepared, listener)
}

/// A run on one device after another, until it ends otherwise than by losing it.
struct Attempts<'a> {
    config: &'a Config,
    folder: &'a Folder,
    environment: &'a Environment,
}

impl Attempts<'_> {
    fn run(&self, mut prepared: Prepared, listener: &mut dyn Listener) -> Result<RunResult, RunError> {
        for losses in 0.. {
            let result = self.once(&prepared, listener);
            let lost = result.as_ref().err().filter(|error| error.is_lost_device());
            let Some(error) = lost.filter(|_| losses < MOST_LOSSES) else { return result };
            let why = std::iter::successors(error.source(), |error| (*error).source());
            let why = why.fold(error.to_string(), |text, error| format!("{text}: {error}"));
            let text = format!("{why}; going on with a new device from what is saved, less work at a time");
            listener.event(&Event::Note { text });
            prepared.gpu = (self.environment.open)(self.config.device)?;
            prepared.steps_in_flight = (prepared.steps_in_flight / 2).max(1);
        }
        unreachable!("the loop has no end of its own")
    }

    fn once(&self, prepared: &Prepared, listener: &mut dyn Listener) -> Result<RunResult, RunError> {
        let folder = self.folder;
        let mut log = EventLog { folder, listener, fault: None };
        let seconds = match folder.read_json(SECONDS) {
            Ok(seconds) => seconds,
            Err(error) if error.is_missing() => Seconds::default(),
            // No reason to lose a run for.
            Err(error) => {
                log.event(&Event::Note { text: format!("{error}; what earlier tries took is not counted") });
                Seconds::default()
            }
        };
        let measurements = Measurements::open(folder, self.config.replay.as_deref())?;
        let mut run = Run {
            config: self.config,
            prepared,
            folder,
            stop: &self.environment.stop,
            measurements: &measurements,
            results: Log::open(folder, "results.csv", RESULTS.to_owned())?,
            listener: &mut log,
            seconds,
            report: report::Input::default(),
        };
        let result = match run.all_steps() {
            // It waited for room on the disk, and was told to wait no longer.
            Err(RunError::Folder(error)) if error.is_full() && run.stop.is_requested() => {
                Err(RunError::stopped(folder))
            }
            other => other,
        }?;
        match log.fault {
            Some(fault) => Err(fault.into()),
            None => Ok(result),
        }
    }
}

/// Writes every event but progress into the run's folder and passes it on.
struct EventLog<'a> {
    folder: &'a Folder,
    listener: &'a mut dyn Listener,
    fault: Option<FolderError>,
}

impl Listener for EventLog<'_> {
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
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) prepared: &'a Prepared,
    pub(super) folder: &'a Folder,
    pub(super) stop: &'a Stop,
    pub(super) measurements: &'a Measurements<'a>,
    pub(super) results: Log<'a>,
    pub(super) listener: &'a mut dyn Listener,
    pub(super) seconds: Seconds,
    pub(super) report: report::Input,
}

/// A phase that goes on, and where its seconds are added up.
pub(super) struct Watch {
    phase: Phase,
    begun: Instant,
    since: Instant,
}

impl Run<'_> {
    /// The three steps, the comparison and the report.
    fn all_steps(&mut self) -> Result<RunResult, RunError> {
        let prepared = self.prepared;
        let untrained = self.untrained()?;
        let meter = LatencyMeter::new(prepared, untrained.weights.clone(), self.measurements, self.stop)?;
        self.listener.event(&Event::Measured { network: "initial".into(), latency: meter.initial() });
        let limits = self.check_budgets(&meter)?;
        let table = self.table()?;
        let width_step = self.width_step(&table);
        let shared = self.supernet(&untrained.weights)?;
        let scores = Scores::open(self.folder, &shared.fingerprint())?;
        let passes = Passes::default();
        let (meter, table, untrained, shared) = (&meter, &table, &untrained, &shared);
        let (scores, passes) = (&scores, &passes);
        let known = Known { meter, table, untrained, shared, scores, passes, width_step, teacher: None };
        let (initial, outcome) = self.descend(&known, &limits)?;
        let teacher = self.teacher(&known)?;
        let known = Known { teacher: teacher.as_deref(), ..known };

        let mut networks = Vec::new();
        let mut trained = Vec::new();
        for (index, found) in outcome.networks.iter().enumerate() {
            let (network, own) = self.found(index, found, &known)?;
            networks.push(network);
            trained.push(own);
        }
        let mut compare = Vec::new();
        for (index, (found, own)) in outcome.networks.iter().zip(&trained).enumerate() {
            for comparison in &self.config.compare {
                let limit = found.iterate.measured;
                // What was scored on the way to this network, not to those of smaller budgets.
                let before = |candidate: &&Candidate| candidate.iteration <= found.iterate.iteration;
                let scored = self.report.candidates.iter().filter(before).count() as u32;
                let rival = Rival { index, limit, scored, limits: &limits };
                compare.extend(self.compared(*comparison, rival, own, &known)?);
            }
        }
        let result = RunResult {
            version: 1,
            device: prepared.gpu.adapter().clone(),
            target: prepared.target.as_ref().map(|target| target.device().clone()),
            seconds: self.seconds,
            initial,
            networks,
            compare,
        };
        self.folder.write_json("result.json", &result)?;
        self.write_report(&result)?;
        self.listener.event(&Event::Result(Box::new(result.clone())));
        Ok(result)
    }

    /// What the search measures its steps by: latencies are the target's where there is one.
    pub(super) fn resource(&self) -> Resource {
        match (self.config.budgets[0].main().resource(), &self.prepared.target) {
            (Resource::Latency, Some(_)) => Resource::Target,
            (resource, _) => resource,
        }
    }

    /// Milliseconds predicted for the target of the run, if it has one.
    pub(super) fn target_ms(&self, arch: &Arch) -> Option<f64> {
        self.prepared.target.as_ref().map(|target| target.predict(&self.prepared.net, arch))
    }

    /// A place where the run can stop.
    pub(super) fn may_stop(&self) -> Result<(), RunError> {
        if self.stop.look() { Err(RunError::stopped(self.folder)) } else { Ok(()) }
    }

    pub(super) fn begin(&mut self, phase: Phase) -> Watch {
        self.listener.event(&Event::Begin { phase: phase.clone() });
        let now = Instant::now();
        Watch { phase, begun: now, since: now }
    }

    /// Adds the seconds since the last lap to those of the phase, and writes them down.
    pub(super) fn lap(&mut self, watch: &mut Watch) -> Result<(), RunError> {
        let seconds = watch.since.elapsed().as_secs_f64();
        watch.since = Instant::now();
        let sum = match watch.phase {
            Phase::Files | Phase::Images | Phase::Check => return Ok(()),
            Phase::Table => &mut self.seconds.table,
            Phase::Supernet => &mut self.seconds.supernet,
            Phase::Search => &mut self.seconds.search,
            Phase::Teacher | Phase::Final(_) => &mut self.seconds.r#final,
            Phase::Compare(_) => &mut self.seconds.compare,
        };
        *sum += seconds;
        Ok(self.folder.write_json(SECONDS, &self.seconds)?)
    }

    pub(super) fn end(&mut self, mut watch: Watch) -> Result<(), RunError> {
        self.lap(&mut watch)?;
        let seconds = watch.begun.elapsed().as_secs_f64();
        self.listener.event(&Event::End { phase: watch.phase, seconds });
        Ok(())
    }

    /// Writes `report.html`, and `report.json` that it can be made from again.
    fn write_report(&mut self, result: &RunResult) -> Result<(), RunError> {
        let collected = report::Input { command: started::command(self.folder)?, ..std::mem::take(&mut self.report) };
        let input = page::input(self.config, self.prepared, self.resource(), result, collected);
        self.folder.write_json("report.json", &input)?;
        self.folder.write("report.html", report::page(&input).as_bytes())?;
        Ok(())
    }
}
