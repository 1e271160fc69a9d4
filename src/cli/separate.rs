//! `partwise separate`

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use partwise::audio::FormatChoice;
use partwise::kernels::Mask;
use partwise::methods::nmf;
use partwise::model::Model;
use partwise::schedule::{self, FileReport, Job, Naming, OnError, PATTERN, Status};
use partwise::separate::Updates;
use serde::Serialize;

use super::engine::{open, with_engine};
use super::progress::JobBar;
use super::{Common, Outcome, print};

/// Threads that decode and threads that encode. The engine is where the work is: a few of each keep it fed.
pub(super) fn stage_threads(common: &Common) -> usize {
    common.thread_count().div_ceil(2).min(4)
}

/// Separate recordings with a trained model
#[derive(Args)]
pub(super) struct Separate {
    /// Files, folders, globs, @list.txt or @list.jsonl
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The model
    #[arg(long, value_name = "MODEL.safetensors")]
    model: PathBuf,
    /// The folder of the results, one file a source, and of manifest.jsonl
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How a cell is shared: wiener (by power), ratio:P (by the models' P-th powers) or hard (to the loudest)
    #[arg(long, default_value = "wiener", value_name = "wiener|ratio:P|hard")]
    mask: MaskChoice,
    /// wav-f32 (exact), wav-pcm16, wav-pcm24, flac, or same: wav of the input's own depth
    #[arg(long, default_value = "wav-f32")]
    format: FormatChoice,
    /// Write this source alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Names of the results, with {stem}, {source} and {ext}
    #[arg(long, default_value = PATTERN, value_name = "PATTERN")]
    name: String,
    /// extrapolated: each update from a point further along the last step, in a third of the passes; or alternating
    #[arg(long, default_value = "extrapolated", value_name = "extrapolated|alternating")]
    updates: Updates,
    /// Updates of the gains [default: 40, or 100 alternating ones]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// What a file that fails means for the others: continue or stop
    #[arg(long, default_value = "continue", value_name = "continue|stop")]
    on_error: OnErrorChoice,
}

#[derive(Clone, Copy)]
enum MaskChoice {
    Wiener,
    Given(Mask),
}

impl FromStr for MaskChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "wiener" => Ok(Self::Wiener),
            "hard" => Ok(Self::Given(Mask::Hard)),
            _ => match text.strip_prefix("ratio:").map(str::parse::<f64>) {
                Some(Ok(p)) if p > 0.0 && p <= 16.0 => Ok(Self::Given(Mask::Ratio(p))),
                _ => Err("use wiener, hard, or ratio:P with P above 0 and at most 16".into()),
            },
        }
    }
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

/// What a run amounts to.
#[derive(Serialize)]
pub(super) struct Summary {
    files: usize,
    pub(super) failed: usize,
    audio_seconds: f64,
    pub(super) wall_seconds: f64,
    pub(super) real_time_factor: f64,
    pub(super) engine: String,
    results: Vec<FileReport>,
}

impl Separate {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let (summary, inputs) = self.separate(common)?;
        print(common.json, &summary, || text(&summary))?;
        match summary.failed {
            0 => Ok(Outcome::Done),
            failed if failed < inputs && failed < summary.files => Ok(Outcome::Partial),
            failed => bail!("{failed} of {inputs} inputs cannot be used; nothing was separated"),
        }
    }

    /// Separates; also, how many inputs there were.
    pub(super) fn separate(self, common: &Common) -> anyhow::Result<(Summary, usize)> {
        let iterations = self.iterations.unwrap_or(match self.updates {
            Updates::Extrapolated => 40,
            _ => 100,
        });
        nmf::check_options(iterations, 0.0, 0.0)?;
        if self.updates == Updates::Joint {
            bail!(
                "--updates joint is for learning both factors; here the bases are fixed: use extrapolated or alternating"
            );
        }
        let model = Model::load(&self.model)?;
        let only = self.only.as_ref().map(|name| source(&model, name)).transpose()?;
        let inputs = schedule::list(&self.inputs)?;
        let engine = open(common)?;
        let job = Job {
            model: &model,
            inputs: &inputs,
            naming: Naming { folder: self.output, pattern: self.name, format: self.format },
            only,
            updates: self.updates,
            iterations,
            mask: match self.mask {
                MaskChoice::Wiener => Mask::Ratio(model.spectrum.power_exponent()),
                MaskChoice::Given(mask) => mask,
            },
            on_error: self.on_error.0,
            threads: stage_threads(common),
            panel_bytes: engine.panel_bytes(),
        };
        let bytes = inputs.iter().filter_map(|input| std::fs::metadata(&input.path).ok()).map(|meta| meta.len()).sum();
        let started = Instant::now();
        let mut bar = JobBar::new(common, bytes, inputs.len());
        let results = with_engine!(&engine, |engine| schedule::run(engine, &job, &mut bar))?;
        drop(bar);
        Ok((summarize(results, started.elapsed().as_secs_f64()), inputs.len()))
    }
}

fn source(model: &Model, name: &str) -> anyhow::Result<usize> {
    let names: Vec<&str> = model.sources.iter().map(|source| source.name.as_str()).collect();
    let found = names.iter().position(|&known| known == name);
    found.with_context(|| format!("--only {name}: the model has no such source; it has {}", names.join(", ")))
}

fn summarize(results: Vec<FileReport>, wall_seconds: f64) -> Summary {
    let done = |report: &&FileReport| report.status == Status::Done;
    let audio_seconds =
        results.iter().filter(done).map(|report| report.seconds).fold(0.0, |sum, seconds| sum + seconds);
    Summary {
        files: results.len(),
        failed: results.len() - results.iter().filter(done).count(),
        audio_seconds,
        wall_seconds,
        real_time_factor: audio_seconds / wall_seconds,
        engine: results.first().map(|report| report.engine.clone()).unwrap_or_default(),
        results,
    }
}

fn text(summary: &Summary) -> String {
    let failed = summary.results.iter().filter_map(|report| report.error.as_ref());
    let failures: String = failed.map(|error| format!("failed: {error}\n")).collect();
    format!(
        "{failures}{} of {} files separated: {:.1} s of audio in {:.2} s, {:.0} times real time, on {}\n",
        summary.files - summary.failed,
        summary.files,
        summary.audio_seconds,
        summary.wall_seconds,
        summary.real_time_factor,
        summary.engine,
    )
}
