//! Numbers of the host, of any strides, to and from the device's rows.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, ShapeBuilder, s};
use rayon::prelude::*;

use crate::engine::Real;
use crate::{Error, Result};

/// Rows and columns of the squares that are copied one by one: both sides of a square stay in the nearest cache, so
/// that a transposition costs what a copy does.
const SQUARE: usize = 64;

/// Puts `values` into row-major numbers, rows `pitch` long, from column `first` on.
pub(super) fn pack<T: Real>(values: ArrayView2<T>, packed: &mut [f32], pitch: usize, first: usize) {
    packed
        .par_chunks_mut(SQUARE * pitch)
        .zip(values.axis_chunks_iter(ndarray::Axis(0), SQUARE).into_par_iter())
        .for_each(|(rows, values)| {
            for column in (0..values.ncols()).step_by(SQUARE) {
                let square = values.slice(s![.., column..values.ncols().min(column + SQUARE)]);
                for (row, values) in rows.chunks_mut(pitch).zip(square.rows()) {
                    for (packed, value) in row[first + column..].iter_mut().zip(values) {
                        *packed = value.to_f64() as f32;
                    }
                }
            }
        });
}

/// The inverse of [`pack`], into `values`.
pub(super) fn unpack<T: Real>(packed: &[f32], pitch: usize, first: usize, mut values: ArrayViewMut2<T>) {
    values.axis_chunks_iter_mut(ndarray::Axis(1), SQUARE).into_par_iter().enumerate().for_each(
        |(square, mut values)| {
            let column = first + square * SQUARE;
            for (row, mut values) in values.rows_mut().into_iter().enumerate() {
                for (value, &packed) in values.iter_mut().zip(&packed[row * pitch + column..]) {
                    *value = T::from_f64(f64::from(packed));
                }
            }
        },
    );
}

/// An array of defaults, stored column by column.
pub(super) fn column_major<T: Real>(rows: usize, columns: usize) -> Result<Array2<T>> {
    Array2::from_shape_vec((rows, columns).f(), vec![T::default(); rows * columns])
        .map_err(|cause| Error::input(format!("panel of {rows} x {columns}: {cause}")))
}
