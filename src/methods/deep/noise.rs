//! The impulsive noise of the paper's experiment: like musical noise, every cell by itself.

use std::f64::consts::TAU;

use ndarray::Array2;
use realfft::num_complex::Complex;

use super::denoising::samples;
use crate::Result;
use crate::random::Stream;
use crate::spectrogram::Stft;

/// The standard deviation of the logarithm of a cell's power.
const SCALE: f64 = 4.0;

/// So many samples of noise. The power of every cell is log-normal of scale 4, and its phase is uniform.
pub fn impulsive(stft: &Stft<f64>, count: usize, seed: u64, name: &str) -> Result<Vec<f64>> {
    let (sizes, phases) = (Stream::new(seed, &format!("{name}, sizes")), Stream::new(seed, &format!("{name}, phases")));
    let (frames, bins) = (stft.frames(count), stft.bins());
    let cell = |(frame, bin): (usize, usize)| {
        let index = (frame * bins + bin) as u64;
        Complex::from_polar((0.5 * SCALE * sizes.normal(index)).exp(), TAU * phases.uniform(index))
    };
    samples(stft, &Array2::from_shape_fn((frames, bins), cell), count)
}

/// `clean` and a noise at this level below it in dB, scaled so that their sum has a peak of 1: (clean, sum). Without sound in
/// either, both are as they are.
pub fn mixed(clean: &[f64], noise: &[f64], snr: f64) -> (Vec<f64>, Vec<f64>) {
    let power = |samples: &[f64]| samples.iter().map(|x| x * x).sum::<f64>();
    let gain = (power(clean) / power(noise).max(f64::MIN_POSITIVE)).sqrt() * 10f64.powf(-snr / 20.0);
    let sum: Vec<f64> = clean.iter().zip(noise).map(|(clean, noise)| clean + gain * noise).collect();
    let peak = sum.iter().fold(0.0f64, |peak, x| peak.max(x.abs()));
    let scale = if peak > 0.0 { 1.0 / peak } else { 1.0 };
    (clean.iter().map(|x| x * scale).collect(), sum.iter().map(|x| x * scale).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{Pad, Shape, StftParams};

    #[test]
    fn noise_is_heavy_tailed_and_mixtures_have_their_level() {
        let stft = StftParams { window: 64, hop: 16, fft: 64, shape: Shape::Hamming, pad: Pad::Full };
        let stft = Stft::<f64>::new(stft).unwrap();
        let noise = impulsive(&stft, 4000, 1, "test").unwrap();
        let (square, fourth) = noise.iter().fold((0.0, 0.0), |(s, f), x| (s + x * x, f + x.powi(4)));
        // Of Gaussian noise it is 3.
        assert!(fourth * 4000.0 / square / square > 10.0, "{}", fourth * 4000.0 / square / square);
        let clean: Vec<f64> = (0..4000).map(|n| (f64::from(n) * 0.1).sin()).collect();
        let (scaled, sum) = mixed(&clean, &noise, -10.0);
        let power = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let rest: Vec<f64> = sum.iter().zip(&scaled).map(|(sum, clean)| sum - clean).collect();
        assert!((10.0 * (power(&scaled) / power(&rest)).log10() + 10.0).abs() < 1e-9);
        assert!((sum.iter().fold(0.0f64, |peak, x| peak.max(x.abs())) - 1.0).abs() < 1e-12);
    }
}
