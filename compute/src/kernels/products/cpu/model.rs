//! Λ = W H by itself, for those that need it whole.

use ndarray::Array2;
use pulp::Simd;

use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};

/// The shape (F, K) of the matrices of a stack.
pub(crate) fn shape_of(stack: &[Array2<f32>]) -> (usize, usize) {
    stack.first().map_or((0, 0), Array2::dim)
}

/// Stores Λ of a block of rows.
pub(crate) struct StoreSink<'a, S: Simd, const V: usize>(pub(crate) &'a mut [[S::f32s; V]]);

impl<S: Simd, const V: usize> ModelSink<S> for StoreSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, _: S, row: usize, vector: usize, lambda: S::f32s) {
        self.0[row][vector] = lambda;
    }
}

/// Computes Λ = W H of one strip, unfloored, into `lambda` (padded F, STRIP). `bases_rows` has the layout of
/// [`tile::pack_rows`]; `h` has K rows.
pub(crate) struct ModelJob<'a> {
    pub(crate) bases_rows: &'a [f32],
    pub(crate) h: &'a [f32],
    pub(crate) lambda: &'a mut [f32],
}

impl StripJob for ModelJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        tile::model::<S, V, MR>(
            simd,
            self.bases_rows,
            rows::<S, V>(self.h),
            &mut StoreSink(rows_mut::<S, V>(self.lambda)),
        );
    }
}
