//! Recordings that an option names, by source.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A source and recordings of it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFiles {
    /// The source's name.
    pub name: String,
    /// Files; on the command line also folders, globs and lists.
    pub recordings: Vec<PathBuf>,
}
