//! Benchmarks of whole jobs, from files to files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use partwise::audio::{self, Format, FormatChoice, Recording};
use partwise::engine::median;
use partwise::methods::nmf::Updates;
use partwise::model::{Model, Parts, Source, Summary};
use partwise::random::Stream;
use partwise::schedule::{self, Batch, FileReport, Job, Naming, OnError, PATTERN, Parameters, Station, Watch};
use partwise::separate::Plan;
use partwise::spectrogram::{BandMap, Pad, Shape, Spectrum, StftParams};
use partwise::{AnyEngine, Divergence, Error, Separation};
use serde::Serialize;

use super::super::engine::{arguments, choice, engines};
use super::super::progress::advanced;
use super::super::{Common, separate};
use super::kernels;

/// Seconds per clip.
pub(super) const SECONDS: usize = 10;
pub(super) const SAMPLE_RATE: u32 = 16_000;
/// The transform of the clips.
pub(super) const STFT: StftParams =
    StftParams { window: 1024, hop: 256, fft: 1024, shape: Shape::SqrtHann, pad: Pad::Full };
/// Components of each of the two sources.
pub(super) const RANK: usize = 32;
/// Updates of the gains per clip.
pub(super) const ITERATIONS: usize = 100;

#[derive(Serialize)]
pub(super) struct JobTime {
    pub(super) clips: usize,
    pub(super) audio_seconds: f64,
    /// The time of a process that does nothing else, from its start to its end.
    pub(super) cold_seconds: f64,
    /// The time in a process that has done such a job before.
    pub(super) warm_seconds: f64,
    pub(super) cold_real_time_factor: f64,
    pub(super) warm_real_time_factor: f64,
}

/// Times the separation of each number of clips in `clips`.
pub(super) fn times(
    engine: &AnyEngine,
    common: &Common,
    clips: &[usize],
    least: Duration,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<JobTime>> {
    let world = World::new(clips.iter().copied().max().unwrap_or(0))?;
    let separation =
        Separation { updates: Some(Updates::Alternating), iterations: Some(ITERATIONS), ..Separation::default() };
    let plan = Plan::new(Some(&world.model), &separation, &mut |_| Ok(()))?;
    let engines = engines(common);
    let mut stations = schedule::stations(&plan, &engines, choice(common).open(&engines)?)?;
    if let Some(&first) = clips.first() {
        world.separate(&mut stations, &plan, common, first)?;
    }
    let mut time = |&clips: &usize| {
        let cold_seconds = advanced(bar, typical(least, || world.separate_in_new_process(engine, common, clips))?);
        let warm_seconds = advanced(bar, typical(least, || world.separate(&mut stations, &plan, common, clips))?);
        let audio_seconds = (clips * SECONDS) as f64;
        Ok(JobTime {
            clips,
            audio_seconds,
            cold_seconds,
            warm_seconds,
            cold_real_time_factor: audio_seconds / cold_seconds,
            warm_real_time_factor: audio_seconds / warm_seconds,
        })
    };
    clips.iter().map(&mut time).collect()
}

/// The median time of a job, in seconds, over all runs that fit in `least`.
fn typical(least: Duration, mut job: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || started.elapsed() < least {
        let run = Instant::now();
        job()?;
        times.push(run.elapsed().as_secs_f64());
    }
    Ok(median(&times))
}

/// A folder with clips of noise and a model.
struct World {
    folder: tempfile::TempDir,
    model: Model,
}

impl World {
    fn new(clips: usize) -> anyhow::Result<Self> {
        let source = |name: &str| Source { name: name.into(), bases: kernels::numbers(name, STFT.fft / 2 + 1, RANK) };
        let model = Model {
            divergence: Divergence::ItakuraSaito,
            sample_rate: SAMPLE_RATE,
            spectrum: Spectrum::Power,
            bands: BandMap::Linear,
            pre_emphasis: 0.0,
            sources: vec![source("one"), source("other")],
            parts: Parts::Nmf,
            normalize: None,
            options: None,
            training: Summary { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
            stft: STFT,
        };
        let world = Self { folder: tempfile::tempdir().context("cannot create a folder for temporary files")?, model };
        world.write(&world.model_file(), &world.model.to_bytes()?)?;
        for index in 0..clips {
            let noise = Stream::new(index as u64, "clip");
            let samples = SECONDS * SAMPLE_RATE as usize;
            let channel = (0..samples).map(|n| (noise.uniform(n as u64) - 0.5) as f32).collect();
            let recording = Recording { channels: vec![channel], sample_rate: SAMPLE_RATE, warnings: Vec::new() };
            audio::write(&world.clip(index), &recording, Format::WavPcm16)?;
        }
        Ok(world)
    }

    fn model_file(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn clip(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{index:05}.wav"))
    }

    /// Writes a list of the first clips, and returns it as an argument.
    fn list(&self, clips: usize) -> anyhow::Result<String> {
        let list = self.folder.path().join("list.txt");
        let lines: String = (0..clips).map(|index| format!("{}\n", self.clip(index).display())).collect();
        self.write(&list, lines.as_bytes())?;
        Ok(format!("@{}", list.display()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(std::fs::write(path, bytes).map_err(Error::io(path, "write"))?)
    }

    fn separate(&self, stations: &mut [Station], plan: &Plan, common: &Common, clips: usize) -> anyhow::Result<()> {
        let inputs = schedule::list(&[self.list(clips)?], None)?.inputs;
        let job = Job {
            scheme: &plan.scheme,
            naming: Naming { folder: self.output(), pattern: PATTERN.into(), format: FormatChoice::Same },
            wanted: plan.wanted()?,
            parameters: Parameters {
                version: env!("CARGO_PKG_VERSION").into(),
                model: schedule::hash(&self.model_file())?,
                separation: plan.separation.clone(),
            },
            on_error: OnError::Stop,
            threads: separate::stage_threads(common),
            memory: schedule::usual_memory(stations, false),
            stop: &AtomicBool::new(false),
        };
        let batch = Batch { inputs: &inputs, shard: None, resume: false };
        let outcome = schedule::run(stations, &job, &batch, &mut Unwatched)?;
        match outcome.reports.into_iter().find_map(|report| report.error) {
            Some(error) => bail!(error),
            None => Ok(()),
        }
    }

    /// Runs the same job as a user would, in a new process.
    fn separate_in_new_process(&self, engine: &AnyEngine, common: &Common, clips: usize) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let output = Command::new(program)
            .args(["separate", &self.list(clips)?, "--on-error", "stop", "--quiet"])
            .args(["--updates", "alternating", "--iterations", &ITERATIONS.to_string()])
            .args(arguments(engine, common))
            .arg("--model")
            .arg(self.model_file())
            .arg("--output")
            .arg(self.output())
            .output()
            .context("cannot start a new process")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "in a new process: {}", complaint.trim());
        Ok(())
    }
}

struct Unwatched;

impl Watch for Unwatched {
    fn advanced(&mut self, _: usize, _: u64, _: f64) {}
    fn finished(&mut self, _: usize, _: &FileReport, _: Option<&Error>) {}
}
