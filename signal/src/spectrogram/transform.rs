//! The transform's parameters as a user gives them.

use super::stft::LARGEST_FFT;
use super::{Pad, Shape, StftParams};
use crate::{Error, Result};

/// A duration as a user gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// In samples.
    Samples(usize),
    /// In milliseconds, rounded to samples.
    Milliseconds(f64),
}

impl Length {
    /// This length divided by `parts`, rounded up to a sample.
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
            None => text.parse().ok().filter(|samples| (1..=LARGEST_FFT).contains(samples)).map(Self::Samples),
        };
        length.ok_or_else(|| {
            Error::input(format!(
                "'{text}' is not a length; use 1 to {LARGEST_FFT} samples (480), or up to 10000 milliseconds (30ms)"
            ))
        })
    }
}

/// The transform's parameters as a user gives them. Missing values follow from the others once the sample rate is
/// known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// Window length, 128 ms by default.
    pub window: Option<Length>,
    /// Hop, a quarter of the window by default.
    pub hop: Option<Length>,
    /// Transform length, by default the smallest power of two not below the window.
    pub fft: Option<usize>,
    /// Window shape.
    pub shape: Shape,
}

impl Transform {
    /// Converts the parameters to samples.
    ///
    /// # Errors
    /// [`Error::Input`] if at this sample rate the window has no sample or too many, or the hop has none or more than
    /// the window.
    pub fn at(&self, sample_rate: u32) -> Result<StftParams> {
        let in_samples = |option: &str, length: Length, most: usize| {
            let samples = length.at(sample_rate);
            if (1..=most).contains(&samples) {
                return Ok(samples);
            }
            Err(Error::input(format!(
                "--{option} {length}: is {samples} samples at {sample_rate} Hz; use 1 to {most} samples"
            )))
        };
        let window = in_samples("window", self.window.unwrap_or(Length::Milliseconds(128.0)), LARGEST_FFT)?;
        let hop = self.hop.map_or(Ok(window.div_ceil(4)), |hop| in_samples("hop", hop, window))?;
        let fft = self.fft.unwrap_or_else(|| window.next_power_of_two());
        Ok(StftParams { window, hop, fft, shape: self.shape, pad: Pad::Full })
    }

    /// A doubt about a window in samples: under 2 ms, milliseconds were probably meant.
    ///
    /// ```
    /// use partwise_signal::spectrogram::{Length, Shape, Transform};
    ///
    /// let transform = Transform { window: Some(Length::Samples(30)), hop: None, fft: None, shape: Shape::Hann };
    /// let doubt = "--window 30: is 0.7 ms at 44100 Hz, because it is in samples; write 30ms for milliseconds";
    /// assert_eq!(transform.doubt(44_100).as_deref(), Some(doubt));
    /// ```
    pub fn doubt(&self, sample_rate: u32) -> Option<String> {
        let Some(Length::Samples(window)) = self.window else { return None };
        let milliseconds = 1000.0 * window as f64 / f64::from(sample_rate);
        (milliseconds < DOUBTFUL_MS).then(|| {
            format!(
                "--window {window}: is {milliseconds:.1} ms at {sample_rate} Hz, because it is in samples; write {window}ms for \
                 milliseconds"
            )
        })
    }
}

/// A window in samples that is shorter than these milliseconds is probably a mistake: it resolves no pitch.
const DOUBTFUL_MS: f64 = 2.0;

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
        for bad in ["", "0", "-3", "ms", "0ms", "-1ms", "nanms", "1e9ms", "3s", "4.5", "1048577"] {
            assert!(bad.parse::<Length>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_window_of_few_samples_is_doubted() {
        let doubt = |window, rate| Transform { window, hop: None, fft: None, shape: Shape::Hann }.doubt(rate);
        assert!(doubt(Some(Length::Samples(31)), 16_000).is_some_and(|doubt| doubt.contains("1.9 ms at 16000 Hz")));
        assert_eq!(doubt(Some(Length::Samples(32)), 16_000), None);
        assert_eq!(doubt(Some(Length::Milliseconds(1.0)), 16_000), None);
        assert_eq!(doubt(None, 16_000), None);
    }

    #[test]
    fn missing_parameters_get_their_defaults() {
        let transform = |window, hop, fft| Transform { window, hop, fft, shape: Shape::Hann };
        let sizes = |transform: Transform, rate| {
            let stft = transform.at(rate).unwrap();
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
        for (window, hop, rate, reason) in [
            (Length::Milliseconds(0.01), None, 16_000, "--window 0.01ms: is 0 samples at 16000 Hz; use 1 to 1048576"),
            (Length::Milliseconds(1e4), None, 192_000, "--window 10000ms: is 1920000 samples"),
            (
                Length::Samples(8),
                Some(Length::Milliseconds(0.01)),
                8_000,
                "--hop 0.01ms: is 0 samples at 8000 Hz; use 1 to 8",
            ),
            (Length::Samples(8), Some(Length::Samples(9)), 8_000, "--hop 9: is 9 samples at 8000 Hz; use 1 to 8"),
        ] {
            let error = transform(Some(window), hop, None).at(rate).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
