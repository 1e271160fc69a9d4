//! How a cell is shared, as a user says it.

use std::fmt;
use std::str::FromStr;

use crate::kernels::Mask;
use crate::spectrogram::Spectrum;
use crate::{Error, Result};

/// How a cell of the mixture is shared among the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum MaskChoice {
    /// By the powers of the models, whatever the data are.
    #[default]
    Wiener,
    /// As given.
    Given(Mask),
}

impl MaskChoice {
    /// The mask for data of this kind.
    pub fn of(self, spectrum: Spectrum) -> Mask {
        match self {
            Self::Wiener => Mask::Ratio(spectrum.power_exponent()),
            Self::Given(mask) => mask,
        }
    }
}

impl fmt::Display for MaskChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wiener => f.write_str("wiener"),
            Self::Given(mask) => write!(f, "{mask}"),
        }
    }
}

impl FromStr for MaskChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "wiener" => Ok(Self::Wiener),
            "hard" => Ok(Self::Given(Mask::Hard)),
            _ => match text.strip_prefix("ratio:").map(str::parse::<f64>) {
                Some(Ok(p)) if p > 0.0 && p <= 16.0 => Ok(Self::Given(Mask::Ratio(p))),
                _ => Err(Error::input("use wiener, hard, or ratio:P with P above 0 and at most 16")),
            },
        }
    }
}
