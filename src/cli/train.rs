//! `partwise train`

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use partwise::divergence::Divergence;
use partwise::kernels::Norm;
use partwise::model::{MixtureTraining, Model, SourceTraining, Training};
use partwise::spectrogram::{Length, Shape, Transform};
use partwise::train::{self, Event, Material, TrainOptions, Updates};

use super::engine::{open, with_engine};
use super::{Common, Ending, check_output, print, progress, shown, sources, table, write_whole};

/// Learn a model from recordings of each source alone
#[derive(Args)]
pub(super) struct Train {
    /// A source and its recordings: files, folders, globs or @lists; more paths may follow, or the same name again
    #[arg(long = "source", value_name = "NAME=PATH", num_args = 1.., required = true)]
    sources: Vec<String>,
    /// The model file to write
    #[arg(short, long, value_name = "MODEL.safetensors")]
    output: PathBuf,
    /// The method
    #[arg(long, value_name = "nmf|gain-prior", default_value = "nmf", value_parser = ["nmf", "gain-prior"])]
    method: String,
    /// Gaussians in the mixture that the method gain-prior learns of each source's gains [default: 32]
    #[arg(long, value_name = "C")]
    mixtures: Option<usize>,
    /// Components a source: one number for all, or NAME=K for one source
    #[arg(long, value_name = "K|NAME=K", default_value = "64")]
    rank: Vec<String>,
    /// What the fit is measured by: eu, kl, is or beta:B
    #[arg(long, default_value = "kl")]
    divergence: Divergence,
    /// extrapolated: each update from a point further along the last step; joint: both factors from one pass; or alternating
    #[arg(long, value_name = "extrapolated|joint|alternating", default_value = "extrapolated")]
    updates: Updates,
    /// Iterations at most [default: 50 extrapolated ones, or 100]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Stop when ten iterations brought the objective down by less than this share of it
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    tolerance: f64,
    /// The window, in samples (480) or milliseconds (30ms) [default: 128ms]
    #[arg(long, value_name = "LENGTH")]
    window: Option<Length>,
    /// The hop, likewise [default: a quarter of the window]
    #[arg(long, value_name = "LENGTH")]
    hop: Option<Length>,
    /// The transform's length in samples [default: the power of two that holds the window]
    #[arg(long, value_name = "N")]
    fft: Option<usize>,
    /// hamming, hann or sqrt-hann
    #[arg(long, value_name = "SHAPE", default_value = "sqrt-hann")]
    window_shape: Shape,
    /// The weight of an L1 penalty on the gains
    #[arg(long, value_name = "L", default_value_t = 0.0)]
    sparsity: f64,
    /// The norm that bases are scaled to 1 in: l1, l2 [default: l1, or l2 where there is a sparsity]
    #[arg(long, value_name = "NORM")]
    normalize: Option<Norm>,
}

impl Train {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let (model, skipped) = self.learn(common)?;
        print(common.json, &model.training, || summary(&model, &self.output))?;
        Ok(if skipped > 0 { Ending::Partial } else { Ending::Done })
    }

    /// Learns and writes the model; also, how many recordings could not be used.
    pub(super) fn learn(&self, common: &Common) -> anyhow::Result<(Model, usize)> {
        let material = self.material()?;
        check_output(&self.output, material.iter().flat_map(|source| source.files.iter().map(PathBuf::as_path)))?;
        let iterations = self.iterations.unwrap_or(if self.updates == Updates::Extrapolated { 50 } else { 100 });
        let options = TrainOptions {
            divergence: self.divergence,
            updates: self.updates,
            iterations,
            tolerance: self.tolerance,
            sparsity: self.sparsity,
            normalize: Some(self.normalize.unwrap_or(if self.sparsity > 0.0 { Norm::L2 } else { Norm::L1 })),
            mixtures: match (self.method.as_str(), self.mixtures) {
                ("gain-prior", mixtures) => Some(mixtures.unwrap_or(32)),
                (_, None) => None,
                (_, Some(_)) => bail!("--mixtures is for --method gain-prior"),
            },
            transform: Transform { window: self.window, hop: self.hop, fft: self.fft, shape: self.window_shape },
            seed: common.seed,
        };
        let engine = open(common)?;
        let bar = progress::bar(common, options.iterations_of(material.len()) as u64, "reading");
        let mut skipped = 0;
        let mut watch = |event: Event| match event {
            Event::Skipped(error) => {
                skipped += 1;
                bar.suspend(|| log::error!("{error}; it is left out"));
            }
            Event::Warning(file, warning) => bar.suspend(|| log::warn!("{}: {warning}", file.display())),
            Event::Iteration(name, done, of) => {
                bar.set_message(format!("{name}, {done} of {of}"));
                bar.inc(1);
            }
        };
        let model = with_engine!(&engine, |engine| train::train(engine, &material, &options, &mut watch))?;
        bar.finish_and_clear();
        let bytes = model.to_bytes()?;
        write_whole(&self.output, |path| std::fs::write(path, bytes))?;
        Ok((model, skipped))
    }

    /// The sources with their files and ranks.
    fn material(&self) -> anyhow::Result<Vec<Material>> {
        let named = sources::named("--source", &self.sources)?;
        let mut material: Vec<Material> =
            named.into_iter().map(|(name, files)| Material { name, files, rank: 0 }).collect();
        let ranks = Ranks::parse(&self.rank)?;
        for source in &mut material {
            source.rank = *ranks.by_name.get(&source.name).unwrap_or(&ranks.default);
        }
        if let Some(name) = ranks.by_name.keys().find(|name| !material.iter().any(|source| source.name == **name)) {
            bail!("--rank {name}=..: there is no source '{name}'");
        }
        Ok(material)
    }
}

struct Ranks {
    default: usize,
    by_name: HashMap<String, usize>,
}

impl Ranks {
    fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut ranks = Self { default: 64, by_name: HashMap::new() };
        for word in words {
            let (name, rank) = word.split_once('=').map_or((None, word.as_str()), |(name, rank)| (Some(name), rank));
            let rank = rank.parse().with_context(|| format!("--rank {word}: expected a number, or NAME=number"))?;
            match name {
                Some(name) => drop(ranks.by_name.insert(name.to_string(), rank)),
                None => ranks.default = rank,
            }
        }
        Ok(ranks)
    }
}

/// A training summary in rows, a source each, under a heading.
pub(super) fn rows(training: &Training) -> Vec<Vec<String>> {
    let heading = ["source", "files", "seconds", "frames", "rank", "iterations", "objective, first", "last", "dead"];
    let row = |source: &SourceTraining| {
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

fn summary(model: &Model, path: &Path) -> String {
    let stft = &model.stft;
    let of_mixture = |source: &SourceTraining| {
        let MixtureTraining { components, steps, log_likelihood, reseeded } = source.mixture.as_ref()?;
        Some(format!(
            "{}: {components} mixtures in {steps} steps, log-likelihood {log_likelihood:.2} a frame, {reseeded} seeded anew\n",
            source.name
        ))
    };
    let mixtures: String = model.training.sources.iter().filter_map(of_mixture).collect();
    format!(
        "{}{mixtures}{}: {} at {} Hz, {} {} / {} / {}, on {}\n",
        table(&rows(&model.training)),
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
