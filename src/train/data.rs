//! Recordings of one source to data.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use ndarray::Array2;
use rayon::prelude::*;

use super::{Event, Material};
use crate::audio::{self, Recording};
use crate::spectrogram::{Spectrum, Stft, level_scale};
use crate::{Error, Result};

/// Frames whose power is below this share of the loudest frame's are silence: nothing of the source is to be learned from
/// them, yet IS would weigh them like any other.
pub(super) const SILENCE: f64 = 1e-7;

/// The usable recordings of a source, in the order of their files.
pub(super) fn read(source: &Material, watch: &mut dyn FnMut(Event)) -> Result<Vec<(PathBuf, Recording)>> {
    let mut files = source.files.clone();
    files.sort();
    files.dedup();
    let read: Vec<_> = files.par_iter().map(|file| (file, audio::read(file))).collect();
    let mut recordings = Vec::with_capacity(read.len());
    for (file, recording) in read {
        match recording {
            Ok(recording) if recording.frames() > 0 => {
                recording.warnings.iter().for_each(|warning| watch(Event::Warning(file, warning)));
                recordings.push((file.clone(), recording));
            }
            Ok(_) => watch(Event::Skipped(Error::audio(file, "holds no audio: 0 samples"))),
            Err(error) => watch(Event::Skipped(error)),
        }
    }
    if recordings.is_empty() {
        return Err(Error::input(format!("source '{}': none of its {} files can be used", source.name, files.len())));
    }
    Ok(recordings)
}

/// The sample rate in Hz that all sources are brought to: the lowest of theirs, where a source's is the highest that at least half
/// of its sound has. Recordings of still lower rates are left out, with a warning: otherwise one of them would take from the model
/// what lies above its own Nyquist frequency. Never more than half of a source is.
pub(super) fn common_rate(
    names: &[&str],
    recordings: &mut [Vec<(PathBuf, Recording)>],
    watch: &mut dyn FnMut(Event),
) -> u32 {
    let rates: Vec<u32> = recordings.iter().map(|recordings| usual_rate(recordings)).collect();
    let common = rates.iter().copied().min().unwrap_or_default();
    let highest = rates.iter().copied().max().unwrap_or_default();
    for (source, (name, recordings)) in names.iter().zip(&mut *recordings).enumerate() {
        recordings.retain(|(file, recording)| {
            let (rate, usual) = (recording.sample_rate, rates[source]);
            if rate < common {
                let reason = format!("is at {rate} Hz, most of source '{name}' at {usual} Hz or more; it is left out");
                watch(Event::Warning(file, &reason));
            }
            rate >= common
        });
        let deciding = recordings.iter().find(|(_, recording)| recording.sample_rate == common);
        if let Some((file, _)) = deciding.filter(|_| rates[source] == common && common < highest) {
            let reason = format!(
                "is at {common} Hz, like much of source '{name}', so the model is; other sources have up to {highest} Hz"
            );
            watch(Event::Warning(file, &reason));
        }
    }
    common
}

/// The highest sample rate that at least half of a source's sound has.
fn usual_rate(recordings: &[(PathBuf, Recording)]) -> u32 {
    let mut sorted: Vec<&Recording> = recordings.iter().map(|(_, recording)| recording).collect();
    sorted.sort_by_key(|recording| std::cmp::Reverse(recording.sample_rate));
    let half = sorted.iter().map(|recording| recording.seconds()).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let usual = sorted.iter().find(|recording| {
        sum += recording.seconds();
        sum >= half
    });
    usual.map_or(0, |recording| recording.sample_rate)
}

/// Warns of recordings that two sources have: what is in them cannot be told apart.
pub(super) fn warn_of_shared(names: &[&str], recordings: &[Vec<(PathBuf, Recording)>], watch: &mut dyn FnMut(Event)) {
    let mut known: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (source, own) in recordings.iter().enumerate() {
        for (index, (file, recording)) in own.iter().enumerate().filter(|(_, (_, recording))| recording.peak() > 0.0) {
            let alike = known.entry(fingerprint(recording)).or_default();
            let same = |&&(other, at): &&(usize, usize)| {
                other != source && recordings[other][at].1.channels == recording.channels
            };
            if let Some(&(other, at)) = alike.iter().find(same) {
                let (name, theirs) = (names[other], recordings[other][at].0.display());
                let reason =
                    format!("source '{name}' has the same recording ({theirs}); they cannot be told apart by it");
                watch(Event::Warning(file, &reason));
            }
            alike.push((source, index));
        }
    }
}

fn fingerprint(recording: &Recording) -> u64 {
    let mut hasher = DefaultHasher::new();
    recording.channels.iter().flatten().for_each(|sample| sample.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// The data of all frames that are not silence, (N, F), scaled by the recordings' common peak.
pub(super) fn data(
    recordings: &[(PathBuf, Recording)],
    stft: &Stft<f32>,
    spectrum: Spectrum,
    sample_rate: u32,
) -> Result<Array2<f32>> {
    let peak = recordings.iter().map(|(_, recording)| recording.peak()).fold(0.0, f32::max);
    let channels: Vec<(&[f32], u32)> = recordings
        .iter()
        .flat_map(|(_, recording)| recording.channels.iter().map(|channel| (channel.as_slice(), recording.sample_rate)))
        .collect();
    let frames = channels
        .par_iter()
        .map(|&(channel, rate)| {
            let channel = audio::resample(channel, rate, sample_rate)?;
            let spectra = stft.forward(&channel, 0, 0..stft.frames(channel.len()));
            Ok(spectra.mapv(|bin| spectrum.of(bin * level_scale(peak))))
        })
        .collect::<Result<Vec<_>>>()?;
    let power = |frame: ndarray::ArrayView1<f32>| -> f64 {
        frame.iter().map(|&v| f64::from(v).powf(spectrum.power_exponent())).sum()
    };
    let loudest = frames.iter().flat_map(|frames| frames.outer_iter().map(power)).fold(0.0, f64::max);
    let mut data = Vec::new();
    for frame in frames.iter().flat_map(|frames| frames.outer_iter()) {
        if loudest > 0.0 && power(frame) >= SILENCE * loudest {
            data.extend(frame);
        }
    }
    let count = data.len() / stft.bins();
    Array2::from_shape_vec((count, stft.bins()), data).map_err(|cause| Error::input(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of noise at so many Hz.
    fn recording(name: &str, sample_rate: u32, seconds: usize) -> (PathBuf, Recording) {
        let stream = crate::random::Stream::new(1, name);
        let channels = vec![(0..sample_rate as usize * seconds).map(|n| stream.uniform(n as u64) as f32).collect()];
        (name.into(), Recording { channels, sample_rate, warnings: Vec::new() })
    }

    /// The common rate, the files that are left, and what was told.
    fn rate(sources: &[&[(&str, u32, usize)]]) -> (u32, Vec<String>, Vec<String>) {
        let of = |source: &&[(&str, u32, usize)]| source.iter().map(|&(name, hz, s)| recording(name, hz, s)).collect();
        let mut recordings: Vec<Vec<_>> = sources.iter().map(of).collect();
        let mut told = Vec::new();
        let names = &["one", "other"][..sources.len()];
        let common = common_rate(names, &mut recordings, &mut |event| {
            if let Event::Warning(file, reason) = event {
                told.push(format!("{}: {reason}", file.display()));
            }
        });
        let left = recordings.iter().flatten().map(|(file, _)| file.display().to_string()).collect();
        (common, left, told)
    }

    #[test]
    fn one_recording_of_a_lower_rate_does_not_decide() {
        let (common, left, told) =
            rate(&[&[("a", 44_100, 2), ("memo", 8000, 1), ("b", 48_000, 2)], &[("c", 44_100, 1)]]);
        assert_eq!((common, left), (44_100, vec!["a".into(), "b".into(), "c".into()]));
        assert!(
            told.len() == 1 && told[0].starts_with("memo: is at 8000 Hz") && told[0].contains("left out"),
            "{told:?}"
        );
        // Half of it, or most of a source, does, and that of another source has to follow.
        let (common, left, told) = rate(&[&[("a", 16_000, 1), ("b", 8000, 2)], &[("c", 16_000, 1), ("d", 8000, 1)]]);
        assert_eq!((common, left.len()), (8000, 4));
        assert!(told.len() == 1 && told[0].starts_with("b: is at 8000 Hz"), "{told:?}");
        let (common, _, told) = rate(&[&[("a", 8000, 1)], &[("b", 8000, 1)]]);
        assert!(common == 8000 && told.is_empty());
    }

    #[test]
    fn a_recording_of_two_sources_is_told() {
        let one = [recording("a", 8000, 1), recording("b", 8000, 1), recording("b", 8000, 1)];
        let mut copy = recording("b", 8000, 1);
        copy.0 = "copy".into();
        let silence =
            || ("s".into(), Recording { channels: vec![vec![0.0; 9]], sample_rate: 8000, warnings: Vec::new() });
        let sources = [vec![one[0].clone(), one[1].clone(), one[2].clone(), silence()], vec![silence(), copy]];
        let mut told = Vec::new();
        warn_of_shared(&["one", "other"], &sources, &mut |event| {
            if let Event::Warning(file, reason) = event {
                told.push(format!("{}: {reason}", file.display()));
            }
        });
        assert!(told.len() == 1 && told[0].starts_with("copy: source 'one'") && told[0].contains("(b)"), "{told:?}");
    }
}
