//! The streaming inverse short-time Fourier transform.

use std::iter::zip;

use ndarray::ArrayView2;
use rayon::prelude::*;
use realfft::num_complex::Complex;

use super::{Sample, Stft, stft::LEAST_WEIGHT};
use crate::{Error, Result};

/// The streaming inverse of an [`Stft`]. Push frames in order, in blocks of any size; it returns finished samples.
///
/// This is the least-squares inverse (Griffin and Lim, 1984). Frames are windowed again and overlap-added, then divided
/// by the overlap-added squared window. Samples where that sum is at most 1e-10 become 0. The bits depend neither on
/// the block sizes nor on the thread count. Memory between calls is one window.
pub struct OverlapAdd<T: Sample> {
    stft: Stft<T>,
    samples: usize,
    frames: usize,
    /// Frames pushed so far.
    taken: usize,
    /// Padding zeros before the signal that remain to be dropped.
    lead: usize,
    /// Signal samples written so far.
    written: usize,
    /// The overlap-added frames, one window long, from the first sample that the next frame covers.
    sum: Vec<T>,
    /// The overlap-added squared windows at the same samples.
    weight: Vec<f64>,
    /// The squared window.
    square: Vec<f64>,
}

impl<T: Sample> Stft<T> {
    /// The streaming inverse for a signal of `samples` samples.
    pub fn overlap_add(&self, samples: usize) -> OverlapAdd<T> {
        OverlapAdd::new(self.clone(), samples)
    }
}

impl<T: Sample> OverlapAdd<T> {
    pub(super) fn new(stft: Stft<T>, samples: usize) -> Self {
        let window = stft.params().window;
        let square = stft.params().shape.samples(window).into_iter().map(|w| w * w).collect();
        Self {
            samples,
            frames: stft.frames(samples),
            taken: 0,
            lead: stft.lead(),
            written: 0,
            sum: vec![T::zero(); window],
            weight: vec![0.0; window],
            square,
            stft,
        }
    }

    /// Pushes the next frames (N, F) and appends the samples that they finish to `out`. The imaginary parts at 0 Hz and
    /// at half the sample rate are ignored.
    ///
    /// # Errors
    /// [`Error::Input`] if F is not the transform's number of bins, or if there are more frames than the signal has. On
    /// error no frame is pushed.
    pub fn push(&mut self, frames: ArrayView2<Complex<T>>, out: &mut Vec<T>) -> Result<()> {
        let (count, bins) = frames.dim();
        if bins != self.stft.bins() {
            return Err(Error::input(format!("frames of {bins} bins do not fit a transform of {}", self.stft.bins())));
        }
        if count > self.frames - self.taken {
            return Err(Error::input(format!(
                "{} frames are too many for {} samples, which have {}",
                self.taken + count,
                self.samples,
                self.frames
            )));
        }
        let window = self.stft.window().len();
        for frame in self.to_time(frames).chunks_exact(window) {
            self.add(frame);
            self.write(self.stft.params().hop, out);
        }
        self.taken += count;
        Ok(())
    }

    /// Appends the last samples to `out`. The total output then has the signal's length.
    ///
    /// # Errors
    /// [`Error::Input`] if frames are missing.
    pub fn finish(mut self, out: &mut Vec<T>) -> Result<()> {
        if self.taken < self.frames {
            return Err(Error::input(format!(
                "{} frames are too few for {} samples, which have {}",
                self.taken, self.samples, self.frames
            )));
        }
        self.write(self.sum.len(), out);
        out.resize(out.len() + self.samples - self.written, T::zero());
        Ok(())
    }

    /// Inverts the frames and windows them again. The results are concatenated.
    fn to_time(&self, frames: ArrayView2<Complex<T>>) -> Vec<T> {
        let (plan, window) = (self.stft.inverse(), self.stft.window());
        let scale = T::rounded(1.0 / plan.len() as f64);
        let mut time = vec![T::zero(); frames.nrows() * window.len()];
        (time.par_chunks_exact_mut(window.len()), frames.outer_iter()).into_par_iter().for_each_init(
            || (plan.make_input_vec(), plan.make_output_vec(), plan.make_scratch_vec()),
            |(spectrum, samples, scratch), (out, frame)| {
                zip(&mut *spectrum, frame).for_each(|(to, &from)| *to = from);
                spectrum[0].im = T::zero();
                if plan.len() % 2 == 0 {
                    spectrum[plan.len() / 2].im = T::zero();
                }
                plan.process_with_scratch(spectrum, samples, scratch).expect("buffers are of the plan's lengths");
                for ((out, &sample), &weight) in zip(zip(out, &*samples), window) {
                    *out = sample * scale * weight;
                }
            },
        );
        time
    }

    /// Adds a windowed frame to the sums.
    fn add(&mut self, frame: &[T]) {
        zip(&mut self.sum, frame).for_each(|(sum, &sample)| *sum = *sum + sample);
        zip(&mut self.weight, &self.square).for_each(|(weight, square)| *weight += square);
    }

    /// Writes the first `count` samples, which no later frame covers, and advances.
    fn write(&mut self, count: usize, out: &mut Vec<T>) {
        let from = self.lead.min(count);
        let to = count.min(from + self.samples - self.written);
        out.extend(
            zip(&self.sum, &self.weight)
                .take(to)
                .skip(from)
                .map(|(&sum, &weight)| if weight > LEAST_WEIGHT { sum / T::rounded(weight) } else { T::zero() }),
        );
        self.lead -= from;
        self.written += to - from;
        advance(&mut self.sum, count, T::zero());
        advance(&mut self.weight, count, 0.0);
    }
}

/// Drops the first `count` values and appends as many zeros.
fn advance<V: Copy>(values: &mut [V], count: usize, zero: V) {
    let kept = values.len() - count;
    values.copy_within(count.., 0);
    values[kept..].fill(zero);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{Pad, Shape, StftParams};

    fn stft<T: Sample>(window: usize, hop: usize, fft: usize, shape: Shape, pad: Pad) -> Stft<T> {
        Stft::new(StftParams { window, hop, fft, shape, pad }).unwrap()
    }

    /// Transforms and inverts, pushing the frames in blocks of `block`.
    fn round_trip<T: Sample>(stft: &Stft<T>, signal: &[T], block: usize) -> Vec<T> {
        let mut inverse = stft.overlap_add(signal.len());
        let mut out = vec![];
        let frames = stft.frames(signal.len());
        for from in (0..frames).step_by(block) {
            inverse.push(stft.forward(signal, 0, from..frames.min(from + block)).view(), &mut out).unwrap();
        }
        inverse.finish(&mut out).unwrap();
        out
    }

    /// A signal without periodicity, so that a shifted or reversed copy fails the test.
    fn chirp(samples: usize) -> Vec<f64> {
        (0..samples).map(|n| (0.003 * (n * n) as f64 + 0.5).sin()).collect()
    }

    #[test]
    fn reconstruction_is_perfect() {
        for shape in Shape::ALL {
            for (window, hop, fft) in [(16, 8, 16), (16, 4, 32), (30, 7, 45), (13, 5, 13), (137, 68, 139), (2, 1, 2)] {
                let stft = stft::<f64>(window, hop, fft, shape, Pad::Full);
                for samples in [0, 1, 2, 137, 251, 1009] {
                    let signal = chirp(samples);
                    let back = round_trip(&stft, &signal, 3);
                    assert_eq!(back.len(), samples, "{:?}", stft.params());
                    let worst = zip(&back, &signal).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < 1e-14, "{:?}, {samples} samples: {worst}", stft.params());
                }
            }
        }
    }

    #[test]
    fn f32_reconstruction_is_exact_up_to_rounding() {
        let stft = stft::<f32>(480, 192, 512, Shape::Hamming, Pad::Full);
        let signal: Vec<f32> = chirp(5003).into_iter().map(f32::rounded).collect();
        let worst = zip(round_trip(&stft, &signal, 7), &signal).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn block_sizes_do_not_change_the_bits() {
        let stft = stft::<f32>(30, 7, 45, Shape::Hann, Pad::Full);
        let signal: Vec<f32> = chirp(997).into_iter().map(f32::rounded).collect();
        let whole = round_trip(&stft, &signal, usize::MAX);
        for block in [1, 2, 5, 64] {
            assert_eq!(round_trip(&stft, &signal, block), whole, "blocks of {block}");
        }
    }

    #[test]
    fn the_thread_count_does_not_change_the_bits() {
        let stft = stft::<f32>(30, 7, 45, Shape::Hann, Pad::Full);
        let signal: Vec<f32> = chirp(997).into_iter().map(f32::rounded).collect();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(one.install(|| round_trip(&stft, &signal, 50)), three.install(|| round_trip(&stft, &signal, 50)));
    }

    /// Window (0, 1/2, 1, 1/2) at samples 0 and 2 without padding. Samples 0 and 6 have no weight.
    #[test]
    fn samples_that_no_frame_covers_are_zero() {
        let stft = stft::<f64>(4, 2, 4, Shape::Hann, Pad::None);
        let expected = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        for (n, (got, want)) in zip(round_trip(&stft, &[1.0; 7], 1), expected).enumerate() {
            assert!((got - want).abs() < 1e-15, "sample {n}: {got}, expected {want}");
        }
        assert_eq!(round_trip(&stft, &[1.0; 3], 1), [0.0; 3], "shorter than a window");
    }

    /// A single frame at the first of two samples. sum x w^2 / sum w^2 differs from x because the second frame is
    /// missing.
    #[test]
    fn frames_are_weighted_by_the_window() {
        let stft = stft::<f64>(2, 1, 2, Shape::Hamming, Pad::Full);
        let mut spectra = stft.forward(&[3.0, 5.0], 0, 0..3);
        spectra.row_mut(1).fill(Complex::new(0.0, 0.0));
        let (mut inverse, mut out) = (stft.overlap_add(2), vec![]);
        inverse.push(spectra.view(), &mut out).unwrap();
        inverse.finish(&mut out).unwrap();
        let (first, second) = (0.08f64 * 0.08, 1.0);
        let expected = [3.0 * second / (first + second), 5.0 * first / (first + second)];
        assert!(zip(&out, expected).all(|(got, want)| (got - want).abs() < 1e-14), "{out:?}, expected {expected:?}");
    }

    #[test]
    fn frames_of_the_wrong_shape_or_number_are_refused() {
        let stft = stft::<f64>(4, 2, 4, Shape::Hann, Pad::Full);
        let mut out = vec![];
        let mut inverse = stft.overlap_add(3);
        let error = inverse.push(ndarray::Array2::zeros((1, 4)).view(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "frames of 4 bins do not fit a transform of 3");
        let error = inverse.push(ndarray::Array2::zeros((4, 3)).view(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "4 frames are too many for 3 samples, which have 3");
        assert!(out.is_empty());
        inverse.push(ndarray::Array2::zeros((2, 3)).view(), &mut out).unwrap();
        let error = inverse.finish(&mut out).unwrap_err();
        assert_eq!(error.to_string(), "2 frames are too few for 3 samples, which have 3");
    }
}
