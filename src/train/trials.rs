//! The gain to expect from a model, measured before it is learned: one half of every source's sound is learned from, the other
//! half is mixed and separated, and the same the other way round.
//!
//! Halves and not a smaller part, because what is recorded in one go sounds alike: a model that knows nine tenths of a recording
//! separates the last tenth better than anything it will ever hear. With the last tenth the gains foretold on sixteen mixtures
//! were 1.8 dB too high on average, with halves they are 0.9 dB too low. Single ones are wrong by 3 dB: a few seconds of two
//! sources say little about what else they will play.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::audio::{self, Recording};
use crate::engines::AnyEngine;
use crate::evaluate::{Mean, si_sdr};
use crate::job::Separation;
use crate::model::{Gain, Model};
use crate::recordings::Named;
use crate::separate::{Plan, whole};
use crate::{Result, with_engine};

/// The levels of a source in a mixture, in dB above the sum of the others. They are as far below 0 as above, so that those of
/// two sources serve both.
const LEVELS: [f64; 3] = [-5.0, 0.0, 5.0];
/// Seconds of a source that are mixed at equal levels, in pieces from all over its half, and at other levels.
const SECONDS: f64 = 3.0;
const SECONDS_OF_OTHERS: f64 = 1.5;
const PIECES: usize = 3;
/// Seconds of a source below which none can be spared.
pub(super) const LEAST_SECONDS: f64 = 5.0;

/// A half of the sound of all sources to learn from, and the other half to mix.
pub(super) struct Trial {
    /// The recordings of every source.
    pub(super) learned: Vec<Vec<Named<'static>>>,
    mixtures: Vec<Mixture>,
    sample_rate: u32,
}

/// A mixture, and what is in it.
struct Mixture {
    /// The source whose level it is.
    source: usize,
    /// Which of the levels.
    level: usize,
    /// The samples of every source in it.
    parts: Vec<Vec<f64>>,
}

impl Trial {
    /// Two trials, each learned from what the other one mixes. None where a source has too little sound to share.
    ///
    /// # Errors
    /// Those of the resampler.
    pub(super) fn pair(recordings: &[Vec<Named>], sample_rate: u32) -> Result<Option<[Self; 2]>> {
        let seconds =
            |recordings: &Vec<Named>| recordings.iter().map(|(_, recording)| recording.seconds()).sum::<f64>();
        if recordings.len() < 2 || recordings.iter().any(|source| seconds(source) < LEAST_SECONDS) {
            return Ok(None);
        }
        let (first, second): (Vec<_>, Vec<_>) = recordings.iter().map(|source| halves(source)).unzip();
        let mixed = |half: &[Vec<Named>]| -> Result<Option<Vec<Mixture>>> {
            let excerpts = half.iter().map(|source| excerpt(source, sample_rate)).collect::<Result<Vec<_>>>()?;
            Ok(mixtures(&excerpts, sample_rate))
        };
        let (Some(of_first), Some(of_second)) = (mixed(&first)?, mixed(&second)?) else { return Ok(None) };
        Ok(Some([
            Self { learned: first, mixtures: of_second, sample_rate },
            Self { learned: second, mixtures: of_first, sample_rate },
        ]))
    }

    /// What a model makes of the mixtures, one after the other: the samples of every source.
    ///
    /// # Errors
    /// Those of [`whole`].
    pub(super) fn stems(&self, engine: &AnyEngine, model: &Model) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(Some(model), &Separation::default(), &mut |_| Ok(()))?;
        let separator = with_engine!(engine, |engine| plan.on_borrowed(engine));
        let samples = self.mixtures.iter().flat_map(Mixture::sum).map(|sample| sample as f32).collect();
        let recording = Recording { channels: vec![samples], sample_rate: self.sample_rate, warnings: Vec::new() };
        let stems = whole(&plan, &*separator, &recording, &mut |_| ControlFlow::Continue(()))?;
        Ok(stems.into_iter().map(|stem| stem.recording.channels.into_iter().next().unwrap_or_default()).collect())
    }

    /// The gain in SI-SDR of every source at every level, in dB, from stems that are the mean of those of several models.
    pub(super) fn gains(&self, stems: &[&Vec<Vec<f32>>]) -> Vec<Vec<Gain>> {
        let mut gains: Vec<Vec<Gain>> =
            vec![Vec::new(); self.mixtures.first().map_or(0, |mixture| mixture.parts.len())];
        let mut start = 0;
        for mixture in &self.mixtures {
            let sum = mixture.sum();
            let samples = start..start + sum.len();
            start = samples.end;
            let gain = |source: usize| {
                let mut mean = vec![0.0; samples.len()];
                for stems in stems {
                    let stem = &stems[source][samples.clone()];
                    mean.iter_mut().zip(stem).for_each(|(mean, &sample)| *mean += f64::from(sample));
                }
                let part = &mixture.parts[source];
                si_sdr(part, &mean, Mean::Kept) - si_sdr(part, &sum, Mean::Kept)
            };
            let level_db = LEVELS[mixture.level];
            gains[mixture.source].push(Gain { level_db, gain_db: gain(mixture.source) });
            if let [_, _] = gains[..] {
                // Of two sources, one is as far above the other as that is below it.
                let other = 1 - mixture.source;
                gains[other].push(Gain { level_db: 0.0 - level_db, gain_db: gain(other) });
            }
        }
        for gains in &mut gains {
            gains.sort_by(|a, b| a.level_db.total_cmp(&b.level_db));
        }
        gains
    }
}

impl Mixture {
    fn sum(&self) -> Vec<f64> {
        let mut sum = vec![0.0; self.parts.first().map_or(0, Vec::len)];
        for part in &self.parts {
            sum.iter_mut().zip(part).for_each(|(sum, sample)| *sum += sample);
        }
        sum
    }
}

/// The mean of two trials' gains, for every source and level. What is not a number, as the gain of silence, is left out.
pub(super) fn mean_of(trials: &[Vec<Vec<Gain>>; 2]) -> Vec<Vec<Gain>> {
    let [first, second] = trials;
    let of_source = |(first, second): (&Vec<Gain>, &Vec<Gain>)| -> Vec<Gain> {
        let mean = |(a, b): (&Gain, &Gain)| Gain { level_db: a.level_db, gain_db: (a.gain_db + b.gain_db) / 2.0 };
        first.iter().zip(second).map(mean).filter(|gain| gain.gain_db.is_finite()).collect()
    };
    first.iter().zip(second).map(of_source).collect()
}

/// The mean gain of all sources at equal levels, in dB.
pub(super) fn at_equal_levels(gains: &[Vec<Gain>]) -> f64 {
    let equal: Vec<f64> = gains.iter().flatten().filter(|gain| gain.level_db == 0.0).map(|gain| gain.gain_db).collect();
    equal.iter().sum::<f64>() / equal.len().max(1) as f64
}

/// Divides the sound of a source into two halves, in the order of its recordings. The one that lies across the middle is cut.
fn halves(recordings: &[Named]) -> (Vec<Named<'static>>, Vec<Named<'static>>) {
    let half = recordings.iter().map(|(_, recording)| recording.seconds()).sum::<f64>() / 2.0;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut before = 0.0;
    for (name, recording) in recordings {
        let middle = ((half - before) * f64::from(recording.sample_rate)).round().max(0.0) as usize;
        let middle = middle.min(recording.frames());
        let part = |samples: std::ops::Range<usize>| -> Named<'static> {
            let channels = recording.channels.iter().map(|channel| channel[samples.clone()].to_vec()).collect();
            let sample_rate = recording.sample_rate;
            (name.clone(), Cow::Owned(Recording { channels, sample_rate, warnings: Vec::new() }))
        };
        if middle > 0 {
            first.push(part(0..middle));
        }
        if middle < recording.frames() {
            second.push(part(middle..recording.frames()));
        }
        before += recording.seconds();
    }
    (first, second)
}

/// Pieces from all over recordings, one after the other: of each recording its loudest channel.
fn excerpt(recordings: &[Named], sample_rate: u32) -> Result<Vec<f64>> {
    let energy = |channel: &&Vec<f32>| channel.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let mut all = Vec::new();
    for (_, recording) in recordings {
        let loudest = recording.channels.iter().max_by(|a, b| energy(a).total_cmp(&energy(b)));
        if let Some(channel) = loudest {
            all.extend(audio::resample(channel, recording.sample_rate, sample_rate)?);
        }
    }
    let most = (SECONDS * f64::from(sample_rate)) as usize;
    let (length, pieces) = if all.len() <= most { (all.len(), 1) } else { (most / PIECES, PIECES) };
    let start = |piece: usize| if pieces == 1 { 0 } else { piece * (all.len() - length) / (pieces - 1) };
    Ok((0..pieces).flat_map(|piece| &all[start(piece)..start(piece) + length]).map(|&x| f64::from(x)).collect())
}

/// Mixtures of excerpts at all levels; none where one is silent.
fn mixtures(excerpts: &[Vec<f64>], sample_rate: u32) -> Option<Vec<Mixture>> {
    let length = excerpts.iter().map(Vec::len).min()?;
    let unit = |samples: &[f64]| -> Option<Vec<f64>> {
        let rms = (samples.iter().map(|x| x * x).sum::<f64>() / samples.len().max(1) as f64).sqrt();
        (rms > 0.0).then(|| samples.iter().map(|x| x / rms).collect())
    };
    let parts = excerpts.iter().map(|excerpt| unit(&excerpt[..length])).collect::<Option<Vec<_>>>()?;
    let sources = if let [_, _] = parts[..] { 1 } else { parts.len() };
    let at = |source: usize, level: usize| {
        let mut others = vec![0.0; length];
        for (_, part) in parts.iter().enumerate().filter(|(index, _)| *index != source) {
            others.iter_mut().zip(part).for_each(|(sum, sample)| *sum += sample);
        }
        let rms = (others.iter().map(|x| x * x).sum::<f64>() / length as f64).sqrt();
        let scale = 10f64.powf(LEVELS[level] / 20.0) * rms;
        let mut parts = parts.clone();
        parts[source].iter_mut().for_each(|sample| *sample *= scale);
        if LEVELS[level] != 0.0 {
            // The middle: where it begins or ends, a recording may be silent.
            let kept = length.min((SECONDS_OF_OTHERS * f64::from(sample_rate)) as usize);
            let start = (length - kept) / 2;
            parts.iter_mut().for_each(|part| *part = part[start..start + kept].to_vec());
        }
        Mixture { source, level, parts }
    };
    let places = (0..sources).flat_map(|source| (0..LEVELS.len()).map(move |level| (source, level)));
    Some(places.map(|(source, level)| at(source, level)).collect())
}
