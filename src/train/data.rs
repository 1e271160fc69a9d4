//! Recordings of one source to data.

use ndarray::Array2;
use rayon::prelude::*;

use super::{Event, Material};
use crate::audio::{self, Recording};
use crate::spectrogram::{Spectrum, Stft, level_scale};
use crate::{Error, Result};

/// Frames whose power is below this share of the loudest frame's are silence: nothing of the source is to be learned from
/// them, yet IS would weigh them like any other.
pub(super) const SILENCE: f64 = 1e-7;

/// The usable recordings of a source.
pub(super) fn read(source: &Material, watch: &mut dyn FnMut(Event)) -> Result<Vec<Recording>> {
    let mut files = source.files.clone();
    files.sort();
    files.dedup();
    let read: Vec<_> = files.par_iter().map(|file| (file, audio::read(file))).collect();
    let mut recordings = Vec::with_capacity(read.len());
    for (file, recording) in read {
        match recording {
            Ok(recording) if recording.frames() > 0 => {
                recording.warnings.iter().for_each(|warning| watch(Event::Warning(file, warning)));
                recordings.push(recording);
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

/// The data of all frames that are not silence, (N, F), scaled by the recordings' common peak.
pub(super) fn data(
    recordings: &[Recording],
    stft: &Stft<f32>,
    spectrum: Spectrum,
    sample_rate: u32,
) -> Result<Array2<f32>> {
    let peak = recordings.iter().map(Recording::peak).fold(0.0, f32::max);
    let channels: Vec<(&[f32], u32)> = recordings
        .iter()
        .flat_map(|recording| recording.channels.iter().map(|channel| (channel.as_slice(), recording.sample_rate)))
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
