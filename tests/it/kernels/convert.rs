//! Maps of f32 in the precision of others.

use crate::harness::*;
use netadapt::check::convert::narrow;
use netadapt::check::{Setting, excite};
use netadapt::gpu::Precision;
use netadapt::kernels::Tuning;

#[test]
fn values_of_every_size_are_rounded_to_the_same_bits() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in [[1, 1, 1, 1], [3, 5, 7, 3], [2, 9, 4, 13]] {
            for magnitude in [1.0, 1e-30, 3e38] {
                faults.add(&format!("{name} {shape:?} {magnitude}"), narrow(setting, shape, magnitude));
            }
        }
    }
    faults.finish();
}

/// More workgroups than a dimension holds: lanes and shares as few as can be.
#[test]
fn large_maps_are_spread_over_what_a_dimension_holds() {
    let tuning = Tuning { lanes: 1, quad_lanes: 1, slices: 1, pixels: 1, quads: 1, ..Tuning::SOFTWARE };
    for precision in [Precision::F32, Precision::Bf16] {
        let setting = Setting { gpu: gpu(), tuning, precision };
        narrow(setting, [1, 257, 256, 4], 1.0).expect("values are rounded alike");
        excite::forward(setting, [1, 257, 256, 4], &[3]).expect("every pixel is computed");
    }
}
