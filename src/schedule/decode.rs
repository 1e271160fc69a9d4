//! Files to pieces.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::Array2;
use sha2::{Digest, Sha256};

use super::{Input, Piece, Track};
use crate::audio;
use crate::model::Model;
use crate::spectrogram::{Stft, level_scale};
use crate::{Error, Result};

/// Reads a file and brings it to the model's sample rate.
pub(super) fn open(index: usize, input: &Input, outputs: &[PathBuf], model: &Model) -> Result<Track> {
    let (hash, bytes) = hash(&input.path)?;
    let recording = audio::read(&input.path)?;
    if recording.frames() == 0 {
        return Err(Error::audio(&input.path, "holds no audio: 0 samples"));
    }
    let resampled = if recording.sample_rate == model.sample_rate {
        None
    } else {
        let channels = recording.channels.iter();
        let resample = |channel: &Vec<f32>| audio::resample(channel, recording.sample_rate, model.sample_rate);
        let mut channels = channels.map(resample).collect::<Result<Vec<_>>>()?;
        // A recording of a sample or two may have none at a lower rate. One of silence leaves all of it to be shared equally.
        channels.iter_mut().filter(|channel| channel.is_empty()).for_each(|channel| channel.push(0.0));
        Some(channels)
    };
    Ok(Track {
        index,
        input: input.clone(),
        outputs: outputs.to_vec(),
        hash,
        bytes,
        recording,
        signal_rate: model.sample_rate,
        resampled,
        failed: AtomicBool::new(false),
    })
}

/// Cuts a track into pieces of at most `columns` columns and hands them on; `send` returns whether to go on.
pub(super) fn pieces(
    track: Track,
    stft: &Stft<f32>,
    model: &Model,
    columns: usize,
    mut send: impl FnMut(Piece) -> bool,
) {
    let track = Arc::new(track);
    let scale = level_scale(track.recording.peak());
    let bins = usable_bins(model, track.recording.sample_rate);
    let of = stft.frames(track.samples());
    let step = (columns / track.signal().len()).max(1);
    for start in (0..of).step_by(step) {
        let frames = start..of.min(start + step);
        let spectra: Vec<_> = track.signal().iter().map(|channel| stft.forward(channel, frames.clone())).collect();
        let mut data = Vec::with_capacity(spectra.len() * frames.len() * bins);
        for frame in spectra.iter().flat_map(|spectra| spectra.outer_iter()) {
            data.extend(frame.iter().take(bins).map(|&bin| model.spectrum.of(bin * scale)));
        }
        let Ok(data) = Array2::from_shape_vec((spectra.len() * frames.len(), bins), data) else { return };
        let piece = Piece { track: Arc::clone(&track), frames, of, spectra, data };
        if track.failed.load(Ordering::Relaxed) || !send(piece) {
            return;
        }
    }
}

/// The bins that a recording can have anything in: those up to its own Nyquist frequency. Were the empty ones above kept,
/// IS would weigh each of them like a full one and pull all gains down.
fn usable_bins(model: &Model, sample_rate: u32) -> usize {
    let share = f64::from(sample_rate) / f64::from(model.sample_rate);
    let bins = (share * model.stft.fft as f64 / 2.0).floor() as usize + 1;
    bins.min(model.bins())
}

/// SHA-256 of a file, in hex, and its length in bytes.
///
/// # Errors
/// [`Error::Io`].
pub fn hash(path: &Path) -> Result<(String, u64)> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path, "open"))?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(Error::io(path, "read"))? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
    Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}
