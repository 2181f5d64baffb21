//! Device, images and super-network: what every step of a run works on.

use super::config::{Config, TeacherKind};
use super::environment::Environment;
use super::error::RunError;
use super::events::{Event, Listener, Phase};
use super::images::{self, ImageSource};
use super::intervals::interval;
use super::started::{Env, source};
use super::target::Target;
use super::tile_sizes;
use crate::data::{self, Dataset, Format, Images, Normalisation};
use crate::gpu::Gpu;
use crate::graph::{Graph, lower};
use crate::kernels::Tuning;
use crate::space::{Space, Supernet};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// What every step works on.
pub(super) struct Prepared {
    pub(super) gpu: Gpu,
    pub(super) tuning: Tuning,
    pub(super) space: Space,
    pub(super) net: Supernet,
    pub(super) graph: Graph,
    pub(super) dataset: Dataset,
    pub(super) train: Arc<Images>,
    pub(super) holdout: Arc<Images>,
    pub(super) test: Arc<Images>,
    pub(super) normalisation: Normalisation,
    /// The other device that is searched for.
    pub(super) target: Option<Target>,
    /// Training steps between two waits for the device.
    pub(super) steps_in_flight: u64,
}

/// As many steps as keep the device busy and never pile up by seconds.
pub(crate) const STEPS_IN_FLIGHT: u64 = 4;

/// The share of a target that is the teacher's where one is asked for and the space has none: half of it.
const TAUGHT: f32 = 0.5;

/// The space with the changes that the configuration makes.
pub(super) fn space(config: &Config) -> Result<(Space, u32), RunError> {
    let source = config.from.as_deref().map(source).transpose()?;
    let mut space = match &source {
        Some(source) => source.space.clone(),
        None => Space::open(&config.space)?,
    };
    if let Some(epochs) = config.epochs {
        space.train.epochs = epochs;
    }
    if let Some(epochs) = config.final_epochs {
        space.train.final_epochs = epochs;
        space.train.scratch_epochs = Some(epochs);
    }
    if let Some(samples) = config.samples {
        space.search.samples = samples;
    }
    match config.teacher {
        Some(TeacherKind::None) => space.train.distillation = 0.0,
        Some(_) if space.train.distillation == 0.0 => space.train.distillation = TAUGHT,
        Some(_) | None => {}
    }
    if let Some(sampling) = config.sampling {
        space.train.sampling = sampling;
    }
    if let Some(precision) = config.precision {
        space.train.precision = precision;
    }
    if let Some(preset) = config.augment {
        space.augment = preset.augment();
        space.scratch_augment = None;
    }
    let size = source.map_or(config.size.unwrap_or(space.size), |source| source.size());
    space.validate_size(&config.space, size)?;
    Ok((space, size))
}

/// Opens the device, unless one is given, and reads the images, for a space at a size. Tile sizes of the kernels
/// are those that the run was begun with on the same device, if it was.
pub(super) fn prepare(
    config: &Config,
    (space, size): (Space, u32),
    environment: &Environment,
    begun: Option<&Env>,
    listener: &mut dyn Listener,
) -> Result<Prepared, RunError> {
    let gpu = (environment.open)(config.device)?;
    let tuning = match begun.filter(|env| env.adapter == *gpu.adapter()) {
        Some(env) => env.tuning,
        None => tile_sizes::of_new_run(config, &gpu, environment, listener)?,
    };
    if gpu.adapter().is_software() {
        let text = format!("{} is a software adapter: latencies are this processor's, not a GPU's", gpu.adapter());
        listener.event(&Event::Note { text });
    }
    let source = ImageSource { data: &config.data, seed: config.seed, max_bad: config.max_bad };
    listener.event(&Event::Begin { phase: Phase::Files });
    let start = Instant::now();
    let listener = RefCell::new(listener);
    let mut dataset = source.open(&space, &|done, all| {
        listener.borrow_mut().event(&Event::Progress { done: done as f64, all: all as f64 });
    })?;
    let end = Event::End { phase: Phase::Files, seconds: start.elapsed().as_secs_f64() };
    listener.borrow_mut().event(&end);
    let channels = data::detect_channels(&dataset);
    let format = Format { size, channels };

    listener.borrow_mut().event(&Event::Begin { phase: Phase::Images });
    let start = Instant::now();
    let all = (dataset.train.len() + dataset.holdout.len() + dataset.test.len()) as f64;
    let (mut before, mut bad) = (0, Vec::new());
    let mut load = |samples: &[data::Sample]| -> Result<Arc<Images>, RunError> {
        let progress = |done: usize, _: usize| {
            listener.borrow_mut().event(&Event::Progress { done: (before + done) as f64, all });
        };
        let (images, spoilt) = images::load(&dataset, samples, format, config.threads, &progress)?;
        before += samples.len();
        bad.extend(spoilt);
        Ok(Arc::new(images))
    };
    let (train, holdout, test) = (load(&dataset.train)?, load(&dataset.holdout)?, load(&dataset.test)?);
    dataset.leave_out(bad)?;
    let seconds = start.elapsed().as_secs_f64();
    let listener = listener.into_inner();
    listener.event(&Event::End { phase: Phase::Images, seconds });
    if let Some(text) = dataset.left_out() {
        listener.event(&Event::Note { text });
    }

    if let Some(text) = few(holdout.len(), test.len()) {
        listener.event(&Event::Note { text });
    }

    space.validate_classes(&config.space, dataset.classes.len() as u32)?;
    let net = space.supernet(size, channels, dataset.classes.len() as u32);
    let graph = lower(&net, &net.full());
    let normalisation = train.statistics();
    let target = config.target.as_ref().map(|table| table.read(&net)).transpose()?;
    Ok(Prepared {
        gpu,
        tuning,
        space,
        net,
        graph,
        dataset,
        train,
        holdout,
        test,
        normalisation,
        target,
        steps_in_flight: STEPS_IN_FLIGHT,
    })
}

/// Images below which a split says little: an accuracy of 90 % is then known to ±6 points at best.
const FEW: usize = 100;

/// A remark where networks are chosen or judged by few images.
fn few(holdout: usize, test: usize) -> Option<String> {
    let about =
        |images: usize| format!("an accuracy of 90 % is known to about ±{:.0} points", 100.0 * interval(0.9, images));
    match (holdout < FEW, test < FEW) {
        (false, false) => None,
        (true, false) => Some(format!("{holdout} held-out images are few to choose networks by: {}", about(holdout))),
        (false, true) => Some(format!("{test} test images are few to judge networks by: {}", about(test))),
        (true, true) => Some(format!(
            "{holdout} held-out and {test} test images are few to choose and judge networks by: {}",
            about(test)
        )),
    }
}
