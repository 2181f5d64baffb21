//! Dense convolutions.

use crate::harness::*;
use netadapt::check::conv::{Case, Epilogue, Shape, backward_data, backward_weight, forward, linear, transpose};
use netadapt::check::operands::{ACTIVATIONS, Pattern, SHORTCUTS};
use netadapt::check::{Outcome, Setting};
use netadapt::gpu::{Program, Recording};
use netadapt::kernels::conv::{self, Conv};
use netadapt::kernels::{Map, RowId, Tuning, Widths};
use netadapt::space::{Activation, Shortcut};

const SHAPES: [Shape; 19] = [
    Shape(1, 1, 1, 1, 1, 1),
    Shape(1, 1, 5, 3, 1, 1),
    Shape(1, 1, 3, 8, 3, 1),
    Shape(1, 1, 4, 4, 3, 2),
    Shape(4, 6, 2, 7, 3, 1),
    Shape(5, 7, 3, 4, 3, 1),
    Shape(5, 7, 3, 12, 3, 2),
    Shape(7, 5, 4, 17, 1, 1),
    Shape(4, 9, 8, 5, 1, 2),
    Shape(6, 6, 33, 12, 1, 1),
    Shape(9, 4, 12, 33, 1, 1),
    Shape(8, 8, 5, 8, 5, 1),
    Shape(7, 7, 8, 5, 7, 2),
    Shape(5, 5, 17, 1, 7, 1),
    Shape(2, 3, 12, 17, 5, 2),
    Shape(16, 15, 1, 8, 3, 2),
    Shape(3, 3, 33, 33, 3, 1),
    // Rows that divide into segments: of 6 or 4 and of 8 or 4 pixels, by the tile sizes.
    Shape(17, 12, 5, 9, 3, 1),
    Shape(9, 16, 4, 17, 3, 1),
];

/// Runs `check` for all shapes, patterns and settings.
fn table(shapes: &[Shape], mut check: impl FnMut(Setting, Case) -> Outcome) {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in shapes {
            for pattern in Pattern::ALL {
                faults.add(&format!("{name} {shape:?} {pattern:?}"), check(setting, Case::new(*shape, pattern)));
            }
        }
    }
    faults.finish();
}

#[test]
fn forward_alone() {
    table(&SHAPES, |setting, case| forward(setting, case, None));
}

#[test]
fn forward_deployed() {
    let shapes = [SHAPES[1], SHAPES[4], SHAPES[5], SHAPES[6], SHAPES[9], SHAPES[13]];
    for shortcut in SHORTCUTS {
        let mut turn = 0;
        table(&shapes, |setting, case| {
            turn += 1;
            let activation = ACTIVATIONS[turn / 4 % 4];
            let (source, out) = (case.shape.2, case.shape.3);
            forward(setting, case, Some(Epilogue { activation, shortcut, source, out }))
        });
    }
}

#[test]
fn forward_into_more_channels_than_filters() {
    table(&[Shape(3, 2, 5, 3, 1, 1), Shape(1, 1, 4, 6, 3, 1)], |setting, case| {
        let epilogue = Epilogue { activation: Activation::Relu, shortcut: Shortcut::Bypass, source: 19, out: 18 };
        forward(setting, case, Some(epilogue))
    });
}

#[test]
fn transposed_weights() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in SHAPES {
            faults.add(&format!("{name} {shape:?}"), transpose(setting, shape));
        }
    }
    faults.finish();
}

#[test]
fn backward_data_alone() {
    table(&SHAPES, |setting, case| backward_data(setting, case, Shortcut::None));
}

#[test]
fn backward_data_with_a_shortcut() {
    let shapes = [SHAPES[0], SHAPES[1], SHAPES[4], SHAPES[6], SHAPES[9], SHAPES[15]];
    table(&shapes, |setting, case| backward_data(setting, case, Shortcut::Bypass));
    table(&shapes, |setting, case| backward_data(setting, case, Shortcut::Residual));
}

#[test]
fn weight_gradients_in_parts() {
    let mut most_parts = 0;
    table(&SHAPES, |setting, case| {
        most_parts = most_parts.max(backward_weight(setting, case)?);
        Ok(())
    });
    assert!(most_parts > 1, "no case had several parts");
}

#[test]
fn linear_layers() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for (images, channels, filters) in [(1, 1, 1), (5, 7, 10), (16, 33, 12), (3, 4, 17)] {
            let outcome = linear(setting, [images, channels, filters]);
            faults.add(&format!("{name} {images} x {channels} to {filters}"), outcome);
        }
    }
    faults.finish();
}

/// Few images get smaller tiles, so that a GPU has enough workgroups; networks scored in one pass are those scored alone
/// only if no sum is taken in another order for it.
#[test]
fn how_many_images_there_are_changes_no_bit_of_one() {
    const MANY: u32 = 16;
    const CHANNELS: u32 = 32;
    // With so many images no tile is cut, with one all are.
    let tuning = Tuning { conv_groups: MANY, ..Tuning::GPU };
    let random = |count: usize, seed: u32| -> Vec<f32> {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 1e7 - 0.8;
        (0..count).map(value).collect()
    };
    for [height, width] in [[5, 5], [6, 6], [3, 7], [9, 6], [12, 8]] {
        let image = random((height * width * CHANNELS) as usize, 1);
        let weight = random((9 * CHANNELS * CHANNELS) as usize, 2);
        let outputs = |images: u32, is_forward: bool| -> Vec<u32> {
            let rows = [u32::MAX, 3].map(|value| vec![value; images as usize]).concat();
            let widths = Widths { buf: gpu().upload("widths", &rows).expect("it is small"), images };
            let [input, output] = ["input", "output"]
                .map(|name| Map::new(gpu(), name, [images, height, width, CHANNELS]).expect("it is small"));
            gpu().write(&input.buf, &image.repeat(images as usize));
            let weight = gpu().upload("weight", &weight).expect("it is small");
            let (row, kernel_row) = (RowId::UNLIMITED, RowId(1));
            let conv =
                Conv { kernel: 3, stride: 1, channels: CHANNELS, filters: CHANNELS, input: row, kept: row, kernel_row };
            let mut rec = Recording::new();
            if is_forward {
                let io = conv::Forward { x: &input, weight: &weight, deployed: None, merge: None, y: &output };
                conv::forward(&mut rec, &tuning, &conv, &widths, io);
            } else {
                let io = conv::BackwardData { dz: &input, transposed: &weight, merge: None, dx: &output };
                conv::backward_data(&mut rec, &tuning, &conv, &widths, io);
            }
            let program = Program::new(gpu(), rec).expect("it is a program");
            program.run();
            gpu().read(&output.buf).expect("the device works")
        };
        for is_forward in [true, false] {
            let (alone, all) = (outputs(1, is_forward), outputs(MANY, is_forward));
            for one in all.chunks_exact(alone.len()) {
                assert!(one == alone, "{height}x{width}, forward: {is_forward}");
            }
        }
    }
}
