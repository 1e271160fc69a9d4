//! Where a service keeps its data.
//!
//! ```text
//! DATA/lock             held by the service that uses the folder
//! DATA/jobs.sqlite      the store of jobs
//! DATA/uploads/ID/      what is still being uploaded; removed at a start
//! DATA/runs/N/          what is still being computed; removed at a start
//! DATA/jobs/ID/         recording, sources/, results/ and pictures/ of a job
//! ```

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// The folder of a service's data.
pub(super) struct Folders {
    root: PathBuf,
    runs: AtomicU64,
    /// The lock is held as long as the file is open.
    _lock: File,
}

impl Folders {
    /// Takes a folder, which is made if it is not there, and removes what a killed service left unfinished.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] if another service uses the folder.
    pub(super) fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(Error::io(root, "create"))?;
        let root = &root.canonicalize().map_err(Error::io(root, "open"))?;
        let path = root.join("lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(Error::io(&path, "write"))?;
        if lock.try_lock().is_err() {
            return Err(Error::input(format!(
                "{}: another service uses this folder; name another --data",
                root.display()
            )));
        }
        let folders = Self { root: root.into(), runs: AtomicU64::new(0), _lock: lock };
        for unfinished in ["uploads", "runs"].map(|name| root.join(name)) {
            remove(&unfinished)?;
            std::fs::create_dir_all(&unfinished).map_err(Error::io(&unfinished, "create"))?;
        }
        let jobs = root.join("jobs");
        std::fs::create_dir_all(&jobs).map_err(Error::io(&jobs, "create"))?;
        Ok(folders)
    }

    pub(super) fn store(&self) -> PathBuf {
        self.root.join("jobs.sqlite")
    }

    /// The folder of what a client is uploading.
    pub(super) fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// The folder of a job.
    pub(super) fn job(&self, id: &str) -> PathBuf {
        self.root.join("jobs").join(id)
    }

    /// The folder of a job's stems: it is there, with all of them, or it is not there.
    pub(super) fn results(&self, id: &str) -> PathBuf {
        self.job(id).join("results")
    }

    /// The folder of what is made of a job's sound when it is asked for.
    pub(super) fn pictures(&self, id: &str) -> PathBuf {
        self.job(id).join("pictures")
    }

    /// A new folder for a run.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("runs").join(self.runs.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// The ids of all jobs that have a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn jobs(&self) -> Result<Vec<String>> {
        let jobs = self.root.join("jobs");
        let entries = std::fs::read_dir(&jobs).map_err(Error::io(&jobs, "read"))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn remove(folder: &Path) -> Result<()> {
    let mut tries = 3;
    loop {
        tries -= 1;
        match std::fs::remove_dir_all(folder) {
            // A file that an upload was about to make came after the folder was emptied. Its client is gone, so it was the last one.
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty && tries > 0 => {}
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(Error::io(folder, "remove")(cause)),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_service_and_loses_what_is_unfinished() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let (upload, run, job) = (folders.upload("u"), folders.run(), folders.job("j"));
        for folder in [&upload, &run, &job] {
            std::fs::create_dir_all(folder).unwrap();
        }
        assert!(Folders::open(root.path()).err().unwrap().to_string().contains("another service"));
        assert!(upload.exists());
        drop(folders);
        let folders = Folders::open(root.path()).unwrap();
        assert!(!upload.exists() && !run.exists() && job.exists());
        assert_eq!(folders.jobs().unwrap(), ["j"]);
    }
}
