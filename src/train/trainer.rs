//! Epochs of steps, with all state in one struct.

use super::schedule::Schedule;
use crate::data::{Augment, DataError, Epoch, Images, Loader, Normalisation};
use crate::gpu::Gpu;
use crate::graph::{BatchStatistics, Footprint, Graph, NetworkError, Training, TrainingOptions, Weights};
use crate::kernels::Tuning;
use crate::kernels::optimizer::{Control, Rule};
use crate::space::{Arch, LayerShape, Optimizer, Supernet, TrainSettings, WidthSampler};
use std::sync::Arc;

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
    /// The loss is not a number any more.
    #[error("the loss of epoch {epoch} is not finite; train with a lower learning rate than {learning_rate}")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The peak learning rate.
        learning_rate: f32,
    },
}

/// What a trainer is made of.
pub struct TrainerOptions<'a> {
    /// The super-network.
    pub net: &'a Supernet,
    /// The architecture that is trained: its full one for the super-network itself.
    pub arch: &'a Arch,
    /// Settings.
    pub settings: &'a TrainSettings,
    /// Epochs.
    pub epochs: u32,
    /// Learning rate at the end of the warm-up.
    pub learning_rate: f32,
    /// Draws widths per image; `None` trains `arch` alone.
    pub sampler: Option<WidthSampler>,
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
}

/// All that a training needs to go on: what a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Parameters and running statistics.
    pub weights: Weights,
    /// The optimiser's moments.
    pub moments: Vec<f32>,
    /// Epochs done.
    pub epoch: u32,
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

/// Steps between two waits for the device: few enough that work never piles up by seconds.
const STEPS_IN_FLIGHT: usize = 4;

/// Trains one graph.
pub struct Trainer<'a> {
    options: TrainerOptions<'a>,
    gpu: Gpu,
    training: Training,
    schedule: Schedule,
    shapes: Vec<LayerShape>,
    epoch: u32,
}

impl<'a> Trainer<'a> {
    /// Makes the network ready with `weights`.
    pub fn new(gpu: &Gpu, graph: Graph, weights: &Weights, options: TrainerOptions<'a>) -> Result<Self, TrainError> {
        let settings = options.settings;
        let rule = match settings.optimizer {
            Optimizer::Sgd => Rule::Sgd { momentum: settings.momentum, decay: settings.weight_decay },
            Optimizer::AdamW => {
                Rule::AdamW { first: settings.momentum, second: 0.999, epsilon: 1e-8, decay: settings.weight_decay }
            }
        };
        let batch = settings.batch.min(options.images.len() as u32);
        let training = Training::new(
            gpu,
            graph,
            TrainingOptions {
                batch,
                rule,
                smoothing: settings.label_smoothing,
                statistics: BatchStatistics::OfBatch,
                tuning: options.tuning,
            },
        )?;
        training.load(weights)?;
        let steps = (options.images.len() as u64 / u64::from(batch)) * u64::from(options.epochs);
        let schedule = Schedule { peak: options.learning_rate, warmup: settings.warmup, steps };
        let shapes = options.net.shapes(options.arch);
        Ok(Self { options, gpu: gpu.clone(), training, schedule, shapes, epoch: 0 })
    }

    /// The training's programs and memory.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// Bytes that it holds on the device.
    pub fn footprint(&self) -> Footprint {
        self.training.footprint()
    }

    /// Epochs done.
    pub fn epochs_done(&self) -> u32 {
        self.epoch
    }

    /// Whether all epochs are done.
    pub fn is_done(&self) -> bool {
        self.epoch >= self.options.epochs
    }

    /// All that a resume needs.
    pub fn state(&self) -> Result<State, TrainError> {
        Ok(State { weights: self.training.weights()?, moments: self.training.moments()?, epoch: self.epoch })
    }

    /// Goes back to a state.
    pub fn restore(&mut self, state: &State) -> Result<(), TrainError> {
        self.training.load(&state.weights)?;
        self.training.load_moments(&state.moments);
        self.epoch = state.epoch;
        Ok(())
    }

    /// Images of a step.
    fn batch(&self) -> usize {
        (self.options.settings.batch as usize).min(self.options.images.len())
    }

    /// Runs one epoch; `progress` is told of the steps done and all steps of it.
    pub fn epoch(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<EpochReport, TrainError> {
        let start = std::time::Instant::now();
        let batch_size = self.batch();
        let options = &self.options;
        let loader = Loader::epoch(
            Arc::clone(&options.images),
            &Epoch {
                normalisation: options.normalisation,
                augment: options.augment,
                batch_size,
                seed: options.seed,
                epoch: u64::from(self.epoch),
                threads: options.threads,
                start_step: 0,
            },
        )?;
        let steps = (options.images.len() / batch_size) as u64;
        let mut rate = 0.0;
        for (step, batch) in loader.enumerate() {
            let batch = batch?;
            let global = u64::from(self.epoch) * steps + step as u64;
            rate = self.schedule.rate(global);
            let control = Control {
                learning_rate: rate,
                statistics_rate: 0.1,
                clip_norm: options.settings.clip_norm,
                step: (global + 1) as f32,
            };
            let drawn: Vec<Vec<LayerShape>> = match &options.sampler {
                Some(sampler) => {
                    let archs = sampler.draw(options.net, global, batch_size as u32);
                    archs.iter().map(|arch| options.net.shapes(arch)).collect()
                }
                None => Vec::new(),
            };
            let shapes: Vec<&[LayerShape]> = if drawn.is_empty() {
                vec![&self.shapes; batch_size]
            } else {
                drawn.iter().map(Vec::as_slice).collect()
            };
            self.training.step(&batch.images, &batch.labels, &shapes, control);
            if step % STEPS_IN_FLIGHT == STEPS_IN_FLIGHT - 1 {
                self.gpu.wait().map_err(NetworkError::from)?;
            }
            progress(step as u64 + 1, steps);
        }
        let (loss, hits) = self.training.take_totals()?;
        self.epoch += 1;
        let images = (steps * batch_size as u64) as f64;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch: self.epoch, learning_rate: self.schedule.peak });
        }
        Ok(EpochReport {
            epoch: self.epoch,
            epochs: self.options.epochs,
            loss: loss / images,
            accuracy: hits / images,
            learning_rate: rate,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// The weights as they are.
    pub fn weights(&self) -> Result<Weights, TrainError> {
        Ok(self.training.weights()?)
    }
}
