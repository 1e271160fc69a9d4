//! Separates instruments by patterns that move in time and pitch: Schmidt & Mørup (2006), section 3.

mod figures;
mod scene;
mod tables;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ndarray::Array2;
use rayon::prelude::*;

use super::Findings;
use crate::divergence::Divergence;
use crate::kernels::{Lags, Mask, Shifts};
use crate::methods::nmf2d::{self, Found, Start};
use crate::spectrogram::{Length, Shape, Transform};
use crate::{Error, Result};

use scene::{PER_OCTAVE, Scene, together};

const PAPER: &str = "M. N. Schmidt, M. Mørup: Nonnegative matrix factor 2-D deconvolution for blind single channel source \
                     separation. ICA 2006, section 3";
const DIVERGENCES: [Divergence; 2] = [Divergence::KullbackLeibler, Divergence::Euclidean];
/// The masks of the estimates unless stated otherwise. The paper uses [`Mask::Hard`].
const SOFT: Mask = Mask::Ratio(2.0);

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct Nmf2dOptions {
    /// Time lags T of NMF2D.
    pub time_lags: usize,
    /// Time lags T of NMFD. Each value is tried.
    pub nmfd_lags: Vec<usize>,
    /// Pitch lags Φ of NMF2D. Each value is tried.
    pub pitch_lags: Vec<usize>,
    /// Random starts per model.
    pub starts: usize,
    /// Iterations per start.
    pub iterations: usize,
    /// Components D of NMFD. NMF2D has one per source.
    pub components: usize,
    /// The transform.
    pub transform: Transform,
    /// The seed of the first start. Each further start adds 1.
    pub seed: u64,
}

impl Default for Nmf2dOptions {
    /// The paper's parameters. Beside the paper's 12 pitch lags also as many as the melody of its score needs, and for
    /// NMFD also few time lags, for components no longer than a note.
    fn default() -> Self {
        let (window, hop) = (Some(Length::Samples(2048)), Some(Length::Samples(1024)));
        Self {
            time_lags: 7,
            nmfd_lags: vec![2, 7],
            pitch_lags: vec![12, 18],
            starts: 8,
            iterations: 300,
            components: 6,
            transform: Transform { window, hop, fft: None, shape: Shape::Hann },
            seed: 0,
        }
    }
}

/// Mixes recordings of single instruments, and separates the mixture by NMF2D with one component per source and by NMFD
/// with several. The models learn nothing from the recordings themselves. The recordings serve to score the results
/// and, for NMFD, to group its components. `watch` receives the number of iterations done, and their total.
///
/// # Errors
/// [`Error::Input`] for options out of range, [`Error::Audio`] for recordings that cannot be mixed or read; also the
/// errors of the factorization.
pub fn nmf2d<E: Shifts>(
    engine: &E,
    files: &[PathBuf],
    options: &Nmf2dOptions,
    watch: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Findings> {
    let Nmf2dOptions { time_lags, nmfd_lags, pitch_lags, .. } = options;
    let counts = [*time_lags, options.starts, options.iterations, options.components, pitch_lags.len()];
    if counts.iter().chain(nmfd_lags).chain(pitch_lags).any(|&count| count == 0) {
        return Err(Error::input("the experiment needs at least one lag, start, iteration and component"));
    }
    let scene = Scene::new(files, &options.transform)?;
    let (bands, frames) = scene.data.dim();
    for (what, lags, most, of) in [
        ("pitch", pitch_lags.iter().copied().max().unwrap_or(0), bands, "bands"),
        ("time", nmfd_lags.iter().copied().fold(*time_lags, usize::max), frames, "frames"),
    ] {
        if lags > most {
            return Err(Error::input(format!("{lags} {what} lags do not fit {most} {of}; use {most} or fewer")));
        }
    }
    let arms = arms(scene.names.len(), options);
    let of = arms.len() * options.starts * options.iterations;
    let mut done = 0;
    let mut attempts = Vec::with_capacity(arms.len());
    for arm in arms {
        let mut tick = |_: usize| {
            done += 1;
            watch(done, of);
        };
        attempts.push(Attempt::new(engine, &scene, arm, options, &mut tick)?);
    }
    let truth = Bound {
        soft: scene.sdr(&scene.estimates(scene.truth()?, SOFT)?)?.1,
        hard: scene.sdr(&scene.estimates(scene.truth()?, Mask::Hard)?)?.1,
    };
    Ok(Findings {
        title: "Melodies as patterns that move".into(),
        paper: PAPER.into(),
        setting: setting(&scene, options, &engine.describe()),
        tables: vec![
            tables::separation(&scene, &attempts, &truth),
            tables::starts(&attempts),
            tables::reach(&scene, &attempts),
            tables::parameters(&scene, &attempts),
        ],
        figures: figures::all(&scene, &attempts)?,
    })
}

fn setting(scene: &Scene, options: &Nmf2dOptions, engine: &str) -> Vec<(String, String)> {
    let (stft, edges) = (scene.stft.params(), scene.bands.edges());
    let rows = [
        ("sources", scene.names.join(", ")),
        ("mixture", format!("{:.2} s at {} Hz, their sum", scene.seconds(), scene.sample_rate)),
        ("transform", format!("{} {} / {} / {}", stft.shape, stft.window, stft.hop, stft.fft)),
        (
            "data",
            format!(
                "magnitudes, {} bands from {:.0} to {:.0} Hz, {PER_OCTAVE} per octave, by {} frames",
                scene.data.nrows(),
                edges[0],
                edges[edges.len() - 1],
                scene.data.ncols()
            ),
        ),
        ("starts, iterations", format!("{} per model, {}", options.starts, options.iterations)),
        ("seed, engine", format!("{}, {engine}", options.seed)),
    ];
    let warnings = scene.warnings.iter().map(|warning| ("warning", warning.clone()));
    rows.into_iter().chain(warnings).map(|(name, value)| (name.to_string(), value)).collect()
}

/// A model to try.
#[derive(Debug, Clone, Copy)]
struct Arm {
    divergence: Divergence,
    lags: Lags,
    /// D.
    components: usize,
    /// Whether each component is a source. Otherwise components are assigned to the source that they resemble.
    whole: bool,
}

fn arms(sources: usize, options: &Nmf2dOptions) -> Vec<Arm> {
    let different = |lags: &[usize]| lags.iter().copied().collect::<BTreeSet<usize>>();
    let of_divergence = |divergence| {
        let arm =
            move |time, pitch, components, whole| Arm { divergence, lags: Lags { time, pitch }, components, whole };
        let moving = different(&options.pitch_lags).into_iter();
        let notes = different(&options.nmfd_lags).into_iter();
        moving
            .map(move |pitch| arm(options.time_lags, pitch, sources, true))
            .chain(notes.map(move |time| arm(time, 1, options.components, false)))
    };
    DIVERGENCES.into_iter().flat_map(of_divergence).collect()
}

impl Arm {
    fn name(&self) -> String {
        let Self { divergence, lags, .. } = self;
        if self.whole {
            format!("NMF2D, {divergence}, {} pitch lags", lags.pitch)
        } else {
            format!("NMFD, {divergence}, {} time lags", lags.time)
        }
    }

    /// The number of parameters, (TF + ΦN)D, for data of F bands and N frames.
    fn parameters(&self, (bands, frames): (usize, usize)) -> usize {
        (self.lags.time * bands + self.lags.pitch * frames) * self.components
    }
}

/// SDR in dB of each source, with masks made from the sources' own spectra.
struct Bound {
    soft: Vec<f64>,
    hard: Vec<f64>,
}

/// The results of a model.
struct Attempt {
    arm: Arm,
    /// The final objective of every start.
    objectives: Vec<f64>,
    /// SDR in dB of each source after every start, with soft masks.
    soft: Vec<Vec<f64>>,
    /// The start with the lowest objective.
    best: usize,
    /// The best start's SDR with hard masks.
    hard: Vec<f64>,
    /// The best start's factors.
    found: Found,
    /// The source of each component.
    owners: Vec<usize>,
    /// The best start's soft estimate of each source.
    estimates: Vec<Vec<f32>>,
}

impl Attempt {
    fn new<E: Shifts>(
        engine: &E,
        scene: &Scene,
        arm: Arm,
        options: &Nmf2dOptions,
        tick: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Self> {
        let how = nmf2d::Options { trace_every: 0, ..nmf2d::Options::of(arm.divergence, arm.lags, options.iterations) };
        let (mut ends, mut models) = (Vec::new(), Vec::new());
        for start in 0..options.starts {
            // Starts run one by one, because all are scored and a search keeps only the factors of its best.
            let seed = options.seed.wrapping_add(start as u64);
            let from = Start::Random { components: arm.components, starts: 1, seed };
            let found = nmf2d::search(engine, &[scene.data.view()], from, &how, &mut *tick)?;
            models.push(components(engine, &found, arm.lags)?);
            ends.push(found);
        }
        let objectives: Vec<f64> = ends.iter().filter_map(|found| found.fit.objective.last().copied()).collect();
        let best = least(&objectives);
        let outcomes = models.into_par_iter().map(|models| Outcome::new(scene, &arm, &models));
        let mut outcomes = outcomes.collect::<Result<Vec<Outcome>>>()?;
        let soft = outcomes.iter().map(|outcome| outcome.sdr.clone()).collect();
        let (found, Outcome { models, owners, estimates, .. }) = (ends.swap_remove(best), outcomes.swap_remove(best));
        let hard = scene.sdr(&scene.estimates(models, Mask::Hard)?)?.1;
        Ok(Self { arm, objectives, soft, best, hard, found, owners, estimates })
    }

    /// W (bands, T) of a component.
    fn pattern(&self, component: usize) -> Array2<f64> {
        let rows = self.found.bases.first().map_or(0, Array2::nrows);
        Array2::from_shape_fn((rows, self.found.bases.len()), |(f, time)| self.found.bases[time][(f, component)])
    }

    /// H (Φ, N) of a component.
    fn score(&self, component: usize) -> Array2<f64> {
        let gains = &self.found.gains[0];
        Array2::from_shape_fn((self.arm.lags.pitch, gains.ncols()), |(pitch, n)| {
            gains[(pitch * self.arm.components + component, n)]
        })
    }
}

/// Each component's part of Λ (bands, N).
fn components<E: Shifts>(engine: &E, found: &Found, lags: Lags) -> Result<Vec<Array2<f64>>> {
    let bases: Vec<_> = found.bases.iter().map(|w| w.view()).collect();
    let (w, h) = (engine.stack(&bases)?, engine.panel(found.gains[0].view())?);
    let each: Vec<_> = (0..found.bases[0].ncols()).map(|d| d..d + 1).collect();
    engine.shifted_models(&w, &h, &each, lags)?.iter().map(|model| engine.read_panel(model)).collect()
}

/// The scores of one start.
struct Outcome {
    /// The models of each source.
    models: Vec<Array2<f64>>,
    owners: Vec<usize>,
    estimates: Vec<Vec<f32>>,
    /// SDR in dB.
    sdr: Vec<f64>,
}

impl Outcome {
    /// Scores the models of the components.
    fn new(scene: &Scene, arm: &Arm, models: &[Array2<f64>]) -> Result<Self> {
        let sources = scene.names.len();
        let owners = if arm.whole { (0..sources).collect() } else { scene.owners(models, SOFT)? };
        let estimates = scene.estimates(together(models, &owners, sources), SOFT)?;
        // Only the scores tell which estimate belongs to which source.
        let (order, sdr) = scene.sdr(&estimates)?;
        let mut source = vec![0; sources];
        order.iter().enumerate().for_each(|(of, &estimate)| source[estimate] = of);
        let owners: Vec<usize> = owners.into_iter().map(|estimate| source[estimate]).collect();
        let estimates = order.iter().map(|&estimate| estimates[estimate].clone()).collect();
        Ok(Self { models: together(models, &owners, sources), owners, estimates, sdr })
    }
}

/// The index of the lowest value; of equal values, the first.
fn least(values: &[f64]) -> usize {
    values.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Reference;

    fn options() -> Nmf2dOptions {
        Nmf2dOptions {
            time_lags: 2,
            nmfd_lags: vec![2, 1, 2],
            pitch_lags: vec![3, 1, 3],
            starts: 3,
            iterations: 25,
            components: 3,
            transform: scene::tests::SMALL,
            seed: 4,
        }
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let tone = |name: &str, hz, period: usize| {
            let mut samples = scene::tests::tone(hz, 2500);
            samples.iter_mut().enumerate().filter(|(n, _)| n / period % 2 == 1).for_each(|(_, x)| *x *= 0.1);
            scene::tests::save(folder.path(), name, samples)
        };
        Scene::new(&[tone("low.wav", 300.0, 700), tone("high.wav", 2000.0, 500)], &scene::tests::SMALL).unwrap()
    }

    #[test]
    fn every_model_is_tried_once_with_both_divergences() {
        let names: Vec<String> = arms(2, &options()).iter().map(Arm::name).collect();
        let expected = [
            "NMF2D, kl, 1 pitch lags",
            "NMF2D, kl, 3 pitch lags",
            "NMFD, kl, 1 time lags",
            "NMFD, kl, 2 time lags",
            "NMF2D, eu, 1 pitch lags",
            "NMF2D, eu, 3 pitch lags",
            "NMFD, eu, 1 time lags",
            "NMFD, eu, 2 time lags",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn parameter_counts_equal_the_papers() {
        let arm = |pitch, components| Arm {
            divergence: Divergence::Euclidean,
            lags: Lags { time: 7, pitch },
            components,
            whole: true,
        };
        assert_eq!((arm(12, 2).parameters((175, 63)), arm(1, 6).parameters((175, 63))), (3962, 7728));
    }

    #[test]
    fn the_start_with_the_lowest_objective_is_kept_and_scored() {
        let scene = scene();
        for arm in arms(2, &options()) {
            let attempt = Attempt::new(&Reference, &scene, arm, &options(), &mut |_| ()).unwrap();
            let start = Start::Random { components: arm.components, starts: 3, seed: 4 };
            let how = nmf2d::Options { trace_every: 0, ..nmf2d::Options::of(arm.divergence, arm.lags, 25) };
            let search = nmf2d::search(&Reference, &[scene.data.view()], start, &how, |_| ()).unwrap();
            assert_eq!((attempt.best, &attempt.found.bases), (search.start, &search.bases));
            assert_eq!(attempt.objectives, search.fit.objective.column(0).to_vec());
            // The scores belong to the shown estimates, source by source.
            let (order, sdr) = scene.sdr(&attempt.estimates).unwrap();
            assert_eq!((order, &sdr), (vec![0, 1], &attempt.soft[attempt.best]));
            assert!(sdr.iter().chain(&attempt.hard).all(|&sdr| sdr > 5.0), "{}: {sdr:?}", arm.name());
            assert_eq!((attempt.soft.len(), attempt.owners.len()), (3, arm.components));
        }
    }

    #[test]
    fn a_components_pictures_multiply_to_its_model() {
        let scene = scene();
        let arm = arms(2, &options())[1];
        let attempt = Attempt::new(&Reference, &scene, arm, &options(), &mut |_| ()).unwrap();
        // Λ at a cell, computed from the pictures of one component.
        let (w, h) = (attempt.pattern(1), attempt.score(1));
        let lambda: f64 =
            (0..2).flat_map(|t| (0..3).map(move |p| (t, p))).map(|(t, p)| w[(60 - p, t)] * h[(p, 9 - t)]).sum();
        let models = components(&Reference, &attempt.found, arm.lags).unwrap();
        assert!((models[1][(60, 9)] / lambda - 1.0).abs() < 1e-9, "{} and {lambda}", models[1][(60, 9)]);
        assert_eq!((w.dim(), h.dim()), ((151, 2), (3, 21)));
    }

    #[test]
    fn least_returns_the_first_of_equal_values() {
        assert_eq!((least(&[3.0, 1.0, 2.0, 1.0]), least(&[]), least(&[f64::NAN, 5.0])), (1, 0, 1));
    }
}
