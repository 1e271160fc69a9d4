//! `partwise train`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use partwise::Training;
use partwise::model::{Gain, Model, SourceSummary, Summary};
use partwise::options::Rank;
use partwise::recordings::{Event, Material, Recordings};
use partwise::train::{self, Means};
use serde_json::Value;

use super::common::heading::{FILES, JOBS};
use super::description::{self, Options, PRINT};
use super::engine::open;
use super::memory::Memory;
use super::output::typed;
use super::state::StateFile;
use super::{Common, Ending, check_output, examples, progress, shown, sources, table};

/// Learn a model from recordings of each source alone
#[derive(Args)]
#[command(after_long_help = examples::TRAIN)]
pub(super) struct Train {
    /// A source and its recordings: files, folders, globs or @lists; more paths may follow, or the same name again
    #[arg(long = "source", value_name = "NAME=PATH", num_args = 1.., required_unless_present = PRINT, help_heading = FILES)]
    sources: Vec<String>,
    /// The model file to write
    #[arg(short, long, value_name = "MODEL.safetensors", required_unless_present = PRINT, help_heading = FILES)]
    output: Option<PathBuf>,
    #[command(flatten)]
    options: Options<Training>,
    /// Memory for a training on mixtures, such as 800M or 2G; mixtures that do not fit are formed again, or left out
    /// [default: a quarter of the machine]
    #[arg(long, value_name = "SIZE", hide_short_help = true, help_heading = JOBS)]
    memory: Option<Memory>,
    /// Go on from the state that a long training keeps in MODEL.safetensors.state until it is done
    #[arg(long, hide_short_help = true, help_heading = JOBS)]
    resume: bool,
    /// Seconds between the states that a long training keeps
    #[arg(long, value_name = "S", default_value_t = 60, hide_short_help = true, help_heading = JOBS)]
    state_every: u32,
}

impl Train {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        if self.options.is_printed() {
            let training = self.training()?;
            description::print(&training.in_force())?;
            return Ok(Ending::Done);
        }
        let started = Instant::now();
        let (model, skipped) = self.learn(common)?;
        let output = self.output.as_deref().unwrap_or(Path::new(""));
        common.conclude(&model.training, || summary(&model, output, started.elapsed().as_secs_f64()))?;
        Ok(if skipped > 0 { Ending::Partial } else { Ending::Done })
    }

    /// The description of the training.
    fn training(&self) -> anyhow::Result<Training> {
        let training = self.options.description()?;
        training.check().map_err(|error| self.options.blame(error))?;
        Ok(training)
    }

    /// Learns and writes the model; also, how many recordings could not be used.
    pub(super) fn learn(&self, common: &Common) -> anyhow::Result<(Model, usize)> {
        let output = self.output.as_ref().context("there is no --output to write the model to")?;
        let training = self.training()?;
        let named = sources::named("--source", &self.sources)?;
        check_output(output, named.iter().flat_map(|(_, files)| files.iter().map(PathBuf::as_path)))?;
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        training.rank.of("rank", &names, Rank::Auto).map_err(|error| self.options.blame(error))?;
        let material: Vec<Material> =
            named.into_iter().map(|(name, files)| Material { name, recordings: Recordings::Files(files) }).collect();
        let kept = training.method.is_kept();
        if self.resume && !kept {
            bail!("--resume: this training takes little time and keeps no state to go on from");
        }
        if self.memory.is_some() && !training.method.has_mixtures() {
            bail!("--memory: the method {} needs none beside the recordings", training.method.name());
        }
        let mut state = StateFile::of(output, self.resume, Duration::from_secs(self.state_every.into()));
        let engine = open(common)?;
        let bar = progress::bar(common, train::iterations(&training, material.len()) as u64, "reading");
        let mut skipped = 0;
        let mut watch = |event: Event| {
            match event {
                Event::Skipped(error) => {
                    skipped += 1;
                    bar.suspend(|| log::error!("{error}; it is left out"));
                }
                Event::Warning(recording, warning) => bar.suspend(|| log::warn!("{recording}: {warning}")),
                Event::Iteration(name, done, of) => {
                    bar.set_message(format!("{name}, {done} of {of}"));
                    bar.inc(1);
                }
            }
            Ok(())
        };
        let means = Means {
            memory: self.memory.unwrap_or_else(Memory::of_training).0,
            keeper: if kept { Some(&mut state) } else { None },
        };
        let model = train::train_within(&engine, &material, &training, means, &mut watch)
            .map_err(|error| self.options.blame(error))?;
        bar.finish_and_clear();
        model.save(output)?;
        if kept {
            state.remove()?;
        }
        Ok((model, skipped))
    }
}

/// A training summary in rows, a source each, under a heading.
pub(super) fn rows(training: &Summary) -> Vec<Vec<String>> {
    let heading = ["source", "files", "seconds", "frames", "rank", "iterations", "objective, first", "last", "dead"];
    let row = |source: &SourceSummary| {
        vec![
            source.name.clone(),
            source.files.to_string(),
            format!("{:.1}", source.seconds),
            source.frames.to_string(),
            source.rank.to_string(),
            source.iterations.to_string(),
            format!("{:.4e}", source.first_objective),
            format!("{:.4e}", source.final_objective),
            source.dead_components.to_string(),
        ]
    };
    std::iter::once(heading.map(String::from).to_vec()).chain(training.sources.iter().map(row)).collect()
}

/// What the columns mean.
const COLUMNS: &str = "frames: those with sound; rank: components; objective: the distance of the model from the recordings, at \
                       the first and the last iteration; dead: components that ended as zero\n";
/// What the gain means, where there was a trial.
const GAIN: &str =
    "gain to expect: by how much the SI-SDR of a source improves in a mixture, at its level over the others\n";

fn summary(model: &Model, path: &Path, seconds: f64) -> String {
    format!("{}wrote {} in {seconds:.1} s\nnext: {}\n", learned(model, path), shown(path), next(model, path))
}

/// What a model was learned from, in a table, and how.
pub(super) fn learned(model: &Model, path: &Path) -> String {
    let stft = &model.stft;
    format!(
        "{}{COLUMNS}{}{}{}: {} at {} Hz, {} {} / {} / {}, on {}\n",
        table(&rows(&model.training)),
        model.training.sources.iter().map(details).collect::<String>(),
        if model.training.sources.iter().any(|source| !source.expected.is_empty()) { GAIN } else { "" },
        shown(path),
        model.divergence,
        model.sample_rate,
        stft.shape,
        stft.window,
        stft.hop,
        stft.fft,
        model.training.engine,
    )
}

/// The command that uses the model.
fn next(model: &Model, path: &Path) -> String {
    let (command, folder) =
        if model.parts.is_for_denoising() { ("denoise", "clean/") } else { ("separate", "separated/") };
    typed(&[command, "recordings/", "--model", &shown(path), "-o", folder])
}

/// The gain to expect of a source: "speech, gain to expect: 4.1 dB at -5 dB, 5.0 dB at 0 dB, 5.2 dB at 5 dB".
fn expected(source: &SourceSummary) -> Option<String> {
    let gain = |gain: &Gain| format!("{:.1} dB at {} dB", gain.gain_db, gain.level_db);
    let gains: Vec<String> = source.expected.iter().map(gain).collect();
    (!gains.is_empty()).then(|| format!("{}, gain to expect: {}\n", source.name, gains.join(", ")))
}

/// What the method adds to the summary of a source, a line each: "speech, mixture: components 32, steps 16".
fn details(source: &SourceSummary) -> String {
    let value = |value: &Value| match (value.as_f64().filter(|_| value.is_f64()), value.as_array()) {
        (Some(number), _) => format!("{number:.2}"),
        // A curve is for programs.
        (None, Some(curve)) if curve.iter().all(Value::is_f64) => format!("{} numbers, in the model", curve.len()),
        _ => value.to_string(),
    };
    let line = |(name, details): (&String, &Value)| {
        let of_object = |fields: &serde_json::Map<String, Value>| {
            let fields: Vec<String> =
                fields.iter().map(|(field, of)| format!("{} {}", field.replace('_', " "), value(of))).collect();
            fields.join(", ")
        };
        let text = details.as_object().map_or_else(|| value(details), of_object);
        format!("{}, {name}: {text}\n", source.name)
    };
    source.details.iter().map(line).chain(expected(source)).collect()
}
