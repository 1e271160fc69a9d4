//! What a user may choose of gain priors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::kernels::Gradient;
use crate::options::{Flag, PerSource, text};
use crate::{Error, Result};

/// How the priors are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// C, the Gaussians in the mixture of each source's gains.
    pub mixtures: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self { mixtures: 32 }
    }
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] =
        &[Flag::count("mixtures", "C", "Gaussians in the mixture of each source's gains [default: 32]")];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<()> {
        if self.mixtures == 0 {
            return Err(Error::option("mixtures", "0: must be at least 1"));
        }
        Ok(())
    }
}

/// How much the priors count for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// The weight of each source's prior; [`Weight::Auto`] if it says nothing.
    pub prior_weight: PerSource<Weight>,
    /// Which gradient of the priors the updates follow; if it is missing, the paper's where a weight is auto, otherwise the exact
    /// one.
    #[serde(with = "text::option")]
    pub prior_gradient: Option<Gradient>,
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word_per_source::<Weight>(
            "prior_weight",
            "A|NAME=A",
            "How much the gain priors of the model count for, all alike or NAME=A for one source: auto (by how far a source's \
             bases can be trusted at its level in the recording), or a number; 0: not at all [default: auto]",
        ),
        Flag::word::<Gradient>(
            "prior_gradient",
            "exact|paper",
            "The gradient of the priors: exact, or paper (as Grais & Erdogan printed it) [default: paper where a weight is auto, \
             otherwise exact]",
        ),
    ];
}

/// How much the prior of a source's gains counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Weight {
    /// α from the data, stretch by stretch: see [`Leakage`](super::Leakage).
    #[default]
    Auto,
    /// α, finite and not negative; 0: no prior.
    Given(f64),
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Given(weight) => write!(f, "{weight}"),
        }
    }
}

impl FromStr for Weight {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let weight = match text {
            "auto" => Some(Self::Auto),
            _ => text.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight >= 0.0).map(Self::Given),
        };
        weight.ok_or_else(|| Error::input("use auto, or a number that is finite and not negative"))
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Given(weight) => serializer.serialize_f64(*weight),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_as_they_are_written() {
        for (text, weight) in [("auto", Weight::Auto), ("0.1", Weight::Given(0.1)), ("0", Weight::Given(0.0))] {
            assert_eq!((text.parse::<Weight>().unwrap(), weight.to_string().as_str()), (weight, text));
            let json = serde_json::to_string(&weight).unwrap();
            assert_eq!(serde_json::from_str::<Weight>(&json).unwrap(), weight);
        }
        for text in ["much", "-1", "NaN", "inf", ""] {
            assert!(text.parse::<Weight>().is_err(), "{text}");
        }
    }
}
