//! How a training went, as the model keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A summary of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The seed of the random starts.
    pub seed: u64,
    /// What it ran on.
    pub engine: String,
    /// The program's version.
    pub version: String,
    /// By source, in order.
    pub sources: Vec<SourceSummary>,
}

/// A summary of one source's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// Its name.
    pub name: String,
    /// Recordings read.
    pub files: usize,
    /// Their length.
    pub seconds: f64,
    /// Frames learned from: those that are not silence.
    pub frames: usize,
    /// K.
    pub rank: usize,
    /// Iterations done.
    pub iterations: usize,
    /// The objective before the first iteration.
    pub first_objective: f64,
    /// The objective after the last.
    pub final_objective: f64,
    /// Components that ended as zeros.
    pub dead_components: usize,
    /// What the method adds, by name.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}
