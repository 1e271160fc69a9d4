//! The state of a long training, in a file beside the model that it learns.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use partwise::Error;
use partwise::train::Keeper;

use super::write_whole;

/// The file of a state. Each new state replaces it as a whole, so an interrupted run leaves the last one.
pub(super) struct StateFile {
    path: PathBuf,
    resume: bool,
    every: Duration,
    written: Instant,
}

impl StateFile {
    /// The state of the training of the model `output`. With `resume`, the training goes on from it.
    pub(super) fn of(output: &Path, resume: bool, every: Duration) -> Self {
        let mut path = output.as_os_str().to_owned();
        path.push(".state");
        Self { path: path.into(), resume, every, written: Instant::now() }
    }

    /// Removes the file, because the model is there.
    pub(super) fn remove(self) -> partwise::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Error::io(&self.path, "remove")(cause)),
            _ => Ok(()),
        }
    }
}

impl Keeper for StateFile {
    fn kept(&mut self) -> partwise::Result<Option<Vec<u8>>> {
        if !self.resume {
            return Ok(None);
        }
        match std::fs::read(&self.path) {
            Ok(state) => Ok(Some(state)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                log::warn!("{}: there is no state to go on from; the training begins anew", self.path.display());
                Ok(None)
            }
            Err(cause) => Err(Error::io(&self.path, "read")(cause)),
        }
    }

    fn is_due(&self) -> bool {
        self.written.elapsed() >= self.every
    }

    fn keep(&mut self, state: &[u8]) -> partwise::Result<()> {
        write_whole(&self.path, |path| std::fs::write(path, state))?;
        self.written = Instant::now();
        Ok(())
    }

    fn refuse(&self, reason: String) -> Error {
        Error::model(&self.path, reason)
    }
}
