//! Kernels that only measure.

use crate::harness::*;
use netadapt::gpu::{Buf, Gpu, Recording};
use netadapt::kernels::probe;
use netadapt::reference::{self, Array};

/// Runs `record` for each setting's lanes on random values, and compares with `want` of them.
fn table(
    sizes: &[usize],
    tolerance: Tolerance,
    record: impl Fn(&mut Recording, u32, &Buf, &Buf),
    want: impl Fn(usize, &[f64]) -> Vec<f64>,
) {
    let check = |gpu: &Gpu, lanes: u32, quads: usize| {
        let x = random(1, [1, 1, quads, 4]);
        let y = trap(gpu, "y", quads);
        let mut rec = Recording::new();
        record(&mut rec, lanes, &buf(gpu, "x", &x.to_quads()), &y);
        run(gpu, rec)?;
        let want = Array { values: want(lanes as usize, &x.values), ..x };
        compare(&read(gpu, &y, want.shape())?, &want, tolerance)
    };
    let mut faults = Faults::default();
    for Setting { name, gpu, tuning } in settings() {
        for groups in sizes {
            let quads = groups * tuning.lanes as usize;
            faults.add(&format!("{name} {groups} groups"), check(gpu, tuning.lanes, quads));
        }
    }
    faults.finish();
}

#[test]
fn multiply_add() {
    // Values are below 1 and chains shrink: an error is carried on as a term of a sum is.
    let rounds = 9;
    let tolerance = Tolerance::sum(rounds).scaled(8.0 * 8.0);
    let record = |rec: &mut Recording, lanes, x: &Buf, y: &Buf| probe::multiply_add(rec, lanes, rounds as u32, x, y);
    table(&[1, 3, 17], tolerance, record, |_, x| reference::probe::multiply_add(rounds, x));
}

#[test]
fn copy() {
    for per_lane in [1, 3, 8] {
        let record = |rec: &mut Recording, lanes, x: &Buf, y: &Buf| probe::copy(rec, lanes, per_lane, x, y);
        table(&[1, 2, 5, 16], Tolerance::EXACT, record, |_, x| x.to_vec());
    }
}

#[test]
fn exchange() {
    let record = |rec: &mut Recording, lanes, x: &Buf, y: &Buf| probe::exchange(rec, lanes, 7, x, y);
    table(&[1, 4], Tolerance::sum(7), record, |lanes, x| reference::probe::exchange(7, lanes, x));
}
