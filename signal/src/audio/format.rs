//! Output formats.

use super::implausible;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A file type and its sample format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// WAV, 32-bit float. Exact and never clipped.
    WavF32,
    /// WAV, 16-bit integers.
    WavPcm16,
    /// WAV, 24-bit integers.
    WavPcm24,
    /// FLAC, 16-bit, at most 8 channels.
    Flac16,
    /// FLAC, 24-bit, at most 8 channels.
    Flac24,
}

impl Format {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::WavF32, Self::WavPcm16, Self::WavPcm24, Self::Flac16, Self::Flac24];

    /// The file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::WavF32 | Self::WavPcm16 | Self::WavPcm24 => "wav",
            Self::Flac16 | Self::Flac24 => "flac",
        }
    }

    /// The quantization step relative to full scale: 2^-15 or 2^-23. None for float.
    pub fn step(self) -> Option<f32> {
        match self {
            Self::WavF32 => None,
            Self::WavPcm16 | Self::Flac16 => Some(1.0 / 32_768.0),
            Self::WavPcm24 | Self::Flac24 => Some(1.0 / 8_388_608.0),
        }
    }

    /// Why this format cannot hold a recording with this channel count and sample rate in Hz. None if it can.
    pub fn refuses(self, channels: usize, sample_rate: u32) -> Option<String> {
        let flac = self.extension() == "flac";
        implausible(channels, sample_rate).or_else(|| {
            let (most_channels, most_hz) = (8, 655_350);
            if flac && channels > most_channels {
                Some(format!("has {channels} channels, and flac can hold {most_channels}; write it as wav"))
            } else if flac && sample_rate > most_hz {
                Some(format!("has a sample rate of {sample_rate} Hz, and flac can hold {most_hz} Hz; write it as wav"))
            } else {
                None
            }
        })
    }

    /// Bytes per sample before compression.
    pub(super) fn sample_bytes(self) -> usize {
        match self {
            Self::WavF32 => 4,
            Self::WavPcm16 | Self::Flac16 => 2,
            Self::WavPcm24 | Self::Flac24 => 3,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WavF32 => "wav-f32",
            Self::WavPcm16 => "wav-pcm16",
            Self::WavPcm24 => "wav-pcm24",
            Self::Flac16 => "flac16",
            Self::Flac24 => "flac24",
        })
    }
}

/// The output format a user asks for. It may depend on the format of the recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FormatChoice {
    /// WAV in the recording's own depth: the same integer size if it stores integers, otherwise float.
    #[default]
    Same,
    /// FLAC: 16-bit if that holds the recording's integers exactly, otherwise 24-bit.
    Flac,
    /// This format for every recording.
    Given(Format),
}

impl FormatChoice {
    const ALL: [Self; 5] = [
        Self::Same,
        Self::Flac,
        Self::Given(Format::WavF32),
        Self::Given(Format::WavPcm16),
        Self::Given(Format::WavPcm24),
    ];

    /// The file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Same => "wav",
            Self::Flac => "flac",
            Self::Given(format) => format.extension(),
        }
    }

    /// The format for a recording of integers of [`bits`](super::Reader::bits) bits, or of floats (None).
    pub fn of(self, bits: Option<u32>) -> Format {
        match (self, bits) {
            (Self::Given(format), _) => format,
            (Self::Same, Some(..=16)) => Format::WavPcm16,
            (Self::Same, Some(17..=24)) => Format::WavPcm24,
            (Self::Same, _) => Format::WavF32,
            (Self::Flac, Some(..=16)) => Format::Flac16,
            (Self::Flac, _) => Format::Flac24,
        }
    }
}

impl fmt::Display for FormatChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.pad("same"),
            Self::Flac => f.pad("flac"),
            Self::Given(format) => format.fmt(f),
        }
    }
}

impl FromStr for FormatChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|choice| choice.to_string() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(|choice| choice.to_string()).join(", ");
            Error::input(format!("{name}: not an audio format; use one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names_and_steps() {
        for format in Format::ALL {
            assert!(format.to_string().starts_with(format.extension()));
            let steps = format.step().map_or(0.0, |step| step * 2.0_f32.powi(8 * format.sample_bytes() as i32 - 1));
            assert_eq!(steps, if format == Format::WavF32 { 0.0 } else { 1.0 }, "{format}");
        }
    }

    #[test]
    fn a_displayed_choice_parses_back() {
        for choice in FormatChoice::ALL {
            assert_eq!(choice.to_string().parse::<FormatChoice>().unwrap(), choice);
            assert_eq!(choice.extension(), choice.of(Some(20)).extension());
        }
        let error = "mp3".parse::<FormatChoice>().unwrap_err().to_string();
        assert_eq!(error, "mp3: not an audio format; use one of same, flac, wav-f32, wav-pcm16, wav-pcm24");
    }

    #[test]
    fn the_chosen_format_follows_the_depth_of_the_recording() {
        let of =
            |choice: FormatChoice| [None, Some(8), Some(16), Some(17), Some(24), Some(32)].map(|bits| choice.of(bits));
        use Format::{Flac16, Flac24, WavF32, WavPcm16, WavPcm24};
        assert_eq!(of(FormatChoice::Same), [WavF32, WavPcm16, WavPcm16, WavPcm24, WavPcm24, WavF32]);
        assert_eq!(of(FormatChoice::Flac), [Flac24, Flac16, Flac16, Flac24, Flac24, Flac24]);
        assert_eq!(of(FormatChoice::Given(WavPcm24)), [WavPcm24; 6]);
    }
}
