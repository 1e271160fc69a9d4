//! Learning a committee: candidates are tried on halves of the recordings, and the best is learned from all of them.

use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use rayon::prelude::*;

use super::summaries::{begun, ended, silent};
use super::trials::{Trial, at_equal_levels, mean_of};
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::job::{Training, TrainingMethod};
use crate::methods::committee;
use crate::methods::committee::recipe::{Asked, Recipe};
use crate::methods::committee::train::{Job, Sounds, Spec, Trained, assembled, train};
use crate::model::{Gain, Model, Parts, Source, SourceSummary, Summary};
use crate::options::Rank;
use crate::recordings::{self, Event, Named, Watch};
use crate::spectrogram::{BandMap, View};
use crate::{Error, Result, with_engine};

/// How much better than the usual rank another one must separate the trials, in dB. Trials of a few seconds are not more exact.
const MARGIN: f64 = 0.5;
/// Frames of a source up to which copies of them at other pitches are learned from too.
const FEW_FRAMES: usize = 1000;
/// Stacks that bases are learned from at most in a trial, and the iterations. A trial compares and foretells; it need not be the
/// best.
const LEARNED_FROM_FOR_TRIALS: usize = 200;
const ITERATIONS_FOR_TRIALS: usize = 8;
/// The gain in dB below which a user is warned.
const HOPELESS: f64 = 1.0;

/// What a committee is learned from.
pub(super) struct Learning<'a> {
    pub(super) engine: &'a AnyEngine,
    pub(super) names: &'a [&'a str],
    pub(super) ranks: &'a [Rank],
    pub(super) view: &'a View,
    pub(super) training: &'a Training,
}

/// The members of a training of recordings at this sample rate, through a transform of this length.
fn recipe(training: &Training, ranks: &[Rank], (sample_rate, fft): (u32, usize)) -> Recipe {
    let asked = |own| Asked {
        own,
        ranks,
        sparsity: training.sparsity,
        sample_rate,
        fft,
        is_linear: training.bands == BandMap::Linear,
        is_kl: training.divergence() == Divergence::KullbackLeibler,
    };
    match &training.method {
        TrainingMethod::Nmf(own) => asked(own).committee(),
        TrainingMethod::Exemplars(own) => asked(&committee::Training::default()).of_exemplars(own),
        // No other method has members.
        _ => asked(&committee::Training::default()).committee(),
    }
}

impl Learning<'_> {
    /// Learns the model.
    ///
    /// # Errors
    /// Those of [`super::train`].
    pub(super) fn model(&self, recordings: &[Vec<Named>], watch: &mut Watch) -> Result<Model> {
        let Recipe { candidates, others, learned_from } =
            recipe(self.training, self.ranks, (self.view.sample_rate, self.view.stft.params().fft));
        let (best, expected) = match self.trials(recordings, &candidates, &others, watch) {
            // What a half lacks, all of the recordings may have.
            Err(Error::Input(reason)) => {
                let reason = format!("{reason}; the gain to expect is not known, and the usual rank is taken");
                watch(Event::Warning("training without a trial", &reason))?;
                (0, Vec::new())
            }
            tried => tried?,
        };
        let specs: Vec<&Spec> = std::iter::once(&candidates[best]).chain(&others).collect();
        let members = self.members(recordings, &specs, Some(learned_from), watch)?;
        let mut model = self.assembled(recordings, members)?;
        for (source, gains) in model.training.sources.iter_mut().zip(expected) {
            source.expected = gains;
        }
        self.warn(&model.training.sources, watch)?;
        Ok(model)
    }

    /// The best of the candidates in two trials, and the gains to expect of it. A single source has nothing to be mixed with.
    fn trials(
        &self,
        recordings: &[Vec<Named>],
        candidates: &[Spec],
        others: &[Spec],
        watch: &mut Watch,
    ) -> Result<(usize, Vec<Vec<Gain>>)> {
        if recordings.len() < 2 {
            return Ok((0, Vec::new()));
        }
        let [first, second] = Trial::pair(recordings, self.view.sample_rate)?;
        let watch = Mutex::new(watch);
        let tried = |trial| {
            let mut told = |event: Event| (watch.lock().unwrap_or_else(PoisonError::into_inner))(event);
            self.tried(trial, candidates, others, &mut told)
        };
        // They are small, and each leaves most of a processor idle.
        let (first, second) = rayon::join(|| tried(&first), || tried(&second));
        Ok(judged([first?, second?]))
    }

    /// The frames of every source, with copies at other pitches where there are no more than `few`.
    fn sounds(&self, recordings: &[Vec<Named>], few: usize) -> Result<Vec<Sounds>> {
        let is_linear = self.training.bands == BandMap::Linear;
        let of_source = |(name, recordings): (&&str, &Vec<Named>)| {
            let channels = recordings::channels(recordings, self.view)?;
            if channels.iter().all(|channel| channel.iter().all(|&v| v == 0.0)) {
                return Err(silent(name));
            }
            if is_linear && channels.iter().map(Array2::nrows).sum::<usize>() <= few {
                return Ok(Sounds::at_more_pitches(name, channels));
            }
            Ok(Sounds { name: name.to_string(), channels })
        };
        self.names.iter().zip(recordings).map(of_source).collect()
    }

    /// Learns members from so many stacks at most, or with less effort for a trial.
    fn members(
        &self,
        recordings: &[Vec<Named>],
        specs: &[&Spec],
        learned_from: Option<usize>,
        watch: &mut Watch,
    ) -> Result<Vec<Trained>> {
        // A trial learns from halves.
        let few = if learned_from.is_some() { FEW_FRAMES } else { FEW_FRAMES / 2 };
        let sounds = self.sounds(recordings, few)?;
        let mut options = self.training.nmf();
        if learned_from.is_none() {
            options.iterations = options.iterations.min(ITERATIONS_FOR_TRIALS);
            options.trace_every = options.trace_every.min(options.iterations);
        }
        let learned_from = learned_from.unwrap_or(LEARNED_FROM_FOR_TRIALS);
        let transform = (self.view.sample_rate, self.view.stft.params().fft);
        let is_linear = self.training.bands == BandMap::Linear;
        let job =
            Job { sounds: &sounds, options: &options, seed: self.training.seed, transform, learned_from, is_linear };
        let watch = Mutex::new(watch);
        let one = |(index, spec): (usize, &&Spec)| {
            let mut done = 0;
            let mut tell = |name: &str| {
                let event = Event::Iteration(name, 1 + done % options.iterations, options.iterations);
                done += 1;
                (watch.lock().unwrap_or_else(PoisonError::into_inner))(event)
            };
            with_engine!(self.engine, |engine| train(engine, (index, spec), &job, &mut tell))
        };
        // While the engine learns one member, the exemplars of another are chosen.
        specs.par_iter().enumerate().map(one).collect()
    }

    /// A model of members that were learned from recordings.
    fn assembled(&self, recordings: &[Vec<Named>], members: Vec<Trained>) -> Result<Model> {
        let Self { engine, names, view, training, .. } = *self;
        let (learned, part) = assembled(members)?;
        let frames = |recordings: &Vec<Named>| -> usize {
            let frames = |samples: usize, rate: u32| {
                view.stft.frames((samples as f64 * f64::from(view.sample_rate) / f64::from(rate)).ceil() as usize)
            };
            recordings.iter().map(|(_, one)| one.channels.len() * frames(one.frames(), one.sample_rate)).sum()
        };
        let summaries = names.iter().zip(recordings).zip(&learned).map(|((name, recordings), learned)| {
            ended(begun(name, recordings, frames(recordings), learned.bases.ncols()), learned)
        });
        let summaries = summaries.collect();
        let sources = names.iter().zip(learned);
        let in_force = training.in_force();
        Ok(Model {
            divergence: training.divergence(),
            sample_rate: view.sample_rate,
            stft: view.stft.params().clone(),
            spectrum: training.spectrum(),
            bands: training.bands.clone(),
            pre_emphasis: training.pre_emphasis,
            sources: sources.map(|(name, learned)| Source { name: name.to_string(), bases: learned.bases }).collect(),
            parts: Parts::Committee(part),
            normalize: in_force.normalize,
            options: Some(in_force),
            training: Summary {
                seed: training.seed,
                engine: engine.describe(),
                version: env!("CARGO_PKG_VERSION").into(),
                sources: summaries,
            },
        })
    }

    /// What the committee with each of the candidates gains in a trial.
    fn tried(
        &self,
        trial: &Trial,
        candidates: &[Spec],
        others: &[Spec],
        watch: &mut Watch,
    ) -> Result<Vec<Vec<Vec<Gain>>>> {
        let specs: Vec<Spec> = candidates.iter().chain(others).map(Spec::for_trial).collect();
        let members = self.members(&trial.learned, &specs.iter().collect::<Vec<_>>(), None, watch)?;
        let stems = |member| trial.stems(self.engine, &self.assembled(&trial.learned, vec![member])?);
        let stems = members.into_par_iter().map(stems).collect::<Result<Vec<_>>>()?;
        let (of_candidates, of_others) = stems.split_at(candidates.len());
        let with = |candidate| trial.gains(&std::iter::once(candidate).chain(of_others).collect::<Vec<_>>());
        Ok(of_candidates.iter().map(with).collect())
    }

    /// Warns of sources that are hardly separated.
    fn warn(&self, sources: &[SourceSummary], watch: &mut Watch) -> Result<()> {
        for source in sources {
            let at_equal = source.expected.iter().find(|gain| gain.level_db == 0.0);
            if let Some(gain) = at_equal.filter(|gain| gain.gain_db < HOPELESS) {
                let reason = format!(
                    "a gain of {:.1} dB is to be expected beside sources of the same level: these sources sound alike to this model",
                    gain.gain_db
                );
                watch(Event::Warning(&source.name, &reason))?;
            }
        }
        Ok(())
    }
}

/// The best of the candidates, and the gains to expect of it.
fn judged(tried: [Vec<Vec<Vec<Gain>>>; 2]) -> (usize, Vec<Vec<Gain>>) {
    let [first, second] = tried;
    let pairs: Vec<[Vec<Vec<Gain>>; 2]> = first.into_iter().zip(second).map(|(a, b)| [a, b]).collect();
    let mean = |pair: &[Vec<Vec<Gain>>; 2]| (at_equal_levels(&pair[0]) + at_equal_levels(&pair[1])) / 2.0;
    let means: Vec<f64> = pairs.iter().map(mean).collect();
    let better = |best: usize, index: usize| {
        let bar = means[best] + if best == 0 { MARGIN } else { 0.0 };
        if means[index] > bar { index } else { best }
    };
    let best = (0..means.len()).fold(0, better);
    (best, pairs.get(best).map(mean_of).unwrap_or_default())
}

/// Iterations in all that learning so many sources takes at most.
pub(super) fn iterations(training: &Training, sources: usize) -> usize {
    // The numbers of members do not depend on the sample rate.
    let Recipe { candidates, others, .. } = recipe(training, &vec![Rank::Auto; sources], (8000, 1024));
    let learned = |specs: &[Spec]| specs.iter().filter(|spec| spec.is_learned()).count();
    let (candidates, others) = (learned(&candidates), learned(&others));
    let of_one = training.nmf().iterations;
    let trials = 2 * (candidates + others) * of_one.min(ITERATIONS_FOR_TRIALS);
    sources * (trials + (candidates.min(1) + others) * of_one)
}
