//! Bias and activation.

use crate::harness::*;
use netadapt::check::bias::{Case, backward, forward};
use netadapt::check::operands::{ACTIVATIONS, Pattern};
use netadapt::check::{Outcome, Setting};
use netadapt::space::Activation;

/// Images, filters.
const SHAPES: [[usize; 2]; 8] = [[1, 1], [5, 3], [4, 4], [3, 8], [6, 12], [7, 33], [17, 40], [70, 130]];

/// Runs `check` for all shapes, patterns, activations and settings.
fn table(check: impl Fn(Setting, &Case, Activation) -> Outcome) {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in SHAPES {
            for pattern in Pattern::ALL {
                let case = Case::new(shape, pattern);
                for activation in ACTIVATIONS {
                    let name = format!("{name} {shape:?} {pattern:?} {activation:?}");
                    faults.add(&name, check(setting, &case, activation));
                }
            }
        }
    }
    faults.finish();
}

#[test]
fn forward_of_all_activations() {
    table(forward);
}

#[test]
fn backward_of_all_activations() {
    table(|setting, case, activation| backward(setting, case, activation, false));
}

#[test]
fn backward_at_the_kinks_of_activations() {
    table(|setting, case, activation| backward(setting, case, activation, true));
}
