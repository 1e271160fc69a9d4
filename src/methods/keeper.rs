//! Where long trainings keep their state.

use crate::Result;

/// Where the state of a training is kept between rounds.
pub trait Keeper: Send {
    /// The state that an earlier run kept, if this run is to go on from it.
    ///
    /// # Errors
    /// Those of reading it.
    fn kept(&mut self) -> Result<Option<Vec<u8>>>;

    /// Whether it is time to keep the state again.
    fn is_due(&self) -> bool;

    /// Keeps the state in place of an earlier one.
    ///
    /// # Errors
    /// Those of writing it.
    fn keep(&mut self, state: &[u8]) -> Result<()>;

    /// Why a state cannot be used, as an error that names where it is kept.
    fn refuse(&self, reason: String) -> crate::Error;
}
