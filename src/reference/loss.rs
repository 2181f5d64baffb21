//! Cross-entropy with two labels, label smoothing and a teacher.

use super::Array;

/// What `cross_entropy` returns.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Loss of every image.
    pub losses: Vec<f64>,
    /// Whether the first of an image's largest logits is that of its label with the larger share.
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

/// What an image is: its label, another's, and the other's share.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Class of the image.
    pub label: usize,
    /// Class of the image that it is mixed with.
    pub other: usize,
    /// Share of the other.
    pub share: f64,
}

/// Softmax and cross-entropy of `logits` (N, 1, 1, K). A teacher's logits (N, 1, 1, K) make a share of the target.
pub fn cross_entropy(logits: &Array, targets: &[Target], smoothing: f64, teacher: Option<(&Array, f64)>) -> Loss {
    let classes = logits.channels;
    let taught = teacher.map_or(0.0, |(_, share)| share);
    let mut loss = Loss { losses: Vec::new(), hits: Vec::new(), gradient: Array::zeros(logits.shape()) };
    for (n, goal) in targets.iter().enumerate() {
        let row = &logits.values[n * classes..(n + 1) * classes];
        let lesson = teacher.map(|(teacher, _)| softmax(&teacher.values[n * classes..(n + 1) * classes]));
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = row.iter().map(|value| (value - largest).exp()).sum();
        let mut sum = 0.0;
        for (k, value) in row.iter().enumerate() {
            let log_softmax = value - largest - total.ln();
            let known = |label: usize, share: f64| if k == label { share } else { 0.0 };
            let known = known(goal.label, 1.0 - goal.share) + known(goal.other, goal.share);
            let lesson = lesson.as_ref().map_or(0.0, |lesson| lesson[k]);
            let target = (1.0 - taught) * ((1.0 - smoothing) * known + smoothing / classes as f64) + taught * lesson;
            sum -= target * log_softmax;
            loss.gradient[[n, 0, 0, k]] = (log_softmax.exp() - target) / targets.len() as f64;
        }
        loss.losses.push(sum);
        let larger = if goal.share > 0.5 { goal.other } else { goal.label };
        loss.hits.push(row.iter().position(|value| *value == largest) == Some(larger));
    }
    loss
}

/// Losses, hits and number of images of a batch added to the totals of an epoch.
pub fn accumulate([losses, hits, images]: [f64; 3], batch: &Loss) -> [f64; 3] {
    let more = batch.hits.iter().filter(|hit| **hit).count();
    [losses + batch.losses.iter().sum::<f64>(), hits + more as f64, images + batch.hits.len() as f64]
}
