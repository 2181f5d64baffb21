//! Cross-entropy of a batch, totals of an epoch.

use super::agreement::{Tolerance, check_map, column, compare, read};
use super::operands::{random, trap};
use super::{Check, Outcome, Setting, run};
use crate::gpu::Recording;
use crate::kernels::loss;
use crate::reference;
use crate::reference::loss::Target;

pub(super) static CHECKS: &[Check] = &[Check {
    kernels: &[&loss::CROSS_ENTROPY, &loss::ACCUMULATE],
    run: |setting| {
        cross_entropy(setting, [70, 5], (0.0, 1.0), 0.1, 0.5)?;
        cross_entropy(setting, [9, 33], (500.0, 4.0), 0.0, 0.0)
    },
}];

/// The loss of so many images and classes, and its way into the totals; `logits` are what is added to logits of
/// this spread, and the spread; `taught` is a teacher's share of the target.
///
/// # Errors
/// As for all cases, what the device says, or where its numbers differ.
pub fn cross_entropy(
    setting: Setting,
    [images, classes]: [usize; 2],
    logits: (f64, f64),
    smoothing: f32,
    taught: f32,
) -> Outcome {
    let Setting { gpu, tuning, .. } = setting;
    let (offset, spread) = logits;
    let drawn = |seed| {
        let mut logits = random(seed, [images, 1, 1, classes]);
        logits.values.iter_mut().for_each(|value| *value = f64::from((offset + spread * *value) as f32));
        logits
    };
    let (logits, teacher) = (drawn(1), drawn(2));
    // Unmixed, mixed less and more than by half, with another of the same class.
    let mixed = |n: usize| [(0, 0.0), (1, 0.25), (3, 0.75), (0, 0.5)][n % 4];
    let targets: Vec<Target> = (0..images)
        .map(|n| Target { label: (n * 7) % classes, other: (n * 7 + mixed(n).0) % classes, share: mixed(n).1 })
        .collect();
    let lesson = (taught > 0.0).then_some((&teacher, f64::from(taught)));
    let want = reference::loss::cross_entropy(&logits, &targets, f64::from(smoothing), lesson);

    let full = vec![classes; images];
    let dlogits = setting.trap_vector("dlogits", logits.shape())?;
    let result = trap(gpu, "result", (images * 2).div_ceil(4))?;
    let targets: Vec<loss::Target> = targets
        .iter()
        .map(|t| loss::Target { label: t.label as u32, other: t.other as u32, share: t.share as f32 })
        .collect();
    let total = gpu.upload("total", &[2f32, 3.0, 5.0, 0.0])?;
    let mut rec = Recording::new();
    let teacher = setting.vector("teacher", &teacher, &full)?;
    let io = loss::CrossEntropy {
        logits: &setting.vector("logits", &logits, &full)?,
        targets: &gpu.upload("targets", &targets)?,
        smoothing,
        teacher: (taught > 0.0).then_some((&teacher, taught)),
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
    check_map(gpu, &dlogits, &full, &want.gradient, softmax).map_err(|fault| fault.of("gradient"))?;
    let one = Tolerance { abs: exp + Tolerance::sum(classes).abs * (1.0 + spread), ..Tolerance::sum(classes) };
    let mut pairs = read(gpu, &result, [1, 1, 1, (images * 2).next_multiple_of(4)])?.values;
    pairs.truncate(images * 2);
    let losses = column(pairs.iter().copied().step_by(2).collect());
    compare(&losses, &column(want.losses.clone()), one).map_err(|fault| fault.of("losses"))?;
    let hits = column(pairs.iter().copied().skip(1).step_by(2).collect());
    let want_hits = want.hits.iter().map(|hit| f64::from(*hit)).collect();
    compare(&hits, &column(want_hits), Tolerance::EXACT).map_err(|fault| fault.of("hits"))?;

    let want = reference::loss::accumulate([2.0, 3.0, 5.0], &want);
    let total = read(gpu, &total, [1, 1, 1, 4])?.values;
    let sum = Tolerance { abs: one.abs * images as f64, rel: Tolerance::sum(images).rel };
    compare(&column(vec![total[0]]), &column(vec![want[0]]), sum).map_err(|fault| fault.of("total"))?;
    compare(&column(total[1..].to_vec()), &column(vec![want[1], want[2], 0.0]), Tolerance::EXACT)
}
