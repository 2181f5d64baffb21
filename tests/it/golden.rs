//! Ten training steps against PyTorch's, from `assets/golden/training.safetensors`.

use crate::harness::gpu;
use netadapt::gpu::Precision;
use netadapt::graph::{BatchStatistics, Graph, Training, TrainingOptions, Weights, lower};
use netadapt::kernels::Tuning;
use netadapt::kernels::optimizer::{Control, Rule};
use netadapt::model::from_safetensors;
use netadapt::space::{Space, Supernet};
use safetensors::tensor::{SafeTensors, TensorView};

const FILE: &[u8] = include_bytes!("../../assets/golden/training.safetensors");
const STEPS: usize = 10;
const BATCH: u32 = 8;

fn network() -> (Space, Supernet, Graph) {
    let space = Space::parse("golden", include_str!("../../assets/golden/space.toml")).expect("the space is valid");
    let net = space.supernet(12, 3, 5);
    let graph = lower(&net, &net.full());
    (space, net, graph)
}

fn floats(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(FILE).expect("the golden file is whole");
    let tensor = file.tensor(name).expect("the golden file has it");
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The tensors whose names start with `prefix`, as weights; what the file lacks is taken from `initial`.
fn weights(graph: &Graph, prefix: &str) -> Weights {
    let file = SafeTensors::deserialize(FILE).expect("the golden file is whole");
    let mut tensors: Vec<(String, TensorView)> = Vec::new();
    for (name, view) in file.tensors() {
        if let Some(rest) = name.strip_prefix("initial.") {
            let view = file.tensor(&format!("{prefix}.{rest}")).unwrap_or(view);
            tensors.push((rest.to_owned(), view));
        }
    }
    let bytes = safetensors::serialize(tensors, None).expect("tensors of a file make a file");
    from_safetensors(graph, &bytes).expect("PyTorch's names and shapes are ours")
}

fn training(space: &Space, graph: &Graph) -> Training {
    let settings = &space.train;
    let options = TrainingOptions {
        batch: BATCH,
        rule: Rule::Sgd { momentum: settings.momentum, decay: settings.weight_decay },
        smoothing: settings.label_smoothing,
        statistics: BatchStatistics::OfBatch,
        precision: Precision::F32,
        tuning: Tuning::for_adapter(gpu().adapter()),
    };
    let training = Training::new(gpu(), graph.clone(), options).expect("the network fits");
    training.load(&weights(graph, "initial")).expect("the weights fit");
    training
}

/// Images (N, S, S, 3) with the fourth channel that kernels want.
fn padded(images: &[f32]) -> Vec<f32> {
    images.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 0.0]).collect()
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64
}

#[test]
fn ten_steps_equal_pytorchs_losses_gradients_and_weights() {
    let (space, net, graph) = network();
    let training = training(&space, &graph);
    let (images, losses) = (floats("images"), floats("losses"));
    let labels: Vec<u32> = floats("labels").iter().map(|bits| bits.to_bits()).collect();
    let shapes = net.shapes(&net.full());
    let per_step = images.len() / STEPS;
    for step in 0..STEPS {
        let control = Control {
            learning_rate: space.train.learning_rate,
            statistics_rate: 0.1,
            clip_norm: space.train.clip_norm,
            step: (step + 1) as f32,
        };
        let batch = padded(&images[step * per_step..(step + 1) * per_step]);
        let labels = &labels[step * BATCH as usize..(step + 1) * BATCH as usize];
        training.step(&batch, labels, &vec![shapes.as_slice(); BATCH as usize], control);
        let loss = mean(&training.losses().expect("the device works"));
        assert!((loss - f64::from(losses[step])).abs() < 1e-4, "step {step}: loss {loss}, PyTorch's {}", losses[step]);
        if step == 0 {
            let got = training.gradients().expect("the device works");
            let want = weights(&graph, "gradient").values;
            let largest = want.iter().fold(0f32, |m, v| m.max(v.abs()));
            for param in &graph.params {
                for position in param.positions() {
                    let at = param.index(position);
                    let difference = (got[at] - want[at]).abs();
                    assert!(
                        difference < 1e-4 * largest.max(1.0),
                        "{} at {position:?}: gradient {}, PyTorch's {}",
                        param.name,
                        got[at],
                        want[at]
                    );
                }
            }
        }
    }
    let (got, want) = (training.weights().expect("the device works"), weights(&graph, "final"));
    for param in &graph.params {
        for position in param.positions() {
            let at = param.index(position);
            let difference = (got.values[at] - want.values[at]).abs();
            assert!(difference < 1e-3, "{} at {position:?} after ten steps: off by {difference}", param.name);
        }
    }
    for (index, statistics) in graph.statistics.iter().enumerate() {
        for (place, (got, want)) in got.running[index].iter().zip(&want.running[index]).enumerate() {
            let real = place % (want_len(&graph, index) / 2) < statistics.channels as usize;
            assert!(!real || (got - want).abs() < 1e-3, "{} running statistic {place}: {got}, {want}", statistics.name);
        }
    }
}

fn want_len(graph: &Graph, index: usize) -> usize {
    graph.statistics[index].channels.div_ceil(4) as usize * 8
}

#[test]
fn a_changed_weight_is_noticed() {
    let (space, net, graph) = network();
    let training = training(&space, &graph);
    let mut changed = weights(&graph, "initial");
    let at = graph.params[0].index([1, 1, 0, 0]);
    changed.values[at] += 0.5;
    training.load(&changed).expect("the weights fit");
    let images = floats("images");
    let batch = padded(&images[..images.len() / STEPS]);
    let labels: Vec<u32> = floats("labels")[..BATCH as usize].iter().map(|bits| bits.to_bits()).collect();
    let control = Control { learning_rate: 0.1, statistics_rate: 0.1, clip_norm: 0.0, step: 1.0 };
    let shapes = net.shapes(&net.full());
    training.step(&batch, &labels, &vec![shapes.as_slice(); BATCH as usize], control);
    let loss = mean(&training.losses().expect("the device works"));
    assert!((loss - f64::from(floats("losses")[0])).abs() > 1e-4);
}
