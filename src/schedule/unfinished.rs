//! Unfinished files: their names, the runs that own them, and the cleanup after killed runs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::{Error, Result};

/// The suffix of hidden files that exist only during a run.
const END: &str = ".partial";
/// The prefix of a run's mark.
const MARK: &str = ".run-";

/// A run in progress in a results folder. Its unfinished files carry its name, so no two runs write to the same file.
/// Its mark is a file that it keeps locked while it runs. The lock distinguishes it from a killed run.
pub(super) struct Run {
    name: String,
    /// Removed together with the run.
    _mark: NamedTempFile<File>,
}

impl Run {
    /// Starts a run in `folder`, and removes the files of killed runs in and below it. The caller must hold the lock of
    /// the folder's manifest: otherwise another process could see the new mark before it is locked and take it for a
    /// killed run's.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder is not writable.
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let dead = dead_runs(folder);
        if !dead.is_empty() {
            remove_left_over(folder, &dead);
        }
        let builder = &mut tempfile::Builder::new();
        let mark = builder.prefix(MARK).suffix(END).rand_bytes(12).make_in(folder, |path| File::create_new(path));
        let mark = mark.map_err(Error::io(folder, "write to"))?;
        // Without file locks nobody can tell whether a run is dead, so nothing is removed.
        let _ = mark.as_file().try_lock();
        let name = mark.path().file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_start_matches(MARK).trim_end_matches(END).to_string();
        Ok(Self { name, _mark: mark })
    }

    /// The path for an output until it is complete: in the same folder, so that a rename suffices, under a name that is
    /// never too long.
    pub(super) fn partial(&self, output: &Path) -> PathBuf {
        let hash = Sha256::digest(output.file_name().unwrap_or_default().as_encoded_bytes());
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        output.with_file_name(format!(".{hash}.{}{END}", self.name))
    }
}

/// The suffixes of all files of dead runs.
fn dead_runs(folder: &Path) -> Vec<OsString> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let dead = names.filter_map(|name| {
        let run = name.to_str()?.strip_prefix(MARK).filter(|run| run.ends_with(END))?;
        // Some file systems only lock files that are open for writing.
        let mark = File::options().read(true).write(true).open(folder.join(&name)).ok()?;
        mark.try_lock().is_ok().then(|| run.into())
    });
    dead.collect()
}

/// Removes the files of dead runs in and below a folder. The marks go last, so that an interrupted removal is repeated.
/// Files that cannot be removed do no harm.
fn remove_left_over(folder: &Path, dead: &[OsString]) {
    let (mut marks, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let of_dead = |run: &OsString| {
                name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(run.as_encoded_bytes())
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if dead.iter().any(of_dead) {
                if name.as_encoded_bytes().starts_with(MARK.as_bytes()) {
                    marks.push(path);
                } else {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }
    for mark in marks {
        let _ = std::fs::remove_file(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn unfinished_files_have_short_names_unique_to_their_run() {
        let root = tempfile::tempdir().unwrap();
        let runs = [(); 2].map(|()| Run::begin(root.path()).unwrap());
        let long = "x".repeat(251);
        let outputs = ["a.wav", "b.wav", &format!("{long}.wav")].map(|name| root.path().join("below").join(name));
        let partials: Vec<PathBuf> =
            runs.iter().flat_map(|run| outputs.iter().map(|output| run.partial(output))).collect();
        let different: std::collections::HashSet<_> = partials.iter().collect();
        assert_eq!(different.len(), 6);
        assert!(partials.iter().all(|partial| partial.parent() == outputs[0].parent()));
        assert!(partials.iter().all(|partial| partial.file_name().unwrap().len() < 40));
    }

    #[test]
    fn files_of_killed_runs_are_removed_and_those_of_running_ones_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        std::fs::create_dir(folder.join("below")).unwrap();
        let (living, killed) = (Run::begin(folder).unwrap(), Run::begin(folder).unwrap());
        let mut kept = Vec::new();
        for (run, lives) in [(&living, true), (&killed, false)] {
            for output in ["x.wav", "below/x.wav"] {
                let partial = run.partial(&folder.join(output));
                std::fs::write(&partial, "half").unwrap();
                kept.extend(lives.then_some(partial));
            }
        }
        for other in [".mine.partial", "x.wav", ".hidden"] {
            std::fs::write(folder.join(other), "another's").unwrap();
        }
        let before = names(folder).len();
        // Like kill -9: the lock is released, the files stay.
        let (file, path) = killed._mark.into_parts();
        path.keep().unwrap();
        drop(file);
        let next = Run::begin(folder).unwrap();
        assert!(kept.iter().all(|partial| partial.exists()));
        // The dead run's file and mark are gone, the new run's mark was added.
        assert_eq!(names(folder).len(), before - 2 + 1);
        assert_eq!(names(&folder.join("below")).len(), 1);
        drop((living, next));
        assert!(names(folder).iter().all(|name| !name.starts_with(MARK)), "{:?}", names(folder));
    }
}
