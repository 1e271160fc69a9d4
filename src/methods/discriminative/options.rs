//! What a user may choose of discriminative training.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::options::{Flag, text};
use crate::{Error, Result};

/// How the bases are learned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// What is learned from the mixtures.
    #[serde(with = "text")]
    pub objective: Objective,
    /// Mixtures of training utterances that [`Objective::Separation`] learns from, at most. Default: 200.
    pub pairs: Option<usize>,
    /// Updates of a source's gains and bases in each round of [`Objective::Paper`]. Default: 1.
    pub round_updates: Option<usize>,
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Objective>(
            "objective",
            "separation|paper",
            "separation: learn more bases, so that the masks of mixtures are right under gains that are found in the mixtures; \
             paper (Wang & Sha 2014): learn bases that reconstruct utterances and their mixtures [default: separation]",
        ),
        Flag::count(
            "pairs",
            "N",
            "Mixtures of two training utterances that the objective separation learns from, at most; they are drawn at random \
             [default: 200]",
        ),
        Flag::count(
            "round_updates",
            "N",
            "Updates of a source's gains and bases in each round over the sources, for the objective paper [default: 1]",
        ),
    ];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<()> {
        let of_other = |name, objective| Err(Error::option(name, format!("is an option of the objective {objective}")));
        match (self.objective, self.pairs, self.round_updates) {
            (Objective::Paper, Some(_), _) => of_other("pairs", Objective::Separation),
            (Objective::Separation, _, Some(_)) => of_other("round_updates", Objective::Paper),
            (Objective::Separation, Some(0), _) => Err(Error::option("pairs", "0: must be at least 1")),
            (Objective::Paper, _, Some(updates)) if !(1..=1000).contains(&updates) => {
                Err(Error::option("round_updates", format!("{updates}: must be between 1 and 1000")))
            }
            _ => Ok(()),
        }
    }

    /// The same with the values in force of the options of its objective.
    pub fn in_force(&self) -> Self {
        match self.objective {
            Objective::Separation => Self { pairs: Some(self.pairs()), ..self.clone() },
            Objective::Paper => Self { round_updates: Some(self.round_updates()), ..self.clone() },
        }
    }

    pub(super) fn pairs(&self) -> usize {
        self.pairs.unwrap_or(200)
    }

    pub(super) fn round_updates(&self) -> usize {
        self.round_updates.unwrap_or(1)
    }
}

/// What is learned from mixtures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Objective {
    /// A second set of bases, for masks that are right under the gains of the mixtures.
    #[default]
    Separation,
    /// One set of bases, which reconstructs utterances and their mixtures under the gains of the utterances.
    Paper,
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Separation => "separation",
            Self::Paper => "paper",
        })
    }
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "separation" => Ok(Self::Separation),
            "paper" => Ok(Self::Paper),
            _ => Err(Error::input(format!("objective '{text}' is unknown; use separation or paper"))),
        }
    }
}
