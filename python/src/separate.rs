//! Separation in memory.

use numpy::PyArray2;
use partwise::Separation;
use pyo3::prelude::*;

use crate::arrays::{Samples, recording, samples};
use crate::model::Model;
use crate::{engines, options, work};

/// Separates samples (C, N) into those of each source, by its name.
#[pyfunction]
pub(crate) fn separate<'py>(
    py: Python<'py>,
    given: Samples<'py>,
    sample_rate: u32,
    model: Option<Bound<'py, Model>>,
    described: &str,
    engine: &str,
    progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Vec<(String, Bound<'py, PyArray2<f32>>)>> {
    let (recording, model) = (recording(&given, sample_rate), model.map(|model| model.get().trained.clone()));
    let stems = work::run(py, progress.as_ref(), |control| {
        let separation: Separation = options::description(described)?;
        engines::with(engine, |engine| {
            let mut share = |share| control.share(share);
            partwise::separate(engine, model.as_deref(), &recording, &separation, &mut share)
        })
    })?;
    stems.into_iter().map(|stem| Ok((stem.source, samples(py, &stem.recording)?))).collect()
}
