//! Where the files of a run come from.

use std::path::PathBuf;

use super::Input;

/// A file of a run, with its outputs. [`Job::files`](super::Job::files) names those of many files, and
/// [`Job::file`](super::Job::file) those of one for a live run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its number. No other file of the run has it.
    pub index: usize,
    /// What is read.
    pub input: Input,
    /// One per source that is written, in their order. No other file of the run has one of them.
    pub outputs: Vec<PathBuf>,
}

/// Where the files of a run come from. All its functions are called from several threads at once.
pub trait Files: Sync {
    /// The next file. It may wait for one. `None` ends the run: there are no more. Every decoding thread asks until it is told
    /// `None`, so `None` must be repeated.
    fn next(&self) -> Option<File>;

    /// Whether nobody wants the results of the file of this index any more. A file in progress then fails with
    /// [`Error::Cancelled`](crate::Error::Cancelled), and none of its outputs is written. This is asked before each part of the
    /// work on a file, so a file that is dropped just before its end may still be done: its report says so. A dropped file stays
    /// dropped until its report.
    fn is_dropped(&self, index: usize) -> bool {
        let _ = index;
        false
    }

    /// Called once if the run begins no more files for a reason of its own, such as the loss of the last engine or a full disk. A
    /// call of [`Files::next`] that waits should then return `None`, because the run ends after it. This must not wait.
    fn stopped(&self) {}
}
