//! What the measuring kernels compute.

/// The sum of eight chains s = s x + x, chain k from (k + 1) x, for every value.
pub fn multiply_add(rounds: usize, x: &[f64]) -> Vec<f64> {
    let chain = |x: f64, k: usize| (0..rounds).fold((k + 1) as f64 * x, |s, _| s * x + x);
    x.iter().map(|x| (0..8).map(|k| chain(*x, k)).sum()).collect()
}

/// A number in the place of the first value.
pub fn sentinel(number: u32, y: &[f64]) -> Vec<f64> {
    let mut written = y.to_vec();
    written[0] = f64::from(number);
    written
}

/// The values in groups of `lanes` quads; in each of `rounds` a quad becomes the mean of itself and the next one of
/// its group.
pub fn exchange(rounds: usize, lanes: usize, x: &[f64]) -> Vec<f64> {
    let mut sums = x.to_vec();
    for _ in 0..rounds {
        for group in sums.chunks_mut(lanes * 4) {
            let before = group.to_vec();
            for (i, sum) in group.iter_mut().enumerate() {
                *sum = 0.5 * (before[i] + before[(i + 4) % before.len()]);
            }
        }
    }
    sums
}
