//! Cross-entropy with label smoothing and a teacher.

use super::Array;

/// What `cross_entropy` returns.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Loss of every image.
    pub losses: Vec<f64>,
    /// Whether the first of an image's largest logits is its label's.
    pub hits: Vec<bool>,
    /// Gradient of the mean loss.
    pub gradient: Array,
}

/// Shares of 1 in proportion to the exponentials.
fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = row.iter().map(|value| (value - largest).exp()).sum();
    row.iter().map(|value| (value - largest).exp() / total).collect()
}

/// Softmax and cross-entropy of `logits` (N, 1, 1, K). A teacher's logits (N, 1, 1, K) make a share of the target.
pub fn cross_entropy(logits: &Array, labels: &[usize], smoothing: f64, teacher: Option<(&Array, f64)>) -> Loss {
    let classes = logits.channels;
    let taught = teacher.map_or(0.0, |(_, share)| share);
    let mut loss = Loss { losses: Vec::new(), hits: Vec::new(), gradient: Array::zeros(logits.shape()) };
    for (n, label) in labels.iter().enumerate() {
        let row = &logits.values[n * classes..(n + 1) * classes];
        let lesson = teacher.map(|(teacher, _)| softmax(&teacher.values[n * classes..(n + 1) * classes]));
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = row.iter().map(|value| (value - largest).exp()).sum();
        let mut sum = 0.0;
        for (k, value) in row.iter().enumerate() {
            let log_softmax = value - largest - total.ln();
            let hit = if k == *label { 1.0 - smoothing } else { 0.0 };
            let lesson = lesson.as_ref().map_or(0.0, |lesson| lesson[k]);
            let target = (1.0 - taught) * (hit + smoothing / classes as f64) + taught * lesson;
            sum -= target * log_softmax;
            loss.gradient[[n, 0, 0, k]] = (log_softmax.exp() - target) / labels.len() as f64;
        }
        loss.losses.push(sum);
        loss.hits.push(row.iter().position(|value| *value == largest) == Some(*label));
    }
    loss
}

/// Losses, hits and number of images of a batch added to the totals of an epoch.
pub fn accumulate([losses, hits, images]: [f64; 3], batch: &Loss) -> [f64; 3] {
    let more = batch.hits.iter().filter(|hit| **hit).count();
    [losses + batch.losses.iter().sum::<f64>(), hits + more as f64, images + batch.hits.len() as f64]
}
