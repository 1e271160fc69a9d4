//! Learning a model: recordings of each source alone → frames → bases, and what the method learns besides.

mod members;
mod summaries;
mod trials;

use ndarray::Array2;
use serde_json::{Map, Value};

use self::members::Learning;
use self::summaries::{begun, ended, silent};

use crate::audio::{self, Recording};
use crate::engines::AnyEngine;
use crate::job::{Training, TrainingMethod};
use crate::methods::deep::train::Voices;
use crate::methods::discriminative::train::{PIECE_SECONDS, Utterances};
use crate::methods::nmf::train::{Frames, LearnedSource};
use crate::methods::{averaged, deep, discriminative, gain_prior, nmf, sparse};
use crate::model::{self, Model, Parts, Source, SourceSummary, Summary};
use crate::options::Rank;
use crate::recordings::{self, Event, Material, Named, Recordings, Watch};
use crate::spectrogram::{Stft, View};
use crate::{Error, Result, with_engine};

pub use crate::methods::keeper::Keeper;

/// K where the user and the method name none.
const USUAL_RANK: usize = 64;

/// Iterations in all that learning so many sources takes at most, each of which is an [`Event::Iteration`].
pub fn iterations(training: &Training, sources: usize) -> usize {
    let factorizations = match training.method {
        // The cost is learned once, from all sources. Then come the bases of each.
        TrainingMethod::Deep(ref own) => {
            return training.nmf().iterations + own.updates_of_bases().map_or(0, |updates| sources * updates);
        }
        _ if training.has_members() => return members::iterations(training, sources),
        TrainingMethod::Nmf(_) | TrainingMethod::Exemplars(_) | TrainingMethod::Sparse => 1,
        TrainingMethod::Discriminative(ref own) => discriminative::train::factorizations(own.objective),
        TrainingMethod::GainPrior(_) => gain_prior::train::FACTORIZATIONS,
        TrainingMethod::Averaged(ref own) => own.orders.0.len(),
    };
    sources * training.nmf().iterations * factorizations
}

/// What a long training may use, and where its state is kept between runs.
pub struct Means<'a> {
    /// Bytes that the engine may use for recordings and mixtures of them. Only some methods mix:
    /// [`TrainingMethod::has_mixtures`].
    pub memory: u64,
    /// Where the state is kept. Only some methods have one: [`TrainingMethod::is_kept`].
    pub keeper: Option<&'a mut dyn Keeper>,
}

impl Default for Means<'_> {
    /// 1 GiB, and nothing is kept.
    fn default() -> Self {
        Self { memory: 1 << 30, keeper: None }
    }
}

/// Learns a model from recordings of each source alone. All are brought to the sample rate of the source that has the lowest; a
/// source has the highest that at least half of its sound has, and recordings of still lower rates than the common one are left
/// out.
///
/// # Errors
/// [`Error::Input`] and [`Error::Option`] for options out of range, a source without a usable recording, or one that is all
/// silence; the engine's; what `watch` returns.
pub fn train(engine: &AnyEngine, material: &[Material], training: &Training, watch: &mut Watch) -> Result<Model> {
    train_within(engine, material, training, Means::default(), watch)
}

/// As [`train`], within these means. They do not change the model, but for one case: reconstruction bases are learned from
/// the mixtures that fit the memory, and the summary says how many these are.
///
/// # Errors
/// As there; [`Error::Input`] for too little memory; those of the keeper.
pub fn train_within(
    engine: &AnyEngine,
    material: &[Material],
    training: &Training,
    means: Means,
    watch: &mut Watch,
) -> Result<Model> {
    let names: Vec<&str> = material.iter().map(|source| source.name.as_str()).collect();
    let given = check(&names, training)?;
    let ranks = given.iter().map(|rank| rank.given().unwrap_or(USUAL_RANK));
    let mut recordings = material.iter().map(|source| recordings::read(source, watch)).collect::<Result<Vec<_>>>()?;
    recordings::warn_of_shared(&names, &recordings, watch)?;
    let sample_rate = recordings::common_rate(&names, &mut recordings, watch)?;
    let view = training.front().view(sample_rate, sample_rate)?;
    if let Some(doubt) = training.transform().doubt(sample_rate) {
        log::warn!("{doubt}");
    }
    let spectrum = training.spectrum();
    if training.has_members() {
        let learning = Learning { engine, names: &names, ranks: &given, view: &view, training };
        return learning.model(&recordings, watch);
    }

    let mut summaries = Vec::with_capacity(names.len());
    let voices = match training.method {
        TrainingMethod::Deep(_) => {
            let of_source = |(name, recordings): (&&str, &Vec<Named>)| voices(name, recordings, sample_rate);
            names.iter().zip(&recordings).map(of_source).collect::<Result<_>>()?
        }
        _ => Vec::new(),
    };
    let sources = names.iter().copied().zip(ranks).zip(recordings).map(|((name, rank), read)| (name, rank, read));
    let options = training.nmf();
    let (seeded, iterations) = ((&options, training.seed), options.iterations);
    let described = || serde_json::to_string(&training.in_force()).map_err(|cause| Error::input(cause.to_string()));
    let mut tell = |name: &str, done: usize| watch(Event::Iteration(name, done, iterations));
    let (learned, parts, details): (_, _, Vec<Map<String, Value>>) = match &training.method {
        TrainingMethod::Nmf(_) | TrainingMethod::Exemplars(_) => {
            let frames = frames(sources, &view, &mut summaries);
            let learned = with_engine!(engine, |engine| nmf::train::train(engine, frames, seeded, &mut tell))?;
            (learned, Parts::Nmf, Vec::new())
        }
        TrainingMethod::GainPrior(own) => {
            let (p, frames) = (spectrum.power_exponent(), frames(sources, &view, &mut summaries));
            let (learned, part, details) =
                with_engine!(engine, |engine| gain_prior::train::train(engine, frames, seeded, own, p, &mut tell))?;
            let details = details.iter().map(gain_prior::train::Summary::details).collect();
            (learned, Parts::GainPrior(part), details)
        }
        TrainingMethod::Sparse => {
            let part = Parts::Sparse(sparse::Learned { sparsity: options.rule.sparsity });
            let frames = frames(sources, &view, &mut summaries);
            let learned = with_engine!(engine, |engine| sparse::train::train(engine, frames, seeded, &mut tell))?;
            (learned, part, Vec::new())
        }
        TrainingMethod::Discriminative(own) => {
            let utterances = utterances(sources, &view, &mut summaries);
            let job = discriminative::train::Job {
                own,
                alone: seeded,
                memory: means.memory,
                described: described()?,
                keeper: means.keeper,
            };
            let (learned, part, details) =
                with_engine!(engine, |engine| discriminative::train::train(engine, utterances, &view, job, &mut tell))?;
            let details = names.iter().map(|_| details.clone()).collect();
            (learned, Parts::Discriminative(part), details)
        }
        TrainingMethod::Averaged(own) => {
            let frames = frames(sources, &view, &mut summaries);
            let (learned, details) =
                with_engine!(engine, |engine| averaged::train::train(engine, frames, &own.orders, seeded, &mut tell))?;
            (learned, Parts::Averaged(averaged::Learned { orders: own.orders.0.clone() }), details)
        }
        TrainingMethod::Deep(own) => {
            let stft = Stft::<f64>::new(view.stft.params().clone())?;
            let job = deep::train::Job {
                own,
                steps: iterations,
                seed: training.seed,
                sample_rate,
                stft: &stft,
                described: described()?,
                keeper: means.keeper,
            };
            let trained = with_engine!(engine, |engine| {
                deep::train::train(engine, &[&voices[..]], job, |step| tell(deep::COST, step))
            })?;
            let deep::train::Trained { learned: part, losses, details, stopped } = trained;
            let sources = sources.map(|(name, _, recordings)| (name, own.components, recordings));
            let (learned, details) = match own.updates_of_bases() {
                None => {
                    // There are no bases. The numbers of the cost stand beside the clean recordings, which come first.
                    let frames =
                        |voices: &Voices| voices.recordings.iter().map(|samples| stft.frames(samples.len())).sum();
                    let mut of_source = sources
                        .zip(&voices)
                        .map(|((name, rank, recordings), voices)| begun(name, &recordings, frames(voices), rank));
                    let clean = of_source.find(|summary| summary.name != deep::NOISE).map(|summary| SourceSummary {
                        iterations: losses.len(),
                        first_objective: losses.first().copied().unwrap_or_default(),
                        final_objective: losses.last().copied().unwrap_or_default(),
                        details,
                        ..summary
                    });
                    summaries.extend(clean);
                    (Vec::new(), Vec::new())
                }
                Some(updates) => {
                    let options = nmf::Options { iterations: updates, ..part.nmf(&options)? };
                    let frames = frames(sources, &view, &mut summaries);
                    let seeded = (&options, training.seed);
                    let learned = with_engine!(engine, |engine| nmf::train::train(engine, frames, seeded, &mut tell))?;
                    (learned, vec![details])
                }
            };
            if let Some(reason) = stopped {
                let ended = format!("{reason}; the model is that of the step before");
                watch(Event::Warning("the training ended early", &ended))?;
            }
            (learned, Parts::Deep(part), details)
        }
    };
    let divergence = match &parts {
        Parts::Deep(learned) => learned.curve.divergence()?,
        _ => training.divergence(),
    };
    let mut details = details.into_iter();
    let ended = |(summary, learned): (SourceSummary, &LearnedSource)| SourceSummary {
        details: details.next().unwrap_or_default(),
        ..ended(summary, learned)
    };
    let summaries = match learned[..] {
        [] => summaries,
        _ => summaries.into_iter().zip(&learned).map(ended).collect(),
    };
    let named = |(name, learned): (&&str, LearnedSource)| Source { name: name.to_string(), bases: learned.bases };
    Ok(Model {
        divergence,
        sample_rate,
        stft: view.stft.params().clone(),
        spectrum,
        bands: training.bands.clone(),
        pre_emphasis: training.pre_emphasis,
        sources: names.iter().zip(learned).map(named).collect(),
        parts,
        normalize: training.in_force().normalize,
        options: Some(training.in_force()),
        training: Summary {
            seed: training.seed,
            engine: engine.describe(),
            version: env!("CARGO_PKG_VERSION").into(),
            sources: summaries,
        },
    })
}

/// The frames of every source. Also begins its summary.
fn frames<'a>(
    sources: impl Iterator<Item = (&'a str, usize, Vec<Named<'a>>)>,
    view: &View,
    summaries: &mut Vec<SourceSummary>,
) -> impl Iterator<Item = Result<Frames>> {
    sources.map(|(name, rank, recordings)| {
        let data = recordings::data(&recordings, view)?;
        if data.is_empty() {
            return Err(silent(name));
        }
        summaries.push(begun(name, &recordings, data.nrows(), rank));
        Ok(Frames { name: name.to_string(), data, rank })
    })
}

/// The utterances of every source. Also begins its summary.
fn utterances<'a>(
    sources: impl Iterator<Item = (&'a str, usize, Vec<Named<'a>>)>,
    view: &View,
    summaries: &mut Vec<SourceSummary>,
) -> impl Iterator<Item = Result<Utterances>> {
    sources.map(|(name, rank, recordings)| {
        let spectra = recordings::utterances(&recordings, view, PIECE_SECONDS)?;
        if spectra.is_empty() {
            return Err(silent(name));
        }
        summaries.push(begun(name, &recordings, spectra.iter().map(Array2::nrows).sum(), rank));
        Ok(Utterances { name: name.to_string(), spectra, rank })
    })
}

/// The recordings of a source at one sample rate, a channel each.
pub(crate) fn voices(name: &str, recordings: &[Named], sample_rate: u32) -> Result<Voices> {
    let channels = recordings.iter().flat_map(|(_, recording)| {
        recording.channels.iter().map(|channel| audio::resample(channel, recording.sample_rate, sample_rate))
    });
    let widened = |channel: Result<Vec<f32>>| Ok(channel?.into_iter().map(f64::from).collect());
    Ok(Voices { name: name.to_string(), recordings: channels.map(widened).collect::<Result<_>>()? })
}

/// Checks the options and the names of the sources; the rank of each.
pub(crate) fn check(names: &[&str], training: &Training) -> Result<Vec<Rank>> {
    if names.is_empty() {
        return Err(Error::input("no source to learn; name at least one, with recordings of it alone"));
    }
    for (index, name) in names.iter().enumerate() {
        model::check_name(name).map_err(Error::Input)?;
        if names[..index].contains(name) {
            return Err(Error::input(format!("source '{name}' is given twice; give all its recordings at once")));
        }
    }
    training.check()?;
    training.rank.of("rank", names, Rank::Auto)
}

/// Recordings in memory as the material of training.
pub fn in_memory<'a>(sources: &[(&str, &'a [Recording])]) -> Vec<Material<'a>> {
    let material = |&(name, recordings): &(&str, &'a [Recording])| Material {
        name: name.to_string(),
        recordings: Recordings::Memory(recordings),
    };
    sources.iter().map(material).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Reference;
    use crate::methods::nmf::Updates;
    use crate::spectrogram::{Length, Shape};

    fn training(method: TrainingMethod) -> Training {
        // Averaging has orders in place of a rank.
        let rank = if let TrainingMethod::Averaged(_) = method { Training::default().rank } else { 2.into() };
        Training {
            method,
            rank,
            updates: Some(Updates::Alternating),
            iterations: Some(7),
            window: Some(Length::Samples(16)),
            window_shape: Shape::Hann,
            ..Training::default()
        }
    }

    #[test]
    fn every_iteration_is_an_event_and_an_event_can_cancel() {
        let recording = |step: f32| {
            let channels = vec![(0..200).map(|n| ((n * n) as f32 * step).sin()).collect()];
            Recording { channels, sample_rate: 8000, warnings: Vec::new() }
        };
        let recordings = [[recording(0.1)], [recording(0.13)]];
        let material = in_memory(&[("a", &recordings[0]), ("b", &recordings[1])]);
        for method in [
            TrainingMethod::default(),
            TrainingMethod::GainPrior(gain_prior::Training { mixtures: 2 }),
            TrainingMethod::Sparse,
            TrainingMethod::Averaged(averaged::Training { orders: averaged::Orders(vec![1, 2]) }),
        ] {
            let (training, mut count) = (training(method), 0);
            let mut watch = |event: Event| {
                count += usize::from(matches!(event, Event::Iteration(..)));
                Ok(())
            };
            let model = train(&AnyEngine::Reference(Reference), &material, &training, &mut watch).unwrap();
            assert_eq!(count, iterations(&training, 2));
            assert_eq!(model.options, Some(training.in_force()));
            let mut cancel = |event: Event| match event {
                Event::Iteration("b", 3, 7) => Err(Error::Cancelled),
                _ => Ok(()),
            };
            let cancelled = train(&AnyEngine::Reference(Reference), &material, &training, &mut cancel);
            assert!(matches!(cancelled, Err(Error::Cancelled)));
        }
    }
}
