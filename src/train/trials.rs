//! The gain to expect from a model, measured before it is learned: one half of every source's sound is learned from, the other
//! half is mixed and separated, and the same the other way round.
//!
//! Halves and not a smaller part, because what is recorded in one go sounds alike: a model that knows nine tenths of a recording
//! separates the last tenth better than anything it will ever hear. With the last 15 % held back, the gains foretold on sixteen
//! mixtures were 1.8 dB too high on average; with halves they are 0.9 dB too low. Single ones are wrong by 3 dB: a few seconds of two
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
use crate::{Error, Result};

/// The levels of a source in a mixture, in dB above the sum of the others. They are as far below 0 as above, so that those of
/// two sources serve both.
const LEVELS: [f64; 3] = [-5.0, 0.0, 5.0];
/// Seconds of a source that are mixed at equal levels, in pieces from all over its half, and at other levels.
const SECONDS: f64 = 3.0;
const SECONDS_OF_OTHERS: f64 = 1.5;
const PIECES: usize = 3;
/// Seconds of a source below which none can be spared.
const LEAST_SECONDS: f64 = 5.0;
/// Seconds of each half that are used at most, so that hours of recordings take no more time and memory than minutes.
const MOST_SECONDS: f64 = 300.0;

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
    /// Two trials, each learned from what the other one mixes.
    ///
    /// # Errors
    /// [`Error::Input`] where a source has too little sound to share, or is silent in one half; those of the resampler.
    pub(super) fn pair(recordings: &[Vec<Named>], sample_rate: u32) -> Result<[Self; 2]> {
        let seconds =
            |recordings: &Vec<Named>| recordings.iter().map(|(_, recording)| recording.seconds()).sum::<f64>();
        if recordings.iter().any(|source| seconds(source) < LEAST_SECONDS) {
            let reason = format!("a source has less than {LEAST_SECONDS} s of sound, too little to hold a half back");
            return Err(Error::input(reason));
        }
        let halves = |source: &Vec<Named>| {
            let half = seconds(source) / 2.0;
            let kept = half.min(MOST_SECONDS);
            (between(source, 0.0, kept), between(source, half, half + kept))
        };
        let (first, second): (Vec<_>, Vec<_>) = recordings.iter().map(halves).unzip();
        let mixed = |half: &[Vec<Named>]| -> Result<Vec<Mixture>> {
            let excerpts = half.iter().map(|source| excerpt(source, sample_rate)).collect::<Result<Vec<_>>>()?;
            mixtures(&excerpts, sample_rate)
                .ok_or_else(|| Error::input("a source is silent in one half of its recordings"))
        };
        let (of_first, of_second) = (mixed(&first)?, mixed(&second)?);
        Ok([
            Self { learned: first, mixtures: of_second, sample_rate },
            Self { learned: second, mixtures: of_first, sample_rate },
        ])
    }

    /// What a model makes of the mixtures, one after the other: the samples of every source.
    ///
    /// # Errors
    /// Those of [`whole`].
    pub(super) fn stems(&self, engine: &AnyEngine, model: &Model) -> Result<Vec<Vec<f32>>> {
        let plan = Plan::new(Some(model), &Separation::default(), &mut |_| Ok(()))?;
        let separator = plan.on_borrowed(engine);
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

/// The sound of a source between two times, in the order of its recordings. Those that lie across are cut.
fn between(recordings: &[Named], from: f64, to: f64) -> Vec<Named<'static>> {
    let (mut parts, mut before) = (Vec::new(), 0.0);
    for (name, recording) in recordings {
        let rate = recording.sample_rate;
        let sample =
            |time: f64| (((time - before) * f64::from(rate)).round().max(0.0) as usize).min(recording.frames());
        let samples = sample(from)..sample(to);
        if !samples.is_empty() {
            let channels = recording.channels.iter().map(|channel| channel[samples.clone()].to_vec()).collect();
            let part = Recording { channels, sample_rate: rate, warnings: Vec::new() };
            parts.push((name.clone(), Cow::Owned(part)));
        }
        before += recording.seconds();
    }
    parts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_cut_across_recordings_and_lose_no_sample() {
        let recording = |samples: std::ops::Range<usize>| -> Named<'static> {
            let channels = vec![samples.map(|n| n as f32).collect()];
            ("one".into(), Cow::Owned(Recording { channels, sample_rate: 10, warnings: Vec::new() }))
        };
        let source = [recording(0..40), recording(40..70), recording(70..100)];
        let samples = |from, to| -> Vec<f32> {
            between(&source, from, to).iter().flat_map(|(_, part)| part.channels[0].clone()).collect()
        };
        let count = |range: std::ops::Range<usize>| range.map(|n| n as f32).collect::<Vec<f32>>();
        assert_eq!((samples(0.0, 5.0), samples(5.0, 10.0)), (count(0..50), count(50..100)));
        assert_eq!(samples(6.5, 7.5), count(65..75));
    }

    #[test]
    fn a_level_is_that_of_a_source_above_the_others() {
        let excerpts: Vec<Vec<f64>> = (1..=3)
            .map(|k| (0..8000).map(|n| k as f64 * (n as f64 * (0.1 + 0.37 * k as f64)).sin()).collect())
            .collect();
        for count in [2, 3] {
            let mixtures = mixtures(&excerpts[..count], 8000).unwrap();
            assert_eq!(mixtures.len(), if count == 2 { 3 } else { 9 });
            for mixture in &mixtures {
                let power = |samples: &[f64]| samples.iter().map(|x| x * x).sum::<f64>();
                let source = &mixture.parts[mixture.source];
                let others: Vec<f64> = mixture.sum().iter().zip(source).map(|(sum, own)| sum - own).collect();
                let level = 10.0 * (power(source) / power(&others)).log10();
                assert!((level - LEVELS[mixture.level]).abs() < 0.05, "{level}, level {}", LEVELS[mixture.level]);
            }
        }
        assert!(mixtures(&[vec![0.0; 9], vec![1.0; 9]], 8000).is_none());
    }
}
