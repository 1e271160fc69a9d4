//! The one error of the library.
//!
//! Every message is one line, in lower case: the thing, the cause and, where there is something to do, what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What can go wrong. The binary maps each variant to an exit status (see the README).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written. Check that it exists, its permissions and the free space.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as a verb: "read", "write", "create".
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A recording is not usable: not audio, an unsupported kind, broken, empty, or holding NaN or infinite samples.
    #[error("{}: {reason}", path.display())]
    Audio {
        /// The recording.
        path: PathBuf,
        /// The cause and what to do.
        reason: String,
    },
    /// A model file is not one, is damaged, or does not fit what is asked of it.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// The cause and what to do.
        reason: String,
    },
    /// An argument, option or matrix is out of its range: the caller can mend it.
    #[error("{0}")]
    Input(String),
    /// An option of a job's description is unknown, belongs to another method, or has a value that does not fit.
    #[error("{option}: {reason}")]
    Option {
        /// The option's name, as in JSON: `window_shape`.
        option: String,
        /// The value, the cause and what to do.
        reason: String,
    },
    /// The caller's progress callback asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The numbers of a job stopped being finite. The job is lost, others are not.
    #[error("{what}: the objective is not finite after iteration {iteration}; check the data's range")]
    Diverged {
        /// The job.
        what: String,
        /// The iteration after which it was seen.
        iteration: usize,
    },
    /// The engine cannot run, or stopped running.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an engine cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No adapter, or none that matches what was asked for.
    #[error("no usable gpu: {0}; `partwise devices` lists what there is, `--engine cpu` needs none")]
    NoAdapter(String),
    /// Device memory ran out. A narrower panel may fit.
    #[error("the gpu is out of memory: {0}; use a smaller panel, or `--engine cpu`")]
    OutOfMemory(String),
    /// The device went away (driver reset, unplugged, watchdog). It can be opened anew.
    #[error("the gpu was lost: {0}; run again, or use `--engine cpu`")]
    Lost(String),
    /// A shader or a command was refused: a defect of this program or of the driver.
    #[error("the gpu refused a command: {0}; please report it, `--engine cpu` does without")]
    Refused(String),
    /// The device did not answer in time.
    #[error("the gpu did not answer within {0} s; use `--engine cpu`, or another device with `--gpu`")]
    Timeout(u64),
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`], for `map_err`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// Whether there is no room left where something was to be written, so that what is written next meets it too: a full disk,
    /// a quota, or a limit on the sizes of this process's files (`ulimit -f`). A file that is too large for its file system is
    /// alone in that.
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => true,
            ErrorKind::FileTooLarge => file_sizes_are_limited(),
            _ => false,
        }
    }

    /// An [`Error::Audio`].
    pub fn audio(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Audio { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Model`].
    pub fn model(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Model { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Option`].
    pub fn option(option: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Option { option: option.into(), reason: reason.into() }
    }

    /// An [`Error::Input`].
    pub fn input(reason: impl Into<String>) -> Self {
        Self::Input(reason.into())
    }
}

#[cfg(unix)]
fn file_sizes_are_limited() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some()
}

#[cfg(not(unix))]
fn file_sizes_are_limited() -> bool {
    false
}
