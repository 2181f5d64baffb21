//! Sums of parts and norms.

/// The sum of `parts` vectors that lie one after another.
pub fn sum(parts: usize, partial: &[f64]) -> Vec<f64> {
    let length = partial.len() / parts;
    (0..length).map(|i| (0..parts).map(|part| partial[part * length + i]).sum()).collect()
}

/// The Euclidean norm.
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
