//! Cross-entropy of a batch, totals of an epoch.

use crate::harness::*;
use netadapt::check::loss::cross_entropy;

/// Images, classes.
const SHAPES: [[usize; 2]; 8] = [[1, 1], [3, 2], [5, 3], [9, 4], [70, 5], [64, 10], [7, 33], [4, 101]];

/// What is added to logits of this spread, and the spread.
const LOGITS: [(f64, f64); 4] = [(0.0, 1.0), (0.0, 30.0), (500.0, 4.0), (-500.0, 0.0)];

#[test]
fn cross_entropy_and_its_totals() {
    let mut faults = Faults::default();
    for (name, setting) in settings() {
        for shape in SHAPES {
            for logits in LOGITS {
                for (smoothing, taught) in [(0.0, 0.0), (0.1, 0.0), (1.0, 0.0), (0.0, 1.0), (0.1, 0.6)] {
                    let name = format!("{name} {shape:?} logits {logits:?} smoothing {smoothing} taught {taught}");
                    faults.add(&name, cross_entropy(setting, shape, logits, smoothing, taught));
                }
            }
        }
    }
    faults.finish();
}
