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

/// How the images of one class came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// Images of the class.
    pub images: u32,
    /// Those that were called so.
    pub hits: u32,
}

impl Recall {
    /// Share of hits; `None` for a class without images.
    pub fn share(self) -> Option<f64> {
        (self.images > 0).then(|| f64::from(self.hits) / f64::from(self.images))
    }
}

/// Recall of each of `classes` classes, in their order.
///
/// # Panics
/// When a label is not below `classes`.
pub fn recalls(predicted: &[u32], labels: &[u32], classes: usize) -> Vec<Recall> {
    let mut recalls = vec![Recall::default(); classes];
    for (predicted, label) in predicted.iter().zip(labels) {
        let recall = &mut recalls[*label as usize];
        recall.images += 1;
        recall.hits += u32::from(predicted == label);
    }
    recalls
}

/// Balanced accuracy: the mean of the recalls, in which a small class counts as much as a large one. Classes without
/// images are left out; `None` where all are.
pub fn balanced_accuracy(recalls: &[Recall]) -> Option<f64> {
    let shares: Vec<f64> = recalls.iter().filter_map(|recall| recall.share()).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_accuracy_weighs_classes_alike_and_leaves_out_those_without_images() {
        // 8 of 8, 1 of 2, none of none: 90 % of the images, 75 % of the classes.
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        let predicted = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let recalls = recalls(&predicted, &labels, 3);
        assert_eq!(recalls.iter().map(|recall| recall.share()).collect::<Vec<_>>(), [Some(1.0), Some(0.5), None]);
        assert_eq!(balanced_accuracy(&recalls), Some(0.75));
        assert_eq!(balanced_accuracy(&recalls[2..]), None);
    }
}
