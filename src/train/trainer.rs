//! Steps one by one, with all state between them in one struct.

use super::schedule::Schedule;
use crate::data::{Augment, Batch, DataError, Epoch, Images, Loader, Normalisation};
use crate::gpu::{Gpu, GpuError};
use crate::graph::{Graph, NetworkError, Teacher, Totals, Training, TrainingOptions, Weights};
use crate::kernels::Tuning;
use crate::kernels::loss::Target;
use crate::kernels::optimizer::Control;
use crate::space::{LayerShape, Supernet, TrainSettings, WidthSampler};
use std::sync::Arc;
use std::time::Instant;

/// Why a training stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network could not be made ready or run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The images could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loss is not a number any more, whatever the learning rate.
    #[error(
        "the loss of epoch {epoch} is not finite, even at {learning_rate} of the schedule's learning rate; \
         set a lower `train.learning_rate`"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// What the schedule's learning rate was multiplied by.
        learning_rate: f32,
    },
}

/// What a trainer is made of.
pub struct TrainerOptions<'a> {
    /// The super-network.
    pub net: &'a Supernet,
    /// Settings.
    pub settings: &'a TrainSettings,
    /// Epochs.
    pub epochs: u32,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f32,
    /// Draws widths per image; `None` trains `arch` alone.
    pub sampler: Option<WidthSampler>,
    /// Another network's part in the target.
    pub teacher: Option<Teacher>,
    /// Training images.
    pub images: Arc<Images>,
    /// Applied to every image.
    pub normalisation: Normalisation,
    /// Augmentation.
    pub augment: Augment,
    /// Seed of the order, the augmentation and the widths.
    pub seed: u64,
    /// Threads that make batches.
    pub threads: usize,
    /// Tile sizes.
    pub tuning: Tuning,
    /// Steps between two waits for the device: few enough that work never piles up by seconds.
    pub steps_in_flight: u64,
}

impl TrainerOptions<'_> {
    /// Images of a step: no more than there are.
    pub fn batch(&self) -> u32 {
        self.settings.batch.min(self.images.len() as u32)
    }
}

/// All that a training needs to go on from between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Parameters and running statistics.
    pub weights: Weights,
    /// The optimiser's moments.
    pub moments: Vec<f32>,
    /// Sums of the epoch that is going on.
    pub totals: Totals,
    /// Where it stands.
    pub position: Position,
}

/// Where a training stands, and how it came there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Epochs done.
    pub epoch: u32,
    /// Steps done of the next.
    pub step: u64,
    /// What the schedule's learning rate is multiplied by: halved each time that the loss was not finite.
    pub rate_factor: f32,
    /// How often it was.
    pub rollbacks: u32,
    /// Wall-clock seconds of the epoch so far.
    pub seconds: f64,
}

/// What a checkpoint holds: the state now, and the one at the beginning of the epoch, to which a training goes
/// back when the loss is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Before the first step of the epoch.
    pub begun: State,
    /// Now, where that is another.
    pub now: Option<State>,
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Advance {
    /// The epoch goes on.
    Step,
    /// The epoch is done.
    Epoch(EpochReport),
    /// The epoch's loss is not finite: it begins again with half the learning rate.
    RolledBack {
        /// The epoch, from 1.
        epoch: u32,
        /// What the schedule's learning rate is multiplied by from now on.
        rate_factor: f32,
    },
}

/// What an epoch came to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Epochs in all.
    pub epochs: u32,
    /// Mean loss of the training images, as augmented, each under its own network.
    pub loss: f64,
    /// Share of hits among them.
    pub accuracy: f64,
    /// Learning rate of the last step.
    pub learning_rate: f32,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// How often a training begins an epoch again with half the learning rate.
const MOST_ROLLBACKS: u32 = 3;

/// Trains one graph.
pub struct Trainer<'a> {
    options: TrainerOptions<'a>,
    gpu: Gpu,
    training: Training,
    schedule: Schedule,
    shapes: Vec<LayerShape>,
    begun: State,
    position: Position,
    /// The rest of the epoch, once a step of it was asked for.
    epoch: Option<Loader>,
    since: Instant,
}

impl<'a> Trainer<'a> {
    /// Makes the network ready with `weights`.
    pub fn new(
        gpu: &Gpu,
        graph: Graph,
        weights: &Weights,
        mut options: TrainerOptions<'a>,
    ) -> Result<Self, TrainError> {
        let (settings, batch) = (options.settings, options.batch());
        let shapes = graph.shapes.clone();
        let training =
            Training::taught(gpu, graph, TrainingOptions::of(settings, batch, options.tuning), options.teacher.take())?;
        training.load(weights)?;
        let steps = (options.images.len() as u64 / u64::from(batch)) * u64::from(options.epochs);
        let schedule = Schedule { peak: options.learning_rate, warmup: settings.warmup, steps };
        let position = Position { epoch: 0, step: 0, rate_factor: 1.0, rollbacks: 0, seconds: 0.0 };
        let begun = state(&training, position)?;
        Ok(Self {
            options,
            gpu: gpu.clone(),
            training,
            schedule,
            shapes,
            begun,
            position,
            epoch: None,
            since: Instant::now(),
        })
    }

    /// The training's programs and memory.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// Epochs done, the share of the next included.
    pub fn epochs_done(&self) -> f64 {
        f64::from(self.position.epoch) + self.position.step as f64 / self.steps() as f64
    }

    /// Whether all epochs are done.
    pub fn is_done(&self) -> bool {
        self.position.epoch >= self.options.epochs
    }

    /// All that a resume needs.
    pub fn snapshot(&self) -> Result<Snapshot, TrainError> {
        let now = if self.position.step == 0 { None } else { Some(state(&self.training, self.at())?) };
        Ok(Snapshot { begun: self.begun.clone(), now })
    }

    /// Goes back to a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        self.go_to(snapshot.now.as_ref().unwrap_or(&snapshot.begun))?;
        self.begun = snapshot.begun;
        Ok(())
    }

    fn go_to(&mut self, state: &State) -> Result<(), TrainError> {
        self.training.load(&state.weights)?;
        self.training.load_moments(&state.moments);
        self.training.load_totals(state.totals);
        self.position = state.position;
        self.since = Instant::now();
        self.epoch = None;
        Ok(())
    }

    /// Where it stands, with the seconds up to now.
    fn at(&self) -> Position {
        Position { seconds: self.position.seconds + self.since.elapsed().as_secs_f64(), ..self.position }
    }

    /// Images of a step.
    fn batch(&self) -> usize {
        self.options.batch() as usize
    }

    /// Steps of an epoch.
    fn steps(&self) -> u64 {
        (self.options.images.len() / self.batch()) as u64
    }

    /// Runs the next step; after an epoch's last, says what the epoch came to.
    ///
    /// # Errors
    /// What the device or the images say; `TrainError::Diverged` where the loss of an epoch was not finite
    /// again and again.
    ///
    /// # Panics
    /// When all epochs are done.
    pub fn advance(&mut self) -> Result<Advance, TrainError> {
        assert!(!self.is_done(), "a training that is done has no next step");
        let batch = self.next_batch()?;
        let (batch_size, options) = (self.batch(), &self.options);
        let step = u64::from(self.position.epoch) * self.steps() + self.position.step;
        let control = Control {
            learning_rate: self.schedule.rate(step) * self.position.rate_factor,
            statistics_rate: 0.1,
            clip_norm: options.settings.clip_norm,
            step: (step + 1) as f32,
        };
        let drawn: Vec<Vec<LayerShape>> = match &options.sampler {
            Some(sampler) => {
                let archs = sampler.draw(options.net, step, batch_size as u32);
                archs.iter().map(|arch| options.net.shapes(arch)).collect()
            }
            None => Vec::new(),
        };
        let shapes: Vec<&[LayerShape]> =
            if drawn.is_empty() { vec![&self.shapes; batch_size] } else { drawn.iter().map(Vec::as_slice).collect() };
        self.training.step_towards(&batch.images, &targets(&batch), &shapes, control);
        self.position.step += 1;
        if self.position.step.is_multiple_of(self.options.steps_in_flight) {
            self.gpu.wait().map_err(NetworkError::from)?;
        }
        if self.position.step < self.steps() { Ok(Advance::Step) } else { self.end_epoch(control.learning_rate) }
    }

    fn next_batch(&mut self) -> Result<Batch, TrainError> {
        if self.epoch.is_none() {
            let options = &self.options;
            self.epoch = Some(Loader::epoch(
                Arc::clone(&options.images),
                &Epoch {
                    normalisation: options.normalisation,
                    augment: options.augment,
                    sampling: options.settings.sampling,
                    batch_size: self.batch(),
                    seed: options.seed,
                    epoch: u64::from(self.position.epoch),
                    threads: options.threads,
                    start_step: self.position.step as usize,
                },
            )?);
        }
        let loader = self.epoch.as_mut().expect("it was just made where there was none");
        Ok(loader.next().expect("an epoch has a batch for each of its steps")?)
    }

    fn end_epoch(&mut self, learning_rate: f32) -> Result<Advance, TrainError> {
        let totals = self.training.totals()?;
        let images = (self.steps() * self.batch() as u64) as f64;
        if f64::from(totals.images) != images {
            let reason = format!("it did {} of the {images} images of an epoch and reported no error", totals.images);
            return Err(NetworkError::from(GpuError::Lost { reason }).into());
        }
        let Position { epoch, rate_factor, rollbacks, .. } = self.position;
        let next = Position { epoch: epoch + 1, step: 0, seconds: 0.0, ..self.position };
        let ended = State { totals: Totals::default(), ..state(&self.training, next)? };
        // A loss is computed before its step: what the last step did shows in the weights alone.
        if !totals.loss.is_finite() || ended.weights.values.iter().any(|value| !value.is_finite()) {
            if rollbacks == MOST_ROLLBACKS {
                return Err(TrainError::Diverged { epoch: epoch + 1, learning_rate: rate_factor });
            }
            let rate_factor = rate_factor / 2.0;
            self.begun.position = Position { rate_factor, rollbacks: rollbacks + 1, ..self.begun.position };
            self.go_to(&self.begun.clone())?;
            return Ok(Advance::RolledBack { epoch: epoch + 1, rate_factor });
        }
        let report = EpochReport {
            epoch: epoch + 1,
            epochs: self.options.epochs,
            loss: f64::from(totals.loss) / images,
            accuracy: f64::from(totals.hits) / images,
            learning_rate,
            seconds: self.at().seconds,
        };
        self.training.load_totals(Totals::default());
        self.position = next;
        self.since = Instant::now();
        self.epoch = None;
        self.begun = ended;
        Ok(Advance::Epoch(report))
    }

    /// The weights as they are.
    pub fn weights(&self) -> Result<Weights, TrainError> {
        Ok(self.training.weights()?)
    }
}

fn targets(batch: &Batch) -> Vec<Target> {
    let mixed = batch.others.iter().zip(&batch.shares);
    batch.labels.iter().zip(mixed).map(|(&label, (&other, &share))| Target { label, other, share }).collect()
}

fn state(training: &Training, position: Position) -> Result<State, TrainError> {
    Ok(State { weights: training.weights()?, moments: training.moments()?, totals: training.totals()?, position })
}
