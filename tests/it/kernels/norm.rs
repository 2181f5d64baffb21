//! Normalisation, activation, shortcut.

use crate::harness::*;
use netadapt::check::norm::{Case, Mode, Shape, apply, backward, every_kept, statistics};
use netadapt::check::operands::{ACTIVATIONS, Pattern, SHORTCUTS, random};
use netadapt::check::{Outcome, Setting};

const SHAPES: [Shape; 11] = [
    Shape(1, 1, 1, 1, 1),
    Shape(4, 1, 1, 5, 1),
    Shape(6, 5, 7, 3, 1),
    Shape(6, 7, 5, 4, 3),
    Shape(4, 3, 3, 8, 4),
    Shape(6, 4, 9, 12, 2),
    Shape(5, 6, 6, 17, 1),
    Shape(4, 9, 4, 33, 2),
    Shape(7, 16, 15, 8, 1),
    Shape(8, 2, 3, 12, 1),
    Shape(3, 3, 7, 130, 1),
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
fn statistics_of_a_batch() {
    for rate in [0.1, 1.0] {
        table(|setting, case| {
            let z = random(1, case.z());
            statistics(setting, case, &z, f64::from(rate as f32))
        });
    }
}

#[test]
fn statistics_about_a_large_mean() {
    table(|setting, case| {
        let mut z = random(1, case.z());
        z.values.iter_mut().for_each(|value| *value = f64::from((1000.0 + *value) as f32));
        statistics(setting, case, &z, 0.25)
    });
}

#[test]
fn apply_in_all_modes() {
    for shortcut in SHORTCUTS {
        let mut turn = 0;
        table(|setting, case| {
            turn += 1;
            // Each shape sees another mix, the patterns of a shape the same one.
            let mix = turn / Pattern::ALL.len();
            let (running, activation) = (mix.is_multiple_of(2), ACTIVATIONS[mix / 2 % 4]);
            apply(setting, case, Mode { running, activation, shortcut })
        });
    }
}

/// The bypass formula of NetAdaptV2 (section 2), for every number of input channels, filters at most
/// and filters kept up to 9: output channel j is filter j below t, input channel j below min(c, m).
#[test]
fn bypass_formula_bit_for_bit() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for channels in 1..=9 {
            for filters in 1..=9 {
                faults.add(&format!("{name} c {channels} m {filters}"), every_kept(setting, channels, filters));
            }
        }
    }
    faults.finish();
}

#[test]
fn backward_of_all_activations() {
    let mut turn = 0;
    table(|setting, case| {
        turn += 1;
        backward(setting, case.in_one_group(), ACTIVATIONS[turn / Pattern::ALL.len() % 4])
    });
}
