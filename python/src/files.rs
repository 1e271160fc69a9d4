//! The pipeline over many files: that of `partwise separate`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use partwise::engines::Engines;
use partwise::recordings::Event;
use partwise::schedule::{
    self, Batch, FileReport, Job, LeftOut, Listing, Naming, OnError, Outcome, Parameters, Shard, Station, Watch,
};
use partwise::separate::Plan;
use partwise::{Error, Separation};
use pyo3::prelude::*;
use serde::Serialize;

use crate::model::{Model, json};
use crate::work::Control;
use crate::{engines, options, work};

/// How a job goes through its files.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Way {
    inputs: Vec<String>,
    pub(crate) output: PathBuf,
    name: Option<String>,
    pub(crate) resume: bool,
    shard: Option<String>,
    memory: Option<u64>,
    stop_on_error: bool,
    pub(crate) engine: String,
}

/// What a run amounts to.
#[derive(Serialize)]
struct Summary {
    files: usize,
    done: usize,
    resumed: usize,
    failed: usize,
    left: usize,
    full: bool,
    left_out: LeftOut,
    audio_seconds: f64,
    wall_seconds: f64,
    engine: String,
    engine_busy: f64,
    error: Option<String>,
    results: Vec<FileReport>,
}

/// Separates files into a folder. `progress` gets the bytes done and in all, and the files ended and in all. The summary is JSON.
#[pyfunction]
pub(crate) fn separate_files(
    py: Python<'_>,
    way: Way,
    model: Option<Bound<'_, Model>>,
    described: &str,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<String> {
    let model = model.map(|model| (model.get().trained.clone(), model.get().hash.clone()));
    let seen = Mutex::new(Seen::default());
    let job = |control: &Control| {
        let separation: Separation = options::description(described)?;
        let (model, hash) = model.as_ref().map(|(model, hash)| (&**model, hash.clone())).unzip();
        let mut plan = Plan::new(model, &with_files(separation)?, &mut watch)?;
        way.run(&mut plan, hash.unwrap_or_default(), control, &seen)
    };
    let mut told = Seen::default();
    let summary = work::run_heard(py, job, |_| {
        let now = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        match progress.as_ref().filter(|_| now != told) {
            Some(progress) => {
                told = now;
                progress.call1((now.bytes, now.of_bytes, now.ended, now.files)).map(drop)
            }
            None => Ok(()),
        }
    })?;
    json(py, &summary)
}

pub(crate) fn watch(event: Event) -> partwise::Result<()> {
    match event {
        Event::Skipped(error) => log::error!("{error}; it is left out"),
        Event::Warning(recording, warning) => log::warn!("{recording}: {warning}"),
        Event::Iteration(..) => {}
    }
    Ok(())
}

/// The same description, with the files that its folders and globs stand for.
pub(crate) fn with_files(mut separation: Separation) -> partwise::Result<Separation> {
    for files in separation.files_mut() {
        let found = files.iter().map(|path| crate::train::files(&path.to_string_lossy()));
        *files = found.collect::<partwise::Result<Vec<_>>>()?.concat();
    }
    Ok(separation)
}

impl Way {
    fn run(&self, plan: &mut Plan, model: String, control: &Control, seen: &Mutex<Seen>) -> partwise::Result<Summary> {
        let shard = self.shard.as_deref().map(Shard::from_str).transpose()?;
        let Listing { inputs, left_out } = schedule::list(&self.inputs, Some(&self.output))?;
        let (opened, which) = engines::named(&self.engine)?;
        let parameters = parameters(plan, model)?;
        let mut stations = schedule::stations(plan, &opened, which.open(&opened)?)?;
        let engine = stations.iter().map(Station::describe).collect::<Vec<_>>().join(", ");
        let means = self.means(plan, &opened, &stations)?;
        let job = self.job(plan, parameters, means, &control.stop)?;
        let own = inputs.iter().enumerate().filter(|&(index, _)| shard.is_none_or(|shard| shard.holds(index)));
        let sizes: Vec<u64> = own.map(|(_, input)| size(&input.path)).collect();
        *lock(seen) = Seen { of_bytes: sizes.iter().sum(), files: sizes.len(), ..Seen::default() };
        let started = Instant::now();
        let batch = Batch { inputs: &inputs, shard, resume: self.resume };
        let outcome = schedule::run(&mut stations, &job, &batch, &mut Teller(seen))?;
        let summary = summarize(outcome, sizes.len(), engine, started.elapsed().as_secs_f64());
        Ok(Summary { left_out, ..summary })
    }

    /// What a job on these stations may take.
    pub(crate) fn means(&self, plan: &Plan, opened: &Engines, stations: &[Station]) -> partwise::Result<Means> {
        let usual = || schedule::usual_memory(stations, plan.scheme.stretch.is_none());
        let memory = self.memory.unwrap_or_else(usual);
        schedule::check_memory(memory, &plan.scheme, stations.iter().map(Station::lanes).sum())?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        // As many threads as the command has.
        Ok(Means { threads: opened.threads.unwrap_or(cores).min(cores).div_ceil(2).min(4), memory })
    }

    pub(crate) fn job<'a>(
        &self,
        plan: &'a Plan,
        parameters: Parameters,
        means: Means,
        stop: &'a AtomicBool,
    ) -> partwise::Result<Job<'a>> {
        Ok(Job {
            scheme: &plan.scheme,
            parameters,
            naming: Naming {
                folder: self.output.clone(),
                pattern: self.name.as_deref().unwrap_or(schedule::PATTERN).into(),
                format: plan.separation.format,
            },
            wanted: plan.wanted()?,
            on_error: if self.stop_on_error { OnError::Stop } else { OnError::Continue },
            threads: means.threads,
            memory: means.memory,
            stop,
        })
    }
}

/// What a job may take: threads that decode, as many that encode, and bytes for panels.
#[derive(Clone, Copy, Default)]
pub(crate) struct Means {
    threads: usize,
    memory: u64,
}

/// What results depend on beside the recordings. `model` is the hash of its file.
pub(crate) fn parameters(plan: &Plan, model: String) -> partwise::Result<Parameters> {
    let mut separation = plan.separation.clone();
    for files in separation.files_mut() {
        let hashes = files.iter().map(|file| schedule::hash(file)).collect::<partwise::Result<Vec<_>>>()?;
        *files = hashes.into_iter().map(PathBuf::from).collect();
    }
    Ok(Parameters { version: env!("CARGO_PKG_VERSION").into(), model, separation })
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn summarize(outcome: Outcome, files: usize, engine: String, wall_seconds: f64) -> Summary {
    let (done, audio_seconds) = outcome.done();
    let Outcome { reports, resumed, left, full, busy, failure } = outcome;
    Summary {
        files,
        done,
        resumed: resumed.len(),
        failed: reports.len() - done,
        left,
        full,
        left_out: LeftOut::default(),
        audio_seconds,
        wall_seconds,
        engine,
        engine_busy: busy,
        error: failure.map(|failure| failure.to_string()),
        results: reports,
    }
}

/// How far a job is.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Seen {
    bytes: u64,
    of_bytes: u64,
    ended: usize,
    files: usize,
}

/// Keeps what the pipeline tells for the thread that has the GIL.
pub(crate) struct Teller<'a>(pub(crate) &'a Mutex<Seen>);

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch for Teller<'_> {
    fn advanced(&mut self, _: usize, bytes: u64, _: f64) {
        lock(self.0).bytes += bytes;
    }

    fn finished(&mut self, _: usize, report: &FileReport, error: Option<&Error>) {
        lock(self.0).ended += 1;
        report.warnings.iter().for_each(|warning| log::warn!("{}: {warning}", report.input.display()));
        if let Some(error) = error {
            log::error!("{error}");
        }
    }
}
