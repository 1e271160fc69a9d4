//! Recordings of one stroke each, as they are: patterns for the deconvolution of drums and the like.

use std::ops::Range;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::data::{SILENCE, common_rate, read};
use super::{Event, Material};
use crate::audio::{self, Recording};
use crate::spectrogram::{Front, View, level_scale};
use crate::{Error, Result};

/// The patterns of all sources.
#[derive(Debug, Clone)]
pub struct OneShots {
    /// Hz that the recordings were brought to, see [`train`](super::train).
    pub sample_rate: u32,
    /// W^τ (F x D), T of them; every pattern has Σ_τ,f W² = 1.
    pub bases: Vec<Array2<f64>>,
    /// Which components are whose.
    pub sources: Vec<Range<usize>>,
}

/// Patterns of `time_lags` frames from recordings of each source alone, one stroke in a recording. A stroke that is longer than a
/// pattern is cut into several, so that all of it is there to be recognised; silence before and after it is left out.
///
/// # Errors
/// [`Error::Input`] where a source has no usable recording, or one of silence alone.
pub fn one_shots(
    sources: &[(String, Vec<PathBuf>)],
    front: &Front,
    time_lags: usize,
    watch: &mut dyn FnMut(Event),
) -> Result<OneShots> {
    let read = |(name, files): &(String, Vec<PathBuf>)| {
        read(&Material { name: name.clone(), files: files.clone(), rank: 0 }, watch)
    };
    let mut recordings = sources.iter().map(read).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
    let sample_rate = common_rate(&names, &mut recordings, watch);
    let mut patterns = Vec::new();
    let mut ranges = Vec::with_capacity(sources.len());
    for ((name, _), recordings) in sources.iter().zip(&recordings) {
        let first = patterns.len();
        for (_, recording) in recordings {
            let view = front.view(sample_rate, recording.sample_rate)?;
            let data = shown(recording, &view)?;
            patterns.extend(
                sounding(data.view(), view.power_exponent()).axis_chunks_iter(Axis(0), time_lags.max(1)).map(pattern),
            );
        }
        if patterns.len() == first {
            return Err(Error::input(format!(
                "source '{name}': its recordings are silent; there is no pattern in them"
            )));
        }
        ranges.push(first..patterns.len());
    }
    let rows = patterns.iter().map(Array2::ncols).max().unwrap_or(0);
    let of_lag = |lag: usize| {
        let at = |(row, component): (usize, usize)| patterns[component].get((lag, row)).copied().unwrap_or(0.0);
        Array2::from_shape_fn((rows, patterns.len()), at)
    };
    Ok(OneShots { sample_rate, bases: (0..time_lags).map(of_lag).collect(), sources: ranges })
}

/// The data (N, F) of a recording, of all channels together.
fn shown(recording: &Recording, view: &View) -> Result<Array2<f32>> {
    let mut sum = Array2::zeros((0, view.rows()));
    for channel in &recording.channels {
        let channel = audio::resample(channel, recording.sample_rate, view.sample_rate)?;
        let spectra = view.stft.forward(&channel, 0, 0..view.stft.frames(channel.len()));
        let mut data = Array2::zeros((spectra.nrows(), view.rows()));
        view.show(spectra.view(), level_scale(recording.peak()), data.view_mut())?;
        sum = if sum.is_empty() { data } else { sum + data };
    }
    Ok(sum)
}

/// The frames (n, F) from the first that is not silent to the last.
fn sounding(data: ArrayView2<f32>, power_exponent: f64) -> ArrayView2<f32> {
    let power = |frame: ndarray::ArrayView1<f32>| frame.iter().map(|&v| f64::from(v).powf(power_exponent)).sum::<f64>();
    let powers: Vec<f64> = data.rows().into_iter().map(power).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let sounds = |power: &f64| *power > SILENCE * loudest;
    let first = powers.iter().position(sounds).unwrap_or(0);
    let end = powers.iter().rposition(sounds).map_or(first, |last| last + 1);
    data.slice_move(s![first..end, ..])
}

/// Frames (n, F) of unit norm.
fn pattern(frames: ArrayView2<f32>) -> Array2<f64> {
    let pattern = frames.mapv(f64::from);
    let norm = pattern.iter().map(|w| w * w).sum::<f64>().sqrt();
    if norm > 0.0 { pattern / norm } else { pattern }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::audio::Format;
    use crate::spectrogram::{BandMap, Length, Shape, Spectrum, Transform};

    const FRONT: Front = Front {
        transform: Transform {
            window: Some(Length::Samples(16)),
            hop: Some(Length::Samples(8)),
            fft: None,
            shape: Shape::Hann,
        },
        spectrum: Spectrum::Magnitude,
        bands: Some(BandMap::Linear),
    };

    fn save(folder: &Path, name: &str, channels: Vec<Vec<f32>>, sample_rate: u32) -> PathBuf {
        let path = folder.join(name);
        let recording = Recording { channels, sample_rate, warnings: Vec::new() };
        audio::write(&path, &recording, Format::WavF32).unwrap();
        path
    }

    /// A stroke of so many samples, after silence.
    fn stroke(silence: usize, samples: usize) -> Vec<f32> {
        let tone = (0..samples).map(|n| 0.5 * (n as f32 * 0.9).sin());
        std::iter::repeat_n(0.0, silence).chain(tone).chain([0.0; 64]).collect()
    }

    fn patterns(sources: &[(&str, &[&PathBuf])], time_lags: usize) -> Result<OneShots> {
        let owned =
            |(name, files): &(&str, &[&PathBuf])| (name.to_string(), files.iter().map(|&file| file.clone()).collect());
        one_shots(&sources.iter().map(owned).collect::<Vec<_>>(), &FRONT, time_lags, &mut |_| ())
    }

    #[test]
    fn a_stroke_is_cut_into_patterns_without_the_silence_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let now = save(folder.path(), "now.wav", vec![stroke(0, 64)], 8000);
        let found = patterns(&[("a", &[&now])], 4).unwrap();
        // The window reaches nine frames of 64 samples; four lags make three patterns of them.
        assert_eq!(
            (found.sample_rate, found.bases.len(), found.bases[0].dim(), &found.sources[0]),
            (8000, 4, (9, 3), &(0..3))
        );
        for pattern in 0..3 {
            let power: f64 = found.bases.iter().map(|w| w.column(pattern).mapv(|w| w * w).sum()).sum();
            assert!((power - 1.0).abs() < 1e-12);
        }
        assert!(found.bases[0].column(2).sum() > 0.0 && found.bases[1].column(2).sum() == 0.0, "9 = 4 + 4 + 1");
        // As many lags as frames: one pattern, the spectrogram itself.
        let whole = patterns(&[("a", &[&now])], 9).unwrap();
        let view = FRONT.view(8000, 8000).unwrap();
        let spectra = view.stft.forward(&stroke(0, 64), 0, 0..9);
        let mut data = Array2::zeros((9, 9));
        view.show(spectra.view(), 1.0, data.view_mut()).unwrap();
        let norm = data.iter().map(|w| w * w).sum::<f32>().sqrt();
        for (lag, w) in whole.bases.iter().enumerate() {
            let frame = data.row(lag).mapv(|w| f64::from(w / norm));
            assert!((&w.column(0) - &frame).iter().all(|error| error.abs() < 1e-5), "{lag}");
        }
        // Silence before it, or another level, changes nothing.
        let later = stroke(80, 64).iter().map(|x| 0.1 * x).collect();
        let later = patterns(&[("a", &[&save(folder.path(), "later.wav", vec![later], 8000)])], 9).unwrap();
        assert!(later.bases.iter().zip(&whole.bases).all(|(a, b)| (a - b).iter().all(|error| error.abs() < 1e-5)));
    }

    #[test]
    fn sources_have_all_patterns_of_their_recordings() {
        let folder = tempfile::tempdir().unwrap();
        let short = save(folder.path(), "short.wav", vec![stroke(0, 24)], 8000);
        let long = save(folder.path(), "long.wav", vec![stroke(0, 64), vec![0.0; 128]], 8000);
        let low = save(folder.path(), "low.wav", vec![stroke(0, 64)], 4000);
        let found = patterns(&[("b", &[&short, &long]), ("a", &[&short])], 4).unwrap();
        assert_eq!(found.sources, [0..4, 4..5]);
        // Files of a source come in the order of their names; of a silent channel a recording has half.
        assert_eq!(found.bases[0].column(3), found.bases[0].column(4));
        // All at the lowest sample rate.
        let found = patterns(&[("a", &[&short]), ("b", &[&low])], 9).unwrap();
        assert_eq!((found.sample_rate, found.sources), (4000, vec![0..1, 1..2]));
    }

    #[test]
    fn silence_has_no_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let silent = save(folder.path(), "silent.wav", vec![vec![0.0; 100]], 8000);
        let sounds = save(folder.path(), "sounds.wav", vec![stroke(0, 40)], 8000);
        let error = patterns(&[("a", &[&sounds]), ("b", &[&silent])], 4).unwrap_err().to_string();
        assert!(error.contains("source 'b'") && error.contains("silent"), "{error}");
        assert!(patterns(&[("a", &[&silent, &sounds])], 4).is_ok());
        assert!(patterns(&[("a", &[&folder.path().join("absent.wav")])], 4).is_err());
    }
}
