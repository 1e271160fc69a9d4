//! A job of the service: what was asked for, how far it is, and how it ended.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a job does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Separates a recording.
    #[default]
    Separate,
    /// Learns a model from recordings of each source alone.
    Train,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is accepted and waits.
    Queued,
    /// It is worked at.
    Running,
    /// Its results are there.
    Done,
    /// It has an error and no results.
    Failed,
    /// Its owner ended it.
    Cancelled,
}

impl State {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The word for it in JSON, in queries and in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether nothing more will happen to the job.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A recording that was uploaded, or that lies on the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct File {
    /// The name that its owner gave it, without folders.
    pub(super) name: String,
    /// Where it lies: relative to the job's folder if it was uploaded, otherwise absolute.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) channels: usize,
    /// Hz.
    pub(super) sample_rate: u32,
}

/// Recordings of one source alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceFiles {
    pub(super) name: String,
    pub(super) files: Vec<File>,
}

/// The model that a job separates with, as it was when the job was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ModelRef {
    pub(super) name: String,
    pub(super) sha256: String,
}

/// What was asked for. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) model: Option<ModelRef>,
    /// The description as it came: a `Separation` or a `Training`.
    pub(super) given: Value,
    /// The description in force, for display.
    pub(super) options: Value,
    pub(super) recording: Option<File>,
    pub(super) sources: Vec<SourceFiles>,
    /// Of the model to make.
    pub(super) name: Option<String>,
    /// Whether that may replace a model.
    pub(super) replace: bool,
    /// Jobs of one desk can be worked at together: they have the same model and the same options.
    pub(super) desk: String,
}

impl Request {
    /// All files of the request.
    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.recording.iter().chain(self.sources.iter().flat_map(|source| &source.files))
    }

    /// Seconds of audio of all files.
    pub(super) fn seconds(&self) -> f64 {
        self.files().map(|file| file.seconds).sum()
    }
}

/// A stem of a job that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stem {
    pub(super) source: String,
    /// Its file in the job's folder of results.
    pub(super) file: String,
    pub(super) bytes: u64,
}

/// How a job ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) error: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) stems: Vec<Stem>,
}

/// A job as the store has it. `Queued` stands for `Running` too: after a restart, a job that was running waits again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) state: State,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    /// Of its files and results on disk.
    pub(super) bytes: u64,
    pub(super) request: Request,
    pub(super) outcome: Outcome,
}
