//! Kernels that only measure.

use crate::harness::*;
use netadapt::check::{Fault, Outcome, Setting, probe};
use netadapt::gpu::GpuError;
use netadapt::kernels::probe::MULTIPLY_ADD_F16;

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

/// A device that has no f16, as one of no more than WebGPU's core has not, says so.
#[test]
fn multiply_add_f16() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        let outcome = probe::multiply_add_f16(setting, 3);
        let outcome = match (setting.gpu.runs(&MULTIPLY_ADD_F16), outcome) {
            (true, outcome) => outcome,
            (false, Err(Fault::Gpu(GpuError::NoF16 { .. }))) => Ok(()),
            (false, outcome) => Err(Fault::Differs(format!("without f16 it came to {outcome:?}"))),
        };
        faults.add(&name, outcome);
    }
    faults.finish();
    assert!(!portable().runs(&MULTIPLY_ADD_F16));
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
