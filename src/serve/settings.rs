//! How a service is set up.

use std::path::PathBuf;
use std::time::Duration;

use super::tokens::Tokens;
use crate::engines::Engines;
use crate::schedule::OnWhich;

/// How a service is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of models, `NAME.safetensors` each; trained ones are added to it.
    pub models: PathBuf,
    /// The folder of jobs, their recordings and their results.
    pub data: PathBuf,
    /// Folders of this machine whose recordings may be named by their paths.
    pub inputs: Vec<PathBuf>,
    /// Who may use the service; everybody who reaches it if it is missing.
    pub tokens: Option<Tokens>,
    /// How engines are opened.
    pub engines: Engines,
    /// On which engines jobs run.
    pub engine: OnWhich,
    /// Threads that decode and threads that encode, for each model in use.
    pub stage_threads: usize,
    /// Bytes of the panels of each model in use; as for a batch if it is missing.
    pub memory: Option<u64>,
    /// What clients may ask for.
    pub limits: Limits,
}

/// What clients may ask for, and how long results are kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of all uploads of one job.
    pub upload_bytes: u64,
    /// Seconds of a recording.
    pub recording_seconds: f64,
    /// Seconds of audio of all jobs that have not ended.
    pub queue_seconds: f64,
    /// Bytes of the uploads of all jobs that have not ended.
    pub queue_bytes: u64,
    /// How long a job is kept after its end.
    pub keep: Duration,
    /// Bytes of recordings and results of all jobs that have ended. The oldest go first.
    pub keep_bytes: u64,
    /// Connections at the same time.
    pub connections: usize,
}

impl Default for Limits {
    /// 2 GiB and four hours a recording, a day of audio and 16 GiB in the queue, results for a week and up to 32 GiB.
    fn default() -> Self {
        Self {
            upload_bytes: 2 << 30,
            recording_seconds: 4.0 * 3600.0,
            queue_seconds: 24.0 * 3600.0,
            queue_bytes: 16 << 30,
            keep: Duration::from_secs(7 * 24 * 3600),
            keep_bytes: 32 << 30,
            connections: 1024,
        }
    }
}
