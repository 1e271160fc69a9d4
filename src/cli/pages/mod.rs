//! Pages of a run: an index, and for each recording a page to listen to its stems and to look at them.

mod entry;
mod of_run;
mod page;
mod places;
mod write;

pub(super) use entry::Entry;
pub(super) use of_run::of_run;
pub(super) use write::{Written, write};
