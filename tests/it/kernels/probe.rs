//! Kernels that only measure.

use crate::harness::*;
use netadapt::check::{Outcome, Setting, probe};

/// Runs `check` for these numbers of workgroups and all settings.
fn table(sizes: &[usize], check: impl Fn(Setting, usize) -> Outcome) {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for groups in sizes {
            faults.add(&format!("{name} {groups} groups"), check(setting, *groups));
        }
    }
    faults.finish();
}

#[test]
fn multiply_add() {
    table(&[1, 3, 17], probe::multiply_add);
}

#[test]
fn copy() {
    for per_lane in [1, 3, 8] {
        table(&[1, 2, 5, 16], |setting, groups| probe::copy(setting, groups, per_lane));
    }
}

#[test]
fn exchange() {
    table(&[1, 4], probe::exchange);
}

#[test]
fn sentinel() {
    for number in [0, 1, u32::MAX] {
        table(&[1], |setting, _| probe::sentinel(setting, number));
    }
}
