//! Converts between sample rates.

use super::MAX_SAMPLE_RATE;
use crate::{Error, Result};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
use std::fmt::Display;

/// The fewest input samples per block. The anti-aliasing filter is as long as a block.
const BLOCK: usize = 2048;

/// Resamples one channel (N) from `from` Hz to `to` Hz, with a [`Resampler`] in one push.
///
/// # Errors
///
/// Those of [`Resampler::new`].
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    let mut resampler = Resampler::new(from, to)?;
    let mut output = Vec::with_capacity(Resampler::length(samples.len() as u64, from, to) as usize);
    resampler.push(samples, &mut output)?;
    resampler.finish(&mut output)?;
    Ok(output)
}

/// Resamples one channel as its samples arrive.
///
/// N samples become exactly round(N * to / from). The output has the same bits however the input is cut into pushes.
/// The phase is kept: output sample n is the band-limited input at n / `to` seconds. Equal rates copy the input.
///
/// Frequencies above the lower of the two Nyquist frequencies are removed; the transition band begins about 2 % below
/// it. The filter assumes silence beyond both ends.
///
/// Memory and delay are a few blocks of 2048 samples. They grow only for rates whose ratio has no small terms, to at
/// most twice the input's rate.
pub struct Resampler {
    from: u32,
    to: u32,
    /// None for equal rates.
    fft: Option<Fft<f32>>,
    /// Input samples of a block that is not full yet.
    pending: Vec<f32>,
    /// Output samples of a block.
    converted: Vec<f32>,
    /// Output samples still to drop: the filter's delay.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// Creates a resampler for one channel.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if a rate is 0 or above 1 536 000 Hz.
    pub fn new(from: u32, to: u32) -> Result<Self> {
        for rate in [from, to] {
            if !(1..=MAX_SAMPLE_RATE).contains(&rate) {
                let reason = format!("cannot resample at {rate} Hz; 1 to {MAX_SAMPLE_RATE} Hz are supported");
                return Err(Error::input(reason));
            }
        }
        // Whole blocks on both sides need a multiple of from / gcd samples. The delay is half a block. An even multiple
        // makes it a whole number of samples; an odd one would shift the output by half a sample.
        let block = BLOCK.next_multiple_of(2 * (from / gcd(from, to)) as usize);
        let (window, both) = (WindowFunction::BlackmanHarris2, FixedSync::Both);
        let fft = (from != to)
            .then(|| Fft::new_custom(from as usize, to as usize, block, 1, 1, window, both))
            .transpose()
            .map_err(|error| failed(from, to, &error))?;
        let converted = vec![0.0; fft.as_ref().map_or(0, |fft| fft.output_frames_max())];
        let delay = fft.as_ref().map_or(0, |fft| fft.output_delay());
        Ok(Self { from, to, fft, pending: Vec::new(), converted, delay, taken: 0, given: 0 })
    }

    /// round(`samples` * `to` / `from`), with halves rounded up, for rates that [`new`](Self::new) accepts.
    pub fn length(samples: u64, from: u32, to: u32) -> u64 {
        let from = u128::from(from.max(1));
        let length = (u128::from(samples) * u128::from(to) + from / 2) / from;
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    /// Takes the next input samples and appends the finished output to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the converter refuses a block. No input is known to cause this.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.taken += samples.len() as u64;
        let Some(block) = self.fft.as_ref().map(|fft| fft.input_frames_next()) else {
            out.extend_from_slice(samples);
            return Ok(());
        };
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(block - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == block {
                self.convert(u64::MAX, out)?;
            }
        }
        Ok(())
    }

    /// Appends the remaining output to `out`.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn finish(mut self, out: &mut Vec<f32>) -> Result<()> {
        let Some(block) = self.fft.as_ref().map(|fft| fft.input_frames_next()) else { return Ok(()) };
        let length = Self::length(self.taken, self.from, self.to);
        while self.given < length {
            self.pending.resize(block, 0.0);
            self.convert(length, out)?;
        }
        Ok(())
    }

    /// Converts a full block. The total output is at most `length` samples.
    fn convert(&mut self, length: u64, out: &mut Vec<f32>) -> Result<()> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let (from, to, full) = (self.from, self.to, self.converted.len());
        let input = SequentialSlice::new(&self.pending, 1, self.pending.len());
        let input = input.map_err(|error| failed(from, to, &error))?;
        let output = SequentialSlice::new_mut(&mut self.converted, 1, full);
        let mut output = output.map_err(|error| failed(from, to, &error))?;
        let (_, count) =
            fft.process_into_buffer(&input, &mut output, None).map_err(|error| failed(from, to, &error))?;
        self.pending.clear();

        let dropped = self.delay.min(count);
        self.delay -= dropped;
        let wanted = (length - self.given).min((count - dropped) as u64);
        out.extend_from_slice(&self.converted[dropped..dropped + wanted as usize]);
        self.given += wanted;
        Ok(())
    }
}

fn failed(from: u32, to: u32, error: &dyn Display) -> Error {
    Error::input(format!("cannot resample {from} Hz to {to} Hz: {error}"))
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

    /// A sine of `cycles` Hz at `rate` Hz.
    fn sine(cycles: f64, rate: u32, length: usize) -> Vec<f32> {
        (0..length).map(|n| (TAU * cycles * n as f64 / f64::from(rate)).sin() as f32).collect()
    }

    /// The largest difference between `a` and `b` over the middle half, where the silence beyond the ends has no
    /// effect.
    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        let middle = a.len() / 4..a.len() * 3 / 4;
        a[middle.clone()].iter().zip(&b[middle]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_output_length_is_rounded_to_nearest() {
        for (from, to) in RATES {
            for length in [0, 1, 2, 3, 100, 1023, 5000] {
                let expected = (length as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(resample(&vec![0.1; length], from, to).unwrap().len(), expected, "{length}: {from} to {to}");
            }
        }
        assert_eq!(resample(&[0.1; 3], 2, 1).unwrap().len(), 2, "half is rounded up");
    }

    #[test]
    fn length_does_not_overflow_for_long_recordings() {
        assert_eq!(Resampler::length(u64::MAX, 1, 1), u64::MAX);
        assert_eq!(Resampler::length(u64::MAX, 1, 2), u64::MAX);
        assert_eq!(Resampler::length(44_100 * 36_000_000 + 1, 44_100, 48_000), 48_000 * 36_000_000 + 1);
    }

    /// Noise in [-1, 1).
    fn noise(length: usize) -> Vec<f32> {
        (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    #[test]
    fn the_output_bits_do_not_depend_on_the_pushes() {
        for (from, to) in RATES.into_iter().chain([(8000, 8000)]) {
            for length in [0, 1, 5000, 100_003] {
                let input = noise(length);
                let whole = resample(&input, from, to).unwrap();
                for cuts in [&[1, 2, 3][..], &[7, 0, 2646, 4095], &[30_000, 1]] {
                    let (mut resampler, mut out) = (Resampler::new(from, to).unwrap(), Vec::new());
                    let (mut rest, mut cuts) = (&input[..], cuts.iter().cycle());
                    while let (false, Some(&cut)) = (rest.is_empty(), cuts.next()) {
                        let (now, later) = rest.split_at(rest.len().min(cut));
                        resampler.push(now, &mut out).unwrap();
                        rest = later;
                    }
                    resampler.finish(&mut out).unwrap();
                    let bits = |samples: &[f32]| samples.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert!(bits(&out) == bits(&whole), "{length}: {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn the_output_lags_the_input_by_a_bounded_delay() {
        for (from, to) in RATES {
            let (mut resampler, mut out) = (Resampler::new(from, to).unwrap(), Vec::new());
            let behind = 4 * Resampler::length(BLOCK.max(from as usize) as u64, from, to);
            for pushed in (1..=200).map(|push| push * 1000) {
                resampler.push(&[0.1; 1000], &mut out).unwrap();
                let due = Resampler::length(pushed, from, to);
                assert!((due.saturating_sub(behind)..=due).contains(&(out.len() as u64)), "{pushed}: {from} to {to}");
                assert!(resampler.pending.len() < 2 * BLOCK.max(from as usize));
            }
        }
    }

    #[test]
    fn a_constant_and_a_sine_keep_their_values() {
        for (from, to) in RATES {
            let (length, low) = (200_000, f64::from(from.min(to)));
            let constant = resample(&vec![0.5; length], from, to).unwrap();
            assert!(worst(&constant, &vec![0.5; constant.len()]) < 1e-5, "{from} to {to}");
            // Frequencies up to 0.9 of the lower Nyquist frequency. The delay is zero: the phase is that of the
            // formula.
            for part in [0.013, 0.2, 0.45] {
                let found = resample(&sine(part * low, from, length), from, to).unwrap();
                let error = worst(&found, &sine(part * low, to, found.len()));
                assert!(error < 1e-3, "{from} to {to}, {part} of the rate: {error}");
            }
        }
    }

    #[test]
    fn frequencies_above_the_lower_nyquist_are_removed() {
        let aliased = resample(&sine(9000.0, 48_000, 100_000), 48_000, 16_000).unwrap();
        assert!(worst(&aliased, &vec![0.0; aliased.len()]) < 1e-4);
    }

    #[test]
    fn resampling_up_and_back_down_restores_the_input() {
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
