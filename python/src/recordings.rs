//! Recordings in files, with no loss of bits.

use std::path::PathBuf;

use numpy::PyArray2;
use partwise::audio::{self, Format};
use pyo3::prelude::*;

use crate::arrays::{Samples, recording, samples};
use crate::work;

/// Reads samples (C, N) and their rate in Hz.
#[pyfunction]
pub(crate) fn read_recording(py: Python<'_>, path: PathBuf) -> PyResult<(Bound<'_, PyArray2<f32>>, u32)> {
    let recording = work::run(py, None, |_| audio::read(&path))?;
    Ok((samples(py, &recording)?, recording.sample_rate))
}

/// Writes samples (C, N) as a WAV file of 32-bit floats.
#[pyfunction]
pub(crate) fn write_recording(py: Python<'_>, path: PathBuf, given: Samples<'_>, sample_rate: u32) -> PyResult<()> {
    let recording = recording(&given, sample_rate);
    work::run(py, None, |_| {
        recording.check("samples")?;
        audio::write(&path, &recording, Format::WavF32).map(drop)
    })
}
