//! Mean over the pixels.

use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::pool;
use netadapt::reference;

/// Images, rows, columns, channels; the tables of `excite` are the same.
pub(super) const SHAPES: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [5, 1, 1, 5],
    [5, 3, 5, 3],
    [4, 7, 7, 4],
    [3, 5, 2, 8],
    [5, 4, 4, 12],
    [2, 9, 7, 17],
    [5, 3, 3, 33],
    [17, 2, 1, 40],
];

/// Runs `check` for all shapes, patterns and settings, with the kept channels.
pub(super) fn table(check: impl Fn(Setting, [usize; 4], &[usize]) -> Result<(), String>) {
    let mut faults = Faults::default();
    for setting in settings() {
        for shape in SHAPES {
            for pattern in Pattern::ALL {
                let kept = pattern.widths(shape[0], shape[3], 0);
                faults.add(&format!("{} {shape:?} {pattern:?}", setting.name), check(setting, shape, &kept));
            }
        }
    }
    faults.finish();
}

#[test]
fn forward() {
    table(|Setting { gpu, tuning, .. }, shape, kept| {
        let x = random(1, shape);
        let want = reference::pool::forward(kept, &x);
        let mut rows = Rows::new(shape[0]);
        let row = rows.add(kept);
        let y = trap_map(gpu, "y", want.shape());
        let mut rec = Recording::new();
        pool::forward(&mut rec, &tuning, &rows.upload(gpu), row, &map(gpu, "x", &x, kept), &y);
        run(gpu, rec)?;
        let pixels = shape[1] * shape[2];
        // Written whole: linear layers read it all.
        check_map(gpu, &y, &vec![shape[3]; shape[0]], &want, Tolerance::sum(pixels).scaled(1.0 / pixels as f64))
    });
}

#[test]
fn backward() {
    table(|Setting { gpu, tuning, .. }, shape, kept| {
        let dy = random(1, [shape[0], 1, 1, shape[3]]);
        let want = reference::pool::backward(kept, shape, &dy);
        let mut rows = Rows::new(shape[0]);
        let row = rows.add(kept);
        let dx = trap_map(gpu, "dx", shape);
        let mut rec = Recording::new();
        pool::backward(&mut rec, &tuning, &rows.upload(gpu), row, &map(gpu, "dy", &dy, kept), &dx);
        run(gpu, rec)?;
        check_map(gpu, &dx, kept, &want, Tolerance::sum(1))
    });
}
