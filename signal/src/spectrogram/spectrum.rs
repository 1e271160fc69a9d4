//! The data that are factorized: power or magnitude of the complex spectrum.

use std::fmt;
use std::str::FromStr;

use realfft::num_complex::Complex;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The nonnegative datum computed from a complex bin X.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spectrum {
    /// |X|². The powers of sources add in expectation; this is the model behind IS.
    Power,
    /// |X|, which compresses the dynamic range. Usual with KL and EU.
    Magnitude,
}

impl Spectrum {
    /// The usual choice for a β-divergence: power for β < 1/2, magnitude otherwise.
    pub fn suiting(beta: f64) -> Self {
        if beta < 0.5 { Self::Power } else { Self::Magnitude }
    }

    /// Computes the datum of a bin. In f64, the squares of a magnitude are exact and never too large: this is `hypot`, without a
    /// call of it for every bin.
    pub fn of(self, bin: Complex<f32>) -> f32 {
        match self {
            Self::Power => bin.norm_sqr(),
            Self::Magnitude => Complex::new(f64::from(bin.re), f64::from(bin.im)).norm_sqr().sqrt() as f32,
        }
    }

    /// The exponent that converts the datum to a power.
    pub fn power_exponent(self) -> f64 {
        match self {
            Self::Power => 1.0,
            Self::Magnitude => 2.0,
        }
    }
}

/// The factor on spectra that makes the result independent of a recording's level: 1 over its peak. It is 0 for a peak
/// below 1e-30, which counts as silence.
pub fn level_scale(peak: f32) -> f32 {
    if peak > 1e-30 { 1.0 / peak } else { 0.0 }
}

impl fmt::Display for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "power",
            Self::Magnitude => "magnitude",
        })
    }
}

impl FromStr for Spectrum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "power" => Ok(Self::Power),
            "magnitude" => Ok(Self::Magnitude),
            _ => Err(Error::input(format!("spectrum '{text}' is unknown; use power or magnitude"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_equal_hand_computed_values() {
        let bin = Complex::new(3.0, -4.0);
        assert_eq!((Spectrum::Power.of(bin), Spectrum::Magnitude.of(bin)), (25.0, 5.0));
        for spectrum in [Spectrum::Power, Spectrum::Magnitude] {
            assert_eq!(spectrum.to_string().parse::<Spectrum>().unwrap(), spectrum);
        }
        assert!("loudness".parse::<Spectrum>().is_err());
    }

    #[test]
    fn is_uses_power_and_other_divergences_magnitude() {
        assert_eq!([0.0, 1.0, 2.0].map(Spectrum::suiting), [Spectrum::Power, Spectrum::Magnitude, Spectrum::Magnitude]);
    }

    #[test]
    fn any_peak_is_scaled_to_one_and_silence_to_zero() {
        for peak in [1.0f32, 1e-3, 1e-20, 3e4] {
            assert!((peak * level_scale(peak) - 1.0).abs() < 1e-6);
        }
        assert_eq!((level_scale(0.0), level_scale(1e-40)), (0.0, 0.0));
    }
}
