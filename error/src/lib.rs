//! The error type of the library.
//!
//! Every message is one lower-case line: the thing, the cause and, if the user can act, what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Everything that can go wrong. The binary maps each variant to an exit status (see the README).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written. Check its path, its permissions and the free space.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The failed action, as a verb: "read", "write", "create".
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A recording is unusable: not audio, of an unsupported type, broken, empty, or with NaN or infinite samples.
    #[error("{}: {reason}", path.display())]
    Audio {
        /// The recording.
        path: PathBuf,
        /// The cause and what to do.
        reason: String,
    },
    /// A model file is not a model, is damaged, or does not fit the request.
    #[error("{}: {reason}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// The cause and what to do.
        reason: String,
    },
    /// An argument, option or matrix is out of range. The caller can correct it.
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
    /// The objective of a job became NaN or infinite. That job is lost; others are not.
    #[error("{what}: the objective is not finite after iteration {iteration}; check the data's range")]
    Diverged {
        /// The job.
        what: String,
        /// The first iteration after which it was seen.
        iteration: usize,
    },
    /// The engine cannot start, or stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why an engine cannot continue.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No adapter was found, or none that matches the request.
    #[error("no usable gpu: {0}; `partwise devices` lists the adapters, `--engine cpu` needs none")]
    NoAdapter(String),
    /// Device memory ran out. A narrower panel may fit.
    #[error("the gpu is out of memory: {0}; use a smaller panel, or `--engine cpu`")]
    OutOfMemory(String),
    /// The device was lost (driver reset, unplugged, watchdog). It can be opened again.
    #[error("the gpu was lost: {0}; run again, or use `--engine cpu`")]
    Lost(String),
    /// The device refused a shader or a command: a defect of this program or of the driver.
    #[error("the gpu refused a command: {0}; please report it, and use `--engine cpu`")]
    Refused(String),
    /// The device did not answer in time.
    #[error("the gpu did not answer within {0} s; use `--engine cpu`, or another device with `--gpu`")]
    Timeout(u64),
}

/// The library's `Result`.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an [`Error::Io`] from a system error, for `map_err`.
    pub fn io(path: impl AsRef<Path>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// Whether no room is left where the program writes, so that the next write fails too: a full disk, a quota, or a
    /// file size limit of this process (`ulimit -f`). A file too large for its file system does not count: other files
    /// still fit.
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => true,
            ErrorKind::FileTooLarge => file_sizes_are_limited(),
            _ => false,
        }
    }

    /// Makes an [`Error::Audio`].
    pub fn audio(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Audio { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// Makes an [`Error::Model`].
    pub fn model(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Model { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// Makes an [`Error::Option`].
    pub fn option(option: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Option { option: option.into(), reason: reason.into() }
    }

    /// Makes an [`Error::Input`].
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
