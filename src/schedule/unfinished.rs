//! Files that are not whole yet: what they are called, whose they are, and what becomes of those that a killed run has left.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::{Error, Result};

/// What the names of hidden files end with that are there for the time of a run.
const END: &str = ".partial";
/// What the name of a run's mark begins with.
const MARK: &str = ".run-";

/// A run at work in a folder of results. Its unfinished files carry its name, so no two runs ever write to one. Its mark, a file
/// that it keeps locked as long as it lives, tells them from those of a killed run.
pub(super) struct Run {
    name: String,
    /// Removed with it.
    _mark: NamedTempFile<File>,
}

impl Run {
    /// Begins a run in `folder` and removes what killed ones have left there and below. The folder's manifest is to be locked
    /// meanwhile: between the making of a mark and its lock, nobody may take it for a dead run's.
    ///
    /// # Errors
    /// [`Error::Io`] where nothing can be written.
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let dead = dead_runs(folder);
        if !dead.is_empty() {
            remove_left_over(folder, &dead);
        }
        let builder = &mut tempfile::Builder::new();
        let mark = builder.prefix(MARK).suffix(END).rand_bytes(12).make_in(folder, |path| File::create_new(path));
        let mark = mark.map_err(Error::io(folder, "write to"))?;
        // Where files cannot be locked, nobody can tell whether a run is dead, and nothing is removed.
        let _ = mark.as_file().try_lock();
        let name = mark.path().file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_start_matches(MARK).trim_end_matches(END).to_string();
        Ok(Self { name, _mark: mark })
    }

    /// Where an output is written until it is whole: beside its place, so that it only has to be renamed, under a name that is
    /// never too long.
    pub(super) fn partial(&self, output: &Path) -> PathBuf {
        let hash = Sha256::digest(output.file_name().unwrap_or_default().as_encoded_bytes());
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        output.with_file_name(format!(".{hash}.{}{END}", self.name))
    }
}

/// The ends of the names of all files of runs that are dead.
fn dead_runs(folder: &Path) -> Vec<OsString> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let dead = names.filter_map(|name| {
        let run = name.to_str()?.strip_prefix(MARK).filter(|run| run.ends_with(END))?;
        // Some file systems lock only what may be written to.
        let mark = File::options().read(true).write(true).open(folder.join(&name)).ok()?;
        mark.try_lock().is_ok().then(|| run.into())
    });
    dead.collect()
}

/// Removes files of dead runs, in a folder and below it; the marks last, so that a removal that is broken off is taken up again.
/// What cannot be removed does no harm.
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
    fn unfinished_files_have_short_names_of_their_own_in_every_run() {
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
    fn what_a_killed_run_left_goes_and_what_a_living_one_writes_stays() {
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
        // As kill -9 does: the lock goes, the files stay.
        let (file, path) = killed._mark.into_parts();
        path.keep().unwrap();
        drop(file);
        let next = Run::begin(folder).unwrap();
        assert!(kept.iter().all(|partial| partial.exists()));
        // The dead run's file and mark, and the mark of the new one.
        assert_eq!(names(folder).len(), before - 2 + 1);
        assert_eq!(names(&folder.join("below")).len(), 1);
        drop((living, next));
        assert!(names(folder).iter().all(|name| !name.starts_with(MARK)), "{:?}", names(folder));
    }
}
