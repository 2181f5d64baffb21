//! A super-network is all of its sub-networks: masked equals extracted, forward and backward.

use crate::harness::{gpu, settings};
use netadapt::check::Setting;
use netadapt::gpu::Precision;
use netadapt::graph::{
    BatchStatistics, Deployed, Graph, Scoring, Teacher, Training, TrainingOptions, Weights, initial_weights, lower,
};
use netadapt::kernels::Tuning;
use netadapt::kernels::optimizer::{Control, Rule};
use netadapt::rng::{Purpose, stream};
use netadapt::space::{Arch, LayerShape, Space, Supernet, WidthSampler};
use rand::RngExt;

/// Small enough for seconds, with every kind of layer and shortcut; 8 px so that a row of images is
/// whole blocks of memory.
const SPACE: &str = r#"
name = "all-kinds"
size = 8
[stem]
filters = 8
min_filters = 4
activation = "hard-swish"
[[stages]]
block = "inverted-residual"
repeat = 2
filters = 8
expansion = 16
min_expansion = 4
kernels = [3, 5, 7]
squeeze = true
activation = "hard-swish"
[[stages]]
block = "inverted-residual"
filters = 12
expansion = 20
min_expansion = 4
kernels = [3, 5]
[[stages]]
block = "conv"
repeat = 2
filters = 16
stride = 2
min_filters = 4
[head]
filters = 20
min_filters = 4
[search]
samples = 4
coordinates = 2
first_cut = 0.1
decay = 1.0
holdout_images = 8
score_images = 8
recalibration_images = 8
latency_batch = 1
latency_seconds = 0.1
[train]
batch = 8
epochs = 1
final_epochs = 1
optimizer = "sgd"
learning_rate = 0.1
final_learning_rate = 0.1
momentum = 0.9
weight_decay = 0.01
warmup = 0.0
label_smoothing = 0.1
clip_norm = 0.0
widths = "uniform"
full_images = 0
images_per_draw = 1
[augment]
"#;

const CLASSES: u32 = 5;

fn net_of(text: &str) -> Supernet {
    Space::parse("test", text).expect("the space is valid").supernet(8, 3, CLASSES)
}

fn net() -> Supernet {
    net_of(SPACE)
}

fn tuning() -> Tuning {
    Tuning::for_adapter(gpu().adapter())
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = stream(seed, Purpose::Data, 0, 0);
    (0..count).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

/// Images (N, 8, 8, 3) with their fourth channel.
fn images(count: usize, seed: u64) -> Vec<f32> {
    let mut values = random(count * 64 * 4, seed);
    values.iter_mut().skip(3).step_by(4).for_each(|v| *v = 0.0);
    values
}

/// Weights with every parameter and every statistic away from its initial value.
fn weights(graph: &Graph, seed: u64) -> Weights {
    let mut weights = initial_weights(graph, seed);
    for param in &graph.params {
        for position in param.positions() {
            let at = param.index(position);
            let mut rng = stream(seed, Purpose::Data, 1, at as u64);
            weights.values[at] += 0.2 * (rng.random::<f32>() - 0.5);
        }
    }
    for (index, running) in weights.running.iter_mut().enumerate() {
        let mut rng = stream(seed, Purpose::Data, 2, index as u64);
        running.iter_mut().for_each(|v| *v += 0.4 * rng.random::<f32>());
    }
    weights
}

/// The full network, the smallest, and `count` between.
fn archs(net: &Supernet, count: u32) -> Vec<Arch> {
    let sampler = WidthSampler::uniform(11);
    let mut archs = sampler.draw(net, 0, count);
    archs.extend([net.full(), net.smallest()]);
    archs
}

fn assert_near(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (index, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {a} is not {b} at {index}, of values up to {scale}");
    }
}

/// Logits of `arch` cut out of the super-network.
fn extracted_logits(net: &Supernet, graph: &Graph, weights: &Weights, arch: &Arch, images: &[f32]) -> Vec<f32> {
    let small = lower(net, arch);
    let count = (images.len() / 256) as u32;
    let scoring = Scoring::new(gpu(), small.clone(), &tuning(), [1, count]).expect("the network fits");
    scoring.load(&weights.prefix(graph, &small)).expect("the weights fit");
    scoring.set_networks(&[&net.shapes(arch)]);
    scoring.logits(images).expect("the device works")
}

#[test]
fn networks_scored_in_one_pass_are_the_extracted_ones() {
    let net = net();
    let graph = lower(&net, &net.full());
    let weights = weights(&graph, 1);
    let archs = archs(&net, 14);
    let shapes: Vec<Vec<LayerShape>> = archs.iter().map(|arch| net.shapes(arch)).collect();
    let scoring = Scoring::new(gpu(), graph.clone(), &tuning(), [archs.len() as u32, 3]).expect("the network fits");
    scoring.load(&weights).expect("the weights fit");
    scoring.set_networks(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let images = images(3, 2);
    let all = scoring.logits(&images).expect("the device works");
    for (arch, own) in archs.iter().zip(all.chunks(3 * CLASSES as usize)) {
        let want = extracted_logits(&net, &graph, &weights, arch, &images);
        assert_near(own, &want, 2e-5, &format!("{arch:?}"));
    }
}

/// How many networks a pass holds changes no bit: a run that has less memory comes to the same scores.
#[test]
fn networks_recalibrated_in_one_pass_are_those_recalibrated_alone() {
    let net = net();
    let graph = lower(&net, &net.full());
    let weights = weights(&graph, 3);
    let archs = archs(&net, 6);
    let (calibration, images) = ([images(4, 4), images(4, 5)], images(4, 6));
    for (name, Setting { gpu, tuning, .. }) in settings() {
        let score = |archs: &[Arch]| {
            let shapes: Vec<Vec<LayerShape>> = archs.iter().map(|arch| net.shapes(arch)).collect();
            let scoring = Scoring::new(gpu, graph.clone(), &tuning, [archs.len() as u32, 4]).expect("it fits");
            scoring.load(&weights).expect("the weights fit");
            scoring.set_networks(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>());
            for (pass, images) in calibration.iter().enumerate() {
                scoring.recalibrate(images, pass as u32);
            }
            scoring.logits(&images).expect("the device works")
        };
        let together = score(&archs);
        for fewer in [3, 2, 1] {
            assert!(archs.chunks(fewer).flat_map(score).collect::<Vec<_>>() == together, "{name}: {fewer} at a time");
        }
    }
}

#[test]
fn deployed_networks_are_the_extracted_ones() {
    for text in [
        SPACE.to_owned(),
        SPACE.replace("inverted-residual", "conv").replace("[3, 5, 7]", "[3]").replace("[3, 5]", "[5]"),
    ] {
        let text = if text.contains("inverted-residual") {
            text
        } else {
            text.lines().filter(|l| !l.contains("expansion") && !l.contains("squeeze")).collect::<Vec<_>>().join("\n")
        };
        let net = net_of(&text);
        let graph = lower(&net, &net.full());
        let weights = weights(&graph, 7);
        let images = images(2, 8);
        for arch in archs(&net, 12) {
            let small = lower(&net, &arch);
            let own = weights.prefix(&graph, &small);
            let deployed = Deployed::new(gpu(), &small, &own, &tuning(), 2).expect("the network fits");
            let got = deployed.logits(&images).expect("the device works");
            assert_near(&got, &extracted_logits(&net, &graph, &weights, &arch, &images), 5e-5, &format!("{arch:?}"));
        }
    }
}

#[test]
fn a_residual_block_of_width_zero_is_not_there_bit_for_bit() {
    let with = net();
    let without = net_of(&SPACE.replacen("repeat = 2\nfilters = 8", "repeat = 1\nfilters = 8", 1));
    let (graph, shorter) = (lower(&with, &with.full()), lower(&without, &without.full()));
    let weights = weights(&graph, 9);
    // The same weights without the second block: later layers have moved up by one.
    let mut renamed = graph.clone();
    let rename = |name: &mut String| {
        for later in 2..6 {
            if let Some(rest) = name.strip_prefix(&format!("blocks.{later}.")) {
                *name = format!("blocks.{}.{rest}", later - 1);
                return;
            }
        }
        if name.starts_with("blocks.1.") {
            *name = format!("gone.{name}");
        }
    };
    renamed.params.iter_mut().for_each(|param| rename(&mut param.name));
    renamed.statistics.iter_mut().for_each(|statistics| rename(&mut statistics.name));
    let own = weights.prefix(&renamed, &shorter);

    let filters = with.coordinates().iter().position(|c| c.layer == 2).expect("the second block has filters");
    let removed = with.with(&with.full(), filters, 0).expect("a residual block can go");
    let logits = |net: &Supernet, graph: &Graph, weights: &Weights, arch: &Arch| {
        let scoring = Scoring::new(gpu(), graph.clone(), &tuning(), [1, 3]).expect("the network fits");
        scoring.load(weights).expect("the weights fit");
        scoring.set_networks(&[&net.shapes(arch)]);
        scoring.logits(&images(3, 10)).expect("the device works")
    };
    let masked = logits(&with, &graph, &weights, &removed);
    let shorter_logits = logits(&without, &shorter, &own, &without.full());
    assert_eq!(masked, shorter_logits);
    assert_ne!(masked, logits(&with, &graph, &weights, &with.full()), "the block does something where it is kept");
}

fn options(batch: u32, statistics: BatchStatistics) -> TrainingOptions {
    let rule = Rule::Sgd { momentum: 0.9, decay: 0.01 };
    TrainingOptions { batch, rule, smoothing: 0.1, statistics, precision: Precision::F32, tuning: tuning() }
}

/// A training of `arch`'s graph with fixed or batch statistics.
fn training(net: &Supernet, arch: &Arch, batch: u32, statistics: BatchStatistics) -> Training {
    Training::new(gpu(), lower(net, arch), options(batch, statistics)).expect("the network fits")
}

const CONTROL: Control = Control { learning_rate: 0.1, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };

fn labels(count: u32) -> Vec<u32> {
    (0..count).map(|n| n % CLASSES).collect()
}

/// Gradients as weights, so that prefixes of them can be taken.
fn gradients(training: &Training) -> Weights {
    let running = training.graph().statistics.iter().map(|s| vec![0.0; s.channels.div_ceil(4) as usize * 8]).collect();
    Weights { values: training.gradients().expect("the device works"), running }
}

#[test]
fn with_equal_widths_a_step_is_the_extracted_networks() {
    let net = net();
    let graph = lower(&net, &net.full());
    let weights = weights(&graph, 12);
    let (images, labels) = (images(8, 13), labels(8));
    for arch in archs(&net, 6) {
        let shapes = net.shapes(&arch);
        let wide = training(&net, &net.full(), 8, BatchStatistics::OfBatch);
        wide.load(&weights).expect("the weights fit");
        wide.step(&images, &labels, &[&shapes[..]; 8], CONTROL);
        let small = training(&net, &arch, 8, BatchStatistics::OfBatch);
        small.load(&weights.prefix(&graph, small.graph())).expect("the weights fit");
        small.step(&images, &labels, &[&shapes[..]; 8], CONTROL);

        let what = format!("{arch:?}");
        assert_near(&wide.losses().unwrap(), &small.losses().unwrap(), 5e-5, &what);
        let prefix = gradients(&wide).prefix(&graph, small.graph());
        assert_near(&prefix.values, &gradients(&small).values, 5e-4, &what);
        let (wide, small_weights) = (wide.weights().unwrap(), small.weights().unwrap());
        let prefix = wide.prefix(&graph, small.graph());
        assert_near(&prefix.values, &small_weights.values, 5e-4, &what);
        for (a, b) in prefix.running.iter().zip(&small_weights.running) {
            assert_near(a, b, 1e-4, &what);
        }
    }
}

/// Maps of bf16 keep eight bits of every value: gradients point the way that those of f32 do, with a few percent of
/// noise, in a step in which every image has widths of its own, and the trainings learn alike.
#[test]
fn maps_of_bf16_train_nearly_as_those_of_f32() {
    let net = net();
    let graph = lower(&net, &net.full());
    let archs: Vec<Arch> = archs(&net, 8).into_iter().take(8).collect();
    let (images, labels) = (images(8, 22), labels(8));
    let shapes: Vec<Vec<LayerShape>> = archs.iter().map(|arch| net.shapes(arch)).collect();
    let shapes: Vec<&[LayerShape]> = shapes.iter().map(Vec::as_slice).collect();
    let trained = |precision| {
        let options = TrainingOptions { precision, ..options(8, BatchStatistics::OfBatch) };
        let training = Training::new(gpu(), graph.clone(), options).expect("the network fits");
        training.load(&weights(&graph, 21)).expect("the weights fit");
        training.step(&images, &labels, &shapes, CONTROL);
        let first = gradients(&training).values;
        for _ in 0..30 {
            training.step(&images, &labels, &shapes, CONTROL);
        }
        (first, training.losses().expect("the device works"), training.footprint().maps)
    };
    let (exact, exact_losses, exact_bytes) = trained(Precision::F32);
    let (rounded, rounded_losses, rounded_bytes) = trained(Precision::Bf16);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(&exact, &rounded) / (dot(&exact, &exact) * dot(&rounded, &rounded)).sqrt();
    assert!(cosine > 0.98, "{cosine}");
    assert_ne!(exact, rounded, "nothing was rounded");
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (exact, rounded) = (mean(&exact_losses), mean(&rounded_losses));
    assert!((exact - rounded).abs() < 0.1, "{exact} and {rounded}");
    // Images come as f32, and what linear layers read and write stays that.
    assert!(rounded_bytes * 100 < exact_bytes * 75, "{rounded_bytes} of {exact_bytes}");
}

#[test]
fn a_network_has_nothing_to_learn_from_itself() {
    let net = net();
    let graph = lower(&net, &net.full());
    let weights = weights(&graph, 18);
    let (images, labels, shapes) = (images(8, 19), labels(8), net.shapes(&net.full()));
    let largest_gradient = |teacher: Option<&Weights>| {
        let network = |weights| Deployed::new(gpu(), &graph, weights, &tuning(), 8).expect("it fits");
        let teacher = teacher.map(|weights| Teacher { network: network(weights), share: 1.0 });
        let options = options(8, BatchStatistics::Frozen);
        let training = Training::taught(gpu(), graph.clone(), options, teacher).expect("the network fits");
        training.load(&weights).expect("the weights fit");
        training.step(&images, &labels, &[&shapes[..]; 8], CONTROL);
        gradients(&training).values.iter().fold(0f32, |most, value| most.max(value.abs()))
    };
    let (own, alone) = (largest_gradient(Some(&weights)), largest_gradient(None));
    let another = largest_gradient(Some(&self::weights(&graph, 20)));
    assert!(own < 1e-4 * alone.min(another), "{own} beside {alone} without a teacher, {another} with another one");
}

#[test]
fn with_fixed_statistics_a_masked_batch_is_the_sum_of_its_images() {
    let net = net();
    let graph = lower(&net, &net.full());
    let weights = weights(&graph, 14);
    let archs = archs(&net, 6);
    let count = archs.len() as u32;
    let (images, labels) = (images(archs.len(), 15), labels(count));
    let shapes: Vec<Vec<LayerShape>> = archs.iter().map(|arch| net.shapes(arch)).collect();
    let wide = training(&net, &net.full(), count, BatchStatistics::Frozen);
    wide.load(&weights).expect("the weights fit");
    wide.step(&images, &labels, &shapes.iter().map(Vec::as_slice).collect::<Vec<_>>(), CONTROL);

    let losses = wide.losses().unwrap();
    let mut sum = vec![0f32; weights.values.len()];
    for (n, arch) in archs.iter().enumerate() {
        let small = training(&net, arch, 1, BatchStatistics::Frozen);
        small.load(&weights.prefix(&graph, small.graph())).expect("the weights fit");
        small.step(&images[n * 256..(n + 1) * 256], &labels[n..n + 1], &[&shapes[n][..]], CONTROL);
        assert_near(&losses[n..n + 1], &small.losses().unwrap(), 5e-5, &format!("loss of image {n}"));
        let own = gradients(&small);
        for param in &small.graph().params {
            let source = graph.params.iter().find(|p| p.name == param.name).expect("names are shared");
            let border = (source.kernel - param.kernel) / 2;
            for [ky, kx, i, c] in param.positions() {
                let value = own.values[param.index([ky, kx, i, c])];
                // The loss is a mean over the batch.
                sum[source.index([ky + border, kx + border, i, c])] += value / count as f32;
            }
        }
    }
    assert_near(&gradients(&wide).values, &sum, 2e-4, "gradients");
}

#[test]
fn what_no_image_keeps_does_not_move() {
    let net = net();
    let graph = lower(&net, &net.full());
    let before = weights(&graph, 16);
    let arch = net.smallest();
    let shapes = net.shapes(&arch);
    let training = training(&net, &net.full(), 8, BatchStatistics::OfBatch);
    training.load(&before).expect("the weights fit");
    for _ in 0..2 {
        training.step(&images(8, 17), &labels(8), &[&shapes[..]; 8], CONTROL);
    }
    let after = training.weights().unwrap();
    let moments = training.moments().unwrap();
    let small = lower(&net, &arch);
    let mut kept = vec![false; before.values.len()];
    for param in &small.params {
        let source = graph.params.iter().find(|p| p.name == param.name).expect("names are shared");
        let border = (source.kernel - param.kernel) / 2;
        for [ky, kx, i, c] in param.positions() {
            kept[source.index([ky + border, kx + border, i, c])] = true;
        }
    }
    let mut moved = 0;
    for (at, kept) in kept.iter().enumerate() {
        if *kept {
            moved += usize::from(after.values[at] != before.values[at]);
        } else {
            assert_eq!(after.values[at].to_bits(), before.values[at].to_bits(), "value {at} moved");
            assert_eq!(moments[at], 0.0, "value {at} has momentum");
        }
    }
    assert!(moved > 100, "what is kept does move");
    for (index, statistics) in graph.statistics.iter().enumerate() {
        let width = before.running[index].len() / 2;
        let own = small.statistics.iter().find(|s| s.name == statistics.name).map_or(0, |s| s.channels as usize);
        for channel in own..statistics.channels as usize {
            for place in [channel, width + channel] {
                assert_eq!(after.running[index][place], before.running[index][place], "{}", statistics.name);
            }
        }
    }
}

#[test]
fn the_same_steps_give_the_same_bits() {
    let net = net();
    let archs = archs(&net, 6);
    let shapes: Vec<Vec<LayerShape>> = archs.iter().map(|arch| net.shapes(arch)).collect();
    let run = || {
        let training = training(&net, &net.full(), 8, BatchStatistics::OfBatch);
        training.load(&weights(training.graph(), 18)).expect("the weights fit");
        for step in 0..3 {
            let images = images(8, 19 + step);
            training.step(&images, &labels(8), &shapes.iter().map(Vec::as_slice).collect::<Vec<_>>(), CONTROL);
        }
        training.weights().unwrap()
    };
    assert_eq!(run(), run());
}
