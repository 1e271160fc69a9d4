//! Options of jobs as data: their names, their values, and how both are read from JSON and from words of the command line.

mod flags;
mod mask;
mod per_source;
mod rank;
mod read;
mod source_files;
pub(crate) mod text;

pub use flags::{Flag, Kind, Shown};
pub use mask::MaskChoice;
pub use per_source::PerSource;
pub use rank::Rank;
pub use read::{Described, from_map, options};
pub(crate) use read::{deserialize, serialize};
pub use source_files::SourceFiles;
