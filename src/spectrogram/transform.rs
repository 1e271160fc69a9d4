//! The transform, as a user gives it.

use super::{Pad, Shape, StftParams};
use crate::{Error, Result};

/// A length of time, as a user gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// In samples.
    Samples(usize),
    /// In milliseconds, rounded to samples.
    Milliseconds(f64),
}

impl Length {
    /// One part of so many, rounded up to a sample.
    pub fn part(self, parts: usize) -> Self {
        match self {
            Self::Samples(samples) => Self::Samples(samples.div_ceil(parts)),
            Self::Milliseconds(ms) => Self::Milliseconds(ms / parts as f64),
        }
    }

    fn at(self, sample_rate: u32) -> usize {
        match self {
            Self::Samples(samples) => samples,
            Self::Milliseconds(ms) => (ms * f64::from(sample_rate) / 1000.0).round() as usize,
        }
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Samples(samples) => write!(f, "{samples}"),
            Self::Milliseconds(ms) => write!(f, "{ms}ms"),
        }
    }
}

impl std::str::FromStr for Length {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = match text.strip_suffix("ms") {
            Some(ms) => ms.parse().ok().filter(|ms| *ms > 0.0 && *ms <= 10_000.0).map(Self::Milliseconds),
            None => text.parse().ok().filter(|samples| *samples > 0).map(Self::Samples),
        };
        length.ok_or_else(|| Error::input(format!("length '{text}' is neither samples (480) nor milliseconds (30ms)")))
    }
}

/// The transform, as a user gives it: what is missing follows from the rest once the sample rate is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// The window; by default 128 ms.
    pub window: Option<Length>,
    /// The hop; by default a quarter of the window.
    pub hop: Option<Length>,
    /// The transform's length; by default the power of two that holds the window.
    pub fft: Option<usize>,
    /// The window's shape.
    pub shape: Shape,
}

impl Transform {
    /// In samples.
    pub fn at(&self, sample_rate: u32) -> StftParams {
        let window = self.window.unwrap_or(Length::Milliseconds(128.0)).at(sample_rate);
        let hop = self.hop.map_or(window.div_ceil(4), |hop| hop.at(sample_rate));
        let fft = self.fft.unwrap_or_else(|| window.next_power_of_two());
        StftParams { window, hop, fft, shape: self.shape, pad: Pad::Full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_parse() {
        assert_eq!("480".parse::<Length>().unwrap(), Length::Samples(480));
        assert_eq!("30ms".parse::<Length>().unwrap(), Length::Milliseconds(30.0));
        for text in ["480", "30ms", "2.5ms"] {
            assert_eq!(text.parse::<Length>().unwrap().to_string(), text);
        }
        assert_eq!("2.5ms".parse::<Length>().unwrap().at(16_000), 40);
        for bad in ["", "0", "-3", "ms", "0ms", "-1ms", "nanms", "1e9ms", "3s", "4.5"] {
            assert!(bad.parse::<Length>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn the_transform_fills_in_what_is_missing() {
        let transform = |window, hop, fft| Transform { window, hop, fft, shape: Shape::Hann };
        let sizes = |transform: Transform, rate| {
            let stft = transform.at(rate);
            (stft.window, stft.hop, stft.fft)
        };
        assert_eq!(sizes(transform(None, None, None), 16_000), (2048, 512, 2048));
        assert_eq!(sizes(transform(None, None, None), 44_100), (5645, 1412, 8192));
        assert_eq!(
            ("30ms".parse::<Length>().unwrap().part(2), Length::Samples(7).part(2)),
            (Length::Milliseconds(15.0), Length::Samples(4))
        );
        let paper = transform(Some(Length::Milliseconds(30.0)), Some(Length::Milliseconds(12.0)), None);
        assert_eq!(sizes(paper, 16_000), (480, 192, 512));
        assert_eq!(sizes(transform(Some(Length::Samples(7)), None, Some(9)), 8_000), (7, 2, 9));
    }
}
