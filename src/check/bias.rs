//! Bias and activation.

use super::agreement::{Tolerance, check_map, compare, read};
use super::operands::{Pattern, Rows, random, trap};
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::bias;
use crate::reference::{self, Array};
use crate::space::Activation;

/// Images and filters that are no multiples of anything.
const SHAPE: [usize; 2] = [6, 77];

pub(super) static CHECKS: &[Check] = &[
    Check {
        kernels: &[&bias::FORWARD],
        run: |setting| forward(setting, &Case::new(SHAPE, Pattern::Different), Activation::Relu),
    },
    Check {
        kernels: &[&bias::BACKWARD],
        run: |setting| backward(setting, &Case::new(SHAPE, Pattern::SomeNone), Activation::HardSigmoid, false),
    },
];

/// Operands of a batch.
#[derive(Clone)]
pub struct Case {
    kept: Vec<usize>,
    z: Array,
    bias: Array,
}

/// Inner values reach 5, past all corners of all activations.
const MAGNITUDE: f64 = 5.0;

impl Case {
    /// So many images and filters, of which they keep as many as the pattern says.
    pub fn new([images, filters]: [usize; 2], pattern: Pattern) -> Self {
        let mut bias = random(2, [1, 1, 1, filters]);
        bias.values.iter_mut().for_each(|value| *value *= MAGNITUDE - 1.0);
        Self { kept: pattern.widths(images, filters, 1), z: random(1, [images, 1, 1, filters]), bias }
    }

    /// Of every image as many channels as there are: maps of one pixel are read and written whole.
    fn all(&self) -> Vec<usize> {
        vec![self.z.channels; self.z.images]
    }
}

/// The output.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn forward(setting: Setting, case: &Case, activation: Activation) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let want = reference::bias::forward(&case.kept, activation, &case.z, &case.bias);
    let mut rows = Rows::new(case.z.images);
    let kernel = bias::Bias { kept: rows.add(&case.kept), activation };
    let y = setting.trap_vector("y", want.shape())?;
    let mut rec = Recording::new();
    let io = bias::Forward {
        z: &setting.vector("z", &case.z, &case.all())?,
        bias: &gpu.upload("bias", &case.bias.to_quads())?,
        y: &y,
    };
    bias::forward(&mut rec, &tuning, &kernel, &rows.upload(gpu)?, io);
    run(gpu, rec)?;
    check_map(gpu, &y, &case.all(), &want, Tolerance::sum(2).scaled(MAGNITUDE))
}

/// The gradients; `kinks` puts inner values exactly on the corners of activations.
pub fn backward(setting: Setting, case: &Case, activation: Activation, kinks: bool) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let Case { kept, mut z, mut bias } = case.clone();
    if kinks {
        z.values.iter_mut().enumerate().for_each(|(i, value)| *value = [0.0, 3.0, -3.0, *value][i % 4]);
        bias.values.fill(0.0);
    }
    let [images, _, _, filters] = z.shape();
    let dy = random(3, z.shape());
    let want = reference::bias::backward(&kept, activation, &dy, &z, &bias);
    let mut rows = Rows::new(images);
    let kernel = bias::Bias { kept: rows.add(&kept), activation };
    let dz = setting.trap_vector("dz", z.shape())?;
    let gradient = trap(gpu, "gradient", filters.div_ceil(4))?;
    let mut rec = Recording::new();
    let io = bias::Backward {
        dy: &setting.vector("dy", &dy, &kept)?,
        z: &setting.vector("z", &z, &case.all())?,
        bias: &gpu.upload("bias", &bias.to_quads())?,
        dz: &dz,
        gradient: &gradient,
    };
    bias::backward(&mut rec, &tuning, &kernel, &rows.upload(gpu)?, io);
    run(gpu, rec)?;
    // Slopes reach 1.5.
    let tolerance = Tolerance::sum(images).scaled(1.5);
    let got = read(gpu, &gradient, [1, 1, 1, filters.next_multiple_of(4)])?;
    compare(&got, &want.bias.resized(1, got.channels), tolerance).map_err(|fault| fault.of("bias"))?;
    check_map(gpu, &dz, &case.all(), &want.z, Tolerance::sum(2).scaled(MAGNITUDE)).map_err(|fault| fault.of("dz"))
}
