//! `partwise separate` and `partwise denoise`

mod gains;
mod pipe;
mod summary;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use partwise::AnyEngine;
use partwise::engines::Engines;
use partwise::job::{Denoising, Separation, SeparationMethod};
use partwise::model::Model;
use partwise::options::Described;
use partwise::recordings::Event;
use partwise::schedule::{self, Job, Listing, Naming, OnError, PATTERN, Parameters, Shard, Station, Status};
use partwise::separate::Plan;
use serde::Serialize;

use super::choice::Choice;
use super::common::heading::{FILES, JOBS, MODEL};
use super::description::{self, Options, PRINT};
use super::engine::{choice, engines};
use super::interrupt::Interrupts;
use super::memory::Memory;
use super::pages::{Written, of_run};
use super::progress::JobBar;
use super::{Common, Ending, engine, examples, sources};
use summary::Summary;

/// Threads that decode and threads that encode. The engine is where the work is: a few of each keep it fed.
pub(super) fn stage_threads(common: &Common) -> usize {
    common.thread_count().div_ceil(2).min(4)
}

/// Separate recordings with a trained model, or without one by --method nmf2d
#[derive(Args)]
#[command(after_long_help = examples::SEPARATE)]
pub(super) struct Separate {
    #[command(flatten)]
    batch: Batch<Separation>,
}

/// Take musical noise off recordings: keep what a few components explain, and leave out single cells far above
#[derive(Args)]
#[command(after_long_help = examples::DENOISE)]
pub(super) struct Denoise {
    #[command(flatten)]
    batch: Batch<Denoising>,
}

// The files of a job, what is done to them, and how the job goes through them.
#[derive(Args)]
struct Batch<D: Described + Default + Serialize> {
    /// Files, folders, globs, @list.txt or @list.jsonl; on standard input @- for a list, or, for `separate`, - for a WAV
    #[arg(required_unless_present = PRINT, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The folder for the results, one file a source, and for manifest.jsonl; with -, also -, standard output
    #[arg(short, long, value_name = "DIR", required_unless_present = PRINT, help_heading = FILES)]
    output: Option<PathBuf>,
    /// Also write pages about the results, to listen and to look: DIR/index.html lists them
    #[arg(long, value_name = "DIR", help_heading = FILES)]
    report: Option<PathBuf>,
    /// Write the bases and gains that were found in the one input to an .npz, for numpy
    #[arg(long, value_name = "FILE", conflicts_with = "shard", hide_short_help = true, help_heading = FILES)]
    gains: Option<PathBuf>,
    /// Names of the results, with {stem}, {source} and {ext}
    #[arg(long, default_value = PATTERN, value_name = "PATTERN", hide_short_help = true, help_heading = FILES)]
    name: String,
    /// The model: a file from `partwise train`, or the name of one of `partwise models`
    #[arg(long, value_name = "MODEL", help_heading = MODEL)]
    model: Option<PathBuf>,
    #[command(flatten)]
    options: Options<D>,
    /// Skip files that the manifest proves done: the same input, model and options, and outputs that are there
    #[arg(long, help_heading = JOBS)]
    resume: bool,
    /// Separate the I-th of N parts of the inputs, I from 1 [default: all of them]
    #[arg(long, value_name = "I/N", help_heading = JOBS)]
    shard: Option<Shard>,
    /// Memory for the panels, on the host and on each device, such as 800M or 2G; a job needs some 150M more
    /// [default: 512M, or 3G for a GPU, and a quarter of the machine at most; a quarter of the
    /// machine where recordings are separated as a whole]
    #[arg(long, value_name = "SIZE", hide_short_help = true, help_heading = JOBS)]
    memory: Option<Memory>,
    /// After a file fails: continue or stop
    #[arg(long, default_value = "continue", value_name = "continue|stop", help_heading = JOBS)]
    on_error: OnErrorChoice,
}

#[derive(Clone, Copy)]
struct OnErrorChoice(OnError);

impl FromStr for OnErrorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "continue" => Ok(Self(OnError::Continue)),
            "stop" => Ok(Self(OnError::Stop)),
            _ => Err("use continue or stop".into()),
        }
    }
}

impl Separate {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let separation = self.batch.options.description()?;
        if self.batch.options.is_printed() {
            description::print(&self.batch.in_force(separation)?)?;
            return Ok(Ending::Done);
        }
        self.batch.run(common, separation)
    }

    /// Separates; also, what ended the job early.
    pub(super) fn separate(self, common: &Common) -> anyhow::Result<(Summary, Option<partwise::Error>)> {
        let separation = self.batch.options.description()?;
        self.batch.separate(common, separation)
    }
}

impl Denoise {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let Denoising(separation) = self.batch.options.description()?;
        if self.batch.options.is_printed() {
            description::print(&Denoising(self.batch.in_force(separation)?))?;
            return Ok(Ending::Done);
        }
        self.batch.run(common, separation)
    }
}

impl<D: Described + Default + Serialize> Batch<D> {
    /// The description in force.
    fn in_force(&self, separation: Separation) -> anyhow::Result<Separation> {
        let model = self.model.as_deref().map(Model::load).transpose()?;
        Ok(self.plan(model.as_ref(), separation)?.separation)
    }

    /// Whether standard input is separated to standard output, which does not go with files.
    fn is_piped(&self, common: &Common) -> anyhow::Result<bool> {
        let is_input = self.inputs.iter().any(|input| input == pipe::DASH);
        let is_output = self.output.as_deref() == Some(Path::new(pipe::DASH));
        match (is_input, is_output) {
            (false, false) => return Ok(false),
            (true, false) => bail!("-: standard input goes to standard output; add -o -, or save it to a file"),
            (false, true) => {
                bail!("-o -: standard output takes what comes on standard input; give - as the input, or name a folder")
            }
            (true, true) if self.inputs.len() > 1 => bail!("-: standard input goes alone; leave out the other inputs"),
            (true, true) => {}
        }
        let of_files = [
            (self.resume, "--resume"),
            (self.shard.is_some(), "--shard"),
            (self.report.is_some(), "--report"),
            (self.gains.is_some(), "--gains"),
            (self.memory.is_some(), "--memory"),
            (self.name != PATTERN, "--name"),
            (common.json, "--json"),
        ];
        match of_files.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => bail!("{option}: does not go with -o -, which has the samples alone; leave it out"),
            None => Ok(true),
        }
    }

    /// Separates standard input to standard output.
    fn run_piped(self, common: &Common, separation: Separation) -> anyhow::Result<Ending> {
        let model = self.model.as_deref().map(Model::load).transpose()?;
        let plan = self.plan(model.as_ref(), separation)?;
        pipe::check(&plan).map_err(|error| match error.downcast() {
            Ok(error) => self.options.blame(error),
            Err(error) => error,
        })?;
        // A frame alone is so little work that a GPU, or another thread, takes longer to hear of it than one thread takes to do it.
        let mut on = common.clone();
        if plan.separation.follow {
            on.threads = on.threads.or(Some(1));
            if on.gpu.is_none() && on.engine == Choice::Auto {
                on.engine = Choice::Cpu;
            }
        }
        let engine = engine::open(&on)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(on.thread_count()).build();
        pool.context("cannot start threads; give fewer --threads")?.install(|| pipe::run(&plan, &engine))
    }

    /// Separates, and prints a summary.
    fn run(self, common: &Common, separation: Separation) -> anyhow::Result<Ending> {
        if self.is_piped(common)? {
            return self.run_piped(common, separation);
        }
        let (summary, failure) = self.separate(common, separation)?;
        common.conclude(&summary, || summary.text())?;
        match failure {
            Some(failure) if failure.is_full() => log::error!("{failure}"),
            Some(failure) => return Err(failure.into()),
            None => {}
        }
        match (summary.interrupted, summary.failed, summary.done + summary.resumed) {
            _ if summary.full => Ok(Ending::Partial),
            (true, ..) => Ok(Ending::Interrupted),
            (_, 0, _) if summary.report.as_ref().is_none_or(Written::is_whole) => Ok(Ending::Done),
            (_, failed @ 1.., 0) => bail!("{failed} of {} inputs cannot be used; nothing was separated", summary.files),
            _ => Ok(Ending::Partial),
        }
    }

    /// Separates; also, what ended the job early.
    fn separate(self, common: &Common, separation: Separation) -> anyhow::Result<(Summary, Option<partwise::Error>)> {
        let (on, engines) = (choice(common), engines(common));
        // Loading a driver takes as long as reading a model.
        thread::scope(|scope| {
            let opened = thread::Builder::new().spawn_scoped(scope, || on.open(&engines));
            let opened = opened.context("cannot start a thread; give fewer --threads")?;
            let read = |path: &PathBuf| {
                let bytes = Model::read(path)?;
                Ok::<_, partwise::Error>((Model::from_bytes(path, &bytes)?, schedule::hash_bytes(&bytes)))
            };
            let (model, hash) = self.model.as_ref().map(read).transpose()?.unzip();
            let plan = self.plan(model.as_ref(), separation)?;
            let parameters = parameters(&plan, hash.unwrap_or_default())?;
            self.run_job(common, &plan, parameters, &engines, opened)
        })
    }

    fn plan<'a>(&self, model: Option<&'a Model>, mut separation: Separation) -> anyhow::Result<Plan<'a>> {
        if self.model.is_none() && separation.method.is_none() {
            let blind = SeparationMethod::WITHOUT_MODEL.first().copied().unwrap_or_default();
            bail!(
                "separate needs a model, or a method without one: add --model with a file of `partwise train` or a name of `partwise models`, or add --method {blind}"
            );
        }
        for source in separation.sources_mut().into_iter().flatten() {
            let named: Vec<String> = source.recordings.iter().map(|path| path.to_string_lossy().into_owned()).collect();
            source.recordings = sources::files(&named).with_context(|| format!("source '{}'", source.name))?;
        }
        let mut watch = |event: Event| {
            match event {
                Event::Skipped(error) => log::error!("{error}; it is left out"),
                Event::Warning(recording, warning) => log::warn!("{recording}: {warning}"),
                Event::Iteration(..) => {}
            }
            Ok(())
        };
        Plan::new(model, &separation, &mut watch).map_err(|error| self.options.blame(error))
    }

    /// Separates all inputs.
    fn run_job(
        self,
        common: &Common,
        plan: &Plan,
        parameters: Parameters,
        engines: &Engines,
        opened: ScopedJoinHandle<partwise::Result<Vec<AnyEngine>>>,
    ) -> anyhow::Result<(Summary, Option<partwise::Error>)> {
        let output = self.output.as_deref().unwrap_or(Path::new("."));
        if let Some(folder) = &self.report {
            std::fs::create_dir_all(folder).map_err(partwise::Error::io(folder, "create"))?;
        }
        let Listing { inputs, left_out } = sources::listing(&self.inputs, Some(output))?;
        if let Some(gains) = &self.gains {
            gains::check(gains, &inputs)?;
        }
        let opened = opened.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        let mut stations = schedule::stations(plan, engines, opened)?;
        let engine = stations.iter().map(Station::describe).collect::<Vec<_>>().join(", ");
        let memory = self
            .memory
            .map_or_else(|| schedule::usual_memory(&stations, plan.scheme.stretch.is_none()), |Memory(bytes)| bytes);
        schedule::check_memory(memory, &plan.scheme, stations.iter().map(Station::lanes).sum())?;
        log::info!("engines: {engine}");
        let interrupts = Interrupts::listen()?;
        let job = Job {
            scheme: &plan.scheme,
            parameters,
            naming: Naming { folder: output.to_path_buf(), pattern: self.name, format: plan.separation.format },
            wanted: plan.wanted()?,
            on_error: self.on_error.0,
            threads: stage_threads(common),
            memory,
            stop: interrupts.noted(),
        };
        let of_shard =
            inputs.iter().enumerate().filter(|&(index, _)| self.shard.is_none_or(|shard| shard.holds(index)));
        let sizes: Vec<u64> =
            of_shard.map(|(_, input)| std::fs::metadata(&input.path).map_or(0, |meta| meta.len())).collect();
        let started = Instant::now();
        let mut bar = JobBar::new(common, sizes.iter().sum(), sizes.len());
        let batch = schedule::Batch { inputs: &inputs, shard: self.shard, resume: self.resume };
        let outcome = schedule::run(&mut stations, &job, &batch, &mut bar)?;
        drop(bar);
        let wall_seconds = started.elapsed().as_secs_f64();
        let is_done = outcome.reports.iter().chain(&outcome.resumed).any(|report| report.status == Status::Done);
        let gains = match (self.gains, &inputs[..], stations.first().and_then(Station::separator)) {
            (Some(file), [input], Some(separator)) if is_done => {
                gains::find(common, (plan, separator), &input.path, job.stop, file)?
            }
            _ => None,
        };
        let reports = outcome.reports.iter().chain(&outcome.resumed);
        let report = match (&self.report, stations.first().and_then(Station::separator)) {
            (Some(folder), Some(separator)) => {
                Some(of_run(folder, output, reports, (plan, separator), job.stop, common))
            }
            _ => None,
        };
        let interrupted = interrupts.noted().load(Ordering::Relaxed);
        let (summary, failure) = Summary::of(outcome, sizes.len(), engine, interrupted, wall_seconds);
        Ok((Summary { left_out, output: output.into(), report, gains, ..summary }, failure))
    }
}

/// What the results depend on beside the recordings. `model`: the hash of its file.
fn parameters(plan: &Plan, model: String) -> partwise::Result<Parameters> {
    let mut separation = plan.separation.clone();
    for files in separation.files_mut() {
        let hashes = files.iter().map(|file| schedule::hash(file)).collect::<partwise::Result<Vec<_>>>()?;
        *files = hashes.into_iter().map(PathBuf::from).collect();
    }
    Ok(Parameters { version: env!("CARGO_PKG_VERSION").into(), model, separation })
}
