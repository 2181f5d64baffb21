//! Sums of parts and norms.

use crate::harness::*;
use netadapt::check::{Setting, reduce};
use netadapt::kernels::{FOLD, Tuning};

#[test]
fn sum() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for (parts, quads) in [(1, 1), (1, 9), (3, 1), (2, 64), (7, 65), (50, 33), (300, 8)] {
            faults.add(&format!("{name} {parts} parts of {quads}"), reduce::sum(setting, parts, quads));
        }
    }
    // More workgroups of eight lanes than one dimension holds.
    let setting = Setting { tuning: Tuning::SOFTWARE, ..settings()[0].1 };
    faults.add("more than a row of workgroups", reduce::sum(setting, 2, 8 * FOLD as usize + 3));
    faults.finish();
}

#[test]
fn norm() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for quads in [1, 2, 63, 255, 256, 257, 1000, 4099] {
            faults.add(&format!("{name} {quads} quads"), reduce::norm(setting, quads));
        }
    }
    faults.finish();
}
