//! Sums of parts and norms.

use crate::harness::*;
use netadapt::check::{Setting, reduce};
use netadapt::kernels::reduce::MOST_SUMS;
use netadapt::kernels::{FOLD, Tuning};

#[test]
fn sums() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for tensor in [[1, 1], [1, 9], [3, 1], [2, 64], [7, 65], [50, 33], [300, 8]] {
            let [parts, quads] = tensor;
            faults.add(&format!("{name} {parts} parts of {quads}"), reduce::sums(setting, &[tensor]));
        }
        // As many as one launch takes, of any size.
        let tensors: Vec<[usize; 2]> = (0..MOST_SUMS).map(|i| [1 + i * 7 % 19, 1 + i * 31 % 67]).collect();
        faults.add(&format!("{name} {MOST_SUMS} tensors"), reduce::sums(setting, &tensors));
    }
    // More workgroups of eight lanes than one dimension holds, the second tensor beyond the first row of them.
    let setting = Setting { tuning: Tuning::SOFTWARE, ..settings()[0].1 };
    let tensors = [[2, 8 * FOLD as usize + 3], [3, 40]];
    faults.add("more than a row of workgroups", reduce::sums(setting, &tensors));
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
