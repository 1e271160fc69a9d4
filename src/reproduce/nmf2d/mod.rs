//! Separates instruments by patterns that move in time and pitch: Schmidt & Mørup (2006), section 3.

mod attempt;
mod figures;
mod options;
mod scene;
mod tables;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use options::Nmf2dOptions;

use super::Findings;
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::kernels::{Lags, Mask};
use crate::{Error, Result};

use attempt::{Arm, Attempt, Bound, SOFT};
use scene::{PER_OCTAVE, Scene};

const PAPER: &str = "M. N. Schmidt, M. Mørup: Nonnegative matrix factor 2-D deconvolution for blind single channel source \
                     separation. ICA 2006, section 3";
const DIVERGENCES: [Divergence; 2] = [Divergence::KullbackLeibler, Divergence::Euclidean];
/// Mixes recordings of single instruments, and separates the mixture by NMF2D with one component per source and by NMFD
/// with several. The models learn nothing from the recordings themselves. The recordings serve to score the results
/// and, for NMFD, to group its components. `watch` receives the number of iterations done, and their total.
///
/// # Errors
/// [`Error::Input`] for options out of range, [`Error::Audio`] for recordings that cannot be mixed or read; also the
/// errors of the factorization.
pub fn nmf2d(
    engine: &AnyEngine,
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
            Ok(())
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
        examples: vec![figures::example(&scene, &attempts)],
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

fn arms(sources: usize, options: &Nmf2dOptions) -> Vec<Arm> {
    let different = |lags: &[usize]| lags.iter().copied().collect::<BTreeSet<usize>>();
    let of_divergence = |divergence: Divergence| {
        let arm = move |time, pitch, components, whole| Arm {
            divergence: divergence.clone(),
            lags: Lags { time, pitch },
            components,
            whole,
        };
        let note = arm.clone();
        let moving = different(&options.pitch_lags).into_iter();
        let notes = different(&options.nmfd_lags).into_iter();
        moving
            .map(move |pitch| arm(options.time_lags, pitch, sources, true))
            .chain(notes.map(move |time| note(time, 1, options.components, false)))
    };
    DIVERGENCES.into_iter().flat_map(of_divergence).collect()
}

#[cfg(test)]
mod tests {
    use super::attempt::{components, least};
    use super::*;
    use crate::engine::Reference;
    use crate::methods::nmf2d::{self, Start};

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
            let attempt =
                Attempt::new(&AnyEngine::Reference(Reference), &scene, arm.clone(), &options(), &mut |_| Ok(()))
                    .unwrap();
            let start = Start::Random { components: arm.components, starts: 3, seed: 4 };
            let how = nmf2d::Options { trace_every: 0, ..nmf2d::Options::of(arm.divergence.clone(), arm.lags, 25) };
            let search = nmf2d::search(&Reference, &[scene.data.view()], start, &how, |_| Ok(())).unwrap();
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
        let arm = &arms(2, &options())[1];
        let attempt =
            Attempt::new(&AnyEngine::Reference(Reference), &scene, arm.clone(), &options(), &mut |_| Ok(())).unwrap();
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
