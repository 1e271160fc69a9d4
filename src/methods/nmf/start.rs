//! Start values of the factors.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::engine::Real;
use crate::random::Stream;

/// Random bases (F x K) and gains (K x N) for data V (F x N), the same on every engine. They are uniform in (0.1, 1.1), then
/// scaled so that WH has the mean of V.
pub fn random_start<T: Real>(v: ArrayView2<T>, rank: usize, seed: u64) -> (Array2<f32>, Array2<f32>) {
    let mean = v.fold(0.0, |sum, &v| sum + v.to_f64()) / v.len().max(1) as f64;
    let scale = (mean / (rank as f64 * 0.36)).sqrt();
    let fill = |name: &str, rows: usize, columns: usize| {
        let stream = Stream::new(seed, name);
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            ((0.1 + stream.uniform((row * columns + column) as u64)) * scale) as f32
        })
    };
    (fill("bases", v.nrows(), rank), fill("gains", rank, v.ncols()))
}

/// Flat gains (K x N) for fixed bases W (F x K): all components of a column are equal, and the column of WH has the sum of the
/// column of V. A column's start depends on its own data alone.
pub fn flat_gains(v: ArrayView2<f32>, w: ArrayView2<f32>) -> Array2<f32> {
    let bases: f64 = w.iter().map(|&w| f64::from(w)).sum();
    let level = |column: ndarray::ArrayView1<f32>| column.iter().map(|&v| f64::from(v)).sum::<f64>() / bases.max(1e-30);
    let levels: Array1<f32> = v.axis_iter(Axis(1)).map(|column| level(column) as f32).collect();
    Array2::from_shape_fn((w.ncols(), v.ncols()), |(_, n)| levels[n])
}

/// The divisor that brings data with this largest entry near 1, where the engines' floors do not distort them: 1 for data of an
/// ordinary level, otherwise the power of two of the largest entry.
pub fn level(largest: f64) -> f64 {
    if largest == 0.0 || (1e-3..=1e6).contains(&largest) { 1.0 } else { largest.log2().round().exp2() }
}
