//! A list of files as the source of a run.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;

use super::{File, Files, Input, Shard};

/// The files of a run that are known before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The files, see [`super::list`].
    pub inputs: &'a [Input],
    /// The part of the files to do; all if it is missing.
    pub shard: Option<Shard>,
    /// Whether to skip files that the manifest and the outputs prove done.
    pub resume: bool,
}

/// Files that have not been begun.
pub(super) struct List(Mutex<vec::IntoIter<File>>);

impl List {
    pub(super) fn of(files: Vec<File>) -> Self {
        Self(Mutex::new(files.into_iter()))
    }

    /// The number of files that have not been begun.
    pub(super) fn left(&self) -> usize {
        self.rest().len()
    }

    fn rest(&self) -> MutexGuard<'_, vec::IntoIter<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for List {
    fn next(&self) -> Option<File> {
        self.rest().next()
    }
}
