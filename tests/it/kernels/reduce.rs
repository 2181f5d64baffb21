//! Sums of parts and norms.

use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::reduce;
use netadapt::reference::{self, Array};

fn row(values: Vec<f64>) -> Array {
    Array { images: 1, height: 1, width: values.len(), channels: 1, values }
}

#[test]
fn sum() {
    let mut faults = Faults::default();
    for Setting { name, gpu, tuning } in settings() {
        for (parts, quads) in [(1, 1), (1, 9), (3, 1), (2, 64), (7, 65), (50, 33), (300, 8)] {
            let partial = random(1, [parts, 1, 1, quads * 4]);
            let want = row(reference::reduce::sum(parts, &partial.values));
            let total = trap(gpu, "total", quads);
            let mut rec = Recording::new();
            let partial = buf(gpu, "partial", &partial.to_quads());
            reduce::sum(&mut rec, &tuning, [parts as u32, quads as u32], &partial, &total);
            let got = run(gpu, rec).and_then(|()| read(gpu, &total, [1, 1, 1, quads * 4]));
            let outcome = got.and_then(|got| compare(&row(got.values), &want, Tolerance::sum(parts)));
            faults.add(&format!("{name} {parts} parts of {quads}"), outcome);
        }
    }
    faults.finish();
}

#[test]
fn norm() {
    let mut faults = Faults::default();
    for Setting { name, gpu, tuning } in settings() {
        for quads in [1, 2, 63, 255, 256, 257, 1000, 4099] {
            let value = random(1, [1, 1, 1, quads * 4]);
            let want = row(vec![reference::reduce::norm(&value.values)]);
            let (partial, norm) = (trap(gpu, "partial", reduce::NORM_PARTS as usize / 4), trap(gpu, "norm", 1));
            let mut rec = Recording::new();
            reduce::norm(&mut rec, &tuning, quads as u32, &buf(gpu, "value", &value.to_quads()), &partial, &norm);
            let got = run(gpu, rec).and_then(|()| read(gpu, &norm, [1, 1, 1, 4]));
            // A sum of squares has one sign.
            let tolerance = Tolerance { abs: 0.0, ..Tolerance::sum(quads * 4) };
            let outcome = got.and_then(|got| compare(&row(got.values[..1].to_vec()), &want, tolerance));
            faults.add(&format!("{name} {quads} quads"), outcome);
        }
    }
    faults.finish();
}
