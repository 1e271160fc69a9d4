//! Separates speech from music under gain priors: Grais & Erdogan (2012), table 1.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use realfft::num_complex::Complex;

use super::mixtures::{Clip, clips};
use super::{Cell, Corpus, Figure, Findings, Table};
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::evaluate::snr;
use crate::job::{Training, TrainingMethod};
use crate::kernels::{GainPrior, Glue, Gradient, Mask, Momentum, Norm};
use crate::methods::gain_prior::separate::{Settings, UnderPriors};
use crate::methods::gain_prior::{self as method, Weight};
use crate::methods::nmf::{self, Updates};
use crate::methods::separator::{OnEngine as _, STRETCH, Separated, stretches};
use crate::model::{Model, Parts};
use crate::recordings::{Event, Material, Recordings};
use crate::report::{self, Curve, Panel, heatmap};
use crate::spectrogram::{Length, Shape, Stft, level_scale};
use crate::train::train;
use crate::{Error, Result, with_engine};

const PAPER: &str = "E. M. Grais, H. Erdogan: Gaussian mixture gain priors for regularized nonnegative matrix factorization in \
                     single-channel source separation. Interspeech 2012, table 1";
/// The paper's results: the level of speech over music in dB; the SNR of the speech in dB without priors, with weights
/// of 0.1, and with the best weights that the authors tried; and those weights, for speech and music.
const PUBLISHED: [(f64, f64, f64, f64, &str); 6] = [
    (-5.0, 3.32, 3.45, 4.55, "0.5, 0.005"),
    (0.0, 7.19, 7.43, 7.68, "0.1, 0.01"),
    (5.0, 10.58, 10.64, 10.67, "0.1, 0.01"),
    (10.0, 12.91, 13.02, 13.06, "0.01, 0.05"),
    (15.0, 15.62, 15.92, 16.42, "0.01, 0.5"),
    (20.0, 17.14, 17.69, 20.69, "0.01, 10"),
];
const GRADIENTS: [Gradient; 2] = [Gradient::Paper, Gradient::Exact];
/// Iterations of extrapolated training, and updates of separation.
const ITERATIONS: usize = 100;
/// The range of the gain pictures, in dB below the loudest gain of a frame.
const SHOWN: f32 = 60.0;

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct GainPriorOptions {
    /// Components K per source.
    pub rank: usize,
    /// Gaussians C per source.
    pub mixtures: usize,
    /// The most mixtures per level.
    pub clips: usize,
    /// Levels of speech over music in dB, ascending.
    pub levels: Vec<f64>,
    /// The weights of the grid. Every pair is tried, to find the best at each level.
    pub grid: Vec<f64>,
    /// The seed of the random starts and of the choice of mixtures.
    pub seed: u64,
}

impl Default for GainPriorOptions {
    /// The paper's parameters.
    fn default() -> Self {
        Self {
            rank: 128,
            mixtures: 32,
            clips: 20,
            levels: PUBLISHED.iter().map(|row| row.0).collect(),
            grid: vec![0.0, 0.01, 0.1, 0.5, 2.0, 10.0],
            seed: 0,
        }
    }
}

/// Progress events.
pub enum Progress<'a> {
    /// A training event.
    Training(Event<'a>),
    /// The number of separations done, and their total.
    Separated(usize, usize),
}

/// Trains both sources on their training recordings, then separates mixtures of their test recordings with both
/// gradients: without priors, with weights found from the data, with weights of 0.1, and with every pair of the grid.
///
/// # Errors
/// [`Error::Input`] for options out of range, and for missing or silent recordings; also the errors of training and
/// separation.
pub fn gain_prior(
    engine: &AnyEngine,
    speech: &Corpus,
    music: &Corpus,
    options: &GainPriorOptions,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Findings> {
    let sound = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if options.levels.is_empty() || !options.levels.iter().all(|level| level.abs() <= 100.0) || options.clips == 0 {
        return Err(Error::input("the experiment needs at least one clip, and levels from -100 to 100 dB"));
    }
    if options.grid.is_empty() || !options.grid.iter().all(sound) {
        return Err(Error::input("the grid needs finite, nonnegative weights"));
    }
    let model = learn(engine, [speech, music], options, &mut |event| watch(Progress::Training(event)))?;
    let clips = clips(&speech.test, &music.test, options.clips, model.sample_rate, options.seed)?;
    let problems =
        options.levels.iter().map(|&level| Problem::new(&model, &clips, level)).collect::<Result<Vec<_>>>()?;
    let given = |weights: [f64; 2]| weights.map(Weight::Given);
    let grid: Vec<[f64; 2]> =
        options.grid.iter().flat_map(|&speech| options.grid.iter().map(move |&music| [speech, music])).collect();
    let of_gradient = |gradient| {
        let usual = [[Weight::Auto; 2], given([0.1; 2])];
        usual.into_iter().chain(grid.iter().copied().map(given)).map(move |weights| (weights, gradient))
    };
    let none = (given([0.0; 2]), Gradient::Paper);
    let arms: Vec<_> = std::iter::once(none).chain(GRADIENTS.into_iter().flat_map(of_gradient)).collect();
    let mut results = Vec::with_capacity(arms.len());
    for (done, &(weights, gradient)) in arms.iter().enumerate() {
        let settings = settings(weights, gradient);
        results.push(with_engine!(engine, |engine| scores(engine, &model, &settings, &problems))?);
        watch(Progress::Separated(done + 1, arms.len()));
    }
    let mut results = results.into_iter();
    let mut next = || results.next().unwrap_or_default();
    let plain = next();
    let by_gradient = GRADIENTS.map(|gradient| ByGradient {
        gradient,
        auto: next(),
        even: next(),
        grid: grid.iter().map(|&weights| (weights, next())).collect(),
    });
    let scores = Scores { levels: options.levels.clone(), plain, by_gradient };
    let figures = vec![scores.figure()?, pictures(engine, &model, &clips, options)?];
    let seconds: f64 = clips.iter().map(|clip| clip.target.len() as f64 / f64::from(model.sample_rate)).sum();
    let stft = &model.stft;
    Ok(Findings {
        title: "Gains under Gaussian mixture priors".into(),
        paper: PAPER.into(),
        setting: [
            ("speech", describe(speech, &model, 0)),
            ("music", describe(music, &model, 1)),
            ("mixtures", format!("{} per level, {seconds:.1} s; levels by mean power", clips.len())),
            (
                "transform",
                format!("{} {} / {} / {} at {} Hz", stft.shape, stft.window, stft.hop, stft.fft, model.sample_rate),
            ),
            ("bases, components", format!("{}, {} per source", options.rank, options.mixtures)),
            ("iterations", format!("{ITERATIONS} of training (extrapolated) and {ITERATIONS} of separation")),
            ("seed, engine", format!("{}, {}", options.seed, engine.describe())),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec(),
        tables: vec![scores.table(), scores.best(), published()],
        figures,
    })
}

fn describe(corpus: &Corpus, model: &Model, source: usize) -> String {
    let seconds = model.training.sources.get(source).map_or(0.0, |source| source.seconds);
    format!(
        "{}: {} recordings, {seconds:.0} s for training, {} for mixing",
        corpus.name,
        corpus.train.len(),
        corpus.test.len()
    )
}

fn learn(
    engine: &AnyEngine,
    sources: [&Corpus; 2],
    options: &GainPriorOptions,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Model> {
    let material = sources
        .map(|source| Material { name: source.name.clone(), recordings: Recordings::Files(source.train.clone()) });
    let training = Training {
        method: TrainingMethod::GainPrior(method::Training { mixtures: options.mixtures }),
        rank: options.rank.into(),
        divergence: Some(Divergence::ItakuraSaito),
        iterations: Some(ITERATIONS),
        normalize: Some(Norm::L2),
        window: Some(Length::Milliseconds(30.0)),
        hop: Some(Length::Milliseconds(12.0)),
        window_shape: Shape::Hamming,
        seed: options.seed,
        ..Training::default()
    };
    let mut watch = |event: Event| {
        watch(event);
        Ok(())
    };
    train(engine, &material, &training, &mut watch)
}

fn settings(weights: [Weight; 2], gradient: Gradient) -> Settings {
    let updates = Updates::Alternating;
    let gains = nmf::separate::Settings {
        updates,
        iterations: ITERATIONS,
        tolerance: 0.0,
        sparsity: 0.0,
        mask: Mask::Ratio(1.0),
    };
    Settings { gains, weights: weights.to_vec(), gradient }
}

/// The model's bases and priors on an engine.
fn under<E: GainPrior + Momentum + Glue>(engine: &E, model: &Model, settings: &Settings) -> Result<UnderPriors<E>> {
    let Parts::GainPrior(learned) = &model.parts else {
        return Err(Error::input("a model without gain priors"));
    };
    UnderPriors::new(engine, model.bases(), learned, settings)
}

/// The mean SNR of the speech in dB, of every problem.
fn scores<E: GainPrior + Momentum + Glue>(
    engine: &E,
    model: &Model,
    settings: &Settings,
    problems: &[Problem],
) -> Result<Array1<f64>> {
    let under = under(engine, model, settings)?;
    let score =
        |problem: &Problem| problem.score(model, &under.separate(engine, problem.data.t(), &problem.segments, false)?);
    problems.iter().map(score).collect()
}

/// All mixtures of a level, prepared for an engine.
struct Problem<'a> {
    clips: &'a [Clip],
    stft: Stft<f32>,
    /// The spectra (n, F) of every clip.
    spectra: Vec<Array2<Complex<f32>>>,
    /// The data (N, F), one clip after another.
    data: Array2<f32>,
    /// The columns of each stretch.
    segments: Vec<usize>,
}

impl<'a> Problem<'a> {
    fn new(model: &Model, clips: &'a [Clip], level: f64) -> Result<Self> {
        let stft = Stft::new(model.stft.clone())?;
        let (mut spectra, mut data, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        for clip in clips {
            let mixture = clip.mixture(level);
            let scale = level_scale(mixture.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs())));
            let spectrum = stft.forward(&mixture, 0, 0..stft.frames(mixture.len()));
            data.extend(spectrum.iter().map(|&bin| model.spectrum.of(bin * scale)));
            segments.extend(stretches(spectrum.nrows(), STRETCH));
            spectra.push(spectrum);
        }
        let data = Array2::from_shape_vec((data.len() / stft.bins(), stft.bins()), data);
        Ok(Self { clips, data: data.map_err(|cause| Error::input(cause.to_string()))?, stft, spectra, segments })
    }

    /// The mean SNR of the speech in dB.
    fn score(&self, model: &Model, separated: &Separated) -> Result<f64> {
        if separated.costs.iter().any(|cost| !cost.is_finite()) {
            return Err(Error::Diverged { what: model.sources[0].name.clone(), iteration: ITERATIONS });
        }
        let mask = separated.masks[0].t();
        let mut first = 0;
        let parts = self.spectra.iter().map(|spectrum| {
            let frames = first..first + spectrum.nrows();
            first = frames.end;
            mask.slice(s![frames, ..])
        });
        let parts: Vec<ArrayView2<f32>> = parts.collect();
        let scores = self.clips.par_iter().zip(&self.spectra).zip(parts).map(|((clip, spectrum), mask)| {
            let masked = ndarray::Zip::from(spectrum).and(mask).map_collect(|&bin, &share| bin * share);
            let mut estimate = Vec::with_capacity(clip.target.len());
            let mut inverse = self.stft.overlap_add(clip.target.len());
            inverse.push(masked.view(), &mut estimate)?;
            inverse.finish(&mut estimate)?;
            let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
            Ok(snr(&double(&clip.target), &double(&estimate)))
        });
        Ok(scores.collect::<Result<Vec<f64>>>()?.iter().sum::<f64>() / self.clips.len() as f64)
    }
}

/// SNR in dB at every level, with one gradient.
struct ByGradient {
    gradient: Gradient,
    auto: Array1<f64>,
    /// With weights of 0.1.
    even: Array1<f64>,
    /// For each pair of weights, of speech and music.
    grid: Vec<([f64; 2], Array1<f64>)>,
}

impl ByGradient {
    /// The best SNR of the grid at every level, with its weights.
    fn best(&self) -> Vec<(f64, [f64; 2])> {
        let at = |level: usize| {
            let all = self.grid.iter().map(|(weights, scores)| (scores[level], *weights));
            all.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NAN, [0.0; 2]))
        };
        (0..self.auto.len()).map(at).collect()
    }
}

/// SNR in dB of the speech at every level.
struct Scores {
    levels: Vec<f64>,
    plain: Array1<f64>,
    by_gradient: [ByGradient; 2],
}

impl Scores {
    fn table(&self) -> Table {
        let mut heading = vec!["level".to_string(), "no prior".into()];
        let mut columns = Vec::new();
        for ByGradient { gradient, auto, even, .. } in &self.by_gradient {
            heading.extend([format!("auto, {gradient}"), format!("0.1, {gradient}")]);
            columns.extend([auto, even]);
        }
        let row = |(index, &level): (usize, &f64)| {
            let gains = columns.iter().map(|column| Cell::Gain(column[index] - self.plain[index]));
            [Cell::Number(level), Cell::Decibels(self.plain[index])].into_iter().chain(gains).collect()
        };
        Table {
            title: "SNR of the speech in dB without priors, and the gain with priors".into(),
            heading,
            rows: self.levels.iter().enumerate().map(row).collect(),
            note: "Level of speech over music in dB. auto: weights from the data, without knowledge of the level. 0.1: both \
                   weights. paper: the gradient of eqs. (29) and (30) as printed. exact: the gradient of the likelihood."
                .into(),
        }
    }

    fn best(&self) -> Table {
        let mut heading = vec!["level".to_string()];
        for ByGradient { gradient, .. } in &self.by_gradient {
            heading.extend([format!("best, {gradient}"), "speech, music".into()]);
        }
        let best = self.by_gradient.each_ref().map(ByGradient::best);
        let row = |(index, &level): (usize, &f64)| {
            let cells = best.iter().flat_map(|best| {
                let (score, [speech, music]) = best[index];
                [Cell::Gain(score - self.plain[index]), Cell::Text(format!("{speech}, {music}"))]
            });
            std::iter::once(Cell::Number(level)).chain(cells).collect()
        };
        Table {
            title: "The same with the best pair of weights at each level".into(),
            heading,
            rows: self.levels.iter().enumerate().map(row).collect(),
            note:
                "The pairs were chosen on these mixtures, with the level known. No rule for the weights can do better."
                    .into(),
        }
    }

    fn figure(&self) -> Result<Figure> {
        let curve = |name: String, scores: Vec<f64>| Curve {
            name,
            points: self
                .levels
                .iter()
                .copied()
                .zip(scores.iter().zip(&self.plain).map(|(score, plain)| score - plain))
                .collect(),
            dashed: false,
        };
        let mut curves = Vec::new();
        for by in &self.by_gradient {
            curves.push(curve(format!("auto, {}", by.gradient), by.auto.to_vec()));
            curves.push(curve(format!("0.1, {}", by.gradient), by.even.to_vec()));
        }
        curves.push(curve("best pair, paper".into(), self.by_gradient[0].best().iter().map(|best| best.0).collect()));
        let points = PUBLISHED.iter().map(|&(level, none, even, ..)| (level, even - none)).collect();
        curves.push(Curve { name: "0.1, as published".into(), points, dashed: true });
        let ends = |fold: fn(f64, f64) -> f64, start| self.levels.iter().copied().chain([-5.0, 20.0]).fold(start, fold);
        let x = report::Axis::new(
            "level of speech over music in dB",
            ends(f64::min, f64::INFINITY)..ends(f64::max, f64::NEG_INFINITY),
        );
        let title = "SNR gained over no prior";
        Ok(Figure {
            name: "gain-prior".into(),
            caption: "The gain in SNR of the speech with priors. Weights from the data are the default; the best pair knows the level."
                .into(),
            svg: report::lines(title, &x, "dB", &curves)?,
        })
    }
}

fn published() -> Table {
    let row = |&(level, none, even, best, weights): &(f64, f64, f64, f64, &str)| {
        let gains = [even, best].map(|score| Cell::Gain(score - none));
        let cells = [Cell::Number(level), Cell::Decibels(none)].into_iter().chain(gains);
        cells.chain([Cell::Text(weights.into())]).collect()
    };
    Table {
        title: "The paper's results: SNR in dB without priors, and the gain with priors".into(),
        heading: ["level", "no prior", "0.1", "best", "speech, music"].map(String::from).to_vec(),
        rows: PUBLISHED.iter().map(row).collect(),
        note: "Other recordings: 540 utterances of one speaker, 12 pieces for piano; levels by active speech level."
            .into(),
    }
}

/// Pictures the speech's gains in the first clip at the lowest level: in the clean speech, in the mixture without
/// priors, and with priors.
fn pictures(engine: &AnyEngine, model: &Model, clips: &[Clip], options: &GainPriorOptions) -> Result<Figure> {
    let (level, rank) = (options.levels[0], model.sources[0].bases.ncols());
    let none = settings([Weight::Given(0.0); 2], Gradient::Paper);
    let auto = settings([Weight::Auto; 2], Gradient::Paper);
    let alone = Clip { rest: vec![0.0; clips[0].target.len()], ..clips[0].clone() };
    let order = by_centroid(&model.sources[0].bases);
    let mut panels = Vec::new();
    for (title, clip, settings) in [
        ("Gains of the speech, alone".to_string(), &alone, &none),
        (format!("In the mixture at {level} dB, no prior"), &clips[0], &none),
        (format!("In the mixture at {level} dB, weights from the data"), &clips[0], &auto),
    ] {
        let problem = Problem::new(model, std::slice::from_ref(clip), level)?;
        let all = with_engine!(engine, |engine| {
            under(engine, model, settings)?.gains(engine, problem.data.t(), &problem.segments)?
        });
        let shown = all.slice(s![..rank, ..]).select(Axis(0), &order);
        let loudest = shown.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let decibels = shown.mapv(|gain| 10.0 * (gain / loudest).log10());
        let png = heatmap(decibels.view(), -SHOWN..0.0)?;
        panels.push(Panel { title, png, y: report::Axis::new("component", 0.0..rank as f64) });
    }
    let seconds = clips[0].target.len() as f64 / f64::from(model.sample_rate);
    let (x, scale) = (report::Axis::new("time in s", 0.0..seconds), report::Axis::new("dB", f64::from(-SHOWN)..0.0));
    Ok(Figure {
        name: "gains".into(),
        caption: format!(
            "Gains of {} in {}, components by the centroid of their spectra.",
            model.sources[0].name, clips[0].name
        ),
        svg: report::figure(&panels, &x, Some(&scale), (640.0, 150.0))?,
    })
}

/// The columns of bases (F, K), ordered by their centroids.
fn by_centroid(bases: &Array2<f32>) -> Vec<usize> {
    let centroid = |column: usize| {
        let column = bases.column(column);
        let moment: f32 = column.iter().enumerate().map(|(bin, w)| bin as f32 * w).sum();
        moment / column.sum().max(f32::MIN_POSITIVE)
    };
    let mut order: Vec<usize> = (0..bases.ncols()).collect();
    order.sort_by(|&a, &b| centroid(a).total_cmp(&centroid(b)));
    order
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::audio::{self, Format, Recording};
    use crate::engine::Reference;

    fn corpus(folder: &Path, name: &str, pitch: f32) -> Corpus {
        let save = |index: usize| -> PathBuf {
            let path = folder.join(format!("{name}{index}.wav"));
            let tone = |n: usize| (n as f32 * (pitch + 0.01 * index as f32)).sin() * ((n * n) as f32 * 1e-5).cos();
            let channels = vec![(0..900 + 300 * index).map(tone).collect()];
            audio::write(&path, &Recording { channels, sample_rate: 8000, warnings: Vec::new() }, Format::WavF32)
                .unwrap();
            path
        };
        Corpus { name: name.into(), train: vec![save(0)], test: vec![save(1), save(2)] }
    }

    #[test]
    fn a_level_scores_the_mean_of_its_clips() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [corpus(folder.path(), "speech", 0.3), corpus(folder.path(), "music", 1.1)];
        let options = GainPriorOptions { rank: 3, mixtures: 2, ..GainPriorOptions::default() };
        let model = learn(&AnyEngine::Reference(Reference), [&sources[0], &sources[1]], &options, &mut |_| ()).unwrap();
        let clips = clips(&sources[0].test, &sources[1].test, 2, model.sample_rate, 0).unwrap();
        assert_ne!(clips[0].target.len(), clips[1].target.len());
        for weights in [[Weight::Given(0.0); 2], [Weight::Auto; 2]] {
            let settings = settings(weights, Gradient::Paper);
            let score = |clips: &[Clip]| {
                let problem = Problem::new(&model, clips, 0.0).unwrap();
                scores(&Reference, &model, &settings, &[problem]).unwrap()[0]
            };
            let (both, alone) = (score(&clips), [score(&clips[..1]), score(&clips[1..])]);
            assert!((both - (alone[0] + alone[1]) / 2.0).abs() < 1e-9, "{both} of {alone:?}");
            assert!(both > 1.0 && alone[0] != alone[1], "{alone:?}");
        }
    }

    #[test]
    fn the_best_weights_are_chosen_per_level() {
        let grid = vec![([0.0, 0.1], ndarray::array![1.0, 5.0]), ([0.5, 0.2], ndarray::array![3.0, 4.0])];
        let none = ndarray::array![0.0, 0.0];
        let by = ByGradient { gradient: Gradient::Paper, auto: none.clone(), even: none, grid };
        assert_eq!(by.best(), [(3.0, [0.5, 0.2]), (5.0, [0.0, 0.1])]);
    }

    #[test]
    fn components_are_ordered_by_centroid() {
        let bases = ndarray::array![[0.0, 1.0, 0.5], [0.0, 0.0, 0.5], [1.0, 0.0, 0.0]];
        assert_eq!(by_centroid(&bases), [1, 2, 0]);
    }
}
