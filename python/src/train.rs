//! Models from recordings of each source alone.

use std::path::PathBuf;

use partwise::recordings::{Event, Material, Recordings};
use partwise::train::Means;
use partwise::{Recording, Training, audio, schedule};
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
    Files(Vec<PathBuf>),
    Memory(Recording),
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
    let found = |given: &Given| -> partwise::Result<Found> {
        match given {
            Given::Path(path) => files(path).map(Found::Files),
            Given::Samples(samples, rate) => Ok(Found::Memory(recording(samples, *rate))),
        }
    };
    let sources = sources.iter().map(|(name, given)| {
        let found = given.iter().map(found).collect::<partwise::Result<Vec<_>>>()?;
        Ok((name.clone(), found))
    });
    let sources = sources.collect::<partwise::Result<Vec<_>>>().map_err(|error| crate::errors::raised(py, &error))?;
    work::run(py, progress.as_ref(), |control| {
        let training: Training = options::description(described)?;
        training.check()?;
        engines::with(engine, |engine| {
            let read = sources.into_iter().map(|(name, found)| (name, read(found))).collect::<Vec<_>>();
            let material = read.iter().map(|(name, read)| {
                let recordings = match read {
                    Read::Files(files) => Recordings::Files(files.clone()),
                    Read::Memory(recordings) => Recordings::Memory(recordings),
                };
                Material { name: name.clone(), recordings }
            });
            let material: Vec<Material> = material.collect();
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
            partwise::train::train_within(engine, &material, &training, means, &mut watch)
        })
        .and_then(Model::of)
    })
}

/// The recordings of a source, in files or in memory.
enum Read {
    Files(Vec<PathBuf>),
    Memory(Vec<Recording>),
}

/// Files stay files where all are. Beside samples they are read, and those that cannot be are left out, as in a training on
/// files.
fn read(found: Vec<Found>) -> Read {
    if found.iter().all(|found| matches!(found, Found::Files(_))) {
        let files =
            found.into_iter().flat_map(|found| if let Found::Files(files) = found { files } else { Vec::new() });
        return Read::Files(files.collect());
    }
    let read = found.into_iter().flat_map(|found| match found {
        Found::Memory(recording) => vec![Some(recording)],
        Found::Files(files) => files.iter().map(|file| usable(file)).collect(),
    });
    Read::Memory(read.flatten().collect())
}

fn usable(file: &std::path::Path) -> Option<Recording> {
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
pub(crate) fn files(path: &str) -> partwise::Result<Vec<PathBuf>> {
    let schedule::Listing { inputs, left_out } = schedule::list(&[path.to_string()], None)?;
    if !left_out.is_empty() {
        log::warn!("{path}: {left_out}");
    }
    Ok(inputs.into_iter().map(|input| input.path).collect())
}
