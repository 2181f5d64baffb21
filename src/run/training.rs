//! The trainings of a run: checkpoints while they go on, weights and curves when they are done.

use super::checkpoint::{Checkpoints, Newest};
use super::config::{Config, FinalStart, TeacherKind};
use super::error::RunError;
use super::events::{Event, Phase};
use super::networks::Known;
use super::prepare::Prepared;
use super::search::{Run, Watch};
use super::snapshot::{MadeFor, Saved, from_sections, to_sections};
use super::started::source;
use crate::data::Augment;
use crate::graph::{Graph, Teacher, Weights, lower};
use crate::model::{Architecture, to_safetensors};
use crate::report;
use crate::space::{Arch, WidthSampler};
use crate::train::{
    Advance, EpochReport, Evaluation, Recalibration, TrainError, Trainer, TrainerOptions, evaluate, recalibrated,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Training images that the statistics of a reported or exported network are taken from.
pub(super) const REPORT_RECALIBRATION: u32 = 1024;
/// What a crash costs at most, about.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// Ends of epochs that follow each other faster than this are not all written.
const CHECKPOINT_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// A trained network and how it did on the test images.
pub(super) struct Trained {
    pub(super) arch: Arch,
    pub(super) holdout: Evaluation,
    pub(super) test: Evaluation,
}

/// What is trained, from where, and how.
struct Task<'a> {
    name: &'a str,
    arch: &'a Arch,
    graph: Graph,
    weights: &'a Weights,
    /// With a sampler, the super-network.
    sampler: Option<WidthSampler>,
    /// Weights at full widths of what teaches.
    teacher: Option<&'a Weights>,
}

/// A training that goes on, and where it is kept.
struct Course<'a> {
    name: &'a str,
    made_for: MadeFor<'a>,
    checkpoints: Checkpoints<'a>,
    epochs: Vec<EpochReport>,
    /// Epochs in all.
    all: u32,
    /// When it was last written down.
    saved: Instant,
}

impl Course<'_> {
    fn save(&mut self, trainer: &Trainer) -> Result<(), RunError> {
        self.checkpoints.save(&to_sections(&self.made_for, &self.epochs, &trainer.snapshot()?))?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// The final trainings see other orders and crops than the super-network did.
pub(super) fn training_seed(config: &Config, of_supernet: bool) -> u64 {
    config.seed.wrapping_add(u64::from(!of_supernet))
}

/// What a training does to its images.
pub(super) fn augment(config: &Config, prepared: &Prepared, of_supernet: bool) -> Augment {
    let space = &prepared.space;
    let alone = !of_supernet && config.final_start == FinalStart::Scratch;
    space.scratch_augment.filter(|_| alone).unwrap_or(space.augment)
}

fn options<'a>(config: &Config, prepared: &'a Prepared, task: &Task<'a>) -> TrainerOptions<'a> {
    let settings = &prepared.space.train;
    let (epochs, learning_rate) = match (&task.sampler, config.final_start) {
        (Some(_), _) => (settings.epochs, settings.learning_rate),
        (None, FinalStart::Scratch) => (settings.epochs_from_scratch(), settings.learning_rate),
        (None, FinalStart::Shared) => (settings.final_epochs, settings.final_learning_rate),
    };
    TrainerOptions {
        net: &prepared.net,
        settings,
        epochs,
        learning_rate,
        seed: training_seed(config, task.sampler.is_some()),
        sampler: task.sampler.clone(),
        teacher: None,
        images: Arc::clone(&prepared.train),
        normalisation: prepared.normalisation,
        augment: augment(config, prepared, task.sampler.is_some()),
        threads: config.threads,
        tuning: prepared.tuning,
        steps_in_flight: prepared.steps_in_flight,
    }
}

/// These weights at full widths, made ready to teach.
fn teacher(prepared: &Prepared, weights: &Weights, batch: u32) -> Result<Teacher, RunError> {
    let share = prepared.space.train.distillation;
    Ok(Teacher::new(&prepared.gpu, &prepared.graph, weights, &prepared.tuning, (batch, share))?)
}

impl Run<'_> {
    /// Trains the super-network and keeps its weights, recalibrated at full width; or takes another run's.
    pub(super) fn supernet(&mut self, untrained: &Weights) -> Result<Weights, RunError> {
        let prepared = self.prepared;
        let full = prepared.net.full();
        if prepared.space.train.distillation > 0.0 {
            // Whether there is room for it is to be known before hours of training, not after.
            teacher(prepared, untrained, prepared.space.train.batch)?;
        }
        if let Some(run) = &self.config.from {
            let source = source(run)?;
            source.check_data(prepared)?;
            let weights = source.shared(prepared)?;
            self.save("initial", &full, &weights)?;
            return Ok(weights);
        }
        let mut watch = self.begin(Phase::Supernet);
        let sampler = Some(WidthSampler::new(self.config.seed, &prepared.space.train));
        let task = Task {
            name: "supernet",
            arch: &full,
            graph: prepared.graph.clone(),
            weights: untrained,
            sampler,
            teacher: None,
        };
        let weights = self.train(&task, &mut watch)?;
        let weights = self.recalibrate(&full, &weights)?;
        self.save("initial", &full, &weights)?;
        self.end(watch)?;
        Ok(weights)
    }

    /// Weights of what teaches the final trainings: the super-network, or the initial network, trained for it.
    pub(super) fn teacher<'a>(&mut self, known: &Known<'a>) -> Result<Option<Cow<'a, Weights>>, RunError> {
        let prepared = self.prepared;
        if prepared.space.train.distillation == 0.0 {
            return Ok(None);
        }
        if self.config.teacher != Some(TeacherKind::Initial) {
            return Ok(Some(Cow::Borrowed(known.shared)));
        }
        let mut watch = self.begin(Phase::Teacher);
        let full = prepared.net.full();
        let weights = self.final_weights("teacher", &full, lower(&prepared.net, &full), known, &mut watch)?;
        self.end(watch)?;
        Ok(Some(Cow::Owned(weights)))
    }

    /// Trains a network compactly and evaluates it.
    pub(super) fn train_compact(
        &mut self,
        name: &str,
        arch: &Arch,
        known: &Known<'_>,
        watch: &mut Watch,
    ) -> Result<(Weights, Trained), RunError> {
        let prepared = self.prepared;
        let graph = lower(&prepared.net, arch);
        let weights = self.final_weights(name, arch, graph.clone(), known, watch)?;
        let on = |images| evaluate(&prepared.gpu, &graph, &weights, images, &prepared.normalisation, &prepared.tuning);
        let trained = Trained { arch: arch.clone(), holdout: on(&prepared.holdout)?, test: on(&prepared.test)? };
        Ok((weights, trained))
    }

    /// Trains a network compactly, `graph` being its own, and takes its statistics anew.
    fn final_weights(
        &mut self,
        name: &str,
        arch: &Arch,
        graph: Graph,
        known: &Known<'_>,
        watch: &mut Watch,
    ) -> Result<Weights, RunError> {
        let start = match self.config.final_start {
            FinalStart::Shared => known.shared.prefix(&self.prepared.graph, &graph),
            FinalStart::Scratch => self.untrained_alone(known.untrained, &graph),
        };
        let task = Task { name, arch, graph, weights: &start, sampler: None, teacher: known.teacher };
        let weights = self.train(&task, watch)?;
        Ok(self.recalibrate(arch, &weights)?)
    }

    /// Trains from the newest checkpoint, or from the beginning.
    fn train(&mut self, task: &Task<'_>, watch: &mut Watch) -> Result<Weights, RunError> {
        let (config, prepared) = (self.config, self.prepared);
        let start = task.weights.fingerprint();
        let made_for = MadeFor { graph: &task.graph, network: task.arch.values(), start: &start };
        let mut checkpoints = Checkpoints::new(self.folder, task.name)?;
        let (epochs, snapshot) = match self.saved(&checkpoints.newest()?, &made_for) {
            Some(Saved { epochs, snapshot }) => (epochs, Some(snapshot)),
            None => {
                checkpoints.discard()?;
                (Vec::new(), None)
            }
        };
        // The initial network is compared with what every budget comes to, and trained once.
        let is_told = self.report.trainings.iter().any(|curve| curve.name == task.name);
        if !is_told {
            epochs.iter().try_for_each(|report| self.tell(task.name, report))?;
        }
        let mut options = options(config, prepared, task);
        let all = options.epochs;
        let mut course = Course { name: task.name, made_for, checkpoints, epochs, all, saved: Instant::now() };
        let weights = match snapshot {
            // Nothing of a training that is done is needed but its weights.
            Some(snapshot) if snapshot.begun.position.epoch >= all => snapshot.begun.weights,
            snapshot => {
                options.teacher =
                    task.teacher.map(|weights| teacher(prepared, weights, options.batch())).transpose()?;
                let mut trainer = Trainer::new(&prepared.gpu, task.graph.clone(), task.weights, options)?;
                if let Some(snapshot) = snapshot {
                    trainer.restore(snapshot)?;
                }
                self.steps(&mut trainer, &mut course, watch)?;
                trainer.weights()?
            }
        };
        if !is_told {
            self.report.trainings.push(report::Curve { name: task.name.to_owned(), epochs: course.epochs });
        }
        Ok(weights)
    }

    /// Runs the steps that are left, and writes checkpoints on the way.
    fn steps(&mut self, trainer: &mut Trainer, course: &mut Course, watch: &mut Watch) -> Result<(), RunError> {
        while !trainer.is_done() {
            let due = match trainer.advance()? {
                Advance::Step => CHECKPOINT_EVERY,
                Advance::Epoch(report) => {
                    self.tell(course.name, &report)?;
                    course.epochs.push(report);
                    CHECKPOINT_AT_MOST_EVERY
                }
                Advance::RolledBack { epoch, rate_factor } => {
                    let text = format!(
                        "{}: the loss of epoch {epoch} is not finite; it begins again with {rate_factor} of the \
                         learning rate",
                        course.name
                    );
                    self.listener.event(&Event::Note { text });
                    CHECKPOINT_AT_MOST_EVERY
                }
            };
            self.listener.event(&Event::Progress { done: trainer.epochs_done(), all: f64::from(course.all) });
            let stop = self.may_stop();
            if stop.is_err() || trainer.is_done() || course.saved.elapsed() >= due {
                course.save(trainer)?;
                self.lap(watch)?;
            }
            stop?;
        }
        Ok(())
    }

    /// What a checkpoint of this training holds; says of what is damaged.
    fn saved(&mut self, newest: &Newest, made_for: &MadeFor<'_>) -> Option<Saved> {
        for text in &newest.damaged {
            self.listener.event(&Event::Note { text: text.clone() });
        }
        from_sections(made_for, newest.sections.as_ref()?)
    }

    /// Writes an epoch down and tells of it, once.
    fn tell(&mut self, name: &str, report: &EpochReport) -> Result<(), RunError> {
        let EpochReport { epoch, epochs, loss, accuracy, learning_rate, .. } = report;
        if self.results.tell(&format!("{name},{epoch},{epochs},{loss},{accuracy},{learning_rate}"))? {
            self.listener.event(&Event::Epoch { training: name.to_owned(), report: *report });
        }
        Ok(())
    }

    fn recalibrate(&self, arch: &Arch, weights: &Weights) -> Result<Weights, TrainError> {
        let prepared = self.prepared;
        recalibrated(
            &prepared.gpu,
            &lower(&prepared.net, arch),
            weights,
            Recalibration { images: &prepared.train, count: REPORT_RECALIBRATION },
            &prepared.normalisation,
            &prepared.tuning,
        )
    }

    /// Writes a network's two files.
    pub(super) fn save(&self, name: &str, arch: &Arch, weights: &Weights) -> Result<(), RunError> {
        let prepared = self.prepared;
        self.folder.create_sub(name)?;
        let classes = &prepared.dataset.classes;
        let architecture = Architecture::new(&prepared.space, &prepared.net, arch, classes, prepared.normalisation);
        self.folder.write_json(&format!("{name}/architecture.json"), &architecture)?;
        let graph = lower(&prepared.net, arch);
        self.folder.write(&format!("{name}/model.safetensors"), &to_safetensors(&graph, weights)?)?;
        Ok(())
    }
}
