//! Learning Φ from recordings: examples are drawn, their losses go back to θ, and Adam moves it.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::adam::{Adam, clip};
use super::denoising::{self, Evaluation, Noisy};
use super::noise::{impulsive, mixed};
use super::options::Training;
use super::pairs::{self, Mixed, Stages, Voice};
use super::phi::{Curve, Phi};
use super::task::Task;
use super::{Learned, decibels, stacks};
use crate::kernels::{Adjoint, Glue, Momentum};
use crate::methods::keeper::Keeper;
use crate::methods::nmf::random_start;
use crate::random::Stream;
use crate::spectrogram::Stft;
use crate::{Error, Result};

/// Seconds of training recordings that bases are learned from in an example of separation (the paper's).
pub(crate) const BASES_SECONDS: f64 = 20.0;
/// Seconds of a mixture of separation (the paper's).
pub(crate) const MIXTURE_SECONDS: f64 = 5.0;
/// Random places that are tried until one is not nearly silent, and the share of the mean power that is.
const ATTEMPTS: usize = 16;
const QUIET: f64 = 1e-3;
/// The share of the rate at the last step.
const LAST_RATE: f64 = 0.05;
/// Steps whose losses are averaged in a summary.
const AVERAGED: usize = 10;

/// The recordings of a source, each a channel at the sample rate of the training.
pub(crate) struct Voices {
    pub(crate) name: String,
    pub(crate) recordings: Vec<Vec<f64>>,
}

/// How a cost is learned, and within what.
pub(crate) struct Job<'a, 'k> {
    pub(crate) own: &'a Training,
    /// Steps of Adam.
    pub(crate) steps: usize,
    pub(crate) seed: u64,
    /// Hz.
    pub(crate) sample_rate: u32,
    pub(crate) stft: &'a Stft<f64>,
    /// The options in force. A state is of these and of the recordings.
    pub(crate) described: String,
    /// Where the state is kept.
    pub(crate) keeper: Option<&'k mut dyn Keeper>,
}

/// What was learned.
pub(crate) struct Trained {
    pub(crate) learned: Learned,
    /// The mean loss of every step.
    pub(crate) losses: Vec<f64>,
    /// For the summary of a source.
    pub(crate) details: Map<String, Value>,
    /// Why the training ended early.
    pub(crate) stopped: Option<String>,
}

/// The state of a training after some steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    proof: String,
    theta: Vec<f64>,
    means: [Vec<f64>; 2],
    losses: Vec<f64>,
}

/// Learns Φ from groups of sources: of each example, from the sources of one group. `watch` hears of every step.
///
/// # Errors
/// [`Error::Input`] for sources that do not fit the task, and for recordings that are shorter than a window; those of the
/// engine, of the keeper and of `watch`.
pub(crate) fn train<E: Adjoint + Momentum + Glue>(
    engine: &E,
    groups: &[&[Voices]],
    mut job: Job,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Trained> {
    groups.iter().try_for_each(|sources| check(sources, &job))?;
    if groups.is_empty() {
        return Err(Error::input("there are no recordings to learn a cost from"));
    }
    let (own, proof) = (job.own, proof(&job.described, groups));
    let first = own.first(job.seed);
    let mut curve = first.clone();
    let mut adam = Adam::new(curve.theta.len());
    let mut losses = Vec::new();
    if let Some(state) = kept(&mut job.keeper, &proof, curve.theta.len())? {
        curve.theta = state.theta;
        adam = Adam { steps: state.losses.len(), means: state.means };
        losses = state.losses;
    }
    let mut stopped = None;
    let describe = |curve: &Curve| {
        let mut described = Map::new();
        described.extend(curve.number().map(|number| (curve.phi.to_string(), json!(number))));
        described
    };
    while losses.len() < job.steps && stopped.is_none() {
        let step = losses.len();
        let draw = Draw { job: &job, groups, step };
        let evaluated = match own.task {
            Task::Denoise => draw.noisy().and_then(|examples| {
                let kept = own.truncation().min(own.stacks());
                denoising::evaluate(engine, job.stft, &examples, &curve, stacks::BOTH, (own.stacks(), kept))
            }),
            Task::Separate => draw.pairs().and_then(|examples| {
                let (bases, gains, kept) = (own.stacks(), own.stacks().div_ceil(2), own.truncation());
                let stages = Stages { bases: (bases, kept.min(bases)), gains: (gains, kept.min(gains)) };
                pairs::evaluate(engine, job.stft, &examples, &curve, stages)
            }),
        };
        let Evaluation { losses: of_step, mut gradient, .. } = match evaluated {
            Ok(evaluation) if evaluation.gradient.iter().all(|slope| slope.is_finite()) => evaluation,
            Ok(_) => {
                stopped = Some(format!("the gradient of step {} is not finite", step + 1));
                continue;
            }
            Err(Error::Diverged { .. }) => {
                stopped = Some(format!("the loss of step {} is not finite", step + 1));
                continue;
            }
            Err(other) => return Err(other),
        };
        clip(&mut gradient, own.clip);
        let before = (curve.clone(), adam.clone());
        adam.step(&mut curve.theta, &gradient, own.rate() * decay(step as f64 / job.steps as f64));
        // A step too far has no table. The one before is the last that can be used.
        if let Err(cause) = curve.weight() {
            (curve, adam) = before;
            stopped = Some(format!("step {} leads to a cost that cannot be used ({cause})", step + 1));
            continue;
        }
        losses.push(of_step.iter().sum::<f64>() / of_step.len() as f64);
        watch(losses.len())?;
        if let Some(keeper) = job.keeper.as_mut().filter(|keeper| keeper.is_due()) {
            let state = State {
                proof: proof.clone(),
                theta: curve.theta.clone(),
                means: adam.means.clone(),
                losses: losses.clone(),
            };
            keeper.keep(&serde_json::to_vec(&state).map_err(|cause| Error::input(cause.to_string()))?)?;
        }
    }
    // As the model's file keeps it.
    curve.theta.iter_mut().for_each(|number| *number = f64::from(*number as f32));
    let mean = |losses: &[f64]| decibels(losses.iter().sum::<f64>() / losses.len().max(1) as f64);
    let ends = (&losses[..losses.len().min(AVERAGED)], &losses[losses.len().saturating_sub(AVERAGED)..]);
    let mut details = Map::from_iter([("si_sdr".to_string(), json!({ "first": mean(ends.0), "last": mean(ends.1) }))]);
    if curve.phi != Phi::Network {
        details.insert("from".into(), describe(&first).into());
        details.insert("to".into(), describe(&curve).into());
    }
    details.insert("losses".into(), json!(losses));
    details.extend(stopped.clone().map(|reason| ("stopped".to_string(), reason.into())));
    Ok(Trained { learned: Learned { task: own.task, curve, components: own.components }, losses, details, stopped })
}

/// The share of the rate after this share of the steps: a half cosine from 1 to [`LAST_RATE`]. Losses of single examples
/// differ by 10 dB and more, so large last steps would leave θ wherever the last examples drew it.
fn decay(done: f64) -> f64 {
    LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// Checks that the sources are those of the task and long enough.
fn check(sources: &[Voices], job: &Job) -> Result<()> {
    let is_noise = |source: &Voices| source.name == super::NOISE;
    let clean = sources.iter().filter(|source| !is_noise(source)).count();
    match job.own.task {
        Task::Denoise if clean != 1 => {
            return Err(Error::input(format!(
                "{clean} sources to denoise; give one with clean recordings, and one called noise if there are recordings of it"
            )));
        }
        Task::Separate if sources.len() < 2 => {
            return Err(Error::input("one source to separate; give at least two, with recordings of each alone"));
        }
        _ => {}
    }
    let window = job.stft.params().window;
    for source in sources {
        if source.recordings.iter().flatten().all(|&x| x == 0.0) {
            return Err(Error::input(format!(
                "source '{}': its recordings are silent; there is nothing to learn",
                source.name
            )));
        }
        let longest = source.recordings.iter().map(Vec::len).max().unwrap_or(0);
        if longest < window {
            return Err(Error::input(format!(
                "source '{}': its {longest} samples are shorter than a window of {window}; use longer recordings or a shorter \
                 --window",
                source.name
            )));
        }
    }
    Ok(())
}

/// What a state is of.
fn proof(described: &str, groups: &[&[Voices]]) -> String {
    let mut hash = Sha256::new();
    hash.update(described);
    for source in groups.iter().copied().flatten() {
        hash.update(&source.name);
        for recording in &source.recordings {
            hash.update(recording.len().to_le_bytes());
            recording.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state of an earlier run.
fn kept(keeper: &mut Option<&mut dyn Keeper>, proof: &str, parameters: usize) -> Result<Option<State>> {
    let Some(keeper) = keeper else { return Ok(None) };
    let Some(bytes) = keeper.kept()? else { return Ok(None) };
    let state: State =
        serde_json::from_slice(&bytes).map_err(|cause| keeper.refuse(format!("is no state: {cause}")))?;
    if state.proof != proof {
        let reason = "is of other recordings or other options; train without --resume, or as before";
        return Err(keeper.refuse(reason.into()));
    }
    let lengths = [&state.theta, &state.means[0], &state.means[1]].map(Vec::len);
    if lengths != [parameters; 3] {
        return Err(keeper.refuse("has numbers of another network".into()));
    }
    Ok(Some(state))
}

/// Draws the examples of a step: the same step has the same examples.
struct Draw<'a, 'b, 'k> {
    job: &'a Job<'b, 'k>,
    groups: &'a [&'a [Voices]],
    step: usize,
}

impl Draw<'_, '_, '_> {
    fn samples(&self, seconds: f64) -> usize {
        (seconds * f64::from(self.job.sample_rate)).round() as usize
    }

    /// The sources of an example.
    fn sources(&self, example: usize) -> &[Voices] {
        self.groups[(self.step * self.job.own.batch + example) % self.groups.len()]
    }

    /// A random number from 0 to 1 of an example.
    fn uniform(&self, example: usize, what: &str) -> f64 {
        let stream = Stream::new(self.job.seed, &format!("step {}, {what}", self.step));
        stream.uniform(example as u64)
    }

    /// A seed of an example.
    fn seed(&self, example: usize, what: &str) -> u64 {
        (self.uniform(example, what) * 2f64.powi(53)) as u64
    }

    /// `count` samples of a source from a random place, or a whole recording that is shorter. Longer recordings are more
    /// likely. Places that are nearly silent are passed over: nothing can be learned there.
    fn piece(&self, source: &Voices, count: usize, example: usize, what: &str) -> Vec<f64> {
        let window = self.job.stft.params().window;
        let power = |samples: &[f64]| samples.iter().map(|x| x * x).sum::<f64>() / samples.len().max(1) as f64;
        let usable = || source.recordings.iter().filter(|recording| recording.len() >= window);
        let all: usize = usable().map(Vec::len).sum();
        let usual =
            usable().map(|recording| power(recording) * recording.len() as f64).sum::<f64>() / all.max(1) as f64;
        let place = |attempt: usize| {
            let uniform = |of: &str| self.uniform(example, &format!("{what}, {of}, {attempt}"));
            let mut at = (uniform("recording") * all as f64) as usize;
            let mut chosen: &[f64] = &[];
            for recording in usable() {
                chosen = recording;
                if at < recording.len() {
                    break;
                }
                at -= recording.len();
            }
            let last = chosen.len().saturating_sub(count);
            let start = ((uniform("place") * (last + 1) as f64) as usize).min(last);
            &chosen[start..chosen.len().min(start + count)]
        };
        let sounding = (0..ATTEMPTS).map(place).find(|piece| power(piece) >= QUIET * usual);
        // There is little sound in much silence: the loudest place has some.
        let loudest = || {
            let places =
                |recording: &'_ Vec<f64>| (0..=recording.len().saturating_sub(count)).step_by(count.div_ceil(2).max(1));
            let pieces = usable().flat_map(|recording| {
                places(recording).map(move |start| &recording[start..recording.len().min(start + count)])
            });
            pieces.max_by(|a, b| power(a).total_cmp(&power(b))).unwrap_or_default()
        };
        sounding.unwrap_or_else(loudest).to_vec()
    }

    /// Noisy recordings.
    fn noisy(&self) -> Result<Vec<Noisy>> {
        let (own, stft) = (self.job.own, self.job.stft);
        let example = |example: usize| {
            let sources = self.sources(example);
            let recorded = sources.iter().find(|source| source.name == super::NOISE);
            let clean = sources.iter().find(|source| source.name != super::NOISE);
            let clean = clean.ok_or_else(|| Error::input("there are no clean recordings"))?;
            let clean = self.piece(clean, self.samples(own.seconds), example, "clean");
            let noise = match recorded {
                None => impulsive(stft, clean.len(), self.seed(example, "noise"), "noise")?,
                Some(source) => {
                    let mut noise = self.piece(source, clean.len(), example, "noise");
                    // A short noise is repeated.
                    let length = noise.len();
                    (length..clean.len()).for_each(|n| noise.push(noise[n - length]));
                    noise
                }
            };
            Ok(noisy(stft, &clean, &noise, own.snr, (own.components, self.seed(example, "start"))))
        };
        (0..own.batch).map(example).collect()
    }

    /// Mixtures of all sources.
    fn pairs(&self) -> Result<Vec<Mixed>> {
        let (own, job) = (self.job.own, self.job);
        let example = |example: usize| {
            let count = self.samples(MIXTURE_SECONDS);
            let sources = self.sources(example);
            let clean: Vec<Vec<f64>> = sources
                .iter()
                .map(|source| self.piece(source, count, example, &format!("{}, mixture", source.name)))
                .collect();
            let training = sources.iter().map(|source| {
                let (mut pieces, mut length) = (Vec::new(), 0);
                for piece in 0.. {
                    let what = format!("{}, training {piece}", source.name);
                    let samples = self.piece(source, self.samples(own.seconds), example, &what);
                    length += samples.len();
                    pieces.push(samples);
                    if length >= self.samples(BASES_SECONDS) {
                        break;
                    }
                }
                pieces
            });
            let training: Vec<Vec<Vec<f64>>> = training.collect();
            mixture(job.stft, clean, &training, own.components, self.seed(example, "start"))
        };
        (0..own.batch).map(example).collect()
    }
}

/// A noisy recording with a random start of K components.
pub fn noisy(stft: &Stft<f64>, clean: &[f64], noise: &[f64], snr: f64, (rank, seed): (usize, u64)) -> Noisy {
    let (clean, sum) = mixed(clean, noise, snr);
    let spectra = stft.forward(&sum, 0, 0..stft.frames(sum.len()));
    let power = spectra.mapv(|bin| bin.norm_sqr() as f32);
    let (w, h) = random_start(power.t(), rank, seed);
    Noisy { clean, spectra, w, h }
}

/// A mixture of voices at equal levels, with random starts of K components each. `training`: pieces of every voice.
///
/// # Errors
/// [`Error::Input`] if shapes do not fit.
pub fn mixture(
    stft: &Stft<f64>,
    clean: Vec<Vec<f64>>,
    training: &[Vec<Vec<f64>>],
    rank: usize,
    seed: u64,
) -> Result<Mixed> {
    let count = clean.iter().map(Vec::len).min().unwrap_or(0);
    let level = |samples: &[f64]| {
        let power = samples.iter().map(|x| x * x).sum::<f64>() / samples.len().max(1) as f64;
        if power > 0.0 { 0.1 / power.sqrt() } else { 0.0 }
    };
    let scaled = |samples: &[f64]| -> Vec<f64> {
        let level = level(samples);
        samples.iter().map(|x| x * level).collect()
    };
    let clean: Vec<Vec<f64>> = clean.iter().map(|samples| scaled(&samples[..count])).collect();
    let sum: Vec<f64> = (0..count).map(|n| clean.iter().map(|samples| samples[n]).sum()).collect();
    let spectra = stft.forward(&sum, 0, 0..stft.frames(count));
    let power = spectra.mapv(|bin| bin.norm_sqr() as f32);
    let voice = |(index, (clean, pieces)): (usize, (Vec<f64>, &Vec<Vec<f64>>))| {
        let frames: Vec<Array2<f64>> = pieces
            .iter()
            .map(|piece| stft.forward(&scaled(piece), 0, 0..stft.frames(piece.len())).mapv(|bin| bin.norm_sqr()))
            .collect();
        let views: Vec<ArrayView2<f64>> = frames.iter().map(|frames| frames.view()).collect();
        let training = concatenate(Axis(0), &views).map_err(|cause| Error::input(format!("frames: {cause}")))?;
        let training = training.reversed_axes();
        let seed = seed.wrapping_add(index as u64);
        let (w, h) = random_start(training.view(), rank, seed);
        let (_, u) = random_start(power.t(), rank, seed.wrapping_add(1 << 32));
        Ok(Voice { clean, training, w, h, u })
    };
    let voices = clean.into_iter().zip(training).enumerate().map(voice).collect::<Result<_>>()?;
    Ok(Mixed { spectra, voices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Reference;
    use crate::spectrogram::{Pad, Shape, StftParams};

    fn trained(recording: Vec<f64>, steps: usize) -> Trained {
        let params = StftParams { window: 64, hop: 16, fft: 64, shape: Shape::Hamming, pad: Pad::Full };
        let stft = Stft::new(params).unwrap();
        let own = Training {
            phi: Phi::T,
            components: 2,
            stacks: Some(6),
            truncation: Some(3),
            batch: 2,
            seconds: 0.1,
            ..Training::default()
        };
        let voices = [Voices { name: "clean".into(), recordings: vec![recording] }];
        let described = String::new();
        let job = Job { own: &own, steps, seed: 0, sample_rate: 8000, stft: &stft, described, keeper: None };
        train(&Reference, &[&voices[..]], job, |_| Ok(())).unwrap()
    }

    fn tone(samples: usize) -> Vec<f64> {
        (0..samples).map(|n| (n as f64 * 0.3).sin() + 0.5 * (n as f64 * 0.9).sin()).collect()
    }

    #[test]
    fn nothing_is_learned_from_silence_between_sounds() {
        // Of 20,000 samples, 1,000 sound. All examples are drawn there.
        let mut recording = vec![0.0; 20_000];
        recording[12_000..13_000].copy_from_slice(&tone(1000));
        let Trained { losses, stopped, .. } = trained(recording, 4);
        assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}, {stopped:?}");
    }

    #[test]
    fn a_loss_that_is_not_finite_ends_the_training_at_the_last_good_cost() {
        let mut recording = tone(2000);
        recording.iter_mut().for_each(|x| *x *= f64::NAN);
        let Trained { learned, losses, stopped, .. } = trained(recording, 5);
        assert_eq!((losses.len(), stopped.as_deref()), (0, Some("the loss of step 1 is not finite")));
        assert!((learned.curve.number().unwrap() - 4.0).abs() < 1e-6);
    }

    #[test]
    fn the_rate_falls_from_its_whole_to_a_twentieth() {
        assert!((decay(0.0) - 1.0).abs() < 1e-12 && (decay(1.0) - LAST_RATE).abs() < 1e-12);
        assert!(decay(0.25) > decay(0.5) && (decay(0.5) - 0.525).abs() < 1e-12);
    }
}
