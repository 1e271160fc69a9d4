//! Computes spectrograms for display. They are not the ones that are factorized.

use ndarray::{Array2, Axis};

use crate::Result;
use crate::spectrogram::{Pad, Shape, Stft, StftParams};

/// The most columns of an image. Longer recordings average several frames per column.
const MOST_COLUMNS: usize = 600;

/// The power spectrogram (F, N) of a signal at `sample_rate` Hz for display, in dB relative to a full-scale sine, from
/// 0 Hz to half the sample rate. It uses 40 ms Hann windows centred every 10 ms from the signal's first sample. Each
/// column is one frame, or the mean power of several if N would exceed 600. Zero power gives negative infinity.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if the sample rate leaves fewer than two samples per window.
pub fn spectrogram(samples: &[f32], sample_rate: u32) -> Result<Array2<f32>> {
    let length = |per_second: u32| (sample_rate / per_second) as usize;
    let (window, hop) = (length(25), length(100));
    let stft = Stft::<f32>::new(StftParams {
        window,
        hop,
        fft: window.next_power_of_two(),
        shape: Shape::Hann,
        pad: Pad::Full,
    })?;
    let frames = samples.len().div_ceil(hop);
    // Padding puts the centres of earlier frames before the signal.
    let first = (window - hop).saturating_sub(window / 2).div_ceil(hop);
    let group = frames.div_ceil(MOST_COLUMNS).max(1);
    let columns = frames.div_ceil(group);
    // A sine of amplitude 1 has half the window's sum in its bin.
    let full_scale = (Shape::Hann.samples(window).iter().sum::<f64>() / 2.0).powi(2) as f32;
    let mut picture = Array2::zeros((stft.bins(), columns));
    for (column, mut pixels) in picture.axis_iter_mut(Axis(1)).enumerate() {
        let range = column * group..((column + 1) * group).min(frames);
        let count = range.len() as f32;
        for frame in stft.forward(samples, 0, first + range.start..first + range.end).outer_iter() {
            pixels.zip_mut_with(&frame, |pixel, bin| *pixel += bin.norm_sqr() / count);
        }
        pixels.mapv_inplace(|power: f32| 10.0 * (power / full_scale).log10());
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// A 1 kHz sine: the centre of bin 64 of 1024 at 16 kHz.
    fn sine(amplitude: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (amplitude * (TAU * n as f64 / 16.0).sin()) as f32).collect()
    }

    #[test]
    fn a_sine_of_full_scale_is_at_0_db_in_its_bin() {
        for (amplitude, level) in [(1.0, 0.0), (0.1, -20.0)] {
            let picture = spectrogram(&sine(amplitude, 16_000), 16_000).unwrap();
            assert_eq!(picture.dim(), (513, 100));
            for column in 10..90 {
                let values = picture.column(column);
                assert!((values[64] - level).abs() < 0.05, "{}", values[64]);
                assert!(values[300] < level - 60.0, "{}", values[300]);
            }
        }
    }

    #[test]
    fn averaging_columns_keeps_the_level() {
        let picture = spectrogram(&sine(1.0, 16_000 * 15), 16_000).unwrap();
        // 1500 frames, three per column.
        assert_eq!(picture.dim(), (513, 500));
        assert!((picture[[64, 250]]).abs() < 0.05, "{}", picture[[64, 250]]);
    }

    #[test]
    fn a_click_is_in_the_column_of_its_time() {
        let mut click = vec![0.0; 16_000];
        click[30 * 160] = 1.0;
        let picture = spectrogram(&click, 16_000).unwrap();
        let level = |column| picture[[100, column]];
        assert!(level(30) > level(29) && level(30) > level(31), "{:?}", picture.row(100));
        assert!((level(29) - level(31)).abs() < 0.01, "{} {}", level(29), level(31));
    }

    #[test]
    fn silence_gives_negative_infinity_and_no_samples_no_columns() {
        assert!(spectrogram(&[0.0; 4000], 8000).unwrap().iter().all(|&v| v == f32::NEG_INFINITY));
        assert_eq!(spectrogram(&[], 8000).unwrap().dim(), (257, 0));
        assert!(spectrogram(&[0.0; 10], 20).is_err());
    }
}
