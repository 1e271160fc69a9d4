//! Cholesky factorization G = L Lᵀ for some thousand rows. A recursion over columns turns all work but its leaves into
//! matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, Axis, s};

/// Columns per leaf, factored one by one.
const LEAF: usize = 16;
/// Rows of a product per task.
const ROWS: usize = 128;

/// The factor L (n, n), on and below the diagonal. Values above it are undefined.
pub(super) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// Factors G, reading only its lower triangle. Returns None if G is not positive definite.
    pub(super) fn new(mut gram: Array2<f64>) -> Option<Self> {
        factor(gram.view_mut()).then_some(Self(gram))
    }

    /// Solves G h = d.
    pub(super) fn solve(&self, mut d: Array1<f64>) -> Array1<f64> {
        for (i, row) in self.0.rows().into_iter().enumerate() {
            let known = row.slice(s![..i]).dot(&d.slice(s![..i]));
            d[i] = (d[i] - known) / row[i];
        }
        for (i, row) in self.0.rows().into_iter().enumerate().rev() {
            d[i] /= row[i];
            let known = d[i];
            d.slice_mut(s![..i]).scaled_add(-known, &row.slice(s![..i]));
        }
        d
    }
}

/// Factors the columns of a part of G. The part begins on the diagonal and includes all rows below. Returns false if a
/// pivot is not positive.
fn factor(panel: ArrayViewMut2<f64>) -> bool {
    let width = panel.ncols();
    if width <= LEAF {
        return leaf(panel);
    }
    let half = width.div_ceil(2).next_multiple_of(LEAF).min(width - 1);
    let (mut left, right) = panel.split_at(Axis(1), half);
    if !factor(left.view_mut()) {
        return false;
    }
    let (_, mut right) = right.split_at(Axis(0), half);
    let below = left.slice(s![half.., ..]);
    let tasks = right.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
    tasks.zip(below.axis_chunks_iter(Axis(0), ROWS)).enumerate().for_each(|(task, (mut to, rows))| {
        // Skip the values above the diagonal, except for a corner.
        let columns = to.ncols().min((task + 1) * ROWS);
        let across = below.slice(s![..columns, ..]);
        general_mat_mul(-1.0, &rows, &across.t(), 1.0, &mut to.slice_mut(s![.., ..columns]));
    });
    factor(right)
}

fn leaf(panel: ArrayViewMut2<f64>) -> bool {
    let width = panel.ncols();
    let (mut top, mut below) = panel.split_at(Axis(0), width);
    for j in 0..width {
        let pivot = top[(j, j)] - top.slice(s![j, ..j]).mapv(|x| x * x).sum();
        if !(pivot > 0.0 && pivot.is_finite()) {
            return false;
        }
        top[(j, j)] = pivot.sqrt();
        for i in j + 1..width {
            let known = top.slice(s![i, ..j]).dot(&top.slice(s![j, ..j]));
            top[(i, j)] = (top[(i, j)] - known) / top[(j, j)];
        }
    }
    let top = top.view();
    below.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(ROWS).for_each(|mut row| {
        for j in 0..width {
            let known: f64 = dot(row.slice(s![..j]), top.slice(s![j, ..j]));
            row[j] = (row[j] - known) / top[(j, j)];
        }
    });
    true
}

/// The dot product of short vectors.
fn dot(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_hand_computed_3_by_3_system_is_solved() {
        // L = [2 0 0; 1 3 0; 4 5 1]
        let unread = f64::NAN;
        let gram = array![[4.0, unread, unread], [2.0, 10.0, unread], [8.0, 19.0, 42.0]];
        let factor = Cholesky::new(gram).unwrap();
        assert_eq!(factor.0.row(2).to_vec(), [4.0, 5.0, 1.0]);
        // G times (1, -1, 2).
        assert_eq!(factor.solve(array![18.0, 30.0, 73.0]), array![1.0, -1.0, 2.0]);
        assert!(Cholesky::new(array![[1.0, 2.0], [2.0, 4.0]]).is_none());
        assert!(Cholesky::new(array![[f64::NAN]]).is_none());
        assert_eq!(Cholesky::new(Array2::zeros((0, 0))).unwrap().solve(Array1::zeros(0)).len(), 0);
    }

    #[test]
    fn the_factor_restores_matrices_of_all_block_sizes() {
        for n in [1, 15, 16, 17, 31, 33, 64, 127, 129, 300, 517] {
            let at = |(i, j): (usize, usize)| ((i * 37 + j * 17 + i * j) % 29) as f64 / 29.0 - 0.5;
            let root = Array2::from_shape_fn((n, n), at);
            let gram = root.dot(&root.t()) + Array2::<f64>::eye(n);
            let factor = Cholesky::new(gram.clone()).unwrap();
            let mut lower = factor.0.clone();
            lower.indexed_iter_mut().filter(|((i, j), _)| j > i).for_each(|(_, above)| *above = 0.0);
            let error = (&lower.dot(&lower.t()) - &gram).iter().fold(0.0, |worst: f64, error| worst.max(error.abs()));
            assert!(error < 1e-12 * n as f64, "{n}: {error}");
            let expected = Array1::from_shape_fn(n, |i| (i as f64).sin());
            let solved = factor.solve(gram.dot(&expected));
            assert!((&solved - &expected).iter().all(|error| error.abs() < 1e-9), "{n}");
        }
    }
}
