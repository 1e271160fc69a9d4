//! Which bands: the map from bins to rows as text.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::bands::{Bands, log_count, mel_check};
use super::mel::{MelScale, Triangle};
use crate::{Error, Result};

/// The map from a spectrum's bins to the F rows that are factorized. In text: `linear`, or for example `log:24:50-8000` or
/// `mel:80:0-4000`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum BandMap {
    /// The bins themselves.
    #[default]
    Linear,
    /// [`Bands::log`].
    Log {
        /// Bands per octave, 1 or more.
        per_octave: usize,
        /// The first edge in Hz, and a frequency that the last edge does not exceed.
        range_hz: Range<f64>,
    },
    /// [`Bands::mel`]. In text, the scale follows the range, and the height follows the scale; librosa's default is
    /// `mel:128:0-8000:slaney:area`.
    Mel {
        /// The number of bands, 1 or more.
        count: usize,
        /// The start of the first triangle and the end of the last one in Hz.
        range_hz: Range<f64>,
        /// The formula of the scale. Default: HTK.
        scale: MelScale,
        /// The height of the triangles. Default: 1.
        triangle: Triangle,
    },
}

impl BandMap {
    /// `count` mel bands from 0 Hz to half of this sample rate, of HTK's scale and height 1.
    pub fn mel(count: usize, sample_rate: u32) -> Self {
        let range_hz = 0.0..f64::from(sample_rate) / 2.0;
        Self::Mel { count, range_hz, scale: MelScale::default(), triangle: Triangle::default() }
    }

    /// The bands for a transform of `fft` points. None if bins are used as they are.
    ///
    /// # Errors
    /// See [`Bands::log`] and [`Bands::mel`].
    pub fn bands(&self, sample_rate: u32, fft: usize) -> Result<Option<Bands>> {
        match self {
            Self::Linear => Ok(None),
            Self::Log { per_octave, range_hz } => Bands::log(sample_rate, fft, *per_octave, range_hz.clone()).map(Some),
            Self::Mel { count, range_hz, scale, triangle } => {
                Bands::mel(sample_rate, fft, *count, range_hz.clone(), (*scale, *triangle)).map(Some)
            }
        }
    }
}

impl fmt::Display for BandMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::Log { per_octave, range_hz } => {
                write!(f, "log:{per_octave}:{}-{}", range_hz.start, range_hz.end)
            }
            Self::Mel { count, range_hz, scale, triangle } => {
                write!(f, "mel:{count}:{}-{}", range_hz.start, range_hz.end)?;
                f.write_str(match (scale, triangle) {
                    (MelScale::Htk, Triangle::Peak) => "",
                    (MelScale::Htk, Triangle::Area) => ":htk:area",
                    (MelScale::Slaney, Triangle::Peak) => ":slaney",
                    (MelScale::Slaney, Triangle::Area) => ":slaney:area",
                })
            }
        }
    }
}

impl FromStr for BandMap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::input(format!(
                "bands '{text}' are unknown; use linear, bands per octave and a range in Hz, as in log:24:50-8000, or a number \
                 of mel bands and a range in Hz, as in mel:80:0-4000 or mel:128:0-8000:slaney:area"
            ))
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["linear"] => Ok(Self::Linear),
            ["log", per_octave, range] => {
                let (per_octave, range_hz) = numbers(per_octave, range).ok_or_else(unknown)?;
                log_count(per_octave, &range_hz)?;
                Ok(Self::Log { per_octave, range_hz })
            }
            ["mel", count, range, ref kind @ ..] => {
                let (count, range_hz) = numbers(count, range).ok_or_else(unknown)?;
                let (scale, triangle) = match kind {
                    [] | ["htk"] => (MelScale::Htk, Triangle::Peak),
                    ["htk", "area"] => (MelScale::Htk, Triangle::Area),
                    ["slaney"] => (MelScale::Slaney, Triangle::Peak),
                    ["slaney", "area"] => (MelScale::Slaney, Triangle::Area),
                    _ => return Err(unknown()),
                };
                mel_check(count, &range_hz)?;
                Ok(Self::Mel { count, range_hz, scale, triangle })
            }
            _ => Err(unknown()),
        }
    }
}

/// A count and a range in Hz.
fn numbers(count: &str, range: &str) -> Option<(usize, Range<f64>)> {
    let (from, to) = range.split_once('-')?;
    Some((count.parse().ok()?, from.parse().ok()?..to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_maps_parse_and_display() {
        let log = |per_octave, range_hz| BandMap::Log { per_octave, range_hz };
        let mel = |scale, triangle, range_hz: Range<f64>| BandMap::Mel { count: 80, range_hz, scale, triangle };
        for (text, expected) in [
            ("linear", BandMap::Linear),
            ("log:24:50-8000", log(24, 50.0..8000.0)),
            ("log:12:27.5-3951.07", log(12, 27.5..3951.07)),
            ("mel:80:0-4000", mel(MelScale::Htk, Triangle::Peak, 0.0..4000.0)),
            ("mel:80:0-4000:htk:area", mel(MelScale::Htk, Triangle::Area, 0.0..4000.0)),
            ("mel:80:62.5-4000:slaney", mel(MelScale::Slaney, Triangle::Peak, 62.5..4000.0)),
            ("mel:80:0-4000:slaney:area", mel(MelScale::Slaney, Triangle::Area, 0.0..4000.0)),
        ] {
            assert_eq!(text.parse::<BandMap>().unwrap(), expected);
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!("mel:9:0-4000:htk".parse::<BandMap>().unwrap().to_string(), "mel:9:0-4000");
        for text in [
            "",
            "log",
            "log:24",
            "log:24:50",
            "log:x:50-8000",
            "log:2.5:50-8000",
            "log:24:50-8000:1",
            "mel:80",
            "mel:-80:0-4000",
            "mel:80:0-4000:area",
            "mel:80:0-4000:slaney:area:1",
            "Linear",
        ] {
            let error = text.parse::<BandMap>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}' are unknown")), "{error}");
        }
        for text in [
            "log:24:0-8000",
            "log:24:8000-50",
            "log:0:50-8000",
            "log:24:50-NaN",
            "log:99999:50-8000",
            "mel:0:0-4000",
            "mel:99999:0-4000",
            "mel:80:4000-0",
            "mel:80:NaN-4000",
        ] {
            let error = text.parse::<BandMap>().unwrap_err().to_string();
            assert!(error.starts_with("bands log:") || error.starts_with("bands mel:"), "{error}");
        }
        assert_eq!(BandMap::Linear.bands(16_000, 2048).unwrap(), None);
        let bands = log(24, 50.0..8000.0).bands(16_000, 2048).unwrap();
        assert_eq!(bands, Some(Bands::log(16_000, 2048, 24, 50.0..8000.0).unwrap()));
        assert!(log(24, 50.0..8000.0).bands(8000, 2048).is_err());
        let mel = mel(MelScale::Slaney, Triangle::Area, 0.0..4000.0).bands(16_000, 2048).unwrap();
        let expected = Bands::mel(16_000, 2048, 80, 0.0..4000.0, (MelScale::Slaney, Triangle::Area)).unwrap();
        assert_eq!(mel, Some(expected));
    }
}
