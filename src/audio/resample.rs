//! From one sample rate to another.

use super::MAX_SAMPLE_RATE;
use crate::{Error, Result};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Input samples per block, at least: the anti-aliasing filter is as long as a block.
const BLOCK: usize = 2048;

/// One channel (N) at `from` Hz as one at `to` Hz, of exactly round(N * to / from) samples. The phase is kept: sample n
/// of the result is the input's band-limited value at n / `to` seconds. Equal rates give the input itself.
///
/// What lies above the lower of the two Nyquist frequencies is removed; the transition begins some 2 % below it. The
/// ends are filtered as though silence lay beyond them.
///
/// # Errors
///
/// [`Error::Input`] if a rate is 0 or above 1 536 000 Hz.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    for rate in [from, to] {
        if !(1..=MAX_SAMPLE_RATE).contains(&rate) {
            return Err(Error::input(format!("cannot resample at {rate} Hz; 1 to {MAX_SAMPLE_RATE} Hz are supported")));
        }
    }
    if from == to || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let failed = |error: &dyn std::fmt::Display| Error::input(format!("cannot resample {from} Hz to {to} Hz: {error}"));

    // Whole blocks on both sides need a multiple of from / gcd samples. An even multiple makes the delay, half a block,
    // a whole number of samples too: with an odd one the result would lie half a sample off.
    let even = 2 * (from / gcd(from, to)) as usize;
    let block = BLOCK.next_multiple_of(even);
    let mut resampler = Fft::<f32>::new_custom(
        from as usize,
        to as usize,
        block,
        1,
        1,
        rubato::WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|error| failed(&error))?;
    let input = SequentialSlice::new(samples, 1, samples.len()).map_err(|error| failed(&error))?;
    let output = resampler.process_all(&input, samples.len(), None).map_err(|error| failed(&error))?;

    // The resampler rounds the length up.
    let length = (samples.len() as u128 * u128::from(to) + u128::from(from) / 2) / u128::from(from);
    let mut output = output.take_data();
    output.truncate(length as usize);
    Ok(output)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const RATES: [(u32, u32); 9] = [
        (44_100, 16_000),
        (11_025, 16_000),
        (16_000, 44_100),
        (48_000, 16_000),
        (16_000, 8_000),
        (8_000, 16_000),
        (44_100, 48_000),
        (22_050, 22_051),
        (3, 2),
    ];

    /// A sine of `cycles` per second at `rate` Hz.
    fn sine(cycles: f64, rate: u32, length: usize) -> Vec<f32> {
        (0..length).map(|n| (TAU * cycles * n as f64 / f64::from(rate)).sin() as f32).collect()
    }

    /// The largest difference of `a` and `b` over the middle half, where the silence beyond the ends is not felt.
    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let middle = a.len() / 4..a.len() * 3 / 4;
        a[middle.clone()].iter().zip(&b[middle]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_length_is_rounded_to_nearest() {
        for (from, to) in RATES {
            for length in [0, 1, 2, 3, 100, 1023, 5000] {
                let expected = (length as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(resample(&vec![0.1; length], from, to).unwrap().len(), expected, "{length}: {from} to {to}");
            }
        }
        assert_eq!(resample(&[0.1; 3], 2, 1).unwrap().len(), 2, "half is rounded up");
    }

    #[test]
    fn a_constant_and_a_sine_keep_their_values() {
        for (from, to) in RATES {
            let (length, low) = (200_000, f64::from(from.min(to)));
            let constant = resample(&vec![0.5; length], from, to).unwrap();
            assert!(worst(&constant, &vec![0.5; constant.len()]) < 1e-5, "{from} to {to}");
            // Up to 0.9 of the lower Nyquist frequency. Zero delay: the phase is the formula's own.
            for part in [0.013, 0.2, 0.45] {
                let found = resample(&sine(part * low, from, length), from, to).unwrap();
                let error = worst(&found, &sine(part * low, to, found.len()));
                assert!(error < 1e-3, "{from} to {to}, {part} of the rate: {error}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_removed() {
        let aliased = resample(&sine(9000.0, 48_000, 100_000), 48_000, 16_000).unwrap();
        assert!(worst(&aliased, &vec![0.0; aliased.len()]) < 1e-4);
    }

    #[test]
    fn up_and_back_down_is_the_input() {
        let input = sine(2000.0, 11_025, 100_000);
        let back = resample(&resample(&input, 11_025, 16_000).unwrap(), 16_000, 11_025).unwrap();
        assert!(worst(&back, &input) < 1e-3);
    }

    #[test]
    fn equal_rates_change_nothing_and_bad_rates_are_refused() {
        assert_eq!(resample(&[0.1, -3.0], 7, 7).unwrap(), [0.1, -3.0]);
        for (from, to) in [(0, 1), (1, 0), (0, 0), (u32::MAX, 8000), (8000, u32::MAX)] {
            assert!(matches!(resample(&[0.0], from, to), Err(Error::Input(_))), "{from} to {to}");
        }
    }
}
