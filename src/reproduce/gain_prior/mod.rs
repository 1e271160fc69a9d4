//! Separates speech from music under gain priors: Grais & Erdogan (2012), table 1.

mod options;
mod pictures;
mod problem;
mod tables;

pub use options::GainPriorOptions;

use super::heard::{Example, HEARD, next_to_zero};
use super::mixtures::{Clip, clips};
use super::{Corpus, Findings};
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::job::{Training, TrainingMethod};
use crate::kernels::{Gradient, Norm};
use crate::methods::gain_prior::{self as method, Weight};
use crate::methods::separator::OnEngine as _;
use crate::model::Model;
use crate::recordings::{Event, Material, Recordings};
use crate::spectrogram::{Length, Shape};
use crate::train::train;
use crate::{Error, Result, with_engine};
use pictures::pictures;
use problem::{ITERATIONS, Problem, scores, settings, snr_of, under};
use tables::{ByGradient, Scores, published};

const PAPER: &str = "E. M. Grais, H. Erdogan: Gaussian mixture gain priors for regularized nonnegative matrix factorization in \
                     single-channel source separation. Interspeech 2012, table 1";
const GRADIENTS: [Gradient; 2] = [Gradient::Paper, Gradient::Exact];

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
        examples: examples(engine, &model, &clips, &options.levels)?,
    })
}

/// The first clips at the level next to 0 dB: separated without priors, as in the paper, and as `separate` does.
fn examples(engine: &AnyEngine, model: &Model, clips: &[Clip], levels: &[f64]) -> Result<Vec<Example>> {
    let clips = &clips[..clips.len().min(HEARD)];
    let level = next_to_zero(levels);
    let names = [0, 1].map(|source| model.sources[source].name.as_str());
    let mut examples: Vec<Example> = clips.iter().map(|clip| clip.example(level, model.sample_rate, names)).collect();
    let problem = Problem::new(model, clips, level)?;
    for (name, weight, gradient) in [
        ("no prior", Weight::Given(0.0), Gradient::Paper),
        ("weights of 0.1, the paper's gradient", Weight::Given(0.1), Gradient::Paper),
        ("weights from the data, the exact gradient", Weight::Auto, Gradient::Exact),
    ] {
        let settings = settings([weight; 2], gradient);
        let separated = with_engine!(engine, |engine| {
            under(engine, model, &settings)?.separate(engine, problem.data.t(), &problem.segments, false)?
        });
        let [speech, music] = [0, 1].map(|source| problem.estimates(model, &separated, source));
        for ((example, clip), (speech, music)) in examples.iter_mut().zip(clips).zip(speech?.into_iter().zip(music?)) {
            let of_speech = format!("SNR {:.1} dB", snr_of(&clip.target, &speech));
            let of_music = format!("SNR {:.1} dB", snr_of(&clip.rest_at(level), &music));
            example.add(name, [(speech, of_speech), (music, of_music)]);
        }
    }
    Ok(examples)
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
}
