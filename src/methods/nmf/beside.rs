//! Bases that are learned from a recording beside known ones, for what nobody recorded alone.
//!
//! Smaragdis, Raj & Shashanka, "Supervised and semi-supervised separation of sounds from single-channel mixtures" (2007): V ≈ [W W′] H,
//! where W is known and W′ is learned with H. Plain updates of H and of all bases, after which W is put back: every basis is
//! updated by itself, so it does not matter to W′ that W was updated too.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;

use crate::kernels::{Products, Rule};
use crate::random::Stream;
use crate::{Error, Result};

/// The share of the frames in which a bin is weaker than where free bases start.
const QUANTILE: f64 = 0.2;
/// A frame with less than this share of the mean is silent, and says nothing of the quiet spectrum.
const SILENCE: f64 = 1e-9;

/// Known bases with free ones beside them.
pub(crate) struct Beside<E: Products> {
    /// [W W′] (F, K + K′).
    pub(crate) bases: E::Matrix,
    /// H (K + K′, N).
    pub(crate) gains: E::Panel,
    /// The columns of the free bases.
    pub(crate) free: Range<usize>,
}

impl<E: Products> Beside<E> {
    /// Learns free bases (F, K′) beside known ones (F, K) from data V (F, N), from these gains (K + K′, N), in so many updates.
    ///
    /// # Errors
    /// [`Error::Input`] where shapes do not fit, and those of the engine.
    pub(crate) fn learn(
        engine: &E,
        v: &E::Panel,
        known: ArrayView2<f32>,
        free: ArrayView2<f32>,
        gains: E::Panel,
        (rule, updates): (&Rule, usize),
    ) -> Result<Self> {
        let joined = |free: ArrayView2<f32>| {
            let joined = concatenate(Axis(1), &[known, free]);
            engine.matrix(joined.map_err(|cause| Error::input(format!("bases: {cause}")))?.view())
        };
        let columns = known.ncols()..known.ncols() + free.ncols();
        let (mut bases, mut gains) = (joined(free)?, gains);
        for _ in 0..updates {
            engine.update_gains(v, &bases, &mut gains, rule)?;
            engine.update_bases(v, &mut bases, &gains, rule)?;
            let updated = engine.read_matrix::<f32>(&bases)?;
            bases = joined(updated.slice(s![.., columns.clone()]))?;
        }
        Ok(Self { bases, gains, free: columns })
    }
}

/// Where free bases (F, K) start for data (N, F): a low quantile of every bin over the frames that are not silent, in different
/// mixtures. What is always there is in it, and what comes and goes is not. Their sum is that quantile.
pub(crate) fn quiet_start(data: ArrayView2<f32>, rank: usize, stream: &Stream) -> Array2<f32> {
    let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / data.len().max(1) as f64;
    let quiet = quantiles(data);
    let jitter = |(f, k): (usize, usize)| 0.1 + 1.8 * stream.uniform((f * rank + k) as u64);
    let start =
        |(f, k): (usize, usize)| (f64::from(quiet[f]).max(SILENCE * mean) * jitter((f, k)) / rank as f64) as f32;
    Array2::from_shape_fn((data.ncols(), rank), start)
}

/// A low quantile of every bin of data (N, F), over the frames that are not silent; zeros if all are.
fn quantiles(data: ArrayView2<f32>) -> Vec<f32> {
    let powers: Vec<f64> = data.rows().into_iter().map(|row| row.iter().map(|&x| f64::from(x)).sum()).collect();
    let mean = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
    let sounding: Vec<usize> = (0..powers.len()).filter(|&n| powers[n] > SILENCE * mean).collect();
    let of_bin = |f: usize| {
        let mut values: Vec<f32> = sounding.iter().map(|&n| data[(n, f)]).collect();
        let place = (QUANTILE * values.len().saturating_sub(1) as f64).round() as usize;
        if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(place, f32::total_cmp).1 }
    };
    (0..data.ncols()).into_par_iter().map(of_bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::all;
    use crate::engine::{Engine, Reference};
    use crate::methods::nmf::objective;

    #[test]
    fn quantiles_leave_out_silent_frames() {
        // Eleven frames from 0 to 10, beside as many silent ones.
        let data = Array2::from_shape_fn((22, 2), |(n, f)| if n % 2 == 0 { (n / 2) as f32 + f as f32 } else { 0.0 });
        assert_eq!(quantiles(data.view()), [2.0, 3.0]);
        assert_eq!(quantiles(Array2::zeros((5, 2)).view()), [0.0, 0.0]);
    }

    #[test]
    fn known_bases_stay_and_the_objective_never_rises() {
        let stream = Stream::new(5, "beside");
        let fill = |rows: usize, columns: usize, salt: usize| {
            Array2::from_shape_fn((rows, columns), |(i, j)| {
                (0.05 + stream.uniform(((salt * rows + i) * columns + j) as u64)) as f32
            })
        };
        let (data, known, start) = (fill(9, 14, 1), fill(9, 3, 2), fill(5, 14, 3));
        let free = quiet_start(data.t(), 2, &stream);
        for divergence in all() {
            let v = Reference.panel(data.view()).unwrap();
            let rule = Rule { sparsity: 0.2, ..Rule::of(divergence.clone()) };
            let mut last = f64::INFINITY;
            for updates in 0..8 {
                let gains = Reference.panel(start.view()).unwrap();
                let beside = Beside::learn(&Reference, &v, known.view(), free.view(), gains, (&rule, updates)).unwrap();
                assert_eq!(beside.bases[0].slice(s![.., ..3]), known.mapv(f64::from));
                assert_eq!((beside.free, beside.bases[0].ncols()), (3..5, 5));
                // The bound that an update of bases lowers is a sum over entries, so it may leave some of them as they are.
                let now = objective(&Reference, &v, &beside.bases, &beside.gains, &rule).unwrap();
                assert!(now <= last * (1.0 + 1e-6), "{divergence}, {updates}: {now} after {last}");
                last = now;
            }
        }
    }
}
