//! Depthwise convolutions.

use super::ACTIVATIONS;
use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::{conv::Deployed, depthwise, reduce};
use netadapt::reference;
use netadapt::space::Activation;

const IMAGES: usize = 5;

/// Rows, columns, channels, side of the super-kernel, stride.
#[derive(Clone, Copy, Debug)]
struct Shape(usize, usize, usize, usize, usize);

const SHAPES: [Shape; 14] = [
    Shape(1, 1, 1, 3, 1),
    Shape(1, 1, 5, 7, 1),
    Shape(1, 1, 4, 5, 2),
    Shape(2, 1, 8, 1, 1),
    Shape(5, 7, 3, 3, 1),
    Shape(7, 5, 4, 5, 2),
    Shape(9, 9, 8, 7, 1),
    Shape(6, 11, 12, 7, 2),
    Shape(3, 17, 17, 3, 2),
    Shape(4, 4, 33, 5, 1),
    Shape(8, 20, 5, 3, 1),
    Shape(3, 18, 3, 1, 2),
    Shape(2, 16, 8, 7, 2),
    Shape(13, 2, 12, 3, 2),
];

/// A shape with the widths of a batch.
struct Case {
    shape: Shape,
    kept: Vec<usize>,
    sides: Vec<usize>,
    rows: Rows,
    depthwise: depthwise::Depthwise,
}

impl Case {
    fn new(shape: Shape, pattern: Pattern) -> Self {
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

fn table(mut check: impl FnMut(Setting, Case) -> Result<(), String>) {
    let mut faults = Faults::default();
    for setting in settings() {
        for shape in SHAPES {
            for pattern in Pattern::ALL {
                let name = format!("{} {shape:?} {pattern:?}", setting.name);
                faults.add(&name, check(setting, Case::new(shape, pattern)));
            }
        }
    }
    faults.finish();
}

fn forward(Setting { gpu, tuning, .. }: Setting, case: Case, activation: Option<Activation>) -> Result<(), String> {
    let (x, weight) = (random(1, case.x()), random(2, case.weight()));
    let bias = random(3, [1, 1, 1, x.channels]);
    let deployed = activation.map(|activation| reference::conv::Deployed { bias: &bias.values, activation });
    let want = reference::depthwise::forward(case.reference(), &x, &weight, deployed);

    let y = trap_map(gpu, "y", case.y());
    let bias = buf(gpu, "bias", &bias.to_quads());
    let mut rec = Recording::new();
    let io = depthwise::Forward {
        x: &map(gpu, "x", &x, &case.kept),
        weight: &buf(gpu, "weight", &weight.to_quads()),
        deployed: activation.map(|activation| Deployed { bias: &bias, activation }),
        y: &y,
    };
    depthwise::forward(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu), io);
    run(gpu, rec)?;
    check_map(gpu, &y, &case.kept, &want, Tolerance::sum(case.taps() + 1).scaled(2.0))
}

#[test]
fn forward_alone() {
    table(|setting, case| forward(setting, case, None));
}

#[test]
fn forward_deployed() {
    let mut turn = 0;
    table(|setting, case| {
        turn += 1;
        forward(setting, case, Some(ACTIVATIONS[turn / 4 % 4]))
    });
}

#[test]
fn backward_data() {
    table(|Setting { gpu, tuning, .. }, case| {
        let (dz, weight) = (random(1, case.y()), random(2, case.weight()));
        let want = reference::depthwise::backward_data(case.reference(), case.x(), &dz, &weight);

        let dx = trap_map(gpu, "dx", case.x());
        let mut rec = Recording::new();
        let io = depthwise::BackwardData {
            dz: &map(gpu, "dz", &dz, &case.kept),
            weight: &buf(gpu, "weight", &weight.to_quads()),
            dx: &dx,
        };
        depthwise::backward_data(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu), io);
        run(gpu, rec)?;
        check_map(gpu, &dx, &case.kept, &want, Tolerance::sum(case.taps()))
    });
}

#[test]
fn backward_weight() {
    let mut most_parts = 0;
    table(|Setting { gpu, tuning, .. }, case| {
        let (x, dz) = (random(1, case.x()), random(2, case.y()));
        let want = reference::depthwise::backward_weight(case.reference(), case.shape.3, &x, &dz);

        let parts = depthwise::weight_parts(&tuning, &case.depthwise, IMAGES as u32);
        let quads = case.depthwise.weight_quads();
        most_parts = most_parts.max(parts);
        let partial = trap(gpu, "partial", (parts * quads) as usize);
        let total = trap(gpu, "total", quads as usize);
        let mut rec = Recording::new();
        let io = depthwise::BackwardWeight {
            x: &map(gpu, "x", &x, &case.kept),
            dz: &map(gpu, "dz", &dz, &case.kept),
            partial: &partial,
        };
        depthwise::backward_weight(&mut rec, &tuning, &case.depthwise, &case.rows.upload(gpu), io);
        reduce::sum(&mut rec, &tuning, [parts, quads], &partial, &total);
        run(gpu, rec)?;
        // Written whole: weights that no image uses, and the padding, have the gradient zero.
        let want = want.resized(1, want.channels.next_multiple_of(4));
        let length = IMAGES * dz.height * dz.width;
        compare(&read(gpu, &total, want.shape())?, &want, Tolerance::sum(length))
    });
    assert!(most_parts > 1, "no case had several parts");
}
