//! A recording in memory, and what none may be.

use crate::Result;

/// The most channels that a file may have, read or written. A header with more is taken as broken.
const MAX_CHANNELS: usize = 256;
/// The highest sample rate in Hz, read, written or resampled to.
pub(super) const MAX_SAMPLE_RATE: u32 = 1_536_000;

/// A recording in memory. Samples are finite and nominally in [-1, 1]; reading never clips.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// One vector of samples per channel (C, N), all of the same length.
    pub channels: Vec<Vec<f32>>,
    /// Hz.
    pub sample_rate: u32,
    /// Oddities of the file that were survivable (truncated, wrong sizes), one line each. Empty for ordinary files.
    pub warnings: Vec<String>,
}

impl Recording {
    /// A recording from its samples, one vector per channel (C, N).
    ///
    /// # Errors
    /// Those of [`Recording::check`], where it is called "recording".
    pub fn new(channels: Vec<Vec<f32>>, sample_rate: u32) -> Result<Self> {
        let recording = Self { channels, sample_rate, warnings: Vec::new() };
        recording.check("recording").map(|()| recording)
    }

    /// Checks that channels are of one length, that their number and the sample rate are plausible, and that all samples are
    /// finite. Recordings that were read from files are so. Errors call it `name`.
    ///
    /// # Errors
    /// [`Error::Audio`](crate::Error::Audio) says what is wrong.
    pub fn check(&self, name: &str) -> Result<()> {
        let refused = |reason: String| Err(crate::Error::audio(name, reason));
        if let Some(reason) = implausible(self.channels.len(), self.sample_rate) {
            return refused(reason);
        }
        if let Some(other) = self.channels.iter().find(|channel| channel.len() != self.frames()) {
            return refused(format!(
                "has channels of {} and of {} samples; all must be as long",
                self.frames(),
                other.len()
            ));
        }
        match first_not_finite(&self.channels) {
            Some((channel, index)) => refused(format!("has a sample that is not finite, {index} of channel {channel}")),
            None => Ok(()),
        }
    }

    /// N, the number of samples in each channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The duration in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.sample_rate)
    }

    /// The largest magnitude of any sample; 0 without samples.
    pub fn peak(&self) -> f32 {
        self.channels.iter().flatten().fold(0.0, |peak, sample| sample.abs().max(peak))
    }
}

/// The channel and index of the earliest NaN or infinite sample in `channels` (C, N).
pub(super) fn first_not_finite<S: AsRef<[f32]>>(channels: &[S]) -> Option<(usize, usize)> {
    first(channels, |sample| !sample.is_finite())
}

/// The channel and index of the earliest sample in `channels` (C, N) that is odd.
pub(super) fn first<S: AsRef<[f32]>>(channels: &[S], is_odd: impl Fn(f32) -> bool) -> Option<(usize, usize)> {
    let first = |samples: &[f32]| samples.iter().position(|&sample| is_odd(sample));
    let found = channels.iter().enumerate().filter_map(|(c, samples)| Some((c, first(samples.as_ref())?)));
    found.min_by_key(|&(_, index)| index)
}

/// Why no recording can have this channel count or sample rate in Hz. None if one can.
pub(super) fn implausible(channels: usize, sample_rate: u32) -> Option<String> {
    if !(1..=MAX_CHANNELS).contains(&channels) {
        Some(format!("has {channels} channels; 1 to {MAX_CHANNELS} are supported"))
    } else if !(1..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        Some(format!("has a sample rate of {sample_rate} Hz; 1 to {MAX_SAMPLE_RATE} Hz are supported"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(channels: Vec<Vec<f32>>) -> Recording {
        Recording { channels, sample_rate: 4, warnings: Vec::new() }
    }

    #[test]
    fn frames_seconds_and_peak_of_a_recording() {
        let stereo = recording(vec![vec![0.5, -0.25, 0.0], vec![0.0, -2.0, 1.5]]);
        assert_eq!((stereo.frames(), stereo.seconds(), stereo.peak()), (3, 0.75, 2.0));
        let empty = recording(vec![Vec::new()]);
        assert_eq!((empty.frames(), empty.seconds(), empty.peak()), (0, 0.0, 0.0));
    }

    #[test]
    fn the_earliest_non_finite_sample_of_any_channel_is_found() {
        let late = vec![0.0, 0.0, f32::NAN];
        let early = vec![0.0, f32::NEG_INFINITY, 0.0];
        assert_eq!(first_not_finite(&[late, early]), Some((1, 1)));
        assert_eq!(first_not_finite(&[vec![f32::MAX, -0.0, f32::MIN_POSITIVE / 2.0]]), None);
    }
}
