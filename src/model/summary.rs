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

/// A gain to expect from a separation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The level of the source in the mixture, in dB above the sum of the others.
    pub level_db: f64,
    /// How much closer to the source its stem is than the mixture: the gain in SI-SDR, in dB.
    pub gain_db: f64,
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
    /// The gain to expect at several levels, where it was measured: the mean of two trials, each learned from one half of the recordings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Gain>,
    /// What the method adds, by name.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}
