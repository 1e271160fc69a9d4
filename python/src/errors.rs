//! The library's errors as Python exceptions. The classes are in `partwise/errors.py`: PyO3 makes none of two bases.

use std::io::ErrorKind;
use std::path::Path;

use partwise::Error;
use pyo3::prelude::*;

/// The exception for an error of the library, with its sentence.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|cause| cause)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = py.import("partwise.errors")?.getattr(class(error))?;
    let exception = class.call1((error.to_string(),))?;
    let about = |path: &Path| exception.setattr("filename", path.as_os_str());
    match error {
        Error::Io { path, source, .. } => {
            about(path)?;
            exception.setattr("errno", source.raw_os_error())?;
        }
        Error::Audio { path, .. } | Error::Model { path, .. } => about(path)?,
        Error::Option { option, .. } => exception.setattr("option", option)?,
        _ => {}
    }
    Ok(PyErr::from_value(exception))
}

fn class(error: &Error) -> &'static str {
    match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => "MissingFileError",
        Error::Io { .. } => "FileError",
        Error::Audio { .. } => "AudioError",
        Error::Model { .. } => "ModelError",
        Error::Option { .. } => "OptionError",
        Error::Input(_) => "InputError",
        Error::Diverged { .. } => "DivergedError",
        Error::Engine(_) => "EngineError",
        // Among others, work that was cancelled, which raises what cancelled it instead.
        _ => "Error",
    }
}
