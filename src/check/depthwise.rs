//! Depthwise convolutions.

use super::agreement::{Tolerance, check_map, compare, read};
use super::operands::{Pattern, Rows, random, trap};
use super::{Check, Fault, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::{conv::Deployed, depthwise, reduce};
use crate::reference;
use crate::space::Activation;

/// Images of every case.
const IMAGES: usize = 5;

/// Rows, columns, channels, side of the super-kernel, stride.
#[derive(Clone, Copy, Debug)]
pub struct Shape(pub usize, pub usize, pub usize, pub usize, pub usize);

/// A layer within which nothing is a multiple of anything.
const SHAPE: Shape = Shape(6, 11, 13, 7, 2);

pub(super) static CHECKS: &[Check] = &[
    Check {
        kernels: &[&depthwise::FORWARD],
        run: |setting| {
            forward(setting, Case::new(SHAPE, Pattern::Different), None)?;
            forward(setting, Case::new(Shape(4, 4, 33, 5, 1), Pattern::SomeNone), Some(Activation::HardSwish))
        },
    },
    Check {
        kernels: &[&depthwise::BACKWARD_DATA],
        run: |setting| {
            backward_data(setting, Case::new(SHAPE, Pattern::Different))?;
            backward_data(setting, Case::new(Shape(5, 7, 3, 3, 1), Pattern::SomeNone))
        },
    },
    Check {
        kernels: &[&depthwise::BACKWARD_WEIGHT, &reduce::SUM],
        run: |setting| backward_weight(setting, Case::new(SHAPE, Pattern::Different)).map(drop),
    },
];

/// A shape with the widths of a batch.
pub struct Case {
    /// The shape.
    pub shape: Shape,
    kept: Vec<usize>,
    sides: Vec<usize>,
    rows: Rows,
    depthwise: depthwise::Depthwise,
}

impl Case {
    /// The shape with the widths of this pattern.
    pub fn new(shape: Shape, pattern: Pattern) -> Self {
        let Shape(_, _, channels, kernel, stride) = shape;
        let kept = pattern.widths(IMAGES, channels, 0);
        let sides = pattern.sides(IMAGES, kernel);
        let mut rows = Rows::new(IMAGES);
        let depthwise = depthwise::Depthwise {
            kernel: kernel as u32,
            stride: stride as u32,
            channels: channels as u32,
            kept: rows.add(&kept),
            kernel_row: rows.add(&sides),
        };
        Self { shape, kept, sides, rows, depthwise }
    }

    fn reference(&self) -> reference::depthwise::Depthwise<'_> {
        reference::depthwise::Depthwise { stride: self.shape.4, kept: &self.kept, kernel: &self.sides }
    }

    fn x(&self) -> [usize; 4] {
        let Shape(height, width, channels, ..) = self.shape;
        [IMAGES, height, width, channels]
    }

    fn y(&self) -> [usize; 4] {
        let Shape(height, width, channels, _, stride) = self.shape;
        [IMAGES, height.div_ceil(stride), width.div_ceil(stride), channels]
    }

    fn weight(&self) -> [usize; 4] {
        let Shape(_, _, channels, kernel, _) = self.shape;
        [kernel, kernel, 1, channels]
    }

    fn taps(&self) -> usize {
        self.shape.3 * self.shape.3
    }
}

/// The convolution, deployed where there is an activation.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn forward(setting: Setting, case: Case, activation: Option<Activation>) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (x, weight) = (setting.random(1, case.x()), random(2, case.weight()));
    let bias = random(3, [1, 1, 1, x.channels]);
    let deployed = activation.map(|activation| reference::conv::Deployed { bias: &bias.values, activation });
    let want = reference::depthwise::forward(case.reference(), &x, &weight, deployed);

    let y = setting.trap_map("y", case.y())?;
    let bias = gpu.upload("bias", &bias.to_quads())?;
    let mut rec = Recording::new();
    let io = depthwise::Forward {
        x: &setting.map("x", &x, &case.kept)?,
        weight: &gpu.upload("weight", &weight.to_quads())?,
        deployed: activation.map(|activation| Deployed { bias: &bias, activation }),
        y: &y,
    };
    depthwise::forward(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu)?, io);
    run(gpu, rec)?;
    check_map(gpu, &y, &case.kept, &want, Tolerance::sum(case.taps() + 1).scaled(2.0))
}

/// The gradient of the input.
pub fn backward_data(setting: Setting, case: Case) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (dz, weight) = (setting.random(1, case.y()), random(2, case.weight()));
    let want = reference::depthwise::backward_data(case.reference(), case.x(), &dz, &weight);

    let dx = setting.trap_map("dx", case.x())?;
    let mut rec = Recording::new();
    let io = depthwise::BackwardData {
        dz: &setting.map("dz", &dz, &case.kept)?,
        weight: &gpu.upload("weight", &weight.to_quads())?,
        dx: &dx,
    };
    depthwise::backward_data(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu)?, io);
    run(gpu, rec)?;
    check_map(gpu, &dx, &case.kept, &want, Tolerance::sum(case.taps()))
}

/// The gradient of the weights; returns the number of parts that it was computed in.
pub fn backward_weight(setting: Setting, case: Case) -> Result<u32, Fault> {
    let Setting { gpu, tuning, .. } = setting;
    let (x, dz) = (setting.random(1, case.x()), setting.random(2, case.y()));
    let want = reference::depthwise::backward_weight(case.reference(), case.shape.3, &x, &dz);

    let [images, height, width, _] = case.y().map(|n| n as u32);
    let parts = depthwise::weight_parts(&tuning, &case.depthwise, [images, height, width]);
    let quads = case.depthwise.weight_quads();
    let partial = trap(gpu, "partial", (parts * quads) as usize)?;
    let total = trap(gpu, "total", quads as usize)?;
    let mut rec = Recording::new();
    let io = depthwise::BackwardWeight {
        x: &setting.map("x", &x, &case.kept)?,
        dz: &setting.map("dz", &dz, &case.kept)?,
        partial: &partial,
    };
    depthwise::backward_weight(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu)?, io);
    reduce::sum(&mut rec, &tuning, [parts, quads], &partial, &total);
    run(gpu, rec)?;
    // Written whole: weights that no image uses, and the padding, have the gradient zero.
    let want = want.resized(1, want.channels.next_multiple_of(4));
    let length = IMAGES * dz.height * dz.width;
    compare(&read(gpu, &total, want.shape())?, &want, Tolerance::sum(length))?;
    Ok(parts)
}
