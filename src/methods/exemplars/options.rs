//! What a user may choose of exemplars.

use serde::{Deserialize, Serialize};

use crate::methods::committee::{CONTEXT, check_context};
use crate::options::Flag;
use crate::{Error, Result};

/// The most exemplars of a source.
const MOST: usize = 1 << 14;
/// T where the user names none.
pub(crate) const FRAMES: usize = 9;
/// Exemplars of a source where the user names none.
pub(crate) const EXEMPLARS: usize = 1000;

/// How exemplars are chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// K, the exemplars of a source; if it is missing, 1,000, or as many as its recordings have.
    pub exemplars: Option<usize>,
    /// T, the consecutive frames of an exemplar; if it is missing, 9.
    pub context: Option<usize>,
}

impl Training {
    /// The options on the command line.
    pub const FLAGS: &'static [Flag] = &[
        Flag::count("exemplars", "K", "Exemplars of a source [default: 1000, or as many as its recordings have]"),
        CONTEXT,
    ];

    /// Checks the options.
    ///
    /// # Errors
    /// [`Error::Option`] names one that is out of range.
    pub fn check(&self) -> Result<()> {
        if let Some(count) = self.exemplars.filter(|count| !(1..=MOST).contains(count)) {
            return Err(Error::option("exemplars", format!("{count}: must be between 1 and {MOST}")));
        }
        check_context(self.context)
    }

    /// The same with a value for every option.
    #[must_use]
    pub fn in_force(&self) -> Self {
        Self { exemplars: Some(self.exemplars.unwrap_or(EXEMPLARS)), context: Some(self.context.unwrap_or(FRAMES)) }
    }
}
