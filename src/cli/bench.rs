//! `partwise bench`

use std::time::{Duration, Instant};

use clap::Args;
use ndarray::Array2;
use partwise::audio::{self, Format, Recording};
use partwise::divergence::Divergence;
use partwise::engine::Engine;
use partwise::kernels::{Glue, Mask, Products, Rule};
use partwise::model::{Model, Source, Training};
use partwise::random::Stream;
use partwise::schedule::{self, FileReport, Job, Naming, OnError, PATTERN, Watch};
use partwise::spectrogram::{Pad, Shape, Spectrum, StftParams};
use serde::Serialize;

use super::engine::{open, with_engine};
use super::{Common, Outcome, print, progress, table};

/// Measure this machine: every product kernel, and whole jobs from file to file
#[derive(Args)]
pub(super) struct Bench {
    /// Bins, frames and components of the kernels' problems; several
    #[arg(long, value_name = "FxNxK", default_values = ["257x1000x64", "513x4000x30", "1025x5168x88"])]
    shape: Vec<String>,
    /// How many clips of 10 s the whole jobs have; several
    #[arg(long, value_name = "N", default_values_t = [1, 16])]
    clips: Vec<usize>,
    /// Seconds to measure each kernel for, at least
    #[arg(long, value_name = "S", default_value_t = 0.3)]
    seconds: f64,
}

#[derive(Serialize)]
struct Report {
    engine: String,
    kernels: Vec<KernelTime>,
    jobs: Vec<JobTime>,
}

#[derive(Serialize)]
struct KernelTime {
    kernel: &'static str,
    divergence: String,
    bins: usize,
    frames: usize,
    components: usize,
    /// The shortest of all runs.
    milliseconds: f64,
    gflops: f64,
    gigabytes_per_second: f64,
}

#[derive(Serialize)]
struct JobTime {
    clips: usize,
    audio_seconds: f64,
    /// The first of two runs; for the first job the first of the process, which makes pipelines and touches pages.
    cold_seconds: f64,
    warm_seconds: f64,
    cold_real_time_factor: f64,
    warm_real_time_factor: f64,
}

impl Bench {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let shapes = self.shape.iter().map(|text| parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::ensure!(self.seconds > 0.0 && self.seconds <= 60.0, "--seconds {}: use 0 to 60", self.seconds);
        anyhow::ensure!(self.clips.iter().all(|&n| (1..=10_000).contains(&n)), "--clips: use 1 to 10000");
        let engine = open(common)?;
        let steps = shapes.len() * 4 + self.clips.len();
        let bar = progress::bar(common, steps as u64, "measuring");
        let panel_bytes = engine.panel_bytes();
        let least = Duration::from_secs_f64(self.seconds);
        let report = with_engine!(&engine, |engine| {
            let mut jobs = Vec::new();
            // Jobs first: the first of them is to find the process cold.
            for &clips in &self.clips {
                jobs.push(job(engine, common, panel_bytes, clips)?);
                bar.inc(1);
            }
            let mut kernels = Vec::new();
            for &shape in &shapes {
                for divergence in [Divergence::ItakuraSaito, Divergence::KullbackLeibler] {
                    for kernel in ["gains", "bases"] {
                        kernels.push(time(engine, kernel, divergence, shape, least)?);
                        bar.inc(1);
                    }
                }
            }
            Report { engine: engine.describe(), kernels, jobs }
        });
        bar.finish_and_clear();
        print(common.json, &report, || text(&report))?;
        Ok(Outcome::Done)
    }
}

fn parse(text: &str) -> anyhow::Result<(usize, usize, usize)> {
    let numbers: Vec<usize> = text.split('x').filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [f, n, k] if f * n * k > 0 && f * n <= 1 << 31 && k <= 4096 => Ok((f, n, k)),
        _ => anyhow::bail!("--shape {text}: expected FxNxK, such as 257x1000x64"),
    }
}

fn fill(name: &str, rows: usize, columns: usize) -> Array2<f32> {
    let stream = Stream::new(0, name);
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        (0.05 + stream.uniform((row * columns + column) as u64)) as f32
    })
}

/// The shortest time of one update.
fn time<E: Products + Glue>(
    engine: &E,
    kernel: &'static str,
    divergence: Divergence,
    (f, n, k): (usize, usize, usize),
    least: Duration,
) -> partwise::Result<KernelTime> {
    let v = engine.panel(fill("v", f, n).view())?;
    let (mut w, mut h) = (engine.matrix(fill("w", f, k).view())?, engine.panel(fill("h", k, n).view())?);
    let rule = Rule::of(divergence);
    let (started, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while started.elapsed() < least || runs < 3 {
        let run = Instant::now();
        match kernel {
            "gains" => engine.update_gains(&v, &w, &mut h, &rule)?,
            _ => engine.update_bases(&v, &mut w, &h, &rule)?,
        }
        // An engine may only have noted what to do; asking for the small matrix makes it do it.
        engine.read_matrix::<f32>(&w)?;
        best = best.min(run.elapsed().as_secs_f64());
        runs += 1;
    }
    // Λ, Wᵀ P and Wᵀ Q; where Q is 1 the last is a sum. 2 flop a multiply-add.
    let products = if divergence == Divergence::KullbackLeibler { 2.0 } else { 3.0 };
    let flop = 2.0 * products * (f * n * k) as f64;
    let bytes = 4.0 * (f * n + f * k + 2 * k * n) as f64;
    Ok(KernelTime {
        kernel,
        divergence: divergence.to_string(),
        bins: f,
        frames: n,
        components: k,
        milliseconds: best * 1e3,
        gflops: flop / best / 1e9,
        gigabytes_per_second: bytes / best / 1e9,
    })
}

/// Separates clips of 10 s, from files to files: 513 bins, two sources of rank 32, IS, 100 iterations.
fn job<E: Products + Glue>(engine: &E, common: &Common, panel_bytes: usize, clips: usize) -> anyhow::Result<JobTime> {
    const SECONDS: usize = 10;
    let folder = tempfile::tempdir()?;
    let stft = StftParams { window: 1024, hop: 256, fft: 1024, shape: Shape::SqrtHann, pad: Pad::Full };
    let source = |name: &str| Source { name: name.into(), bases: fill(name, stft.fft / 2 + 1, 32) };
    let model = Model {
        divergence: Divergence::ItakuraSaito,
        sample_rate: 16_000,
        spectrum: Spectrum::Power,
        sources: vec![source("one"), source("other")],
        normalize: None,
        training: Training { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
        stft,
    };
    let samples = SECONDS * model.sample_rate as usize;
    for clip in 0..clips {
        let noise = Stream::new(clip as u64, "clip");
        let channel = (0..samples).map(|n| (noise.uniform(n as u64) - 0.5) as f32).collect();
        let recording = Recording { channels: vec![channel], sample_rate: model.sample_rate, warnings: Vec::new() };
        audio::write(&folder.path().join(format!("{clip:05}.wav")), &recording, Format::WavPcm16)?;
    }
    let inputs = schedule::list(&[folder.path().display().to_string()])?;
    let run = || -> anyhow::Result<f64> {
        let job = Job {
            model: &model,
            inputs: &inputs,
            naming: Naming { folder: folder.path().join("out"), pattern: PATTERN.into(), format: Format::WavF32 },
            only: None,
            iterations: 100,
            mask: Mask::Ratio(1.0),
            on_error: OnError::Stop,
            threads: super::separate::stage_threads(common),
            panel_bytes,
        };
        let started = Instant::now();
        let reports = schedule::run(engine, &job, &mut Unwatched)?;
        if let Some(error) = reports.iter().find_map(|report| report.error.as_ref()) {
            anyhow::bail!("{error}");
        }
        Ok(started.elapsed().as_secs_f64())
    };
    let (cold_seconds, warm_seconds) = (run()?, run()?);
    let audio_seconds = (clips * SECONDS) as f64;
    Ok(JobTime {
        clips,
        audio_seconds,
        cold_seconds,
        warm_seconds,
        cold_real_time_factor: audio_seconds / cold_seconds,
        warm_real_time_factor: audio_seconds / warm_seconds,
    })
}

struct Unwatched;

impl Watch for Unwatched {
    fn advanced(&mut self, _: u64) {}
    fn finished(&mut self, _: &FileReport) {}
}

fn text(report: &Report) -> String {
    let mut kernels = vec![["kernel", "F x N x K", "ms", "GFLOP/s", "GB/s"].map(String::from).to_vec()];
    for time in &report.kernels {
        kernels.push(vec![
            format!("{} {}", time.kernel, time.divergence),
            format!("{} x {} x {}", time.bins, time.frames, time.components),
            format!("{:.3}", time.milliseconds),
            format!("{:.0}", time.gflops),
            format!("{:.1}", time.gigabytes_per_second),
        ]);
    }
    let mut jobs =
        vec![["clips of 10 s", "cold, s", "x real time", "warm, s", "x real time"].map(String::from).to_vec()];
    for time in &report.jobs {
        jobs.push(vec![
            time.clips.to_string(),
            format!("{:.2}", time.cold_seconds),
            format!("{:.0}", time.cold_real_time_factor),
            format!("{:.2}", time.warm_seconds),
            format!("{:.0}", time.warm_real_time_factor),
        ]);
    }
    let jobs = format!("{}513 bins, 2 x 32 components, 100 iterations of IS, files to files\n", table(&jobs));
    format!("{}\n{}\n{jobs}", report.engine, table(&kernels))
}
