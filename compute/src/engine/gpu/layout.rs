//! Converts host arrays of any strides to and from the device's rows and strips.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};
use rayon::prelude::*;

use crate::engine::Real;
use crate::{Error, Result};

/// Rows and columns of the kernels' tiles (shaders/lib/tile.wgsl).
pub(crate) const TILE: usize = 32;
/// Rows of a strip copied at a time. Both sides then stay in L1, so a transposition costs no more than a copy.
const ROWS: usize = 64;

/// Writes `values` row-major with rows of `pitch` numbers.
pub(super) fn pack_rows<T: Real>(values: ArrayView2<T>, packed: &mut [f32], pitch: usize) {
    for (packed, values) in packed.chunks_mut(pitch).zip(values.rows()) {
        packed.iter_mut().zip(values).for_each(|(packed, value)| *packed = value.to_f64() as f32);
    }
}

/// Inverts [`pack_rows`] into `values`.
pub(super) fn unpack_rows<T: Real>(packed: &[f32], pitch: usize, mut values: ArrayViewMut2<T>) {
    for (packed, mut values) in packed.chunks(pitch).zip(values.rows_mut()) {
        values.iter_mut().zip(packed).for_each(|(value, &packed)| *value = T::from_f64(f64::from(packed)));
    }
}

/// Writes `values` into strips of [`TILE`] columns, each row-major. The last strip is padded with zeros.
pub(super) fn pack_strips<T: Real>(values: ArrayView2<T>, packed: &mut [f32]) {
    let rows = values.nrows();
    packed.par_chunks_mut(rows * TILE).zip(values.axis_chunks_iter(Axis(1), TILE).into_par_iter()).for_each(
        |(strip, values)| {
            if values.ncols() < TILE {
                strip.fill(0.0);
            }
            for (strip, values) in strip.chunks_mut(ROWS * TILE).zip(values.axis_chunks_iter(Axis(0), ROWS)) {
                pack_rows(values, strip, TILE);
            }
        },
    );
}

/// Inverts [`pack_strips`] into `values`.
pub(super) fn unpack_strips<T: Real>(packed: &[f32], mut values: ArrayViewMut2<T>) {
    let rows = values.nrows();
    values.axis_chunks_iter_mut(Axis(1), TILE).into_par_iter().zip(packed.par_chunks(rows * TILE)).for_each(
        |(mut values, strip)| {
            for (strip, values) in strip.chunks(ROWS * TILE).zip(values.axis_chunks_iter_mut(Axis(0), ROWS)) {
                unpack_rows(strip, TILE, values);
            }
        },
    );
}

/// A column-major array of default values.
pub(super) fn column_major<T: Real>(rows: usize, columns: usize) -> Result<Array2<T>> {
    Array2::from_shape_vec((rows, columns).f(), vec![T::default(); rows * columns])
        .map_err(|cause| Error::input(format!("panel of {rows} x {columns}: {cause}")))
}
