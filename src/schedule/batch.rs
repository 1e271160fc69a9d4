//! A list of files as the source of a run.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;

use super::{File, Files, Input, Job, Shard};
use crate::Result;

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

/// The files of a batch that have not been begun. Their index is that among all inputs.
pub(super) struct List<'a>(Mutex<vec::IntoIter<(usize, &'a Input, Vec<PathBuf>)>>);

impl<'a> List<'a> {
    /// Plans the names of a batch.
    ///
    /// # Errors
    /// Those of [`super::Naming::plan`].
    pub(super) fn of(batch: &Batch<'a>, job: &Job) -> Result<Self> {
        // Names are planned for all shards together, so that they do not depend on the number of shards.
        let plan = job.plan(batch.inputs)?;
        let files = batch.inputs.iter().zip(plan).enumerate();
        let files = files.filter(|&(index, _)| batch.shard.is_none_or(|shard| shard.holds(index)));
        let files: Vec<_> = files.map(|(index, (input, outputs))| (index, input, outputs)).collect();
        Ok(Self(Mutex::new(files.into_iter())))
    }

    /// The number of files that have not been begun.
    pub(super) fn left(&self) -> usize {
        self.rest().len()
    }

    fn rest(&self) -> MutexGuard<'_, vec::IntoIter<(usize, &'a Input, Vec<PathBuf>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for List<'_> {
    fn next(&self) -> Option<File> {
        let (index, input, outputs) = self.rest().next()?;
        Some(File { index, input: input.clone(), outputs })
    }
}
