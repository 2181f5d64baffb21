//! Update rules: several tensors in one launch, of which only what was kept may move.

use crate::harness::*;
use netadapt::check::agreement::Tolerance;
use netadapt::check::optimizer::{CLIPS, update};
use netadapt::gpu::{Program, Recording};
use netadapt::kernels::optimizer::{BLOCK, Control, Rule, Step, Tensor, step};
use netadapt::reference::Array;
use netadapt::reference::optimizer as reference;

#[test]
fn sgd() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for clip in CLIPS {
            for (momentum, decay) in [(0.0, 0.0), (0.9, 0.0), (0.9, 1e-2)] {
                let name = format!("{name} clip {clip:?} momentum {momentum} decay {decay}");
                faults.add(&name, update(setting, Rule::Sgd { momentum, decay }, f32::NAN, clip));
            }
        }
    }
    faults.finish();
}

#[test]
fn adamw() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for clip in CLIPS {
            for number in [1.0, 2.0, 100.0, 5000.0] {
                for decay in [0.0, 0.05] {
                    let name = format!("{name} clip {clip:?} step {number} decay {decay}");
                    let rule = Rule::AdamW { first: 0.9, second: 0.999, epsilon: 1e-8, decay };
                    faults.add(&name, update(setting, rule, number, clip));
                }
            }
        }
    }
    faults.finish();
}

/// Two steps worked out by hand from the formulas of `torch.optim`, value 1 and gradients 0.5 and 0.25.
#[test]
fn reference_by_hand() {
    let one = |value: f64| Array { images: 1, height: 1, width: 1, channels: 1, values: vec![value] };
    let two_steps = |rule, moments: usize| {
        let mut parameter = reference::Parameter {
            value: one(1.0),
            gradient: one(0.5),
            moments: vec![one(0.0); moments],
            active_rows: 1,
            active_channels: 1,
            active_kernel: 1,
            decays: true,
        };
        for (step, gradient) in [(1.0, 0.5), (2.0, 0.25)] {
            parameter.gradient = one(gradient);
            let control = reference::Control { learning_rate: 0.1, clip_norm: 0.0, step };
            reference::step(rule, control, gradient, &mut parameter);
        }
        parameter
    };
    // Step 1: g = 0.5 + 0.2 * 1 = 0.7, m = 0.7, value = 1 - 0.1 * (0.7 + 0.9 * 0.7) = 0.867.
    // Step 2: g = 0.25 + 0.2 * 0.867 = 0.4234, m = 1.0534, value = 0.867 - 0.1 * (0.4234 + 0.94806) = 0.729854.
    let sgd = two_steps(reference::Rule::Sgd { momentum: 0.9, decay: 0.2 }, 1);
    let tolerance = Tolerance { abs: 1e-12, rel: 0.0 };
    assert_close(&sgd.moments[0], &one(1.0534), tolerance, "momentum");
    assert_close(&sgd.value, &one(0.729854), tolerance, "sgd");
    // Step 1: both corrected moments are those of one gradient, value = 1 - 0.1 * (0.2 + 0.5 / 0.5) = 0.88.
    // Step 2: m1 = (0.5 * 0.25 + 0.5 * 0.25) / 0.75 = 1/3, m2 = (0.75 * 0.0625 + 0.25 * 0.0625) / 0.4375 = 1/7,
    // value = 0.88 - 0.1 * (0.2 * 0.88 + sqrt(7) / 3).
    let adamw = two_steps(reference::Rule::AdamW { first: 0.5, second: 0.75, epsilon: 0.0, decay: 0.2 }, 2);
    assert_close(&adamw.value, &one(0.8624 - 7f64.sqrt() / 30.0), tolerance, "adamw");
}

/// More blocks than one dimension has workgroups.
#[test]
fn blocks_beyond_one_dimension() {
    let gpu = gpu();
    let blocks = 65535 + 2;
    let (rows, quads) = (blocks, blocks as usize * BLOCK as usize);
    let tensor = Tensor {
        first_block: 0,
        row_quads: BLOCK,
        rows,
        kernel: 1,
        active_rows: rows,
        active_channels: BLOCK * 4,
        active_kernel: 1,
        decays: 0,
    };
    let control = Control { learning_rate: 0.5, statistics_rate: 0.0, clip_norm: 0.0, step: 1.0 };
    let value = gpu.upload("value", &vec![1f32; quads * 4]).expect("it fits");
    let mut rec = Recording::new();
    let io = Step {
        control: &gpu.upload("control", &[control]).expect("it fits"),
        tensors: &gpu.upload("tensors", &[tensor]).expect("it fits"),
        block_tensor: &gpu.upload("block_tensor", &vec![0u32; blocks as usize]).expect("it fits"),
        norm: &gpu.upload("norm", &[1f32]).expect("it fits"),
        gradient: &gpu.upload("gradient", &vec![0.5f32; quads * 4]).expect("it fits"),
        value: &value,
        moment: &gpu.allocate("moment", value.bytes()).expect("it fits"),
    };
    step(&mut rec, &Rule::Sgd { momentum: 0.0, decay: 0.0 }, blocks, io);
    Program::new(gpu, rec).expect("the launch is valid").run();
    let got: Vec<f32> = gpu.read(&value).expect("the device works");
    assert_eq!(got.iter().position(|value| *value != 0.75), None, "the first value that did not move");
}
