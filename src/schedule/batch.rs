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

#[cfg(test)]
mod tests {
    use super::super::faults::{Unwatched, World, alone};
    use super::super::{MANIFEST, Record, Status, read_manifest, run_files};

    #[test]
    fn files_that_were_planned_together_may_be_separated_in_parts() {
        let world = World::new(&[900, 4000, 30_000, 900]);
        let expected = world.undisturbed();
        let job = world.job("parts");
        let files = job.files(&world.inputs()).unwrap();
        let stations = &mut [alone(world.separator())];
        // The parts overlap, and their order is not that of the files.
        for (part, resumed) in [([3, 1], 0), ([2, 1], 1), ([0, 3], 1)] {
            let record = Record::read(&world.path("parts")).unwrap();
            let part = part.map(|index| files[index].clone()).to_vec();
            let outcome = run_files(stations, &job, part, Some(&record), &mut Unwatched).unwrap();
            assert!(outcome.reports.iter().all(|report| report.status == Status::Done));
            assert_eq!((outcome.reports.len(), outcome.resumed.len(), outcome.left), (2 - resumed, resumed, 0));
        }
        assert_eq!(world.files("parts"), expected);
        assert_eq!(read_manifest(&world.path("parts").join(MANIFEST)).unwrap().len(), 4);
    }
}
