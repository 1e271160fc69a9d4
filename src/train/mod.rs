//! Learning a model: recordings of each source alone → data → bases.

mod data;
mod leakage;
mod patterns;

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};

use crate::divergence::Divergence;
use crate::kernels::{GainPrior, Glue, Mixture, Momentum, Norm, Products};
use crate::methods::gain_prior::{self, Fitting};
pub use crate::methods::nmf::Updates;
use crate::methods::nmf::{self, Fit, Learn, Normalization, Options};
use crate::model::{self, MixtureTraining, Model, Source, SourceTraining, Training};
use crate::spectrogram::{Spectrum, Stft, Transform};
use crate::{Error, Result};
use data::{common_rate, data, read, warn_of_shared};
use leakage::{Halves, measure_leakage};
pub use patterns::{OneShots, one_shots};

/// The highest rank of a source; beyond it a spectrogram is not explained but copied.
pub const MAX_RANK: usize = 4096;

/// Updates of the gains alone that a mixture is learned after: those that the bases were learned with are of the bases before.
const SETTLING: usize = 10;

/// The recordings of one source.
#[derive(Debug, Clone)]
pub struct Material {
    /// The source's name.
    pub name: String,
    /// Its recordings, it alone.
    pub files: Vec<PathBuf>,
    /// K.
    pub rank: usize,
}

/// How to learn.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// What bases are learned under, and gains found under later.
    pub divergence: Divergence,
    /// How the factors are updated.
    pub updates: Updates,
    /// Iterations at most.
    pub iterations: usize,
    /// See [`Options::tolerance`].
    pub tolerance: f64,
    /// The weight of an L1 penalty on the gains.
    pub sparsity: f64,
    /// How bases are scaled.
    pub normalize: Option<Norm>,
    /// Components of the mixture of each source's gains, for the method gain-prior.
    pub mixtures: Option<usize>,
    /// The transform.
    pub transform: Transform,
    /// The random starts' seed.
    pub seed: u64,
}

impl TrainOptions {
    /// How one source's data is factorized.
    fn nmf(&self) -> Options {
        let mut nmf = Options::of(self.divergence, self.iterations);
        nmf.updates = self.updates;
        nmf.tolerance = self.tolerance;
        nmf.trace_every = if self.tolerance > 0.0 { 10 } else { self.iterations };
        nmf.rule.sparsity = self.sparsity;
        nmf.normalization = self.normalize.map(|norm| Normalization { norm, compensate: true });
        nmf
    }

    /// Iterations in all that learning so many sources takes at most, each of which is an [`Event::Iteration`].
    pub fn iterations_of(&self, sources: usize) -> usize {
        // Where leakage is measured each source is learned once whole and once in halves.
        sources * self.iterations * if self.mixtures.is_some() { 3 } else { 1 }
    }
}

/// What happens while learning.
pub enum Event<'a> {
    /// A recording could not be used; the rest are.
    Skipped(Error),
    /// A recording was read, with a warning.
    Warning(&'a std::path::Path, &'a str),
    /// The bases of this source are being learned: iteration, of so many.
    Iteration(&'a str, usize, usize),
}

/// Learns the bases of every source, and mixtures of its gains where they are asked for, from recordings of it alone. Files are
/// taken in the order of their names, so that the order of arguments does not matter. All are brought to the sample rate of the
/// source that has the lowest; a source has the highest that at least half of its sound has, and recordings of still lower rates
/// than the common one are left out.
///
/// # Errors
/// [`Error::Input`] for options out of range, a source without a usable recording, or one that is all silence; the engine's.
pub fn train<E: GainPrior + Momentum + Glue>(
    engine: &E,
    material: &[Material],
    options: &TrainOptions,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Model> {
    check(material, options)?;
    let mut recordings = material.iter().map(|source| read(source, watch)).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = material.iter().map(|source| source.name.as_str()).collect();
    warn_of_shared(&names, &recordings, watch);
    let sample_rate = common_rate(&names, &mut recordings, watch);
    let stft = Stft::new(options.transform.at(sample_rate)?)?;
    let spectrum = Spectrum::suiting(options.divergence.exponent_beta());
    let (mut sources, mut summaries, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    for (Material { name, rank, .. }, recordings) in material.iter().zip(recordings) {
        let (files, seconds) = (recordings.len(), recordings.iter().map(|(_, recording)| recording.seconds()).sum());
        let data = data(&recordings, &stft, spectrum, sample_rate)?;
        drop(recordings);
        if data.is_empty() {
            return Err(Error::input(format!("source '{name}': its recordings are silent; there is nothing to learn")));
        }
        let (source, summary) = learn(engine, name, data.t(), *rank, options, watch)?;
        if options.mixtures.is_some() {
            halves.push(Halves::learn(engine, name, data.view(), *rank, options, watch)?);
        }
        summaries.push(SourceTraining { files, seconds, ..summary });
        sources.push(source);
    }
    let leakage =
        options.mixtures.map(|_| measure_leakage(engine, &halves, options.divergence, spectrum)).transpose()?;
    Ok(Model {
        divergence: options.divergence,
        sample_rate,
        stft: stft.params().clone(),
        spectrum,
        sources,
        leakage: leakage.map(|leakage| leakage.shares().clone()),
        normalize: options.normalize,
        training: Training {
            seed: options.seed,
            engine: engine.describe(),
            version: env!("CARGO_PKG_VERSION").into(),
            sources: summaries,
        },
    })
}

fn check(material: &[Material], options: &TrainOptions) -> Result<()> {
    if material.is_empty() {
        return Err(Error::input("no source to learn; name at least one with --source NAME=PATH"));
    }
    for (index, Material { name, rank, .. }) in material.iter().enumerate() {
        model::check_name(name).map_err(Error::Input)?;
        if material[..index].iter().any(|other| other.name == *name) {
            return Err(Error::input(format!("source '{name}' is given twice; give all its paths to one --source")));
        }
        if !(1..=MAX_RANK).contains(rank) {
            return Err(Error::input(format!("source '{name}': rank {rank} is not between 1 and {MAX_RANK}")));
        }
    }
    if options.mixtures == Some(0) {
        return Err(Error::input("0 mixtures: at least one"));
    }
    nmf::check_options(options.iterations, options.tolerance, options.sparsity)?;
    nmf::kept_norm(&options.nmf()).map(drop)
}

/// Data, its factors, and how they were found.
struct Factorized<E: Products> {
    v: E::Panel,
    w: E::Matrix,
    h: E::Panel,
    fit: Fit,
}

/// Factorizes data (F, N) of one source.
fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    name: &str,
    data: ArrayView2<f32>,
    rank: usize,
    options: &TrainOptions,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Factorized<E>> {
    let (w, h) = nmf::random_start(data, rank, options.seed);
    let (v, mut w, mut h) = (engine.panel(data)?, engine.matrix(w.view())?, engine.panel(h.view())?);
    let fit = nmf::factorize(engine, &v, &mut w, &mut h, &options.nmf(), |iteration| {
        watch(Event::Iteration(name, iteration, options.iterations));
    })?;
    Ok(Factorized { v, w, h, fit })
}

/// Learns one source from its data (F, N).
fn learn<E: GainPrior + Momentum + Glue>(
    engine: &E,
    name: &str,
    data: ArrayView2<f32>,
    rank: usize,
    options: &TrainOptions,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<(Source, SourceTraining)> {
    let Factorized { v, mut w, mut h, fit } = factorize(engine, name, data, rank, options, watch)?;
    let bases: Array2<f32> = engine.read_matrix(&w)?;
    let mixture = options.mixtures.map(|components| mixture(engine, name, (&v, &mut w, &mut h), components, options));
    let (mixture, mixture_summary) = mixture.transpose()?.unzip();
    let summary = SourceTraining {
        name: name.into(),
        files: 0,
        seconds: 0.0,
        frames: data.ncols(),
        rank,
        iterations: fit.iterations,
        first_objective: fit.objective.first().copied().unwrap_or_default(),
        final_objective: fit.objective.last().copied().unwrap_or_default(),
        dead_components: bases.columns().into_iter().filter(|column| column.iter().all(|&w| w == 0.0)).count(),
        mixture: mixture_summary,
    };
    Ok((Source { name: name.into(), bases, mixture }, summary))
}

/// Learns the mixture of a source's gains under its final bases.
fn mixture<E: GainPrior + Momentum + Glue>(
    engine: &E,
    name: &str,
    (v, w, h): (&E::Panel, &mut E::Matrix, &mut E::Panel),
    components: usize,
    options: &TrainOptions,
) -> Result<(Mixture, MixtureTraining)> {
    let (updates, iterations) = (Updates::Alternating, SETTLING);
    let settling =
        Options { updates, learn: Learn::Gains, iterations, tolerance: 0.0, trace_every: 0, ..options.nmf() };
    nmf::factorize(engine, v, w, h, &settling, |_| ())?;
    let (rank, frames) = engine.shape(h);
    let x = engine.log_normalized(h, 0..rank, gain_prior::FLOOR)?;
    let fitted = gain_prior::fit(engine, &x, &Fitting::of(components, options.seed)).map_err(|cause| match cause {
        Error::Input(reason) => Error::input(format!("source '{name}': {reason}")),
        cause => cause,
    })?;
    let summary = MixtureTraining {
        components,
        steps: fitted.log_likelihood.len() - 1,
        log_likelihood: fitted.log_likelihood.last().copied().unwrap_or_default() / frames as f64,
        reseeded: fitted.reseeded,
    };
    Ok((fitted.mixture.rounded(), summary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{self, Format, Recording};
    use crate::engine::Reference;
    use crate::spectrogram::{Length, Shape};

    pub(super) fn options(mixtures: Option<usize>) -> TrainOptions {
        TrainOptions {
            divergence: Divergence::KullbackLeibler,
            updates: Updates::Alternating,
            iterations: 7,
            tolerance: 0.0,
            sparsity: 0.0,
            normalize: Some(Norm::L1),
            mixtures,
            transform: Transform { window: Some(Length::Samples(16)), hop: None, fft: None, shape: Shape::Hann },
            seed: 0,
        }
    }

    #[test]
    fn every_iteration_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let material = ["a", "b"].map(|name| {
            let path = folder.path().join(format!("{name}.wav"));
            let channels = vec![(0..200).map(|n| ((n * n) as f32 * 0.1).sin()).collect()];
            audio::write(&path, &Recording { channels, sample_rate: 8000, warnings: Vec::new() }, Format::WavF32)
                .unwrap();
            Material { name: name.into(), files: vec![path], rank: 2 }
        });
        for mixtures in [None, Some(2)] {
            let (options, mut count) = (options(mixtures), 0);
            let mut watch = |event: Event| count += usize::from(matches!(event, Event::Iteration(..)));
            let model = train(&Reference, &material, &options, &mut watch).unwrap();
            assert_eq!(count, options.iterations_of(2));
            assert_eq!(model.leakage.is_some(), mixtures.is_some());
        }
    }
}
