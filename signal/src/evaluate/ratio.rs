//! Energy ratios computed sample by sample.

use std::iter::zip;

use ndarray::ArrayView2;

/// The treatment of the signals' means before a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// Keep them: an offset counts as distortion.
    Kept,
    /// Subtract each signal's own mean.
    Removed,
}

/// The signal-to-noise ratio of an estimate e of a reference s, N samples each, in dB: 10 log10 Σs² / Σ(s-e)².
///
/// +inf for a perfect estimate, 0 for a silent one. NaN for a silent reference or for different lengths.
pub fn snr(reference: &[f64], estimate: &[f64]) -> f64 {
    let signal = energy(reference);
    if signal == 0.0 || reference.len() != estimate.len() {
        return f64::NAN;
    }
    decibels(signal, zip(reference, estimate).map(|(s, e)| (s - e).powi(2)).sum())
}

/// The signal-to-noise ratio of a spectrogram's model R of a reference S, any axes of one shape, in dB: 10 log10 Σ S² /
/// Σ (S − R)². On mel spectra this is SNR_MEL of Wang and Sha (2014). It does not see phases, and so judges a model itself, where
/// [`snr`] judges what is made of it.
///
/// Infinities and NaN as for [`snr`].
pub fn snr_mel(reference: ArrayView2<f64>, estimate: ArrayView2<f64>) -> f64 {
    let signal: f64 = reference.iter().map(|s| s * s).sum();
    if signal == 0.0 || reference.dim() != estimate.dim() {
        return f64::NAN;
    }
    decibels(signal, zip(reference, estimate).map(|(s, r)| (s - r).powi(2)).sum())
}

/// The scale-invariant signal-to-distortion ratio of an estimate e of a reference s, N samples each, in dB (Le Roux et
/// al., 2019): 10 log10 Σ(as)² / Σ(as-e)² with a = Σse / Σs².
///
/// NaN for a silent reference or estimate, or for different lengths.
pub fn si_sdr(reference: &[f64], estimate: &[f64], mean: Mean) -> f64 {
    if reference.len() != estimate.len() {
        return f64::NAN;
    }
    match mean {
        Mean::Kept => scaled_ratio(reference, estimate),
        Mean::Removed => scaled_ratio(&without_mean(reference), &without_mean(estimate)),
    }
}

/// 10 log10 of a ratio of energies: x/0 is +inf, 0/x is -inf and 0/0 is NaN.
pub(super) fn decibels(signal: f64, noise: f64) -> f64 {
    10.0 * (signal / noise).log10()
}

/// Σx².
pub(super) fn energy(signal: &[f64]) -> f64 {
    signal.iter().map(|x| x * x).sum()
}

fn scaled_ratio(reference: &[f64], estimate: &[f64]) -> f64 {
    let scale = zip(reference, estimate).map(|(s, e)| s * e).sum::<f64>() / energy(reference);
    let noise = zip(reference, estimate).map(|(s, e)| (scale * s - e).powi(2)).sum();
    decibels(scale * scale * energy(reference), noise)
}

fn without_mean(signal: &[f64]) -> Vec<f64> {
    let mean = signal.iter().sum::<f64>() / signal.len() as f64;
    signal.iter().map(|x| x - mean).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    fn close(got: f64, want: f64) -> bool {
        (got - want).abs() < 1e-12
    }

    #[test]
    fn snr_equals_hand_computed_ratios() {
        // Energy 25, error energy 0.25 + 0.
        assert!(close(snr(&[3.0, 4.0], &[2.5, 4.0]), 20.0));
        // Energy 2, error energy 2.
        assert!(close(snr(&[1.0, 1.0], &[0.0, 2.0]), 0.0));
        assert!(close(snr(&[1.0, 1.0], &[0.0, 0.0]), 0.0), "a silent estimate");
    }

    #[test]
    fn snr_of_spectra_equals_hand_computed_ratios() {
        let reference = array![[3.0, 4.0], [0.0, 5.0]];
        // Energy 50, error energy 0.25 + 0.25.
        let estimate = array![[2.5, 4.0], [0.0, 5.5]];
        assert!(close(snr_mel(reference.view(), estimate.view()), 20.0));
        // The layout in memory has no effect.
        let turned = estimate.t().as_standard_layout().into_owned();
        assert!(close(snr_mel(reference.view(), turned.t()), 20.0));
        assert_eq!(snr_mel(reference.view(), reference.view()), f64::INFINITY);
        assert!(snr_mel((&reference * 0.0).view(), reference.view()).is_nan());
        assert!(snr_mel(reference.view(), reference.slice(s![.., ..1])).is_nan());
    }

    #[test]
    fn si_sdr_equals_hand_computed_ratios() {
        // a = 3/1: the target is (3, 0), the residual (0, 4).
        assert!(close(si_sdr(&[1.0, 0.0], &[3.0, 4.0], Mean::Kept), 10.0 * (9.0f64 / 16.0).log10()));
        // Without the means 2 and 5: (-1, 1, 0) and (-3, 1, 2). a = 2, the target is (-2, 2, 0), the residual (1, 1,
        // -2).
        let (s, e) = ([1.0, 3.0, 2.0], [2.0, 6.0, 7.0]);
        assert!(close(si_sdr(&s, &e, Mean::Removed), 10.0 * (8.0f64 / 6.0).log10()));
        // a = (2 + 18 + 14)/14 = 17/7: the target is (17, 51, 34)/7, the residual (-3, -9, 15)/7.
        assert!(close(si_sdr(&s, &e, Mean::Kept), 10.0 * (4046.0f64 / 315.0).log10()));
    }

    #[test]
    fn si_sdr_ignores_scale_and_snr_does_not() {
        let (s, e): (Vec<f64>, Vec<f64>) = (0..100).map(|n| ((n as f64).sin(), (n as f64 + 0.2).sin())).unzip();
        let louder: Vec<f64> = e.iter().map(|x| 1e3 * x).collect();
        assert!(close(si_sdr(&s, &e, Mean::Kept), si_sdr(&s, &louder, Mean::Kept)));
        assert!(snr(&s, &louder) < -50.0 && snr(&s, &e) > 10.0);
    }

    #[test]
    fn silent_and_perfect_signals_give_infinities_or_nan() {
        let (s, silence) = ([0.5, -0.25, 1.0], [0.0; 3]);
        assert_eq!(snr(&s, &s), f64::INFINITY);
        assert_eq!(si_sdr(&s, &s, Mean::Kept), f64::INFINITY);
        assert_eq!(si_sdr(&[1.0, 0.0], &[0.0, 1.0], Mean::Kept), f64::NEG_INFINITY);
        for undefined in [
            snr(&silence, &s),
            snr(&silence, &silence),
            si_sdr(&silence, &s, Mean::Kept),
            si_sdr(&s, &silence, Mean::Kept),
            si_sdr(&[2.0; 3], &s, Mean::Removed),
            snr(&s, &s[..2]),
            si_sdr(&s, &s[..2], Mean::Removed),
            snr(&[], &[]),
        ] {
            assert!(undefined.is_nan(), "{undefined}");
        }
    }
}
