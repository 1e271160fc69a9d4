//! Reads, writes and resamples audio files.

mod aiff;
mod caf;
mod chunks;
mod flac;
mod format;
mod header;
mod kind;
mod packets;
mod pcm;
mod reader;
mod resample;
mod tags;
mod wav;
mod wave64;
mod write;

pub use format::{Format, FormatChoice};
pub use reader::{Reader, Source};
pub use resample::{Resampler, resample};
pub use write::{Writer, write};

use crate::Result;
use std::path::Path;

/// The most channels that a file may have, read or written. A header with more is taken as broken.
const MAX_CHANNELS: usize = 256;
/// The highest sample rate in Hz, read, written or resampled to.
const MAX_SAMPLE_RATE: u32 = 1_536_000;

/// The file name extensions of readable recordings.
const EXTENSIONS: [&str; 15] =
    ["wav", "wave", "bwf", "rf64", "bw64", "w64", "flac", "ogg", "oga", "mp3", "aif", "aiff", "aifc", "caf", "m4a"];

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

/// Reads a whole recording. Supported are WAV, RF64, BW64, Wave64 and AIFF (integers of 8 to 32 bits, floats of 32 and
/// 64 bits, A-law, mu-law), FLAC, Ogg Vorbis, Ogg FLAC, MP3, CAF and M4A (AAC, ALAC). The content decides the type, not
/// the name. Integers of B bits are scaled by 1/2^(B-1).
///
/// A truncated file gives the samples that it holds. A damaged part becomes silence of the same length, so later
/// samples keep their time. Both add a warning. A valid WAV without samples gives a recording of 0 frames.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if the file cannot be read. [`Error::Audio`](crate::Error::Audio) if it is not a
/// regular file, is not a supported type, is broken beyond use, is compressed and holds no sample, or holds a NaN or
/// infinite sample.
pub fn read(path: &Path) -> Result<Recording> {
    Reader::open(path)?.collect()
}

/// Whether the name has the extension of an audio type that [`read`] supports, in upper or lower case.
pub fn is_audio_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The channel and index of the earliest NaN or infinite sample in `channels` (C, N).
fn first_not_finite<S: AsRef<[f32]>>(channels: &[S]) -> Option<(usize, usize)> {
    let first = |samples: &[f32]| samples.iter().position(|sample| !sample.is_finite());
    let found = channels.iter().enumerate().filter_map(|(c, samples)| Some((c, first(samples.as_ref())?)));
    found.min_by_key(|&(_, index)| index)
}

/// Why no recording can have this channel count or sample rate in Hz. None if one can.
fn implausible(channels: usize, sample_rate: u32) -> Option<String> {
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
    fn audio_names_are_recognized_in_any_case() {
        for name in
            ["a.wav", "b/c.WAV", "d e.Flac", "x.ogg", "y.mP3", "z.wave", "u.OGA", "v.bwf", "z.aif", "é.m4a", "w.W64"]
        {
            assert!(is_audio_name(Path::new(name)), "{name}");
        }
        for name in ["a.txt", "wav", ".wav", "a.wav.part", "a.mp", ""] {
            assert!(!is_audio_name(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn the_earliest_non_finite_sample_of_any_channel_is_found() {
        let late = vec![0.0, 0.0, f32::NAN];
        let early = vec![0.0, f32::NEG_INFINITY, 0.0];
        assert_eq!(first_not_finite(&[late, early]), Some((1, 1)));
        assert_eq!(first_not_finite(&[vec![f32::MAX, -0.0, f32::MIN_POSITIVE / 2.0]]), None);
    }
}
