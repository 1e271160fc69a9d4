//! Learning a model: recordings of each source alone → data → bases.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::audio::{self, Recording};
use crate::divergence::Divergence;
use crate::kernels::{GainPrior, Glue, Mixture, Momentum, Norm, Products};
use crate::methods::gain_prior::{self, Fitting};
use crate::methods::leakage::{self, Leakage};
pub use crate::methods::nmf::Updates;
use crate::methods::nmf::{self, Fit, Learn, Normalization, Options};
use crate::model::{self, MixtureTraining, Model, Source, SourceTraining, Training};
use crate::spectrogram::{Pad, Shape, Spectrum, Stft, StftParams, level_scale};
use crate::{Error, Result};

/// Frames whose power is below this share of the loudest frame's are silence: nothing of the source is to be learned from
/// them, yet IS would weigh them like any other.
const SILENCE: f64 = 1e-7;
/// The highest rank of a source; beyond it a spectrogram is not explained but copied.
pub const MAX_RANK: usize = 4096;

/// Updates of the gains alone that a mixture is learned after: those that the bases were learned with are of the bases before.
const SETTLING: usize = 10;
/// Frames of a source that its leakage is measured on, at most: evenly spread.
const LEAKAGE_FRAMES: usize = 16_384;

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

/// A length of time, as a user gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// In samples.
    Samples(usize),
    /// In milliseconds, rounded to samples.
    Milliseconds(f64),
}

impl Length {
    fn at(self, sample_rate: u32) -> usize {
        match self {
            Self::Samples(samples) => samples,
            Self::Milliseconds(ms) => (ms * f64::from(sample_rate) / 1000.0).round() as usize,
        }
    }
}

impl std::str::FromStr for Length {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = match text.strip_suffix("ms") {
            Some(ms) => ms.parse().ok().filter(|ms| *ms > 0.0 && *ms <= 10_000.0).map(Self::Milliseconds),
            None => text.parse().ok().filter(|samples| *samples > 0).map(Self::Samples),
        };
        length.ok_or_else(|| Error::input(format!("length '{text}' is neither samples (480) nor milliseconds (30ms)")))
    }
}

/// The transform, as a user gives it: what is missing follows from the rest once the sample rate is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    /// The window; by default 128 ms.
    pub window: Option<Length>,
    /// The hop; by default a quarter of the window.
    pub hop: Option<Length>,
    /// The transform's length; by default the power of two that holds the window.
    pub fft: Option<usize>,
    /// The window's shape.
    pub shape: Shape,
}

impl Transform {
    /// In samples.
    pub fn at(&self, sample_rate: u32) -> StftParams {
        let window = self.window.unwrap_or(Length::Milliseconds(128.0)).at(sample_rate);
        let hop = self.hop.map_or(window.div_ceil(4), |hop| hop.at(sample_rate));
        let fft = self.fft.unwrap_or_else(|| window.next_power_of_two());
        StftParams { window, hop, fft, shape: self.shape, pad: Pad::Full }
    }
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
/// taken in the order of their names, so that the order of arguments does not matter; all are brought to the lowest sample rate
/// among them.
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
    let recordings = material.iter().map(|source| read(source, watch)).collect::<Result<Vec<_>>>()?;
    let rates = recordings.iter().flatten().map(|recording| recording.sample_rate);
    let sample_rate = rates.min().unwrap_or_default();
    let stft = Stft::new(options.transform.at(sample_rate))?;
    let spectrum = suiting(options.divergence);
    let (mut sources, mut summaries, mut halves) = (Vec::new(), Vec::new(), Vec::new());
    for (Material { name, rank, .. }, recordings) in material.iter().zip(recordings) {
        let (files, seconds) = (recordings.len(), recordings.iter().map(Recording::seconds).sum());
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
    nmf::check_options(options.iterations, options.tolerance, options.sparsity)
}

/// The usable recordings of a source.
fn read(source: &Material, watch: &mut dyn FnMut(Event)) -> Result<Vec<Recording>> {
    let mut files = source.files.clone();
    files.sort();
    files.dedup();
    let read: Vec<_> = files.par_iter().map(|file| (file, audio::read(file))).collect();
    let mut recordings = Vec::with_capacity(read.len());
    for (file, recording) in read {
        match recording {
            Ok(recording) if recording.frames() > 0 => {
                recording.warnings.iter().for_each(|warning| watch(Event::Warning(file, warning)));
                recordings.push(recording);
            }
            Ok(_) => watch(Event::Skipped(Error::audio(file, "holds no audio: 0 samples"))),
            Err(error) => watch(Event::Skipped(error)),
        }
    }
    if recordings.is_empty() {
        return Err(Error::input(format!("source '{}': none of its {} files can be used", source.name, files.len())));
    }
    Ok(recordings)
}

/// The data of all frames that are not silence, (N, F), scaled by the recordings' common peak.
fn data(recordings: &[Recording], stft: &Stft<f32>, spectrum: Spectrum, sample_rate: u32) -> Result<Array2<f32>> {
    let peak = recordings.iter().map(Recording::peak).fold(0.0, f32::max);
    let channels: Vec<(&[f32], u32)> = recordings
        .iter()
        .flat_map(|recording| recording.channels.iter().map(|channel| (channel.as_slice(), recording.sample_rate)))
        .collect();
    let frames = channels
        .par_iter()
        .map(|&(channel, rate)| {
            let channel = audio::resample(channel, rate, sample_rate)?;
            let spectra = stft.forward(&channel, 0, 0..stft.frames(channel.len()));
            Ok(spectra.mapv(|bin| spectrum.of(bin * level_scale(peak))))
        })
        .collect::<Result<Vec<_>>>()?;
    let power = |frame: ndarray::ArrayView1<f32>| -> f64 {
        frame.iter().map(|&v| f64::from(v).powf(spectrum.power_exponent())).sum()
    };
    let loudest = frames.iter().flat_map(|frames| frames.outer_iter().map(power)).fold(0.0, f64::max);
    let mut data = Vec::new();
    for frame in frames.iter().flat_map(|frames| frames.outer_iter()) {
        if loudest > 0.0 && power(frame) >= SILENCE * loudest {
            data.extend(frame);
        }
    }
    let count = data.len() / stft.bins();
    Array2::from_shape_vec((count, stft.bins()), data).map_err(|cause| Error::input(cause.to_string()))
}

/// The datum that suits a divergence: the power for β < 1/2, the magnitude above.
fn suiting(divergence: Divergence) -> Spectrum {
    if divergence.exponent_beta() < 0.5 { Spectrum::Power } else { Spectrum::Magnitude }
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

/// One source learned from each half of its data, and frames of the other half: what models leave of sources they were learned
/// from says little of what they leave of others.
struct Halves {
    bases: [Array2<f32>; 2],
    /// (N, F), not in what the bases beside them were learned from.
    unseen: [Array2<f32>; 2],
}

impl Halves {
    /// From data (N, F). One frame is its own other half.
    fn learn<E: Products + Momentum + Glue>(
        engine: &E,
        name: &str,
        data: ArrayView2<f32>,
        rank: usize,
        options: &TrainOptions,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Self> {
        let (frames, middle) = (data.nrows(), data.nrows() / 2);
        let halves = [data.slice(s![..middle.max(1), ..]), data.slice(s![middle.min(frames - 1).., ..])];
        let mut learn = |half: ArrayView2<f32>| -> Result<Array2<f32>> {
            let Factorized { w, .. } = factorize(engine, name, half.t(), rank, options, watch)?;
            engine.read_matrix(&w)
        };
        let some = |half: ArrayView2<f32>| {
            let step = half.nrows().div_ceil(LEAKAGE_FRAMES / 2);
            half.slice(s![..; step, ..]).to_owned()
        };
        Ok(Self { bases: [learn(halves[0])?, learn(halves[1])?], unseen: [some(halves[1]), some(halves[0])] })
    }
}

/// What the models claim of each source alone.
fn measure_leakage<E: Products + Momentum + Glue>(
    engine: &E,
    sources: &[Halves],
    divergence: Divergence,
    spectrum: Spectrum,
) -> Result<Leakage> {
    let mut claimed = Array2::zeros((sources.len(), sources.len()));
    for half in 0..2 {
        let bases: Vec<ArrayView2<f32>> = sources.iter().map(|source| source.bases[half].view()).collect();
        let (bases, columns) = model::side_by_side(&bases);
        let w = engine.matrix(bases.view())?;
        for (source, mut claimed) in sources.iter().zip(claimed.columns_mut()) {
            let data = source.unseen[half].t();
            let claims =
                leakage::claims(engine, data, (bases.view(), &w), &columns, divergence, spectrum.power_exponent())?;
            claimed += &claims.sum_axis(Axis(1));
        }
    }
    Leakage::new(&claimed)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::audio::Format;
    use crate::engine::Reference;

    fn options(mixtures: Option<usize>) -> TrainOptions {
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
    fn what_is_learned_from_a_half_is_shown_the_other() {
        let data = array![[1.0f32, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0], [0.0, 2.0]];
        let mut count = 0;
        let mut watch = |event: Event| count += usize::from(matches!(event, Event::Iteration("a", ..)));
        let halves = Halves::learn(&Reference, "a", data.view(), 1, &options(Some(1)), &mut watch).unwrap();
        let near =
            |found: &Array2<f32>, expected: Array2<f32>| (found - &expected).iter().all(|error| error.abs() < 1e-6);
        assert!(near(&halves.bases[0], array![[1.0], [0.0]]), "{}", halves.bases[0]);
        assert!(near(&halves.bases[1], array![[0.0], [1.0]]), "{}", halves.bases[1]);
        assert_eq!(halves.unseen[0], data.slice(s![2.., ..]));
        assert_eq!(halves.unseen[1], data.slice(s![..2, ..]));
        assert_eq!(count, 14);
        // One frame is all there is of both halves.
        let one = Halves::learn(&Reference, "a", data.slice(s![..1, ..]), 1, &options(Some(1)), &mut |_| ()).unwrap();
        assert!(one.unseen.iter().all(|unseen| unseen.dim() == (1, 2)));
    }

    #[test]
    fn leakage_by_hand() {
        // The first source has the first bin, the second the second; but of the second's frames, 1 of 10 of the power is in the first.
        let source = |bases: Array2<f32>, frames: Array2<f32>| Halves {
            bases: [bases.clone(), bases],
            unseen: [frames.clone(), frames],
        };
        let sources = [
            source(array![[1.0], [0.0]], array![[2.0, 0.0], [1.0, 0.0]]),
            source(array![[0.0], [1.0]], array![[1.0, 3.0], [2.0, 6.0]]),
        ];
        let leakage = measure_leakage(&Reference, &sources, Divergence::KullbackLeibler, Spectrum::Magnitude).unwrap();
        let expected = array![[1.0, 0.1], [0.0, 0.9]];
        assert!((leakage.shares() - &expected).iter().all(|error| error.abs() < 1e-6), "{:?}", leakage.shares());
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

    #[test]
    fn power_for_is_and_magnitude_for_the_rest() {
        let suits = [Divergence::ItakuraSaito, Divergence::KullbackLeibler, Divergence::Euclidean].map(suiting);
        assert_eq!(suits, [Spectrum::Power, Spectrum::Magnitude, Spectrum::Magnitude]);
    }

    #[test]
    fn lengths_parse() {
        assert_eq!("480".parse::<Length>().unwrap(), Length::Samples(480));
        assert_eq!("30ms".parse::<Length>().unwrap(), Length::Milliseconds(30.0));
        assert_eq!("2.5ms".parse::<Length>().unwrap().at(16_000), 40);
        for bad in ["", "0", "-3", "ms", "0ms", "-1ms", "nanms", "1e9ms", "3s", "4.5"] {
            assert!(bad.parse::<Length>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn the_transform_fills_in_what_is_missing() {
        let transform = |window, hop, fft| Transform { window, hop, fft, shape: Shape::Hann };
        let sizes = |transform: Transform, rate| {
            let stft = transform.at(rate);
            (stft.window, stft.hop, stft.fft)
        };
        assert_eq!(sizes(transform(None, None, None), 16_000), (2048, 512, 2048));
        assert_eq!(sizes(transform(None, None, None), 44_100), (5645, 1412, 8192));
        let paper = transform(Some(Length::Milliseconds(30.0)), Some(Length::Milliseconds(12.0)), None);
        assert_eq!(sizes(paper, 16_000), (480, 192, 512));
        assert_eq!(sizes(transform(Some(Length::Samples(7)), None, Some(9)), 8_000), (7, 2, 9));
    }
}
