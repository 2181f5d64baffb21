//! Maps of f32 in the precision of others.

use crate::harness::*;
use netadapt::check::convert::narrow;

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
