//! Computes spectrograms for display. They are not the ones that are factorized.

use std::ops::Range;

use ndarray::{Array2, s};

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
    let mut picture = Spectrogram::new(samples.len(), sample_rate)?;
    picture.push(samples);
    Ok(picture.finish())
}

/// At most so many rows of a picture (F, N), each the loudest of several, since a screen shows no more.
pub fn fewer_rows(picture: &Array2<f32>, most: usize) -> Array2<f32> {
    let group = picture.nrows().div_ceil(most.max(1)).max(1);
    let loudest = |(row, column): (usize, usize)| {
        let last = ((row + 1) * group).min(picture.nrows());
        picture.slice(s![row * group..last, column]).iter().copied().fold(f32::NEG_INFINITY, f32::max)
    };
    Array2::from_shape_fn((picture.nrows().div_ceil(group), picture.ncols()), loudest)
}

/// The same of a signal that comes block by block, so that a long one need not be in memory.
pub struct Spectrogram {
    stft: Stft<f32>,
    /// The frame whose centre is the signal's first sample: padding puts the centres of earlier ones before it.
    first: usize,
    frames: usize,
    /// Frames of a column.
    group: usize,
    full_scale: f32,
    /// Powers (F, N).
    picture: Array2<f32>,
    /// The samples that later frames need, and the place of the first of them.
    kept: Vec<f32>,
    start: usize,
    /// The next frame.
    next: usize,
}

impl Spectrogram {
    /// The spectrogram of a signal of `length` samples at `sample_rate` Hz.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the sample rate leaves fewer than two samples per window.
    pub fn new(length: usize, sample_rate: u32) -> Result<Self> {
        let samples_of = |per_second: u32| (sample_rate / per_second) as usize;
        let (window, hop) = (samples_of(25), samples_of(100));
        let stft = Stft::<f32>::new(StftParams {
            window,
            hop,
            fft: window.next_power_of_two(),
            shape: Shape::Hann,
            pad: Pad::Full,
        })?;
        let frames = length.div_ceil(hop);
        let first = (window - hop).saturating_sub(window / 2).div_ceil(hop);
        let group = frames.div_ceil(MOST_COLUMNS).max(1);
        // A sine of amplitude 1 has half the window's sum in its bin.
        let full_scale = (Shape::Hann.samples(window).iter().sum::<f64>() / 2.0).powi(2) as f32;
        let picture = Array2::zeros((stft.bins(), frames.div_ceil(group)));
        Ok(Self { stft, first, frames, group, full_scale, picture, kept: Vec::new(), start: 0, next: 0 })
    }

    /// Takes the next samples. Those beyond the length are left out.
    pub fn push(&mut self, samples: &[f32]) {
        self.kept.extend_from_slice(samples);
        let (come, mut ready) = (self.start + self.kept.len(), self.next);
        while ready < self.frames && self.reach(ready).end <= come {
            ready += 1;
        }
        self.take(ready);
        let passed = self.reach(self.next).start.saturating_sub(self.start).min(self.kept.len());
        self.kept.drain(..passed);
        self.start += passed;
    }

    /// The samples that a frame covers.
    fn reach(&self, frame: usize) -> Range<usize> {
        self.stft.reach(self.first + frame..self.first + frame + 1)
    }

    /// The picture. Samples that did not come are silence.
    pub fn finish(mut self) -> Array2<f32> {
        self.take(self.frames);
        let full_scale = self.full_scale;
        self.picture.mapv_inplace(|power: f32| 10.0 * (power / full_scale).log10());
        self.picture
    }

    /// Adds all frames before this one.
    fn take(&mut self, end: usize) {
        while self.next < end {
            let column = self.next / self.group;
            let last = ((column + 1) * self.group).min(end);
            let count = ((column + 1) * self.group).min(self.frames) - column * self.group;
            let mut pixels = self.picture.column_mut(column);
            for frame in
                self.stft.forward(&self.kept, self.start, self.first + self.next..self.first + last).outer_iter()
            {
                pixels.zip_mut_with(&frame, |pixel, bin| *pixel += bin.norm_sqr() / count as f32);
            }
            self.next = last;
        }
    }
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
    fn blocks_give_the_picture_of_the_whole() {
        let noise = crate::random::Stream::new(1, "noise");
        for length in [1, 700, 16_000 * 7 + 5] {
            let samples: Vec<f32> = (0..length).map(|n| noise.uniform(n as u64) as f32).collect();
            let whole = spectrogram(&samples, 16_000).unwrap();
            for block in [1, 333, 50_000] {
                let mut picture = Spectrogram::new(length, 16_000).unwrap();
                samples.chunks(block.max(length / 1000)).for_each(|block| picture.push(block));
                assert!(
                    picture.kept.len() < block.max(length / 1000) + 1000,
                    "it keeps {} samples",
                    picture.kept.len()
                );
                assert_eq!(picture.finish(), whole, "{length} by {block}");
            }
        }
    }

    #[test]
    fn fewer_rows_keep_the_loudest() {
        let picture = ndarray::array![[1.0, -2.0], [3.0, -1.0], [0.0, f32::NEG_INFINITY]];
        assert_eq!(fewer_rows(&picture, 2), ndarray::array![[3.0, -1.0], [0.0, f32::NEG_INFINITY]]);
        assert_eq!(fewer_rows(&picture, 3), picture);
        assert_eq!(fewer_rows(&picture, 0), ndarray::array![[3.0, -1.0]]);
        assert_eq!(fewer_rows(&Array2::zeros((0, 2)), 4).dim(), (0, 2));
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
