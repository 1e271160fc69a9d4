//! What a user may choose of a committee.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::options::{Flag, text};
use crate::{Error, Result};

/// The longest context: beyond it, a basis is a recording.
pub(crate) const MAX_CONTEXT: usize = 64;
/// The most members.
pub(crate) const MAX_MEMBERS: usize = 64;

/// How much time may go into quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Quality {
    /// One member, and few updates.
    Fast,
    /// What is usual.
    #[default]
    Normal,
    /// All that helps.
    Best,
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Normal => "normal",
            Self::Best => "best",
        })
    }
}

impl FromStr for Quality {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = [Self::Fast, Self::Normal, Self::Best].into_iter().find(|quality| quality.to_string() == text);
        known.ok_or_else(|| Error::input(format!("quality '{text}' is unknown; use fast, normal or best")))
    }
}

/// How the bases of sources are learned: the options of the method nmf.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// How much time may go into quality; if it is missing, normal.
    #[serde(with = "text::option")]
    pub quality: Option<Quality>,
    /// How many sets of bases are learned; if it is missing, as the quality has it, or one if a rank is given.
    pub members: Option<usize>,
    /// T, the consecutive frames that a basis spans; if it is missing, as the member has it, or 1 if a rank is given.
    pub context: Option<usize>,
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::word::<Quality>(
            "quality",
            "fast|normal|best",
            "How much time may go into quality: fast (one set of bases, few updates), normal, or best (all that helps); the model \
             keeps it, and separate follows it [default: normal]",
        )
        .first(),
        Flag::count(
            "members",
            "N",
            "Sets of bases whose masks are averaged [default: as the quality has it, or 1 with a given --rank]",
        ),
        CONTEXT,
    ];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`] names one that is out of range.
    pub fn check(&self) -> Result<()> {
        if let Some(members) = self.members.filter(|members| !(1..=MAX_MEMBERS).contains(members)) {
            return Err(Error::option("members", format!("{members}: must be between 1 and {MAX_MEMBERS}")));
        }
        check_context(self.context)
    }
}

/// The option of all methods whose bases span several frames.
pub(crate) const CONTEXT: Flag =
    Flag::count("context", "T", "Consecutive frames that a basis spans [default: 1 with a given --rank; exemplars: 9]");

/// Checks a context.
///
/// # Errors
/// [`Error::Option`] where it is out of range.
pub(crate) fn check_context(context: Option<usize>) -> Result<()> {
    match context.filter(|context| !(1..=MAX_CONTEXT).contains(context)) {
        Some(context) => {
            Err(Error::option("context", format!("{context}: must be between 1 and {MAX_CONTEXT} frames")))
        }
        None => Ok(()),
    }
}

/// How recordings are separated under a committee.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Separation {
    /// How much of the model is used; if it is missing, all of it.
    #[serde(with = "text::option")]
    pub quality: Option<Quality>,
}

impl Separation {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[Flag::word::<Quality>(
        "quality",
        "fast|normal|best",
        "Use the sets of bases that a training of this quality would have [default: all of the model's]",
    )];
}
