//! What an experiment tells while it runs.

use crate::recordings::Event;

/// What the experiment is doing.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Reading recordings.
    Reading(Event<'a>),
    /// A cost is learned: its name, the step, of so many.
    Training(&'a str, usize, usize),
    /// A cost was scored: so many are done, of so many.
    Scored(usize, usize),
}
