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
