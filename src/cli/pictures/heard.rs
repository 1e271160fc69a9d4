//! Spectrograms of recordings, read block by block.

use std::path::Path;

use ndarray::Array2;
use partwise::audio::{self, Reader, Recording};
use partwise::report::Spectrogram;
use partwise::report::pictures::{Matrix, spectrograms};
use partwise::{Error, Result};

use super::what::{Drawn, What};

/// The spectrograms of a recording, in dB.
pub(in crate::cli) struct Heard {
    pub(in crate::cli) channels: Vec<Array2<f32>>,
    pub(in crate::cli) seconds: f64,
    pub(in crate::cli) sample_rate: u32,
}

impl Heard {
    /// Those of a file. It is read twice, since its length is known at its end.
    pub(in crate::cli) fn of(path: &Path) -> Result<Self> {
        let (frames, _) = audio::length(path)?;
        let length = usize::try_from(frames).map_err(|_| Error::audio(path, "is too long for this machine"))?;
        if length == 0 {
            return Err(Error::audio(path, "holds no audio: 0 samples"));
        }
        let mut reader = Reader::open(path)?;
        let new = |_| Spectrogram::new(length, reader.sample_rate());
        let odd = |error: Error| Error::audio(path, format!("has no spectrogram: {error}"));
        let mut pictures = (0..reader.channels()).map(new).collect::<Result<Vec<_>>>().map_err(odd)?;
        let mut block = Vec::new();
        while reader.read(&mut block)? {
            pictures.iter_mut().zip(&block).for_each(|(picture, samples)| picture.push(samples));
        }
        Ok(Self::finished(pictures, length, reader.sample_rate()))
    }

    /// Those of a recording in memory.
    pub(in crate::cli) fn in_memory(recording: &Recording) -> Result<Self> {
        let (length, sample_rate) = (recording.frames(), recording.sample_rate);
        let picture = |samples: &Vec<f32>| {
            let mut picture = Spectrogram::new(length, sample_rate)?;
            picture.push(samples);
            Ok(picture)
        };
        let pictures = recording.channels.iter().map(picture).collect::<Result<Vec<_>>>()?;
        Ok(Self::finished(pictures, length, sample_rate))
    }

    fn finished(pictures: Vec<Spectrogram>, length: usize, sample_rate: u32) -> Self {
        let channels = pictures.into_iter().map(Spectrogram::finish).collect();
        Self { channels, seconds: length as f64 / f64::from(sample_rate), sample_rate }
    }

    /// The mean power of all channels, in dB.
    pub(in crate::cli) fn mean(&self) -> Array2<f32> {
        let Some(first) = self.channels.first() else { return Array2::zeros((0, 0)) };
        let power = |levels: &Array2<f32>| levels.mapv(|level| 10f32.powf(level / 10.0));
        let total = self.channels.iter().fold(Array2::<f32>::zeros(first.dim()), |sum, levels| sum + power(levels));
        (total / self.channels.len() as f32).mapv(|power| 10.0 * power.log10())
    }
}

/// The picture of recordings of the same length and rate: all channels of each, one above the other.
pub(in crate::cli) fn spectrogram(title: &str, recordings: &[(String, Heard)]) -> Result<Drawn> {
    let matrices = recordings.iter().flat_map(|(name, heard)| {
        let count = heard.channels.len();
        heard
            .channels
            .iter()
            .enumerate()
            .map(move |(channel, levels)| Matrix { title: of_channel(name, channel, count), values: levels.clone() })
    });
    let matrices: Vec<Matrix> = matrices.collect();
    let (seconds, rate) = recordings.first().map_or((0.0, 0), |(_, heard)| (heard.seconds, heard.sample_rate));
    Ok(Drawn::new(What::Spectrogram, spectrograms(title, &matrices, seconds, rate)?))
}

/// A name, with the number of the channel where there are several.
pub(super) fn of_channel(name: &str, channel: usize, count: usize) -> String {
    if count > 1 { format!("{name}, channel {}", channel + 1) } else { name.into() }
}
