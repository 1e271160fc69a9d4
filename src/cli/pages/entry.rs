//! A recording of a run, as its report has it.

use std::path::{Path, PathBuf};

use partwise::schedule::{FileReport, Status};

/// A recording of a run, as its report has it.
pub(in crate::cli) struct Entry {
    pub(super) input: PathBuf,
    /// Its stems, where they are now.
    pub(super) outputs: Vec<PathBuf>,
    /// The first of them below the folder of the results.
    pub(super) place: PathBuf,
    pub(super) seconds: f64,
    /// Why it has no stems.
    pub(super) failure: Option<String>,
}

impl Entry {
    /// That of a line of a manifest. Its stems lie in `results`, to which the folder of the line may have been moved.
    pub(in crate::cli) fn of(line: &FileReport, results: &Path) -> Self {
        let place = |output: &PathBuf| output.strip_prefix(&line.folder).unwrap_or(output).to_path_buf();
        let outputs: Vec<PathBuf> = line.outputs.iter().map(place).collect();
        let failure = match line.status {
            Status::Done => None,
            Status::Failed => Some(line.error.clone().unwrap_or_else(|| "has failed".into())),
            Status::Begun => Some("was interrupted while its results were replaced; separate it again".into()),
        };
        Self {
            input: line.input.clone(),
            place: outputs.first().cloned().unwrap_or_default(),
            outputs: outputs.into_iter().map(|output| results.join(output)).collect(),
            seconds: line.seconds,
            failure,
        }
    }
}
