//! Recordings of sources alone, from files or from memory, and the frames that are learned from them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use ndarray::{Array2, Axis};
use rayon::prelude::*;
use realfft::num_complex::Complex;

use crate::audio::{self, Recording};
use crate::options::SourceFiles;
use crate::spectrogram::{Front, View, level_scale};
use crate::{Error, Result};

/// Frames whose power is below this share of the loudest frame's are silence: nothing of the source is to be learned from
/// them, yet IS would weigh them like any other.
const SILENCE: f64 = 1e-7;

/// The RMS that utterances are brought to before they are mixed: about that of speech with a peak of 1.
const LEVEL: f32 = 0.1;

/// The recordings of one source.
#[derive(Debug, Clone)]
pub struct Material<'a> {
    /// The source's name.
    pub name: String,
    /// Recordings of it alone.
    pub recordings: Recordings<'a>,
}

/// Where recordings come from.
#[derive(Debug, Clone)]
pub enum Recordings<'a> {
    /// Files. They are taken in the order of their names, each once, so that the order of arguments does not matter.
    Files(Vec<PathBuf>),
    /// Memory, in this order.
    Memory(&'a [Recording]),
}

impl From<SourceFiles> for Material<'_> {
    fn from(SourceFiles { name, recordings }: SourceFiles) -> Self {
        Self { name, recordings: Recordings::Files(recordings) }
    }
}

/// What happens while recordings are read and learned from.
#[derive(Debug)]
pub enum Event<'a> {
    /// A recording could not be used; the rest are.
    Skipped(Error),
    /// There is a warning about a recording, which is named first.
    Warning(&'a str, &'a str),
    /// The bases of this source are being learned: iteration, of so many.
    Iteration(&'a str, usize, usize),
}

/// Hears of events; its error ends the work.
pub type Watch<'a> = dyn FnMut(Event) -> Result<()> + Send + 'a;

/// A recording and what messages call it.
pub(crate) type Named<'a> = (String, Cow<'a, Recording>);

/// The usable recordings of a source.
///
/// # Errors
/// [`Error::Input`] where none is usable; those of recordings in memory that no file could hold.
pub(crate) fn read<'a>(source: &Material<'a>, watch: &mut Watch) -> Result<Vec<Named<'a>>> {
    let name = &source.name;
    let read: Vec<(String, Result<Cow<Recording>>)> = match &source.recordings {
        Recordings::Files(files) => {
            let mut files = files.clone();
            files.sort();
            files.dedup();
            let read = |file: &PathBuf| (file.display().to_string(), audio::read(file).map(Cow::Owned));
            files.par_iter().map(read).collect()
        }
        Recordings::Memory(recordings) => {
            let label = |index: usize| format!("source '{name}', recording {}", index + 1);
            let check = |(index, recording): (usize, &'a Recording)| {
                recording.check(&label(index))?;
                Ok((label(index), Ok(Cow::Borrowed(recording))))
            };
            recordings.iter().enumerate().map(check).collect::<Result<_>>()?
        }
    };
    let (mut recordings, count) = (Vec::with_capacity(read.len()), read.len());
    for (label, recording) in read {
        match recording {
            Ok(recording) if recording.frames() > 0 => {
                log::info!("{label}: read, {:.1} s", recording.seconds());
                recording.warnings.iter().try_for_each(|warning| watch(Event::Warning(&label, warning)))?;
                recordings.push((label, recording));
            }
            Ok(_) => watch(Event::Skipped(Error::audio(label, "holds no audio: 0 samples")))?,
            Err(error) => watch(Event::Skipped(error))?,
        }
    }
    if recordings.is_empty() {
        return Err(Error::input(format!("source '{name}': none of its {count} recordings can be used")));
    }
    Ok(recordings)
}

/// The sample rate in Hz that all sources are brought to: the lowest of theirs, where a source's is the highest that at least half
/// of its sound has. Recordings of still lower rates are left out, with a warning: otherwise one of them would take from the model
/// what lies above its own Nyquist frequency. Never more than half of a source is.
pub(crate) fn common_rate(names: &[&str], recordings: &mut [Vec<Named>], watch: &mut Watch) -> Result<u32> {
    let rates: Vec<u32> = recordings.iter().map(|recordings| usual_rate(recordings)).collect();
    let common = rates.iter().copied().min().unwrap_or_default();
    let highest = rates.iter().copied().max().unwrap_or_default();
    for (source, (name, recordings)) in names.iter().zip(&mut *recordings).enumerate() {
        let usual = rates[source];
        for (file, recording) in recordings.iter().filter(|(_, recording)| recording.sample_rate < common) {
            let rate = recording.sample_rate;
            let reason = format!("is at {rate} Hz, most of source '{name}' at {usual} Hz or more; it is left out");
            watch(Event::Warning(file, &reason))?;
        }
        recordings.retain(|(_, recording)| recording.sample_rate >= common);
        let deciding = recordings.iter().find(|(_, recording)| recording.sample_rate == common);
        if let Some((file, _)) = deciding.filter(|_| rates[source] == common && common < highest) {
            let reason = format!(
                "is at {common} Hz, like much of source '{name}', so the model is; other sources have up to {highest} Hz"
            );
            watch(Event::Warning(file, &reason))?;
        }
    }
    Ok(common)
}

/// The highest sample rate that at least half of a source's sound has.
fn usual_rate(recordings: &[Named]) -> u32 {
    let mut sorted: Vec<&Recording> = recordings.iter().map(|(_, recording)| &**recording).collect();
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
pub(crate) fn warn_of_shared(names: &[&str], recordings: &[Vec<Named>], watch: &mut Watch) -> Result<()> {
    let mut known: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (source, own) in recordings.iter().enumerate() {
        for (index, (file, recording)) in own.iter().enumerate().filter(|(_, (_, recording))| recording.peak() > 0.0) {
            let alike = known.entry(fingerprint(recording)).or_default();
            let same = |&&(other, at): &&(usize, usize)| {
                other != source && recordings[other][at].1.channels == recording.channels
            };
            if let Some(&(other, at)) = alike.iter().find(same) {
                let (name, theirs) = (names[other], &recordings[other][at].0);
                let reason =
                    format!("source '{name}' has the same recording ({theirs}); they cannot be told apart by it");
                watch(Event::Warning(file, &reason))?;
            }
            alike.push((source, index));
        }
    }
    Ok(())
}

fn fingerprint(recording: &Recording) -> u64 {
    let mut hasher = DefaultHasher::new();
    recording.channels.iter().flatten().for_each(|sample| sample.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// The data (N, F) of every channel of every recording, scaled by the recordings' common peak.
///
/// # Errors
/// Those of the resampler.
pub(crate) fn channels(recordings: &[Named], view: &View) -> Result<Vec<Array2<f32>>> {
    let peak = recordings.iter().map(|(_, recording)| recording.peak()).fold(0.0, f32::max);
    let channels: Vec<(&[f32], u32)> = recordings
        .iter()
        .flat_map(|(_, recording)| recording.channels.iter().map(|channel| (channel.as_slice(), recording.sample_rate)))
        .collect();
    let data =
        |&(channel, rate): &(_, _)| view.data(&audio::resample(channel, rate, view.sample_rate)?, level_scale(peak));
    channels.par_iter().map(data).collect()
}

/// The data of all frames that are not silence, (N, F), scaled by the recordings' common peak.
///
/// # Errors
/// Those of the resampler.
pub(crate) fn data(recordings: &[Named], view: &View) -> Result<Array2<f32>> {
    let frames = channels(recordings, view)?;
    let power = |frame: ndarray::ArrayView1<f32>| -> f64 {
        frame.iter().map(|&v| f64::from(v).powf(view.power_exponent())).sum()
    };
    let loudest = frames.iter().flat_map(|frames| frames.outer_iter().map(power)).fold(0.0, f64::max);
    let mut data = Vec::new();
    for frame in frames.iter().flat_map(|frames| frames.outer_iter()) {
        if loudest > 0.0 && power(frame) >= SILENCE * loudest {
            data.extend(frame);
        }
    }
    let count = data.len() / view.rows();
    Array2::from_shape_vec((count, view.rows()), data).map_err(|cause| Error::input(cause.to_string()))
}

/// The utterances of recordings: the spectra (T, bins) of every channel, at one level (an RMS of [`LEVEL`] before the filter of
/// the view), without the frames that are silence. Those of more than `longest` seconds are cut into equal pieces.
///
/// # Errors
/// [`Error::Input`] for a recording that is shorter than a window; those of the resampler.
pub(crate) fn utterances(recordings: &[Named], view: &View, longest: usize) -> Result<Vec<Array2<Complex<f32>>>> {
    let params = view.stft.params();
    let channels: Vec<(&str, &[f32], u32)> = recordings
        .iter()
        .flat_map(|(label, recording)| {
            recording.channels.iter().map(move |channel| (label.as_str(), channel.as_slice(), recording.sample_rate))
        })
        .collect();
    let of_channel = |&(label, channel, rate): &(&str, &[f32], u32)| -> Result<Vec<Array2<Complex<f32>>>> {
        let channel = audio::resample(channel, rate, view.sample_rate)?;
        if channel.len() < params.window {
            return Err(Error::input(format!(
                "{label}: its {} samples are shorter than a window of {}; leave it out, or use a shorter --window",
                channel.len(),
                params.window
            )));
        }
        let power = channel.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / channel.len() as f64;
        let scale = LEVEL * level_scale(power.sqrt() as f32);
        let spectra = view.spectra(&channel).mapv_into(|bin| bin * scale);
        let powers: Vec<f64> =
            spectra.rows().into_iter().map(|frame| frame.iter().map(|bin| f64::from(bin.norm_sqr())).sum()).collect();
        let loudest = powers.iter().copied().fold(0.0, f64::max);
        let sounding: Vec<usize> =
            (0..powers.len()).filter(|&frame| loudest > 0.0 && powers[frame] >= SILENCE * loudest).collect();
        // A recording of just this length is not cut, padding included.
        let most = view.stft.frames(longest * view.sample_rate as usize).max(1);
        let pieces = sounding.len().div_ceil(most);
        let bound = |piece: usize| piece * sounding.len() / pieces;
        Ok((0..pieces).map(|piece| spectra.select(Axis(0), &sounding[bound(piece)..bound(piece + 1)])).collect())
    };
    Ok(channels.par_iter().map(of_channel).collect::<Result<Vec<_>>>()?.concat())
}

/// The data (N, F) of a recording, of all channels together.
///
/// # Errors
/// Those of the resampler.
pub(crate) fn shown(recording: &Recording, view: &View) -> Result<Array2<f32>> {
    let mut sum = Array2::zeros((0, view.rows()));
    for channel in &recording.channels {
        let channel = audio::resample(channel, recording.sample_rate, view.sample_rate)?;
        let data = view.data(&channel, level_scale(recording.peak()))?;
        sum = if sum.is_empty() { data } else { sum + data };
    }
    Ok(sum)
}

/// The name of a source, and the data (N, F) of each of its recordings.
pub(crate) type Strokes = (String, Vec<Array2<f32>>);

/// The frames of recordings of single strokes, and the sample rate in Hz that all were brought to.
///
/// # Errors
/// [`Error::Input`] where a source has no usable recording; those of [`Front::view`].
pub(crate) fn strokes(sources: &[SourceFiles], front: &Front, watch: &mut Watch) -> Result<(u32, Vec<Strokes>)> {
    let read = |source: &SourceFiles| read(&source.clone().into(), watch);
    let mut recordings = sources.iter().map(read).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let sample_rate = common_rate(&names, &mut recordings, watch)?;
    let of_source = |(name, recordings): (&&str, Vec<Named>)| {
        let shown = |(_, recording): &Named| shown(recording, &front.view(sample_rate, recording.sample_rate)?);
        Ok((name.to_string(), recordings.iter().map(shown).collect::<Result<_>>()?))
    };
    let strokes = names.iter().zip(recordings).map(of_source).collect::<Result<_>>()?;
    Ok((sample_rate, strokes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{BandMap, Length, Shape, Spectrum, Transform};

    /// Seconds of noise at so many Hz.
    fn recording(name: &str, sample_rate: u32, seconds: usize) -> Named<'static> {
        let stream = crate::random::Stream::new(1, name);
        let channels = vec![(0..sample_rate as usize * seconds).map(|n| stream.uniform(n as u64) as f32).collect()];
        (name.into(), Cow::Owned(Recording { channels, sample_rate, warnings: Vec::new() }))
    }

    /// The common rate, the files that are left, and what was told.
    fn rate(sources: &[&[(&str, u32, usize)]]) -> (u32, Vec<String>, Vec<String>) {
        let of = |source: &&[(&str, u32, usize)]| source.iter().map(|&(name, hz, s)| recording(name, hz, s)).collect();
        let mut recordings: Vec<Vec<_>> = sources.iter().map(of).collect();
        let mut told = Vec::new();
        let names = &["one", "other"][..sources.len()];
        let common = common_rate(names, &mut recordings, &mut |event| {
            if let Event::Warning(file, reason) = event {
                told.push(format!("{file}: {reason}"));
            }
            Ok(())
        })
        .unwrap();
        let left = recordings.iter().flatten().map(|(file, _)| file.clone()).collect();
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
        let silence = || {
            (
                "s".into(),
                Cow::Owned(Recording { channels: vec![vec![0.0; 9]], sample_rate: 8000, warnings: Vec::new() }),
            )
        };
        let sources = [vec![one[0].clone(), one[1].clone(), one[2].clone(), silence()], vec![silence(), copy]];
        let mut told = Vec::new();
        warn_of_shared(&["one", "other"], &sources, &mut |event| {
            if let Event::Warning(file, reason) = event {
                told.push(format!("{file}: {reason}"));
            }
            Ok(())
        })
        .unwrap();
        assert!(told.len() == 1 && told[0].starts_with("copy: source 'one'") && told[0].contains("(b)"), "{told:?}");
    }

    #[test]
    fn strokes_are_shown_at_the_lowest_sample_rate() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, channels: Vec<Vec<f32>>, sample_rate| -> SourceFiles {
            let path = folder.path().join(name);
            let recording = Recording { channels, sample_rate, warnings: Vec::new() };
            audio::write(&path, &recording, audio::Format::WavF32).unwrap();
            SourceFiles { name: name.into(), recordings: vec![path] }
        };
        let tone = |samples: usize| -> Vec<f32> { (0..samples).map(|n| 0.5 * (n as f32 * 0.9).sin()).collect() };
        let both = save("both", vec![tone(64), vec![0.0; 64]], 8000);
        let low = save("low", vec![tone(64)], 4000);
        let transform = Transform {
            window: Some(Length::Samples(16)),
            hop: Some(Length::Samples(8)),
            fft: None,
            shape: Shape::Hann,
        };
        let front = Front { transform, spectrum: Spectrum::Magnitude, bands: Some(BandMap::Linear), pre_emphasis: 0.0 };
        let found = |sources: &[&SourceFiles]| {
            let sources: Vec<SourceFiles> = sources.iter().map(|&source| source.clone()).collect();
            strokes(&sources, &front, &mut |_| Ok(()))
        };
        // The channels of a recording are shown together; a silent one adds nothing.
        let (rate, shown) = found(&[&both]).unwrap();
        let view = front.view(8000, 8000).unwrap();
        let spectra = view.stft.forward(&tone(64), 0, 0..9);
        let mut data = Array2::zeros((9, 9));
        let peak = tone(64).into_iter().fold(0.0, f32::max).max(-tone(64).into_iter().fold(0.0, f32::min));
        view.show(spectra.view(), level_scale(peak), data.view_mut()).unwrap();
        assert_eq!((rate, shown[0].0.as_str(), shown[0].1.len()), (8000, "both", 1));
        assert!((&shown[0].1[0] - &data).iter().all(|error| error.abs() < 1e-5));
        assert_eq!(found(&[&both, &low]).unwrap().0, 4000);
        let absent = SourceFiles { name: "absent".into(), recordings: vec![folder.path().join("absent.wav")] };
        assert!(found(&[&absent]).unwrap_err().to_string().contains("source 'absent': none of its 1 recordings"));
    }

    #[test]
    fn an_utterance_of_just_the_longest_is_whole_and_a_longer_one_is_cut() {
        let transform = Transform { window: Some(Length::Samples(64)), hop: None, fft: None, shape: Shape::Hann };
        let front = Front { transform, spectrum: Spectrum::Magnitude, bands: Some(BandMap::Linear), pre_emphasis: 0.0 };
        let view = front.view(8000, 8000).unwrap();
        for (samples, pieces) in [(16_000, 1), (16_200, 2), (33_000, 3)] {
            let channels = vec![(0..samples).map(|n| (n as f32 * 0.7).sin()).collect()];
            let recording = Recording { channels, sample_rate: 8000, warnings: Vec::new() };
            let utterances = utterances(&[("a".into(), Cow::Owned(recording))], &view, 2).unwrap();
            assert_eq!(utterances.len(), pieces, "{samples} samples");
            let frames: usize = utterances.iter().map(Array2::nrows).sum();
            assert!(frames.abs_diff(view.stft.frames(samples)) <= 4, "{frames} frames of {samples} samples");
        }
    }

    #[test]
    fn recordings_in_memory_are_checked_and_named() {
        let good = Recording::new(vec![vec![0.5; 9]], 8000).unwrap();
        let bad = Recording { channels: vec![vec![0.5, f32::NAN]], ..good.clone() };
        let recordings = [good, bad];
        let material = |recordings| Material { name: "one".into(), recordings: Recordings::Memory(recordings) };
        let read = |recordings| read(&material(recordings), &mut |_| Ok(()));
        assert_eq!(read(&recordings[..1]).unwrap()[0].0, "source 'one', recording 1");
        let error = read(&recordings).unwrap_err().to_string();
        assert!(error.starts_with("source 'one', recording 2: has a sample that is not finite"), "{error}");
        assert!(read(&[]).is_err());
    }
}
