//! The adjoint of the inverse transform, for gradients of functions of an estimate's samples.

use std::iter::zip;

use ndarray::Array2;
use realfft::num_complex::Complex;

use super::stft::LEAST_WEIGHT;
use super::{Sample, Stft};

impl<T: Sample> Stft<T> {
    /// The adjoint of [`OverlapAdd`](super::OverlapAdd): from ∂L/∂x_n of all samples to spectra (N, F) whose real and
    /// imaginary parts are ∂L/∂Re X and ∂L/∂Im X.
    ///
    /// The inverse divides x_n by the sum of the squared windows c_n, so the adjoint is the transform of ∂L/∂x_n / c_n over
    /// the transform's length. Bins that stand for two frequencies count twice.
    pub fn adjoint(&self, gradient: &[T]) -> Array2<Complex<T>> {
        let frames = self.frames(gradient.len());
        let (params, lead) = (self.params(), self.lead());
        let squares: Vec<f64> = params.shape.samples(params.window).into_iter().map(|w| w * w).collect();
        let mut weights = vec![0.0; gradient.len()];
        for frame in 0..frames {
            let start = (frame * params.hop) as isize - lead as isize;
            for (n, square) in zip(start.., &squares) {
                if let Some(weight) = usize::try_from(n).ok().and_then(|n| weights.get_mut(n)) {
                    *weight += square;
                }
            }
        }
        let divided: Vec<T> = zip(gradient, &weights)
            .map(|(&g, &weight)| if weight > LEAST_WEIGHT { g / T::rounded(weight) } else { T::zero() })
            .collect();
        let mut spectra = self.forward(&divided, 0, 0..frames);
        let (once, twice) = (T::rounded(1.0 / params.fft as f64), T::rounded(2.0 / params.fft as f64));
        let middle = params.fft.is_multiple_of(2).then_some(params.fft / 2);
        for mut frame in spectra.rows_mut() {
            for (bin, value) in frame.iter_mut().enumerate() {
                *value = if bin == 0 || Some(bin) == middle {
                    Complex::new(value.re * once, T::zero())
                } else {
                    *value * twice
                };
            }
        }
        spectra
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{Pad, Shape, StftParams};

    #[test]
    fn inner_products_are_those_of_the_inverse() {
        for (window, hop, fft, shape, pad) in [
            (16, 4, 16, Shape::Hamming, Pad::Full),
            (15, 6, 21, Shape::Hann, Pad::Full),
            (12, 5, 16, Shape::Hann, Pad::None),
        ] {
            let stft = Stft::<f64>::new(StftParams { window, hop, fft, shape, pad }).unwrap();
            let samples = 77;
            let number = |n: usize| ((n * n + 3 * n) as f64 * 0.37).sin();
            let shape = (stft.frames(samples), stft.bins());
            let spectra =
                Array2::from_shape_fn(shape, |(n, f)| Complex::new(number(31 * n + f), number(7 * f + n + 5)));
            let gradient: Vec<f64> = (0..samples).map(|n| number(n + 11)).collect();
            let (mut inverse, mut signal) = (stft.overlap_add(samples), Vec::new());
            inverse.push(spectra.view(), &mut signal).unwrap();
            inverse.finish(&mut signal).unwrap();
            let of_samples: f64 = zip(&signal, &gradient).map(|(x, g)| x * g).sum();
            let adjoint = stft.adjoint(&gradient);
            let of_spectra: f64 = zip(&spectra, &adjoint).map(|(x, q)| x.re * q.re + x.im * q.im).sum();
            assert!((of_samples - of_spectra).abs() < 1e-12 * of_samples.abs().max(1.0), "{of_samples} {of_spectra}");
        }
    }
}
