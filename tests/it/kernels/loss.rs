//! Cross-entropy of a batch, totals of an epoch.

use crate::harness::*;
use netadapt::gpu::Recording;
use netadapt::kernels::loss;
use netadapt::reference::{self, Array};

/// Images, classes.
const SHAPES: [[usize; 2]; 8] = [[1, 1], [3, 2], [5, 3], [9, 4], [70, 5], [64, 10], [7, 33], [4, 101]];

/// What is added to logits of this spread, and the spread.
const LOGITS: [(f64, f64); 4] = [(0.0, 1.0), (0.0, 30.0), (500.0, 4.0), (-500.0, 0.0)];

fn check(setting: Setting, [images, classes]: [usize; 2], logits: (f64, f64), smoothing: f32) -> Result<(), String> {
    let Setting { gpu, tuning, .. } = setting;
    let (offset, spread) = logits;
    let mut logits = random(1, [images, 1, 1, classes]);
    logits.values.iter_mut().for_each(|value| *value = f64::from((offset + spread * *value) as f32));
    let labels: Vec<usize> = (0..images).map(|n| (n * 7) % classes).collect();
    let want = reference::loss::cross_entropy(&logits, &labels, f64::from(smoothing));

    let full = vec![classes; images];
    let dlogits = trap_map(gpu, "dlogits", logits.shape());
    let result = trap(gpu, "result", (images * 2).div_ceil(4));
    let labels: Vec<u32> = labels.iter().map(|label| *label as u32).collect();
    let total = gpu.upload("total", &[2f32, 3.0, 5.0, 0.0]).map_err(|error| error.to_string())?;
    let mut rec = Recording::new();
    let io = loss::CrossEntropy {
        logits: &map(gpu, "logits", &logits, &full),
        labels: &gpu.upload("labels", &labels).map_err(|error| error.to_string())?,
        smoothing,
        dlogits: &dlogits,
        result: &result,
    };
    loss::cross_entropy(&mut rec, &tuning, io);
    loss::accumulate(&mut rec, images as u32, &result, &total);
    run(gpu, rec)?;

    // Devices compute exp(x) to 3 + 2 |x| units in the last place, and x itself is rounded. The loss sums
    // as many terms of the spread's size as there are classes; log doubles no error of a total above 1.
    let exp = (3.0 + 6.0 * spread) * f64::from(f32::EPSILON);
    let softmax = Tolerance { abs: exp / images as f64, rel: exp };
    check_map(gpu, &dlogits, &full, &want.gradient, softmax).map_err(|fault| format!("gradient: {fault}"))?;
    let one = Tolerance { abs: exp + Tolerance::sum(classes).abs * (1.0 + spread), ..Tolerance::sum(classes) };
    let column = |values: Vec<f64>| Array { images: 1, height: 1, width: values.len(), channels: 1, values };
    let mut pairs = read(gpu, &result, [1, 1, 1, (images * 2).next_multiple_of(4)])?.values;
    pairs.truncate(images * 2);
    let losses = column(pairs.iter().copied().step_by(2).collect());
    compare(&losses, &column(want.losses.clone()), one).map_err(|fault| format!("losses: {fault}"))?;
    let hits = column(pairs.iter().copied().skip(1).step_by(2).collect());
    let want_hits = want.hits.iter().map(|hit| f64::from(*hit)).collect();
    compare(&hits, &column(want_hits), Tolerance::EXACT).map_err(|fault| format!("hits: {fault}"))?;

    let want = reference::loss::accumulate([2.0, 3.0, 5.0], &want);
    let total = read(gpu, &total, [1, 1, 1, 4])?.values;
    let sum = Tolerance { abs: one.abs * images as f64, rel: Tolerance::sum(images).rel };
    compare(&column(vec![total[0]]), &column(vec![want[0]]), sum).map_err(|fault| format!("total: {fault}"))?;
    compare(&column(total[1..].to_vec()), &column(vec![want[1], want[2], 0.0]), Tolerance::EXACT)
}

#[test]
fn cross_entropy_and_its_totals() {
    let mut faults = Faults::default();
    for setting in settings() {
        for shape in SHAPES {
            for logits in LOGITS {
                for smoothing in [0.0, 0.1, 1.0] {
                    let name = format!("{} {shape:?} logits {logits:?} smoothing {smoothing}", setting.name);
                    faults.add(&name, check(setting, shape, logits, smoothing));
                }
            }
        }
    }
    faults.finish();
}
