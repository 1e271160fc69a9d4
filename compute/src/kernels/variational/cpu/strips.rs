//! What all kernels of strips share.

use pulp::Simd;

use super::super::{QUOTIENT_CEILING, VARIANCE_FLOOR};
use crate::engine::{CpuPanel, STRIP};

/// Rows whose numbers are summed in f32, before they are added in f64.
pub(super) const ROWS: usize = 8;

/// Adds the first `columns` of some sums to the list of a panel's columns.
pub(super) fn of_columns(sums: Vec<[f64; STRIP]>, panel: &CpuPanel) -> Vec<f64> {
    sums.iter().zip(panel.places()).flat_map(|(sums, place)| sums[..place.columns].to_vec()).collect()
}

/// The floor of variances.
#[inline(always)]
pub(super) fn floor<S: Simd>(simd: S) -> S::f32s {
    simd.splat_f32s(VARIANCE_FLOOR as f32)
}

/// The ceiling of quotients.
#[inline(always)]
pub(super) fn ceiling<S: Simd>(simd: S) -> S::f32s {
    simd.splat_f32s(QUOTIENT_CEILING as f32)
}

/// Adds vectors to sums in f64.
#[inline(always)]
pub(super) fn add_to<S: Simd, const V: usize>(sums: &mut [f64; STRIP], vectors: &[S::f32s; V]) {
    let numbers: &[f32] = bytemuck::cast_slice(vectors);
    sums.iter_mut().zip(numbers).for_each(|(sum, &number)| *sum += f64::from(number));
}
