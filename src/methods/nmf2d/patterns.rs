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
pub(crate) fn patterns(
    sources: &[(String, Vec<Array2<f32>>)],
    time_lags: usize,
    power_exponent: f64,
) -> Result<Patterns> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames (N, F) of which the first and the last so many are silent.
    fn stroke(silent: usize, frames: usize) -> Array2<f32> {
        let last = silent + frames;
        Array2::from_shape_fn((last + silent, 5), |(n, f)| {
            if (silent..last).contains(&n) { 1.0 + ((3 * (n - silent) + f) % 7) as f32 } else { 0.0 }
        })
    }

    /// Bases and sources of given patterns.
    type Given = (Vec<Array2<f64>>, Vec<Range<usize>>);

    fn given(sources: &[(&str, &[Array2<f32>])], time_lags: usize) -> Result<Given> {
        let owned: Vec<_> = sources.iter().map(|&(name, data)| (name.to_string(), data.to_vec())).collect();
        match patterns(&owned, time_lags, 2.0)? {
            Patterns::Given { bases, sources } => Ok((bases, sources)),
            Patterns::Found { .. } => panic!("patterns that are given are found"),
        }
    }

    #[test]
    fn a_stroke_is_cut_into_patterns_without_the_silence_around_it() {
        let (bases, sources) = given(&[("a", &[stroke(0, 9)])], 4).unwrap();
        assert_eq!((bases.len(), bases[0].dim(), &sources[0]), (4, (5, 3), &(0..3)));
        for pattern in 0..3 {
            let power: f64 = bases.iter().map(|w| w.column(pattern).mapv(|w| w * w).sum()).sum();
            assert!((power - 1.0).abs() < 1e-12);
        }
        assert!(bases[0].column(2).sum() > 0.0 && bases[1].column(2).sum() == 0.0, "9 = 4 + 4 + 1");
        // As many lags as frames: one pattern, the frames themselves, scaled.
        let (whole, _) = given(&[("a", &[stroke(0, 9)])], 9).unwrap();
        let norm = stroke(0, 9).iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
        for (lag, w) in whole.iter().enumerate() {
            let frame = stroke(0, 9).row(lag).mapv(|v| f64::from(v) / norm);
            assert!((&w.column(0) - &frame).iter().all(|error| error.abs() < 1e-12), "{lag}");
        }
        // Silence around it, or another level, changes nothing.
        let (later, _) = given(&[("a", &[stroke(3, 9).mapv(|v| 0.1 * v)])], 9).unwrap();
        assert!(later.iter().zip(&whole).all(|(a, b)| (a - b).iter().all(|error| error.abs() < 1e-6)));
    }

    #[test]
    fn a_source_has_all_patterns_of_its_recordings_and_missing_rows_are_zeros() {
        let low = stroke(0, 4).slice(s![.., ..3]).to_owned();
        let (bases, sources) = given(&[("b", &[stroke(0, 3), stroke(0, 9)]), ("a", &[low])], 4).unwrap();
        assert_eq!(sources, [0..4, 4..5]);
        assert_eq!((bases[0].dim(), bases[0][(4, 4)]), ((5, 5), 0.0));
    }

    #[test]
    fn silence_has_no_pattern() {
        let error = given(&[("a", &[stroke(0, 3)]), ("b", &[stroke(9, 0)])], 4).unwrap_err().to_string();
        assert!(error.contains("source 'b'") && error.contains("silent"), "{error}");
        assert!(given(&[("a", &[stroke(9, 0), stroke(0, 3)])], 4).is_ok());
    }
}
