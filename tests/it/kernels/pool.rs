//! Mean over the pixels.

use crate::harness::*;
use netadapt::check::operands::Pattern;
use netadapt::check::{Outcome, Setting, pool};

/// Images, rows, columns, channels.
const SHAPES: [[usize; 4]; 10] = [
    [1, 1, 1, 1],
    [5, 1, 1, 5],
    [5, 3, 5, 3],
    [4, 7, 7, 4],
    [3, 5, 2, 8],
    [5, 4, 4, 12],
    [2, 9, 7, 17],
    [5, 3, 3, 33],
    [2, 3, 7, 130],
    [17, 2, 1, 40],
];

/// Runs `check` for all shapes, patterns and settings, with the kept channels; `excite` has the same table.
pub(super) fn table(check: impl Fn(Setting, [usize; 4], &[usize]) -> Outcome) {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in SHAPES {
            for pattern in Pattern::ALL {
                let kept = pattern.widths(shape[0], shape[3], 0);
                faults.add(&format!("{name} {shape:?} {pattern:?}"), check(setting, shape, &kept));
            }
        }
    }
    faults.finish();
}

#[test]
fn forward() {
    table(pool::forward);
}

#[test]
fn backward() {
    table(pool::backward);
}
