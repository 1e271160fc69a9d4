//! What a user may choose of a rest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::methods::nmf;
use crate::options::{Flag, text};
use crate::{Error, Result};

/// The most components of a rest.
const MOST: usize = 4096;

/// A source that is learned on the recording: `10`, or `10:noise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// K, its components.
    pub components: usize,
    /// What it is called.
    pub name: String,
}

impl Default for Rest {
    fn default() -> Self {
        Self { components: 10, name: "rest".into() }
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.components, self.name)
    }
}

impl FromStr for Rest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (components, name) = text.split_once(':').unwrap_or((text, "rest"));
        match components.parse() {
            Ok(components) if (1..=MOST).contains(&components) => Ok(Self { components, name: name.into() }),
            _ => Err(Error::input(format!("use 1 to {MOST} components, and a name if you like: 10, or 10:noise"))),
        }
    }
}

/// How recordings are separated into the sources of a model and a rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// The source that is learned on the recording.
    #[serde(with = "text")]
    pub rest: Rest,
    /// λ, the weight of a penalty on the gains of the model's sources, as a share of the mean sum of their bases.
    pub sparsity: f64,
    /// The seed of the free bases' start.
    pub seed: u64,
}

impl Default for Separation {
    fn default() -> Self {
        Self { rest: Rest::default(), sparsity: 0.1, seed: 0 }
    }
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Rest>(
            "rest",
            "K[:NAME]",
            "Learn a source more on each recording: K free components beside those of the model, for what nobody recorded alone \
             [default with --method rest: 10:rest]",
        )
        .first(),
        Flag::number(
            "sparsity",
            "L",
            "The weight of a penalty on the gains of the model's sources, as a share of the mean sum of their bases [default: 0.1]",
        ),
        Flag::count("seed", "N", "The seed of the free components' start"),
    ];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`] or [`Error::Input`] for a λ that is negative or not finite.
    pub fn check(&self) -> Result<()> {
        nmf::check_options(1, 0.0, self.sparsity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_has_components_and_perhaps_a_name() {
        assert_eq!("10".parse::<Rest>().unwrap(), Rest::default());
        let noise: Rest = "4:noise".parse().unwrap();
        assert_eq!((noise.components, noise.name.as_str(), noise.to_string().as_str()), (4, "noise", "4:noise"));
        for text in ["", "0", "5000", "x", ":noise", "-1"] {
            assert!(text.parse::<Rest>().unwrap_err().to_string().contains("10:noise"), "{text}");
        }
    }
}
