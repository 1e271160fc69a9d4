//! A separation job: what all files have in common, and where results go.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::{File, Input, Naming, Parameters};
use crate::Result;
use crate::separate::{Scheme, Wanted};

/// What happens to the other files when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// They are done.
    Continue,
    /// Files in flight are finished, and no more are begun.
    Stop,
}

/// A separation job: all but its files. [`super::run`] takes a list of inputs, [`super::run_files`] those of them that are due, and
/// [`super::run_live`] takes files as they come.
pub struct Job<'a> {
    /// The sources, and how recordings are shown to the engines. The stations must be of the same plan.
    pub scheme: &'a Scheme,
    /// The folder and the names of the results.
    pub naming: Naming,
    /// The stems to write.
    pub wanted: Wanted,
    /// Everything that the results depend on besides the recordings, for the manifest.
    pub parameters: Parameters,
    /// What happens to the other files when one fails.
    pub on_error: OnError,
    /// The number of decoding threads, and of encoding threads, besides those of the engines.
    pub threads: usize,
    /// The most bytes of the panels, on the host and on each device; see [`super::check_memory`].
    pub memory: u64,
    /// Once set, files in flight are finished, and no more are begun. In a live run, whoever sets it also wakes a call of
    /// [`Files::next`](super::Files::next) that waits.
    pub stop: &'a AtomicBool,
}

impl Job<'_> {
    /// A file of a live run. Its outputs are those of a batch of this input alone: they lie in the folder [`Input::below`] of the
    /// results. `index` stands for the file wherever the run speaks of it. No other file of the run may have the same index, or
    /// the same name in the same folder.
    ///
    /// # Errors
    /// Those of [`Naming::plan`].
    pub fn file(&self, index: usize, input: Input) -> Result<File> {
        let outputs = self.plan(std::slice::from_ref(&input))?.into_iter().flatten().collect();
        Ok(File { index, input, outputs })
    }

    /// The files of a batch. Inputs whose outputs would have the same names get others, so the names depend on all inputs: plan
    /// them together, and separate any part of them by [`super::run_files`], in any process.
    ///
    /// # Errors
    /// Those of [`Naming::plan`].
    pub fn files(&self, inputs: &[Input]) -> Result<Vec<File>> {
        let files = inputs.iter().zip(self.plan(inputs)?).enumerate();
        Ok(files.map(|(index, (input, outputs))| File { index, input: input.clone(), outputs }).collect())
    }

    /// The outputs of every input.
    fn plan(&self, inputs: &[Input]) -> Result<Vec<Vec<PathBuf>>> {
        self.naming.plan(inputs, &self.wanted.names(&self.scheme.sources))
    }
}
