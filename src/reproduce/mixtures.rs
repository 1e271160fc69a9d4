//! Makes mixtures of known sources at given levels.

use std::path::{Path, PathBuf};

use super::heard::Example;
use crate::audio;
use crate::random::Stream;
use crate::{Error, Result};

/// A stretch of music whose mean power is below this share of its recording's counts as a pause and is not drawn.
const PAUSE: f64 = 1e-3;
/// The number of draws after which a pause is accepted.
const DRAWS: u64 = 64;

/// A recording of the target, and an equally long stretch of the other source at the same mean power.
#[derive(Debug, Clone)]
pub(super) struct Clip {
    /// The name of the target's file, without its extension.
    pub(super) name: String,
    /// The target alone.
    pub(super) target: Vec<f32>,
    /// The rest alone.
    pub(super) rest: Vec<f32>,
}

impl Clip {
    /// The mixture in which the target's mean power is `level` dB above that of the other source.
    pub(super) fn mixture(&self, level: f64) -> Vec<f32> {
        self.target.iter().zip(self.rest_at(level)).map(|(target, rest)| target + rest).collect()
    }

    /// The rest as it is in this mixture.
    pub(super) fn rest_at(&self, level: f64) -> Vec<f32> {
        let gain = 10f64.powf(-level / 20.0) as f32;
        self.rest.iter().map(|sample| gain * sample).collect()
    }

    /// This mixture to listen to, with the names of both sources.
    pub(super) fn example(&self, level: f64, sample_rate: u32, [target, rest]: [&str; 2]) -> Example {
        let sources = [(target.to_string(), self.target.clone()), (rest.to_string(), self.rest_at(level))];
        Example::new(
            format!("{}, {target} at {level} dB over {rest}", self.name),
            sample_rate,
            self.mixture(level),
            sources,
        )
    }
}

/// Makes at most `count` clips at a sample rate, from the first channel of each recording. The seed sets the order of
/// the target's recordings; those of the other source take turns. The seed also sets where a stretch begins. A stretch
/// that reaches the end of its recording continues at the beginning.
///
/// # Errors
/// [`Error::Input`] if recordings of either source are missing or silent; also the errors of reading.
pub(super) fn clips(
    target: &[PathBuf],
    rest: &[PathBuf],
    count: usize,
    sample_rate: u32,
    seed: u64,
) -> Result<Vec<Clip>> {
    let mut target = target.to_vec();
    shuffle(&mut target, Stream::new(seed, "order of clips"));
    let read = |path: &PathBuf| Ok((path.clone(), mono(path, sample_rate)?));
    let rest = rest.iter().map(read).filter(|read| read.as_ref().map_or(true, sounds)).collect::<Result<Vec<_>>>()?;
    if rest.is_empty() {
        return Err(Error::input("nothing to mix with: all test recordings are silent"));
    }
    let mut clips = Vec::new();
    for path in target {
        if clips.len() == count {
            break;
        }
        let (path, mut target) = read(&path)?;
        if !sounds(&(path.clone(), target.clone())) {
            continue;
        }
        let music = &rest[clips.len() % rest.len()].1;
        let mut portion = draw(music, target.len(), Stream::new(seed, &format!("portion {}", clips.len())));
        [&mut target, &mut portion].into_iter().for_each(|signal| level(signal));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        clips.push(Clip { name, target, rest: portion });
    }
    if clips.is_empty() {
        return Err(Error::input("nothing to separate: all test recordings of the target are silent"));
    }
    Ok(clips)
}

/// Makes at most `count` clips of a recording of each of two sources, cut to the shorter, with mean power 1 each. The seed sets
/// which recordings meet; none meet twice.
///
/// # Errors
/// [`Error::Input`] if no two recordings are left that are not silent; also the errors of reading.
pub(super) fn pairs(
    target: &[PathBuf],
    rest: &[PathBuf],
    count: usize,
    sample_rate: u32,
    seed: u64,
) -> Result<Vec<Clip>> {
    let read = |paths: &[PathBuf]| -> Result<Vec<(PathBuf, Vec<f32>)>> {
        paths.iter().map(|path| Ok((path.clone(), mono(path, sample_rate)?))).collect()
    };
    let (target, rest) = (read(target)?, read(rest)?);
    let mut all: Vec<(usize, usize)> = (0..target.len()).flat_map(|a| (0..rest.len()).map(move |b| (a, b))).collect();
    shuffle(&mut all, Stream::new(seed, "order of pairs"));
    let mut clips = Vec::new();
    for (a, b) in all {
        let samples = target[a].1.len().min(rest[b].1.len());
        let mut signals = [&target[a], &rest[b]].map(|(_, signal)| signal[..samples].to_vec());
        if clips.len() == count || signals.iter().any(|signal| power(signal) == 0.0) {
            continue;
        }
        signals.iter_mut().for_each(|signal| level(signal));
        let name =
            [&target[a], &rest[b]].map(|(path, _)| path.file_stem().unwrap_or_default().to_string_lossy()).join(" + ");
        let [target, rest] = signals;
        clips.push(Clip { name, target, rest });
    }
    if clips.is_empty() {
        return Err(Error::input("nothing to separate: two sources have no test recordings that are not silent"));
    }
    Ok(clips)
}

fn mono(path: &Path, sample_rate: u32) -> Result<Vec<f32>> {
    let recording = audio::read(path)?;
    let first = recording.channels.into_iter().next().unwrap_or_default();
    audio::resample(&first, recording.sample_rate, sample_rate)
}

fn sounds((_, signal): &(PathBuf, Vec<f32>)) -> bool {
    power(signal) > 0.0
}

/// Scales a signal that is not silent to a mean power of 1.
fn level(signal: &mut [f32]) {
    let gain = power(signal).sqrt().recip() as f32;
    signal.iter_mut().for_each(|sample| *sample *= gain);
}

/// The mean power; 0 for an empty signal.
fn power(signal: &[f32]) -> f64 {
    signal.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / signal.len().max(1) as f64
}

/// A stretch of a signal that is not a pause, if one is found.
fn draw(signal: &[f32], length: usize, stream: Stream) -> Vec<f32> {
    let portion = |index: u64| -> Vec<f32> {
        let start = (stream.uniform(index) * signal.len() as f64) as usize;
        signal.iter().copied().cycle().skip(start).take(length).collect()
    };
    let least = PAUSE * power(signal);
    (0..DRAWS).map(portion).find(|portion| power(portion) > least).unwrap_or_else(|| {
        // The signal is almost all silence: start at its first nonzero sample.
        let start = signal.iter().position(|&sample| sample != 0.0).unwrap_or(0);
        signal.iter().copied().cycle().skip(start).take(length).collect()
    })
}

/// The Fisher-Yates shuffle.
fn shuffle<T>(items: &mut [T], stream: Stream) {
    for last in (1..items.len()).rev() {
        items.swap(last, (stream.uniform(last as u64) * (last + 1) as f64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Format, Recording};

    fn save(folder: &Path, name: &str, samples: Vec<f32>) -> PathBuf {
        let path = folder.join(name);
        let recording = Recording { channels: vec![samples], sample_rate: 8000, warnings: Vec::new() };
        audio::write(&path, &recording, Format::WavF32).unwrap();
        path
    }

    #[test]
    fn mixtures_have_the_requested_level() {
        let folder = tempfile::tempdir().unwrap();
        let tone = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>();
        let silent = save(folder.path(), "silent.wav", vec![0.0; 50]);
        let speech = [save(folder.path(), "a.wav", tone(300)), save(folder.path(), "b.wav", tone(500)), silent.clone()];
        let mut music = tone(400);
        music[..350].fill(0.0);
        let music = [silent.clone(), save(folder.path(), "m.wav", music)];
        let made = clips(&speech, &music, 9, 8000, 3).unwrap();
        let mut names: Vec<&str> = made.iter().map(|clip| clip.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b"]);
        for clip in &made {
            for level in [-5.0, 0.0, 20.0] {
                let mixture = clip.mixture(level);
                let rest: Vec<f32> =
                    mixture.iter().zip(&clip.target).map(|(mixture, target)| mixture - target).collect();
                let found = 10.0 * (power(&clip.target) / power(&rest)).log10();
                assert!((found - level).abs() < 1e-3, "{found} for {level}");
            }
        }
        let again = clips(&speech, &music, 1, 8000, 3).unwrap();
        assert_eq!((again.len(), &again[0].rest, &again[0].name), (1, &made[0].rest, &made[0].name));
        assert!(
            clips(&speech, std::slice::from_ref(&silent), 1, 8000, 3).is_err()
                && clips(&[silent], &music, 1, 8000, 3).is_err()
        );
        assert!(clips(&[folder.path().join("absent.wav")], &music, 1, 8000, 3).is_err());
    }

    #[test]
    fn pairs_are_cut_to_the_shorter_and_meet_once() {
        let folder = tempfile::tempdir().unwrap();
        let tone = |step: f32, n: usize| (0..n).map(|i| 0.1 * (i as f32 * step).sin()).collect::<Vec<f32>>();
        let silent = save(folder.path(), "silent.wav", vec![0.0; 500]);
        let one = [save(folder.path(), "a.wav", tone(0.7, 300)), save(folder.path(), "b.wav", tone(0.5, 500))];
        let other = [
            save(folder.path(), "c.wav", tone(0.3, 400)),
            silent.clone(),
            save(folder.path(), "d.wav", tone(0.9, 200)),
        ];
        let made = pairs(&one, &other, 9, 8000, 3).unwrap();
        let mut names: Vec<_> =
            made.iter().map(|clip| (clip.name.as_str(), clip.target.len(), clip.rest.len())).collect();
        names.sort_unstable();
        assert_eq!(names, [("a + c", 300, 300), ("a + d", 200, 200), ("b + c", 400, 400), ("b + d", 200, 200)]);
        assert!(
            made.iter().flat_map(|clip| [&clip.target, &clip.rest]).all(|signal| (power(signal) - 1.0).abs() < 1e-5)
        );
        let two = pairs(&one, &other, 2, 8000, 3).unwrap();
        assert_eq!(two.iter().map(|clip| &clip.name).collect::<Vec<_>>(), [&made[0].name, &made[1].name]);
        assert!(pairs(&one, &[silent], 9, 8000, 3).is_err());
    }

    #[test]
    fn the_shuffle_reaches_every_order() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..200 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items, Stream::new(seed, "order"));
            seen.insert(items);
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn pauses_are_not_drawn() {
        let mut signal = vec![0.0; 1000];
        signal[990..].fill(1.0);
        for seed in 0..20 {
            assert!(power(&draw(&signal, 5, Stream::new(seed, "p"))) > 0.0);
        }
    }
}
