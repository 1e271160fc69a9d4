//! `partwise separate`

mod blind;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use partwise::audio::FormatChoice;
use partwise::kernels::{Gradient, Mask};
use partwise::methods::nmf;
use partwise::model::Model;
use partwise::schedule::{
    self, FileReport, Job, LeftOut, Listing, Naming, OnError, Outcome, PATTERN, Parameters, Shard, Station, Status,
};
use partwise::separate::{PriorSettings, Scheme, Settings, Updates, Weight};
use partwise::spectrogram::Spectrum;
use serde::Serialize;

use super::interrupt::Interrupts;
use super::memory::Memory;
use super::progress::JobBar;
use super::stations::{Task, stations};
use super::{Common, Ending, escaped, print};
use blind::{Blindly, Plan};

const NMF2D: &str = "nmf2d";

/// Threads that decode and threads that encode. The engine is where the work is: a few of each keep it fed.
pub(super) fn stage_threads(common: &Common) -> usize {
    common.thread_count().div_ceil(2).min(4)
}

/// Separate recordings with a trained model, or with none by --method nmf2d
#[derive(Args)]
pub(super) struct Separate {
    /// Files, folders, globs, @list.txt or @list.jsonl
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The model
    #[arg(long, value_name = "MODEL.safetensors", required_unless_present = "method")]
    model: Option<PathBuf>,
    /// Separate without a model: nmf2d, each source a pattern in time and log-frequency that moves to wherever it sounds
    #[arg(long, value_name = "nmf2d", value_parser = ["nmf2d"], conflicts_with = "model")]
    method: Option<String>,
    /// The folder of the results, one file a source, and of manifest.jsonl
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How a cell is shared: wiener (by power), ratio:P (by the models' P-th powers) or hard (to the loudest)
    #[arg(long, default_value = "wiener", value_name = "wiener|ratio:P|hard")]
    mask: MaskChoice,
    /// same (the input's bit depth, as wav), wav-f32 (exact), wav-pcm16, wav-pcm24, or flac (the input's bit depth)
    #[arg(long, default_value = "same", value_name = "same|wav-f32|wav-pcm16|wav-pcm24|flac")]
    format: FormatChoice,
    /// Write this source alone
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Names of the results, with {stem}, {source} and {ext}
    #[arg(long, default_value = PATTERN, value_name = "PATTERN")]
    name: String,
    /// extrapolated: each update from a point further along the last step, in a third of the passes; or alternating
    /// [default: extrapolated, or alternating with a gain prior]
    #[arg(long, value_name = "extrapolated|alternating")]
    updates: Option<Updates>,
    /// Updates of the gains [default: 40, or 100 alternating ones; nmf2d: 300, or 100 with --init-bases]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Stop the updates of a stretch of frames once five of them lower its objective by less than this share of its first
    /// value; 0: never [default: 0]
    #[arg(long, value_name = "T")]
    tolerance: Option<f64>,
    /// How much the gain priors of the model count for, all alike or NAME=A for one source: auto (by how far a source's models
    /// can be trusted at its level in the recording), or a number; 0: not at all [default: auto]
    #[arg(long, value_name = "A|NAME=A")]
    prior_weight: Vec<String>,
    /// The gradient of the priors: exact, or paper (as Grais & Erdogan printed it)
    /// [default: paper where a weight is auto, otherwise exact]
    #[arg(long, value_name = "exact|paper")]
    prior_gradient: Option<Gradient>,
    /// Leave out what an earlier run has done: what its manifest lists with the same input, model and options, and whose
    /// outputs are there
    #[arg(long)]
    resume: bool,
    /// Do the I-th of N parts of the inputs, I from 1
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Memory for the panels, on the host and on each device, such as 800M or 2G; some 150M are taken besides
    /// [default: 512M, or 3G for a GPU, and a quarter of the machine at most; nmf2d: a quarter of the machine]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// What a file that fails means for the others: continue or stop
    #[arg(long, default_value = "continue", value_name = "continue|stop")]
    on_error: OnErrorChoice,
    #[command(flatten)]
    blindly: Blindly,
}

#[derive(Clone, Copy)]
enum MaskChoice {
    Wiener,
    Given(Mask),
}

impl MaskChoice {
    fn given(self, spectrum: Spectrum) -> Mask {
        match self {
            Self::Wiener => Mask::Ratio(spectrum.power_exponent()),
            Self::Given(mask) => mask,
        }
    }
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
    /// Those of this run's shard.
    files: usize,
    done: usize,
    /// Done by an earlier run.
    resumed: usize,
    pub(super) failed: usize,
    /// Not begun, or not finished.
    left: usize,
    /// Whether that is because there was no room for results.
    full: bool,
    /// Of folders: audio files of kinds that are not read, by the ends of their names.
    left_out: LeftOut,
    interrupted: bool,
    /// Of what this run has done.
    audio_seconds: f64,
    pub(super) wall_seconds: f64,
    pub(super) real_time_factor: f64,
    pub(super) engine: String,
    /// The share of the time that the engine was computing.
    engine_busy: f64,
    results: Vec<FileReport>,
}

impl Separate {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let (summary, failure) = self.separate(common)?;
        print(common.json, &summary, || text(&summary))?;
        match failure {
            Some(failure) if failure.is_full() => log::error!("{failure}"),
            Some(failure) => return Err(failure.into()),
            None => {}
        }
        match (summary.interrupted, summary.failed, summary.done + summary.resumed) {
            _ if summary.full => Ok(Ending::Partial),
            (true, ..) => Ok(Ending::Interrupted),
            (_, 0, _) => Ok(Ending::Done),
            (_, failed, 0) => bail!("{failed} of {} inputs cannot be used; nothing was separated", summary.files),
            _ => Ok(Ending::Partial),
        }
    }

    /// Separates; also, what ended the job early.
    pub(super) fn separate(self, common: &Common) -> anyhow::Result<(Summary, Option<partwise::Error>)> {
        let Some(path) = &self.model else {
            self.check_without_model()?;
            let Plan { scheme, settings, options } = self.blindly.plan(self.mask, self.iterations, common)?;
            let parameters = Parameters {
                method: NMF2D.into(),
                mask: settings.mask.to_string(),
                iterations: settings.options.iterations,
                options,
                ..Parameters::default()
            };
            return self.run_job(common, &scheme, Task::Blind(&settings), parameters);
        };
        self.blindly.check_absent()?;
        let model = Model::load(path)?;
        let settings = self.settings(&model)?;
        let parameters = Parameters {
            method: model.method().into(),
            model: schedule::hash(path)?,
            mask: settings.mask.to_string(),
            updates: settings.updates.to_string(),
            iterations: settings.iterations,
            tolerance: settings.tolerance,
            prior_weights: settings.priors.weights.iter().map(Weight::to_string).collect(),
            prior_gradient: if settings.priors.any() { settings.priors.gradient.to_string() } else { String::new() },
            ..Parameters::default()
        };
        self.run_job(common, &Scheme::of_model(&model), Task::Model(&model, &settings), parameters)
    }

    /// How gains are found under a model.
    fn settings(&self, model: &Model) -> anyhow::Result<Settings> {
        if self.updates == Some(Updates::Joint) {
            bail!(
                "--updates joint is for learning both factors; here the bases are fixed: use extrapolated or alternating"
            );
        }
        let weights = prior_weights(model, &self.prior_weight)?;
        let usual = if weights.contains(&Weight::Auto) { Gradient::Paper } else { Gradient::Exact };
        let priors = PriorSettings { weights, gradient: self.prior_gradient.unwrap_or(usual) };
        let usual = if priors.any() { Updates::Alternating } else { Updates::Extrapolated };
        let updates = self.updates.unwrap_or(usual);
        let iterations = self.iterations.unwrap_or(if updates == Updates::Extrapolated { 40 } else { 100 });
        let tolerance = self.tolerance.unwrap_or(0.0);
        nmf::check_options(iterations, tolerance, 0.0)?;
        let settings = Settings { updates, iterations, tolerance, priors, mask: self.mask.given(model.spectrum) };
        settings.check(model)?;
        Ok(settings)
    }

    fn check_without_model(&self) -> anyhow::Result<()> {
        let given = [
            ("--updates", self.updates.is_some()),
            ("--tolerance", self.tolerance.is_some()),
            ("--prior-weight", !self.prior_weight.is_empty()),
            ("--prior-gradient", self.prior_gradient.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} does not go with --method {NMF2D}"),
            None => Ok(()),
        }
    }

    /// Separates all inputs; `parameters` lack what is alike whatever is done to them.
    fn run_job(
        self,
        common: &Common,
        scheme: &Scheme,
        task: Task,
        parameters: Parameters,
    ) -> anyhow::Result<(Summary, Option<partwise::Error>)> {
        let only = self
            .only
            .as_ref()
            .map(|name| source(&scheme.sources, name).with_context(|| format!("--only {name}")))
            .transpose()?;
        let Listing { inputs, left_out } = schedule::list(&self.inputs, Some(&self.output))?;
        let mut stations = stations(common, task)?;
        let engine = stations.iter().map(Station::describe).collect::<Vec<_>>().join(", ");
        let Memory(memory) = self.memory.unwrap_or_else(|| Memory::usual(&stations, scheme.whole));
        schedule::check_memory(memory, scheme, stations.iter().map(Station::lanes).sum())?;
        let interrupts = Interrupts::listen()?;
        let job = Job {
            scheme,
            inputs: &inputs,
            shard: self.shard,
            parameters: Parameters {
                version: env!("CARGO_PKG_VERSION").into(),
                format: self.format.to_string(),
                only: self.only,
                ..parameters
            },
            naming: Naming { folder: self.output, pattern: self.name, format: self.format },
            only,
            resume: self.resume,
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
        let outcome = schedule::run(&mut stations, &job, &mut bar)?;
        drop(bar);
        let interrupted = interrupts.noted().load(Ordering::Relaxed);
        let (summary, failure) = summarize(outcome, sizes.len(), engine, interrupted, started.elapsed().as_secs_f64());
        Ok((Summary { left_out, ..summary }, failure))
    }
}

fn source(names: &[String], name: &str) -> anyhow::Result<usize> {
    let found = names.iter().position(|known| known == name);
    found.with_context(|| format!("there is no such source; there are {}", names.join(", ")))
}

/// The weight of every source's prior; none for a model without priors. Later words overrule earlier ones.
fn prior_weights(model: &Model, words: &[String]) -> anyhow::Result<Vec<Weight>> {
    if model.sources.iter().all(|source| source.mixture.is_none()) && words.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = model.sources.iter().map(|source| source.name.clone()).collect();
    let mut weights = vec![Weight::Auto; names.len()];
    for word in words {
        let (name, weight) = word.split_once('=').map_or((None, word.as_str()), |(name, weight)| (Some(name), weight));
        let weight = weight.parse().with_context(|| format!("--prior-weight {word}"))?;
        match name {
            Some(name) => weights[source(&names, name).with_context(|| format!("--prior-weight {word}"))?] = weight,
            None => weights.fill(weight),
        }
    }
    Ok(weights)
}

fn summarize(
    outcome: Outcome,
    files: usize,
    engine: String,
    interrupted: bool,
    wall_seconds: f64,
) -> (Summary, Option<partwise::Error>) {
    let Outcome { reports, resumed, left, full, busy, failure } = outcome;
    let done = reports.iter().filter(|report| report.status == Status::Done);
    let audio_seconds = done.clone().map(|report| report.seconds).fold(0.0, |sum, seconds| sum + seconds);
    let done = done.count();
    let summary = Summary {
        files,
        done,
        resumed: resumed.len(),
        failed: reports.len() - done,
        left,
        full,
        left_out: LeftOut::default(),
        interrupted,
        audio_seconds,
        wall_seconds,
        real_time_factor: audio_seconds / wall_seconds,
        engine,
        engine_busy: busy,
        results: reports,
    };
    (summary, failure)
}

fn text(summary: &Summary) -> String {
    let Summary { files, done, resumed, failed, left, audio_seconds, wall_seconds, .. } = summary;
    let counts: Vec<String> = [(*resumed, "done before"), (*failed, "failed"), (*left, "left")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    let mut text = failures(&summary.results);
    text.push_str(&format!(
        "{done} of {files} files separated{}: {} of audio in {}, {:.0} times real time\non {}, busy {:.0} % of the time\n",
        counts.concat(),
        duration(*audio_seconds),
        duration(*wall_seconds),
        summary.real_time_factor,
        summary.engine,
        100.0 * summary.engine_busy,
    ));
    if !summary.left_out.is_empty() {
        text.push_str(&format!("{}\n", summary.left_out));
    }
    if summary.full {
        text.push_str("there is no room for more results\n");
    }
    if *left > 0 {
        text.push_str("the same command with --resume does what is left\n");
    }
    text
}

/// A table of the files that failed, and why.
fn failures(results: &[FileReport]) -> String {
    let failed = results.iter().filter_map(|report| {
        let (input, error) = (report.input.display().to_string(), report.error.as_ref()?);
        // An error begins with the file that it is about; the table has it already.
        let reason = error.strip_prefix(&format!("{input}: ")).unwrap_or(error);
        Some((escaped(&input).into_owned(), escaped(reason).into_owned()))
    });
    let failed: Vec<(String, String)> = failed.collect();
    let width = failed.iter().map(|(input, _)| input.chars().count()).max().unwrap_or(0);
    failed.iter().map(|(input, reason)| format!("failed: {input:<width$}  {reason}\n")).collect()
}

/// Seconds, or hours from an hour on.
fn duration(seconds: f64) -> String {
    if seconds < 3600.0 { format!("{seconds:.1} s") } else { format!("{:.2} h", seconds / 3600.0) }
}
