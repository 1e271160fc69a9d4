//! A separation job: the files, the scheme, and where results go.

use std::sync::atomic::AtomicBool;

use super::{Input, Naming, Parameters, Shard};
use crate::separate::Scheme;

/// What happens to the other files when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// They are done.
    Continue,
    /// Files in flight are finished, and no more are begun.
    Stop,
}

/// A separation job.
pub struct Job<'a> {
    /// The sources, and how recordings are shown to the engines. The stations must be of the same plan.
    pub scheme: &'a Scheme,
    /// The files, see [`super::list`].
    pub inputs: &'a [Input],
    /// The part of the files to do; all if it is missing.
    pub shard: Option<Shard>,
    /// The folder and the names of the results.
    pub naming: Naming,
    /// The source to write; all of them if it is missing.
    pub only: Option<usize>,
    /// Everything that the results depend on besides the recordings, for the manifest.
    pub parameters: Parameters,
    /// Whether to skip files that the manifest and the outputs prove done.
    pub resume: bool,
    /// What happens to the other files when one fails.
    pub on_error: OnError,
    /// The number of decoding threads, and of encoding threads, besides those of the engines.
    pub threads: usize,
    /// The most bytes of the panels, on the host and on each device; see [`super::check_memory`].
    pub memory: u64,
    /// Once set, files in flight are finished, and no more are begun.
    pub stop: &'a AtomicBool,
}
