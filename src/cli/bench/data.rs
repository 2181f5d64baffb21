//! `netadapt-bench data`: whether images come as fast as the device eats them.

use super::outcome::{Outcome, Quantity, object};
use super::peer::Peer;
use crate::cli::search::AugmentArg;
use crate::data::{self, Epoch, Format, Images, Loader, Normalisation};
use crate::gpu::Gpu;
use crate::graph::{Graph, Weights, initial_weights, lower};
use crate::kernels::Tuning;
use crate::kernels::optimizer::Control;
use crate::latency::Spread;
use crate::run::{CACHE_BYTES, RunError, STEPS_IN_FLIGHT, threads};
use crate::space::{Space, Supernet};
use crate::train::{Advance, Trainer, TrainerOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Options of `netadapt-bench data`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Folder of images, or a manifest of one.
    data: PathBuf,
    /// Preset or file of a search space.
    #[arg(long, default_value = "tiny")]
    preset: String,
    /// Pixels a side, instead of the space's.
    #[arg(long)]
    size: Option<u32>,
    /// Augmentation, instead of the space's.
    #[arg(long, value_enum)]
    augment: Option<AugmentArg>,
    /// Rounds of a decoding pass, an epoch and an epoch on one batch; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads that decode and make batches.
    #[arg(long, default_value_t = threads(), value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    threads: usize,
}

/// What is trained on what.
struct Work<'a> {
    gpu: &'a Gpu,
    space: &'a Space,
    net: &'a Supernet,
    graph: &'a Graph,
    weights: &'a Weights,
    images: &'a Arc<Images>,
    normalisation: Normalisation,
    threads: usize,
    tuning: Tuning,
}

/// Times decoding the training images, an epoch of the space's full network on them, and the same steps on one batch.
///
/// # Errors
/// What the images, the space, the device or the peer say.
pub(super) fn measure(gpu: &Gpu, tuning: &Tuning, args: &Args, peer: Option<&mut Peer>) -> anyhow::Result<Outcome> {
    let (mut space, size) = Space::open_at(&args.preset, args.size).map_err(RunError::from)?;
    if let Some(preset) = args.augment {
        space.augment = preset.preset().augment();
    }
    let options = data::Options { seed: 0, holdout: 0, max_bad: 0.0 };
    let dataset = data::open(&args.data, &options).map_err(RunError::from)?;
    let format = Format { size, channels: data::detect_channels(&dataset) };
    let decode = || -> anyhow::Result<(Images, f64)> {
        let start = Instant::now();
        let (images, _) =
            dataset.images(&dataset.train, format, args.threads, CACHE_BYTES, &|_, _| ()).map_err(RunError::from)?;
        Ok((images, start.elapsed().as_secs_f64()))
    };
    // The first pass may wait for a disk; those that are timed read what the system keeps in memory.
    let (images, first_s) = decode()?;
    let (images, count) = (Arc::new(images), dataset.train.len() as f64);
    space.validate_classes(&args.preset, dataset.classes.len() as u32).map_err(RunError::from)?;
    let net = space.supernet(size, format.channels, dataset.classes.len() as u32);
    let graph = lower(&net, &net.full());
    let work = Work {
        gpu,
        space: &space,
        net: &net,
        graph: &graph,
        weights: &initial_weights(&graph, 0),
        images: &images,
        normalisation: images.statistics(),
        threads: args.threads,
        tuning: *tuning,
    };
    let mut peer = match peer {
        Some(peer) => {
            let prepared = peer.decoding(&dataset.train, [size, space.train.batch], args.threads)?;
            Some((peer, prepared))
        }
        None => None,
    };
    let (mut decode_s, mut epoch_s, mut cached_s) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shares, mut over_peer) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let (_, decoding) = decode()?;
        if let Some((peer, prepared)) = &mut peer {
            over_peer.push(peer.seconds(*prepared, 0.0)? / decoding);
        }
        let [epoch, cached] = work.seconds()?;
        shares.push(epoch / (cached + decoding));
        decode_s.push(decoding);
        epoch_s.push(epoch);
        cached_s.push(cached);
    }

    let [decoding, epoch, cached] = [&decode_s, &epoch_s, &cached_s].map(|seconds| Spread::of(seconds));
    let share = Spread::of(&shares);
    let mut outcome = Outcome {
        json: object(serde_json::json!({
            "adapter": gpu.adapter(), "images": dataset.train.len(), "space": args.preset, "size": size,
            "batch": space.train.batch, "threads": args.threads, "first_decode_s": first_s, "decode_s": decoding,
            "images_per_second": count / decoding.median, "epoch_s": epoch, "cached_epoch_s": cached, "ratio": share,
        })),
        ..Outcome::default()
    };
    let key = format!("data {} {size}px", args.preset);
    outcome.quantities.insert(format!("{key} decode"), Quantity::ms(&decoding.scaled(1e3)));
    outcome.quantities.insert(format!("{key} epoch"), Quantity::ms(&epoch.scaled(1e3)));
    let lines = &mut outcome.lines;
    lines.push(gpu.adapter().to_string());
    lines.push(format!(
        "{count} training images at {size} px, {} threads; batches of {}",
        args.threads, space.train.batch
    ));
    lines.push(format!(
        "decode           {:8.2} s a pass, {:.0} images/s; the first pass {first_s:.2} s",
        decoding.median,
        count / decoding.median
    ));
    lines.push(format!("one batch        {:8.2} s for the steps of an epoch on the same batch", cached.median));
    lines.push(format!(
        "epoch            {:8.2} s with images read from memory and augmented: {:.3} of one batch and decoding together",
        epoch.median, share.median
    ));
    if let Some((peer, _)) = &peer {
        let ratio = Spread::of(&over_peer);
        lines.push(format!("{}: we decode {:.2} times as many images a second", peer.name, ratio.median));
        let json = serde_json::json!({ "name": peer.name, "decode_ratio": ratio });
        outcome.json.insert("peer".into(), json);
    }
    Ok(outcome)
}

impl Work<'_> {
    /// Seconds of an epoch, and of as many steps on its first batch.
    fn seconds(&self) -> anyhow::Result<[f64; 2]> {
        let full = self.net.full();
        let options = TrainerOptions {
            net: self.net,
            settings: &self.space.train,
            epochs: 1,
            learning_rate: 1e-3,
            seed: 0,
            sampler: None,
            teacher: None,
            images: Arc::clone(self.images),
            normalisation: self.normalisation,
            augment: self.space.augment,
            threads: self.threads,
            tuning: self.tuning,
            steps_in_flight: STEPS_IN_FLIGHT,
        };
        let batch_size = options.batch() as usize;
        let mut trainer = Trainer::new(self.gpu, self.graph.clone(), self.weights, options).map_err(RunError::from)?;
        let batch = self.batch(batch_size)?;
        let shapes = self.net.shapes(&full);
        let shapes = vec![shapes.as_slice(); batch_size];
        let control = Control { learning_rate: 0.0, statistics_rate: 0.1, clip_norm: 5.0, step: 1.0 };
        let step = |trainer: &Trainer<'_>| trainer.training().step(&batch.images, &batch.labels, &shapes, control);
        // The first one compiles and warms up.
        step(&trainer);
        self.gpu.wait().map_err(RunError::from)?;
        let start = Instant::now();
        for done in 1..=(self.images.len() / batch_size) as u64 {
            step(&trainer);
            if done.is_multiple_of(STEPS_IN_FLIGHT) {
                self.gpu.wait().map_err(RunError::from)?;
            }
        }
        self.gpu.wait().map_err(RunError::from)?;
        let cached = start.elapsed().as_secs_f64();
        let snapshot = trainer.snapshot().map_err(RunError::from)?;
        trainer.restore(snapshot).map_err(RunError::from)?;
        loop {
            if let Advance::Epoch(report) = trainer.advance().map_err(RunError::from)? {
                return Ok([report.seconds, cached]);
            }
        }
    }

    /// A batch as an epoch has it.
    fn batch(&self, batch_size: usize) -> anyhow::Result<data::Batch> {
        let epoch = Epoch {
            normalisation: self.normalisation,
            augment: self.space.augment,
            sampling: self.space.train.sampling,
            batch_size,
            seed: 0,
            epoch: 0,
            threads: 1,
            start_step: 0,
        };
        let mut loader = Loader::epoch(Arc::clone(self.images), &epoch).map_err(RunError::from)?;
        Ok(loader.next().expect("an epoch has a batch").map_err(RunError::from)?)
    }
}
