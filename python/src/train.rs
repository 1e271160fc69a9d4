//! Models from recordings of each source alone.

use std::path::{Path, PathBuf};

use partwise::recordings::{Event, Material, Recordings};
use partwise::train::Means;
use partwise::{AnyEngine, Recording, Result, Training, audio, schedule};
use pyo3::prelude::*;

use crate::arrays::{Samples, recording};
use crate::model::Model;
use crate::{engines, options, work};

/// A recording of a source: a path, folder, glob or @list; or samples (C, N) in f32 and their rate in Hz.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    Path(String),
    Samples(Samples<'py>, u32),
}

/// The same, without Python.
enum Found {
    Path(String),
    Samples(Recording),
}

/// Learns a model from recordings of each source, by its name.
#[pyfunction]
pub(crate) fn train(
    py: Python<'_>,
    sources: Vec<(String, Vec<Given<'_>>)>,
    described: &str,
    engine: &str,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let found = |given: Given| match given {
        Given::Path(path) => Found::Path(path),
        Given::Samples(samples, rate) => Found::Samples(recording(&samples, rate)),
    };
    let sources = sources.into_iter().map(|(name, given)| (name, given.into_iter().map(found).collect()));
    let sources: Vec<(String, Vec<Found>)> = sources.collect();
    work::run(py, progress.as_ref(), |control| {
        let training: Training = options::description(described)?;
        training.check()?;
        let read = sources.into_iter().map(|(name, found)| Ok((name, read(found)?)));
        let read = read.collect::<Result<Vec<(String, Read)>>>()?;
        let material: Vec<Material> = read.iter().map(|(name, read)| read.material(name)).collect();
        let (mut done, all) = (0, partwise::train::iterations(&training, material.len()).max(1));
        let mut watch = |event: Event| {
            match event {
                Event::Skipped(error) => log::error!("{error}; it is left out"),
                Event::Warning(recording, warning) => log::warn!("{recording}: {warning}"),
                Event::Iteration(..) => done += 1,
            }
            control.advanced((done as f64 / all as f64).min(1.0))
        };
        // As much memory for mixtures as the command takes.
        let means = Means { memory: schedule::memory_of_machine() / 4, keeper: None };
        let learn = |engine: &AnyEngine| partwise::train::train_within(engine, &material, &training, means, &mut watch);
        engines::with(engine, learn).and_then(Model::of)
    })
}

/// The recordings of a source, in files or in memory.
enum Read {
    Files(Vec<PathBuf>),
    Memory(Vec<Recording>),
}

impl Read {
    fn material(&self, name: &str) -> Material<'_> {
        let recordings = match self {
            Self::Files(files) => Recordings::Files(files.clone()),
            Self::Memory(recordings) => Recordings::Memory(recordings),
        };
        Material { name: name.into(), recordings }
    }
}

/// Files stay files where all are. Beside samples they are read, and those that cannot be are left out, as in a training on
/// files.
fn read(found: Vec<Found>) -> Result<Read> {
    let (mut all, mut recordings) = (Vec::new(), Vec::new());
    let only_files = !found.iter().any(|found| matches!(found, Found::Samples(_)));
    for found in found {
        match found {
            Found::Path(path) if only_files => all.extend(files(&path)?),
            Found::Path(path) => recordings.extend(files(&path)?.iter().filter_map(|file| usable(file))),
            Found::Samples(recording) => recordings.push(recording),
        }
    }
    Ok(if only_files { Read::Files(all) } else { Read::Memory(recordings) })
}

fn usable(file: &Path) -> Option<Recording> {
    match audio::read(file) {
        Ok(recording) => {
            recording.warnings.iter().for_each(|warning| log::warn!("{}: {warning}", file.display()));
            Some(recording)
        }
        Err(error) => {
            log::error!("{error}; it is left out");
            None
        }
    }
}

/// The files that a path stands for.
pub(crate) fn files(path: &str) -> Result<Vec<PathBuf>> {
    let schedule::Listing { inputs, left_out } = schedule::list(&[path.to_string()], None)?;
    if !left_out.is_empty() {
        log::warn!("{path}: {left_out}");
    }
    Ok(inputs.into_iter().map(|input| input.path).collect())
}
