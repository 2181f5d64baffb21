//! Small systems of linear equations.

/// The product of two vectors.
pub(super) fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The inverse of a symmetric positive matrix by Gauss and Jordan; `None` where it has none.
pub(super) fn inverse<const N: usize>(mut matrix: [[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let mut inverse: [[f64; N]; N] = std::array::from_fn(|row| std::array::from_fn(|column| f64::from(row == column)));
    for pivot in 0..N {
        let scale = matrix[pivot][pivot];
        if scale.abs() < 1e-12 {
            return None;
        }
        for rows in [&mut matrix, &mut inverse] {
            rows[pivot].iter_mut().for_each(|value| *value /= scale);
        }
        for row in (0..N).filter(|row| *row != pivot) {
            let factor = matrix[row][pivot];
            for rows in [&mut matrix, &mut inverse] {
                let of = rows[pivot];
                rows[row].iter_mut().zip(of).for_each(|(value, of)| *value -= factor * of);
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
        let inverse = inverse(matrix).expect("it is positive");
        for (row, of) in matrix.iter().enumerate() {
            for column in 0..3 {
                let product = dot(of, &inverse.map(|row| row[column]));
                assert!((product - f64::from(row == column)).abs() < 1e-12, "{product}");
            }
        }
        assert_eq!(super::inverse([[1.0, 1.0], [1.0, 1.0]]), None);
    }
}
