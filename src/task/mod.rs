//! What is learned: target, head, loss and metrics. Classification is the only task so far; its head
//! is the classifier of `graph::lower`, its loss `kernels::loss`.

use crate::train::Evaluation;

/// Mean cross-entropy and accuracy of `logits` (N, classes).
pub fn evaluate(logits: &[f32], labels: &[u32], classes: usize) -> Evaluation {
    let mut loss = 0.0;
    let mut hits = 0u32;
    let mut predicted = Vec::with_capacity(labels.len());
    let mut confidence = Vec::with_capacity(labels.len());
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let (best, largest) = arg_max(row);
        let total: f64 = row.iter().map(|v| f64::from(v - largest).exp()).sum();
        loss += total.ln() - f64::from(row[*label as usize] - largest);
        hits += u32::from(best == *label);
        predicted.push(best);
        confidence.push((1.0 / total) as f32);
    }
    let count = labels.len().max(1) as f64;
    Evaluation { loss: loss / count, accuracy: f64::from(hits) / count, predicted, confidence }
}

/// Index and value of the largest logit, the first of equals; what is not a number is never the largest.
fn arg_max(row: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in row.iter().enumerate() {
        if *value > best.1 {
            best = (index as u32, *value);
        }
    }
    best
}
