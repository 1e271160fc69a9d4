//! A separation job: which files, from what, to where.

use std::sync::atomic::AtomicBool;

use super::{Input, Naming, Parameters, Shard};
use crate::separate::Scheme;

/// What to do with the other files when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Do them.
    Continue,
    /// Finish what is in flight, begin no more.
    Stop,
}

/// A separation job.
pub struct Job<'a> {
    /// What recordings are separated into, and how they are shown to the engines, which are to suit it.
    pub scheme: &'a Scheme,
    /// The files, see [`super::list`].
    pub inputs: &'a [Input],
    /// Which of them; all if it is missing.
    pub shard: Option<Shard>,
    /// Where results go.
    pub naming: Naming,
    /// The source to write; all of them if it is missing.
    pub only: Option<usize>,
    /// What the results depend on, for the manifest.
    pub parameters: Parameters,
    /// Whether files that the manifest and the outputs prove done are left as they are.
    pub resume: bool,
    /// What a failure means for the rest.
    pub on_error: OnError,
    /// Threads that decode and threads that encode, each; beside those of the engines.
    pub threads: usize,
    /// Bytes that the panels may take, on the host and on each device; see [`super::check_memory`].
    pub memory: u64,
    /// Once set, what is in flight is finished and no more begun.
    pub stop: &'a AtomicBool,
}
