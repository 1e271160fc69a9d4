//! The patterns of sources, from recordings of one stroke each: for the deconvolution of drums and the like.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::separate::Patterns;
use crate::{Error, Result};

/// Frames whose power is below this share of the loudest frame's are silence.
const SILENCE: f64 = 1e-7;

/// Patterns of `time_lags` frames from recordings of each source alone, one stroke in a recording; every pattern has
/// Σ_τ,f W² = 1. A stroke that is longer than a pattern is cut into several, so that all of it is there to be recognised; silence
/// before and after it is left out. `sources`: names, and the data (N, F) of every recording, of which those of a lower sample rate
/// have fewer rows. `power_exponent` turns data into powers.
///
/// # Errors
/// [`Error::Input`] where a source has nothing but silence.
pub fn patterns(sources: &[(String, Vec<Array2<f32>>)], time_lags: usize, power_exponent: f64) -> Result<Patterns> {
    let mut patterns = Vec::new();
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(sources.len());
    for (name, recordings) in sources {
        let first = patterns.len();
        for data in recordings {
            let frames = sounding(data.view(), power_exponent);
            patterns.extend(frames.axis_chunks_iter(Axis(0), time_lags.max(1)).map(pattern));
        }
        if patterns.len() == first {
            return Err(Error::input(format!(
                "source '{name}': its recordings are silent; there is no pattern in them"
            )));
        }
        ranges.push(first..patterns.len());
    }
    let rows = patterns.iter().map(Array2::ncols).max().unwrap_or(0);
    let of_lag = |lag: usize| {
        let at = |(row, component): (usize, usize)| patterns[component].get((lag, row)).copied().unwrap_or(0.0);
        Array2::from_shape_fn((rows, patterns.len()), at)
    };
    Ok(Patterns::Given { bases: (0..time_lags).map(of_lag).collect(), sources: ranges })
}

/// The frames (n, F) from the first that is not silent to the last.
fn sounding(data: ArrayView2<f32>, power_exponent: f64) -> ArrayView2<f32> {
    let power = |frame: ndarray::ArrayView1<f32>| frame.iter().map(|&v| f64::from(v).powf(power_exponent)).sum::<f64>();
    let powers: Vec<f64> = data.rows().into_iter().map(power).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let sounds = |power: &f64| *power > SILENCE * loudest;
    let first = powers.iter().position(sounds).unwrap_or(0);
    let end = powers.iter().rposition(sounds).map_or(first, |last| last + 1);
    data.slice_move(s![first..end, ..])
}

/// Frames (n, F) of unit norm.
fn pattern(frames: ArrayView2<f32>) -> Array2<f64> {
    let pattern = frames.mapv(f64::from);
    let norm = pattern.iter().map(|w| w * w).sum::<f64>().sqrt();
    if norm > 0.0 { pattern / norm } else { pattern }
}
