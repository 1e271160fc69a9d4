//! What a model keeps of how each source was learned.

use serde_json::Map;

use crate::Error;
use crate::methods::nmf::train::LearnedSource;
use crate::model::SourceSummary;
use crate::recordings::Named;

/// The error of a source of silence.
pub(super) fn silent(name: &str) -> Error {
    Error::input(format!("source '{name}': its recordings are silent; there is nothing to learn"))
}

/// What is known of a source before it is learned.
pub(super) fn begun(name: &str, recordings: &[Named], frames: usize, rank: usize) -> SourceSummary {
    SourceSummary {
        name: name.into(),
        files: recordings.len(),
        seconds: recordings.iter().map(|(_, recording)| recording.seconds()).sum(),
        frames,
        rank,
        iterations: 0,
        first_objective: 0.0,
        final_objective: 0.0,
        dead_components: 0,
        expected: Vec::new(),
        details: Map::new(),
    }
}

/// The same once it has been learned.
pub(super) fn ended(summary: SourceSummary, LearnedSource { bases, fit }: &LearnedSource) -> SourceSummary {
    SourceSummary {
        rank: bases.ncols(),
        iterations: fit.iterations,
        first_objective: fit.objective.first().copied().unwrap_or_default(),
        final_objective: fit.objective.last().copied().unwrap_or_default(),
        dead_components: bases.columns().into_iter().filter(|column| column.iter().all(|&w| w == 0.0)).count(),
        ..summary
    }
}
