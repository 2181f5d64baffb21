//! What the report shows of a run.

use super::config::{Config, StrategyKind};
use super::prepare::Prepared;
use super::result::{ComparedNetwork, FoundNetwork, RunResult};
use super::training::{augment, training_seed};
use crate::data::{Epoch, Loader};
use crate::latency::Table;
use crate::report::{self, LayerBar, LayerSize, NetworkSummary, Picture, TrainingPicture};
use crate::search::Resource;
use crate::space::{Arch, LayerKind, OperationKind, operation};
use crate::train::Evaluation;
use std::sync::Arc;

/// Pictures of each kind in a report.
const PICTURES: usize = 12;

/// Sizes and predicted milliseconds of every layer, before and after. `correction` is what whole
/// networks measure over what the table predicts.
pub(super) fn layer_bars(prepared: &Prepared, table: &Table, correction: f64, arch: &Arch) -> Vec<LayerBar> {
    let net = &prepared.net;
    let full = net.full();
    let (before, after) = (net.shapes(&full), net.shapes(arch));
    let ms = |operations: &[crate::space::Operation]| {
        operations.iter().map(|op| table.operation_ms(op)).sum::<Option<f64>>().map(|sum| sum * correction)
    };
    let mut bars: Vec<LayerBar> = net
        .layers()
        .iter()
        .zip(before.iter().zip(&after))
        .map(|(layer, (before, after))| LayerBar {
            name: layer.name.clone(),
            kind: match layer.kind {
                LayerKind::Conv { .. } => "conv".into(),
                LayerKind::InvertedResidual { .. } => "inverted-residual".into(),
            },
            initial: LayerSize::from(before),
            found: LayerSize::from(after),
            initial_ms: ms(&operation::of_layer(&layer.kind, before)),
            found_ms: ms(&operation::of_layer(&layer.kind, after)),
            removed: after.is_removed(),
        })
        .collect();
    let classifier = |arch: &Arch| {
        let operations = net.operations(arch);
        let tail: Vec<_> = operations.iter().rev().take(2).copied().collect();
        debug_assert!(tail.iter().any(|op| op.kind == OperationKind::Linear));
        ms(&tail)
    };
    let classes = LayerSize { filters: net.classes(), ..LayerSize::default() };
    bars.push(LayerBar {
        name: "classifier".into(),
        kind: "linear".into(),
        initial: classes,
        found: classes,
        initial_ms: classifier(&full),
        found_ms: classifier(arch),
        removed: false,
    });
    bars
}

/// A found network on the test images.
pub(super) fn network_summary(
    prepared: &Prepared,
    network: &FoundNetwork,
    layers: Vec<LayerBar>,
    evaluation: &Evaluation,
) -> NetworkSummary {
    let images = &prepared.test;
    let classes = prepared.dataset.classes.len();
    let mut confusion = vec![vec![0; classes]; classes];
    for (predicted, label) in evaluation.predicted.iter().zip(images.labels()) {
        confusion[*label as usize][*predicted as usize] += 1;
    }
    let wrong = |index: &usize| evaluation.predicted[*index] != images.labels()[*index];
    let mut mistakes: Vec<usize> = (0..images.len()).filter(wrong).collect();
    mistakes.sort_by(|a, b| evaluation.confidence[*b].total_cmp(&evaluation.confidence[*a]));
    mistakes.truncate(PICTURES);
    let samples: Vec<usize> = (0..PICTURES.min(images.len())).map(|i| i * images.len() / PICTURES).collect();
    let pictures = |indices: &[usize]| -> Vec<Picture> {
        let format = images.format();
        indices
            .iter()
            .filter_map(|index| {
                // A picture that cannot be read again is missing from the page, and no reason to lose the run.
                let pixels = images.picture(*index as u32).ok()?;
                let picture = Picture::new(&pixels, format.size, format.channels).ok()?;
                Some(Picture {
                    label: images.labels()[*index],
                    predicted: evaluation.predicted[*index],
                    confidence: evaluation.confidence[*index],
                    ..picture
                })
            })
            .collect()
    };
    NetworkSummary {
        budget_text: network.budget.text.clone(),
        limit: network.budget.limit,
        latency_ms: network.latency_ms,
        latency_p90_ms: network.latency_p90_ms,
        predicted_ms: Some(network.predicted_ms),
        macs: network.macs,
        params: network.params,
        weight_bytes: network.weight_bytes,
        activation_bytes: network.activation_bytes,
        target_ms: network.target_ms,
        shared: network.accuracy.shared.unwrap_or(0.0),
        holdout: network.accuracy.holdout.unwrap_or(0.0),
        test: network.accuracy.test.unwrap_or(0.0),
        balanced: network.accuracy.balanced,
        interval: network.interval,
        layers,
        confusion,
        samples: pictures(&samples),
        mistakes: pictures(&mistakes),
    }
}

/// Images of the first batch of the run's first training, as the network saw them. What cannot be read again is missing
/// from the page, and no reason to lose the run.
fn first_batch(config: &Config, prepared: &Prepared) -> Vec<TrainingPicture> {
    let images = &prepared.train;
    let settings = &prepared.space.train;
    let epoch = Epoch {
        normalisation: prepared.normalisation,
        augment: augment(config, prepared, config.from.is_none()),
        sampling: settings.sampling,
        batch_size: images.len().min(settings.batch as usize).min(PICTURES),
        seed: training_seed(config, config.from.is_none()),
        epoch: 0,
        threads: 1,
        start_step: 0,
    };
    let batch = Loader::epoch(Arc::clone(images), &epoch).ok().and_then(|mut batches| batches.next()?.ok());
    let Some(batch) = batch else { return Vec::new() };
    let size = images.format().size;
    let told = batch.labels.iter().zip(&batch.others).zip(&batch.shares);
    let each = batch.images.chunks_exact(size as usize * size as usize * 4);
    let picture = |(values, ((&label, &other), &share)): (&[f32], ((&u32, &u32), &f32))| {
        let pixels = values.chunks_exact(4);
        let pixels: Vec<u8> =
            pixels.flat_map(|pixel| prepared.normalisation.colour(pixel, images.format().channels)).collect();
        let png_base64 = Picture::new(&pixels, size, 3).ok()?.png_base64;
        Some(TrainingPicture { png_base64, label, other, share })
    };
    each.zip(told).filter_map(picture).collect()
}

/// The page's view of the result, beside what the run has `collected` on its way: its command, networks,
/// iterates, candidates, trainings.
pub(super) fn input(
    config: &Config,
    prepared: &Prepared,
    resource: Resource,
    result: &RunResult,
    collected: report::Input,
) -> report::Input {
    let budgets: Vec<String> = config.budgets.iter().map(ToString::to_string).collect();
    let name = config.data.file_name().unwrap_or(config.data.as_os_str()).to_string_lossy();
    let device = &result.device;
    let initial = &result.initial;
    let dataset = &prepared.dataset;
    let compared = |c: &ComparedNetwork| report::Compared {
        name: c.name.clone(),
        network: c.network,
        latency_ms: c.latency_ms,
        macs: c.macs,
        params: c.params,
        weight_bytes: c.weight_bytes,
        activation_bytes: c.activation_bytes,
        target_ms: c.target_ms,
        holdout: c.accuracy.holdout.unwrap_or(0.0),
        test: c.accuracy.test.unwrap_or(0.0),
        balanced: c.accuracy.balanced,
        interval: c.interval,
        difference: Some(c.difference),
    };
    report::Input {
        title: format!("{name} within {}", budgets.join(", ")),
        strategy: match config.strategy {
            StrategyKind::Mcd => "multi-layer coordinate descent".into(),
            StrategyKind::Single => "one layer at a time (NetAdapt V1)".into(),
            StrategyKind::Random => "random".into(),
        },
        seed: config.seed,
        date: date(),
        resource: resource.to_string(),
        device: report::Device {
            name: device.name.clone(),
            driver: device.driver.clone(),
            backend: device.backend.clone(),
            kind: device.kind.clone(),
        },
        dataset: report::DatasetSummary {
            path: dataset.root.display().to_string(),
            classes: dataset.classes.clone(),
            train: dataset.train.len(),
            holdout: dataset.holdout.len(),
            test: dataset.test.len(),
            size: prepared.net.input().size,
            channels: prepared.net.input().channels,
        },
        space: prepared.space.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        seconds: result.seconds,
        initial: report::InitialSummary {
            latency_ms: initial.latency_ms,
            macs: initial.macs,
            params: initial.params,
            holdout_accuracy: initial.accuracy.shared.unwrap_or(0.0),
        },
        comparison: result.compare.iter().map(compared).collect(),
        batch: first_batch(config, prepared),
        ..collected
    }
}

/// Today, in UTC, as 2026-11-22.
pub(crate) fn date() -> String {
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
