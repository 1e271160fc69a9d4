//! Trained models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use partwise::{Error, Model as Trained, Result, schedule};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::work;

/// A trained model, and the SHA-256 of its file.
#[pyclass(frozen, module = "partwise._partwise")]
pub(crate) struct Model {
    pub(crate) trained: Arc<Trained>,
    pub(crate) hash: String,
}

impl Model {
    /// A model without a file: its hash is that of the file which it would have.
    pub(crate) fn of(trained: Trained) -> Result<Self> {
        let hash = schedule::hash_bytes(&trained.to_bytes()?);
        Ok(Self { trained: Arc::new(trained), hash })
    }
}

#[pymethods]
impl Model {
    /// Reads a model's file, or a model that comes with partwise.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        work::run(py, None, |_| {
            let bytes = Trained::read(&path)?;
            Ok(Self { trained: Arc::new(Trained::from_bytes(&path, &bytes)?), hash: schedule::hash_bytes(&bytes) })
        })
    }

    /// Reads the bytes of a model's file. `hash`: that of the file, if it may be another's than the bytes'.
    #[staticmethod]
    #[pyo3(signature = (bytes, hash=None))]
    fn from_bytes(py: Python<'_>, bytes: &[u8], hash: Option<String>) -> PyResult<Self> {
        work::run(py, None, |_| {
            let read = Self::of(Trained::from_bytes(Path::new("model"), bytes)?)?;
            Ok(Self { hash: hash.unwrap_or(read.hash), ..read })
        })
    }

    /// The SHA-256 of its file, in hex.
    #[getter]
    fn hash(&self) -> &str {
        &self.hash
    }

    /// Writes the model's file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        work::run(py, None, |_| self.trained.save(&path))
    }

    /// The bytes of the model's file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::run(py, None, |_| self.trained.to_bytes())?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The names of the sources, in order.
    #[getter]
    fn sources(&self) -> Vec<&str> {
        self.trained.names()
    }

    /// Hz.
    #[getter]
    fn sample_rate(&self) -> u32 {
        self.trained.sample_rate
    }

    /// The name of the method.
    #[getter]
    fn method(&self) -> &str {
        self.trained.parts.method()
    }

    /// How the training went, as JSON.
    #[getter]
    fn training(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.trained.training)
    }

    /// How it was asked to go, as JSON.
    #[getter]
    fn options(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.trained.options)
    }
}

/// A value as JSON.
pub(crate) fn json(py: Python<'_>, value: &impl serde::Serialize) -> PyResult<String> {
    let refused = |cause: serde_json::Error| crate::errors::raised(py, &Error::input(cause.to_string()));
    serde_json::to_string(value).map_err(refused)
}
