//! Depthwise convolutions.

use crate::harness::*;
use netadapt::check::depthwise::{Case, Shape, backward_data, backward_weight, forward};
use netadapt::check::operands::{ACTIVATIONS, Pattern};
use netadapt::check::{Outcome, Setting};
use netadapt::kernels::depthwise::{Depthwise, weight_parts};
use netadapt::kernels::{RowId, Tuning};

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

/// Runs `check` for all shapes, patterns and settings.
fn table(mut check: impl FnMut(Setting, Case) -> Outcome) {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in SHAPES {
            for pattern in Pattern::ALL {
                faults.add(&format!("{name} {shape:?} {pattern:?}"), check(setting, Case::new(shape, pattern)));
            }
        }
    }
    faults.finish();
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
fn input_gradients() {
    table(backward_data);
}

#[test]
fn weight_gradients_in_parts() {
    let mut most_parts = 0;
    table(|setting, case| {
        most_parts = most_parts.max(backward_weight(setting, case)?);
        Ok(())
    });
    assert!(most_parts > 1, "no case had several parts");
}

/// Each part of a gradient is written and added up, whether a pixel was added to it or not.
#[test]
fn no_part_of_a_gradient_is_without_pixels() {
    for (_, Setting { tuning, .. }) in settings() {
        for tuning in [tuning, Tuning::GPU] {
            for (kernel, channels, images, side) in [(7, 160, 64, 8), (7, 256, 64, 4), (3, 16, 1, 1), (5, 8, 3, 7)] {
                let (kept, kernel_row) = (RowId::UNLIMITED, RowId::UNLIMITED);
                let depthwise = Depthwise { kernel, stride: 1, channels, kept, kernel_row };
                let parts = weight_parts(&tuning, &depthwise, [images, side, side]);
                let most = images * side * side.div_ceil(tuning.pixels.min(side));
                assert!(
                    parts <= most,
                    "{parts} parts of {most} stretches: {kernel}x{kernel}, {channels} of {side} px, {tuning:?}"
                );
            }
        }
    }
}
