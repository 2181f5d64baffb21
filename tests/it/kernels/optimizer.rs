//! Update rules: several tensors in one launch, of which only what was kept may move.

use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::optimizer::{BLOCK, Control, Rule, Step, Tensor, step};
use netadapt::reference::Array;
use netadapt::reference::optimizer as reference;

/// Kernel, rows of I, channels; what of each is active; whether weight decay applies.
const TENSORS: [([usize; 3], [usize; 3], bool); 9] = [
    ([1, 1, 1], [1, 1, 1], false),
    ([1, 4, 3], [1, 3, 3], true),
    ([3, 8, 5], [3, 5, 5], true),
    ([7, 1, 33], [5, 1, 17], true),
    ([3, 12, 17], [1, 12, 8], false),
    ([5, 4, 12], [3, 0, 12], true),
    ([1, 33, 33], [1, 33, 33], true),
    ([1, 2, 8], [1, 2, 0], false),
    ([1, 64, 4], [1, 7, 2], true),
];

fn parameters(moments: usize) -> Vec<reference::Parameter> {
    let parameter = |(i, (shape, active, decays)): (usize, &([usize; 3], [usize; 3], bool))| {
        let [kernel, rows, channels] = *shape;
        let value = |salt: u64| random(salt * 100 + i as u64, [kernel, kernel, rows, channels]);
        let mut moments: Vec<Array> = (0..moments).map(|m| value(3 + m as u64)).collect();
        // A second moment is positive; not too small, so that the step stays below 3.
        moments.iter_mut().skip(1).flat_map(|m| &mut m.values).for_each(|m| *m = f64::from((0.55 + 0.45 * *m) as f32));
        reference::Parameter {
            value: value(1),
            gradient: value(2),
            moments,
            active_kernel: active[0],
            active_rows: active[1],
            active_channels: active[2],
            decays: *decays,
        }
    };
    TENSORS.iter().enumerate().map(parameter).collect()
}

/// The arrays of all parameters, each in whole blocks; `pad` lies where there is no value.
fn blocks<'a>(arrays: impl Iterator<Item = &'a Array>, pad: f32) -> Vec<f32> {
    let mut quads = Vec::new();
    for array in arrays {
        quads.extend(array.to_quads());
        quads.resize(quads.len().next_multiple_of(BLOCK as usize * 4), pad);
    }
    quads
}

fn tensors(parameters: &[reference::Parameter]) -> (Vec<Tensor>, Vec<u32>) {
    let (mut tensors, mut block_tensor) = (Vec::new(), Vec::new());
    for (i, parameter) in parameters.iter().enumerate() {
        let [kernel, _, rows, channels] = parameter.value.shape().map(|size| size as u32);
        tensors.push(Tensor {
            first_block: block_tensor.len() as u32,
            row_quads: channels.div_ceil(4),
            rows,
            kernel,
            active_rows: parameter.active_rows as u32,
            active_channels: parameter.active_channels as u32,
            active_kernel: parameter.active_kernel as u32,
            decays: u32::from(parameter.decays),
        });
        let blocks = (kernel * kernel * rows * channels.div_ceil(4)).div_ceil(BLOCK);
        block_tensor.extend((0..blocks).map(|_| i as u32));
    }
    (tensors, block_tensor)
}

/// One step of both sides, with this norm of all gradients.
fn check(setting: Setting, rule: Rule, control: Control, norm: f32, tolerance: Tolerance) -> Result<(), String> {
    let gpu = setting.gpu;
    let mut parameters = parameters(rule.moments() as usize);
    let (tensors, block_tensor) = tensors(&parameters);
    // Gradients that nobody may use are traps.
    let trapped: Vec<Array> = parameters
        .iter()
        .map(|p| Array::from_fn(p.gradient.shape(), |at| if p.is_active(at) { p.gradient[at] } else { f64::NAN }))
        .collect();
    let moments = |parameters: &[reference::Parameter]| -> Vec<f32> {
        (0..rule.moments() as usize).flat_map(|m| blocks(parameters.iter().map(|p| &p.moments[m]), 0.5)).collect()
    };
    let value = buf(gpu, "value", &blocks(parameters.iter().map(|p| &p.value), 0.5));
    let moment = buf(gpu, "moment", &moments(&parameters));
    let upload = |error: netadapt::gpu::GpuError| error.to_string();
    let mut rec = Recording::new();
    let io = Step {
        control: &gpu.upload("control", &[control]).map_err(upload)?,
        tensors: &gpu.upload("tensors", &tensors).map_err(upload)?,
        block_tensor: &gpu.upload("block_tensor", &block_tensor).map_err(upload)?,
        norm: &gpu.upload("norm", &[norm]).map_err(upload)?,
        gradient: &buf(gpu, "gradient", &blocks(trapped.iter(), f32::NAN)),
        value: &value,
        moment: &moment,
    };
    step(&mut rec, &rule, block_tensor.len() as u32, io);
    run(gpu, rec)?;

    let (old_value, old_moment) = (blocks(parameters.iter().map(|p| &p.value), 0.5), moments(&parameters));
    for parameter in &mut parameters {
        reference::step(exact(rule), exact_control(control), f64::from(norm), parameter);
    }
    let want_value = blocks(parameters.iter().map(|p| &p.value), 0.5);
    same("value", &gpu.read(&value).map_err(upload)?, &old_value, &want_value, tolerance)?;
    same("moment", &gpu.read(&moment).map_err(upload)?, &old_moment, &moments(&parameters), Tolerance::sum(4))
}

/// What the reference does not move must not have moved at all.
fn same(name: &str, got: &[f32], old: &[f32], want: &[f32], tolerance: Tolerance) -> Result<(), String> {
    let row = |values: &mut dyn Iterator<Item = f32>| {
        let values: Vec<f64> = values.map(f64::from).collect();
        Array { images: 1, height: 1, width: values.len() / 4, channels: 4, values }
    };
    let still = |values: &[f32]| row(&mut (0..old.len()).map(|i| if old[i] == want[i] { values[i] } else { 0.0 }));
    compare(&still(got), &still(want), Tolerance::EXACT).map_err(|fault| format!("{name} at rest: {fault}"))?;
    compare(&row(&mut got.iter().copied()), &row(&mut want.iter().copied()), tolerance)
        .map_err(|fault| format!("{name}: {fault}"))
}

fn exact(rule: Rule) -> reference::Rule {
    match rule {
        Rule::Sgd { momentum, decay } => {
            reference::Rule::Sgd { momentum: f64::from(momentum), decay: f64::from(decay) }
        }
        Rule::AdamW { first, second, epsilon, decay } => reference::Rule::AdamW {
            first: f64::from(first),
            second: f64::from(second),
            epsilon: f64::from(epsilon),
            decay: f64::from(decay),
        },
    }
}

fn exact_control(control: Control) -> reference::Control {
    reference::Control {
        learning_rate: f64::from(control.learning_rate),
        clip_norm: f64::from(control.clip_norm),
        step: f64::from(control.step),
    }
}

/// No clipping, a norm below the largest, a norm above it.
const CLIPS: [(f32, f32); 3] = [(0.0, 9.0), (5.0, 4.0), (2.0, 9.0)];

#[test]
fn sgd() {
    let mut faults = Faults::default();
    for setting in settings() {
        for (clip_norm, norm) in CLIPS {
            for (momentum, decay) in [(0.0, 0.0), (0.9, 0.0), (0.9, 1e-2)] {
                let control = Control { learning_rate: 0.3, statistics_rate: f32::NAN, clip_norm, step: f32::NAN };
                let name = format!("{} clip {clip_norm} momentum {momentum} decay {decay}", setting.name);
                let rule = Rule::Sgd { momentum, decay };
                faults.add(&name, check(setting, rule, control, norm, Tolerance::sum(4)));
            }
        }
    }
    faults.finish();
}

#[test]
fn adamw() {
    let (first, second, epsilon) = (0.9, 0.999, 1e-8);
    let mut faults = Faults::default();
    for setting in settings() {
        for (clip_norm, norm) in CLIPS {
            for step in [1.0, 2.0, 100.0, 5000.0] {
                for decay in [0.0, 0.05] {
                    let control = Control { learning_rate: 0.1, statistics_rate: f32::NAN, clip_norm, step };
                    let name = format!("{} clip {clip_norm} step {step} decay {decay}", setting.name);
                    let rule = Rule::AdamW { first, second, epsilon, decay };
                    // Devices compute `pow(b, t)` as `exp2(t * log2(b))`, where log2 is exact to 2^-21 near
                    // 1; `1 - pow` magnifies that in the first steps. The step itself is below 3 rates.
                    let power = |beta: f32| {
                        let error = f64::from(step) * 2f64.powi(-21) + 4.0 * f64::from(f32::EPSILON);
                        let power = f64::from(beta).powf(f64::from(step));
                        error * power / (1.0 - power)
                    };
                    let abs = 0.3 * (power(first) + power(second) / 2.0) + Tolerance::sum(4).abs;
                    let tolerance = Tolerance { abs, ..Tolerance::sum(4) };
                    faults.add(&name, check(setting, rule, control, norm, tolerance));
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
    let value = buf(gpu, "value", &vec![1.0; quads * 4]);
    let mut rec = Recording::new();
    let io = Step {
        control: &gpu.upload("control", &[control]).expect("it fits"),
        tensors: &gpu.upload("tensors", &[tensor]).expect("it fits"),
        block_tensor: &gpu.upload("block_tensor", &vec![0u32; blocks as usize]).expect("it fits"),
        norm: &gpu.upload("norm", &[1f32]).expect("it fits"),
        gradient: &buf(gpu, "gradient", &vec![0.5; quads * 4]),
        value: &value,
        moment: &gpu.allocate("moment", value.bytes()).expect("it fits"),
    };
    step(&mut rec, &Rule::Sgd { momentum: 0.0, decay: 0.0 }, blocks, io);
    run(gpu, rec).expect("the launch runs");
    let got: Vec<f32> = gpu.read(&value).expect("the device works");
    assert_eq!(got.iter().position(|value| *value != 0.75), None, "the first value that did not move");
}
