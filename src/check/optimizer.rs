//! Update rules: several tensors in one launch, of which only what was kept may move.

use super::agreement::{Tolerance, compare};
use super::operands::random;
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::optimizer::{ADAMW, BLOCK, Control, Rule, SGD, Step, Tensor, step};
use crate::reference::Array;
use crate::reference::optimizer as reference;

pub(super) static CHECKS: &[Check] = &[
    Check {
        kernels: &[&SGD],
        run: |setting| update(setting, Rule::Sgd { momentum: 0.9, decay: 1e-2 }, f32::NAN, CLIPS[2]),
    },
    Check {
        kernels: &[&ADAMW],
        run: |setting| {
            update(setting, Rule::AdamW { first: 0.9, second: 0.999, epsilon: 1e-8, decay: 0.05 }, 100.0, CLIPS[2])
        },
    },
];

/// Largest norm of the gradients, and their norm: no clipping, a norm below the largest, a norm above it.
pub const CLIPS: [(f32, f32); 3] = [(0.0, 9.0), (5.0, 4.0), (2.0, 9.0)];

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

/// The step of this number from 1, which SGD does not read, clipped so.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn update(setting: Setting, rule: Rule, number: f32, (clip_norm, norm): (f32, f32)) -> Outcome {
    let gpu = setting.gpu;
    let (learning_rate, tolerance) = match rule {
        Rule::Sgd { .. } => (0.3, Tolerance::sum(4)),
        Rule::AdamW { first, second, .. } => (0.1, adamw_tolerance(number, [first, second])),
    };
    let control = Control { learning_rate, statistics_rate: f32::NAN, clip_norm, step: number };
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
    let value = gpu.upload("value", &blocks(parameters.iter().map(|p| &p.value), 0.5))?;
    let moment = gpu.upload("moment", &moments(&parameters))?;
    let mut rec = Recording::new();
    let io = Step {
        control: &gpu.upload("control", &[control])?,
        tensors: &gpu.upload("tensors", &tensors)?,
        block_tensor: &gpu.upload("block_tensor", &block_tensor)?,
        norm: &gpu.upload("norm", &[norm])?,
        gradient: &gpu.upload("gradient", &blocks(trapped.iter(), f32::NAN))?,
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
    same("value", &gpu.read(&value)?, &old_value, &want_value, tolerance)?;
    same("moment", &gpu.read(&moment)?, &old_moment, &moments(&parameters), Tolerance::sum(4))
}

/// Devices compute `pow(b, t)` as `exp2(t * log2(b))`, where log2 is exact to 2^-21 near 1; `1 - pow` magnifies
/// that in the first steps. The step itself is below 3 rates.
fn adamw_tolerance(number: f32, [first, second]: [f32; 2]) -> Tolerance {
    let power = |beta: f32| {
        let error = f64::from(number) * 2f64.powi(-21) + 4.0 * f64::from(f32::EPSILON);
        let power = f64::from(beta).powf(f64::from(number));
        error * power / (1.0 - power)
    };
    let abs = 0.3 * (power(first) + power(second) / 2.0) + Tolerance::sum(4).abs;
    Tolerance { abs, ..Tolerance::sum(4) }
}

/// What the reference does not move must not have moved at all.
fn same(name: &str, got: &[f32], old: &[f32], want: &[f32], tolerance: Tolerance) -> Outcome {
    let row = |values: &mut dyn Iterator<Item = f32>| {
        let values: Vec<f64> = values.map(f64::from).collect();
        Array { images: 1, height: 1, width: values.len() / 4, channels: 4, values }
    };
    let still = |values: &[f32]| row(&mut (0..old.len()).map(|i| if old[i] == want[i] { values[i] } else { 0.0 }));
    compare(&still(got), &still(want), Tolerance::EXACT).map_err(|fault| fault.of(&format!("{name} at rest")))?;
    compare(&row(&mut got.iter().copied()), &row(&mut want.iter().copied()), tolerance).map_err(|fault| fault.of(name))
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
