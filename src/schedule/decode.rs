//! Files to pieces.

use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::{Input, Piece, Step, Track};
use crate::audio::{Reader, Resampler};
use crate::model::Model;
use crate::separate::STRETCH;
use crate::spectrogram::Stft;
use crate::{Error, Result};

/// Columns of a piece, about: small enough that packing loses little, large enough that handing it on costs nothing.
const PIECE_COLUMNS: usize = 1024;
/// Samples that are kept from the first look at a file to the second; of a longer one they are decoded again.
const KEPT_SAMPLES: u64 = 1 << 22;

/// SHA-256 of a file, in hex.
///
/// # Errors
/// [`Error::Io`].
pub fn hash(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path, "open"))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(Error::io(path, "read"))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How a file stands on disk: what it is compared by when all of it has been read.
pub(super) struct Stand {
    metadata: Metadata,
}

impl Stand {
    pub(super) fn of(path: &Path) -> Result<Self> {
        Ok(Self { metadata: std::fs::metadata(path).map_err(Error::io(path, "open"))? })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.metadata.len()
    }

    fn is_still(&self, path: &Path) -> bool {
        let now = std::fs::metadata(path);
        now.is_ok_and(|now| now.len() == self.metadata.len() && now.modified().ok() == self.metadata.modified().ok())
    }
}

/// A file that was read once, from end to end: what it holds is known, and it is ready to be read again.
pub(super) struct Opened {
    pub(super) track: Track,
    stand: Stand,
    samples: Samples,
}

/// Blocks of samples (C, n).
enum Samples {
    Kept(std::vec::IntoIter<Vec<Vec<f32>>>),
    Again(Box<Reader>),
}

impl Samples {
    fn next(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool> {
        match self {
            Self::Kept(blocks) => Ok(blocks.next().map(|kept| *block = kept).is_some()),
            Self::Again(reader) => reader.read(block),
        }
    }
}

/// Reads a file for what must be known before its first frame: its length and its peak, and that it can be read at all.
pub(super) fn open(
    index: usize,
    input: &Input,
    outputs: &[PathBuf],
    stand: Stand,
    mut reader: Reader,
    hash: String,
    job: &super::Job,
) -> Result<Opened> {
    let path = &input.path;
    let (mut length, mut peak) = (0, 0.0_f32);
    let (mut kept, mut block) = (Some(Vec::new()), Vec::new());
    while reader.read(&mut block)? {
        length += block.first().map_or(0, Vec::len) as u64;
        peak = block.iter().flatten().fold(peak, |peak, sample| peak.max(sample.abs()));
        if length * block.len() as u64 > KEPT_SAMPLES {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.push(std::mem::take(&mut block));
        }
    }
    if length == 0 {
        return Err(Error::audio(path, "holds no audio: 0 samples"));
    }
    let (sample_rate, signal_rate) = (reader.sample_rate(), job.model.sample_rate);
    // A recording of a sample or two may have none at a lower rate. One of silence leaves all of it to be shared equally.
    let signal_length = Resampler::length(length, sample_rate, signal_rate).max(1);
    let track = Track {
        index,
        input: input.clone(),
        outputs: outputs.to_vec(),
        format: job.naming.format.of(reader.bits()),
        hash,
        bytes: stand.bytes(),
        channels: reader.channels(),
        sample_rate,
        length,
        peak,
        warnings: reader.warnings().to_vec(),
        signal_rate,
        signal_length: usize::try_from(signal_length)
            .map_err(|_| Error::audio(path, "is too long for this machine"))?,
        failed: AtomicBool::new(false),
    };
    let samples = match kept {
        Some(blocks) => Samples::Kept(blocks.into_iter()),
        None => Samples::Again(Box::new(Reader::open(path)?)),
    };
    Ok(Opened { track, stand, samples })
}

/// Cuts a track into pieces of about a thousand columns, or as many as a panel has, and hands them on; `send` returns whether to
/// go on. They are cut at stretches.
pub(super) fn pieces(opened: Opened, stft: &Stft<f32>, columns: usize, mut send: impl FnMut(Step<Piece>) -> bool) {
    let track = Arc::new(opened.track);
    let of = stft.frames(track.signal_length);
    let step = (PIECE_COLUMNS.min(columns) / track.channels / STRETCH * STRETCH).max(STRETCH);
    let mut signal = match Signal::new(&track, opened.samples) {
        Ok(signal) => signal,
        Err(error) => {
            send(Step::Broken(track, error));
            return;
        }
    };
    for start in (0..of).step_by(step) {
        let frames = start..of.min(start + step);
        let last = frames.end == of;
        let piece = signal.piece(&track, stft, frames, of).and_then(|piece| {
            if last && !opened.stand.is_still(&track.input.path) { Err(changed(&track.input.path)) } else { Ok(piece) }
        });
        match piece {
            Ok(piece) => {
                if track.failed.load(Ordering::Relaxed) || !send(Step::Part(piece)) {
                    return;
                }
            }
            Err(error) => {
                send(Step::Broken(track, error));
                return;
            }
        }
    }
}

fn changed(path: &Path) -> Error {
    Error::audio(path, "changed while it was read; run again when nothing writes it")
}

/// The samples of a track at the model's rate, as far as frames need them.
struct Signal {
    samples: Samples,
    resamplers: Vec<Resampler>,
    /// Missing where the model has the recording's rate, which then needs no samples of its own.
    original: Option<Vec<Vec<f32>>>,
    /// Samples (C, n) from `start` on.
    channels: Vec<Vec<f32>>,
    start: usize,
    /// Samples of the recording read so far.
    read: u64,
    block: Vec<Vec<f32>>,
}

impl Signal {
    fn new(track: &Track, samples: Samples) -> Result<Self> {
        let resampler = |_| Resampler::new(track.sample_rate, track.signal_rate);
        let empty = vec![Vec::new(); track.channels];
        Ok(Self {
            samples,
            resamplers: (0..track.channels).map(resampler).collect::<Result<_>>()?,
            original: track.is_resampled().then(|| empty.clone()),
            channels: empty,
            start: 0,
            read: 0,
            block: Vec::new(),
        })
    }

    /// The frames of a piece, which come in order.
    fn piece(
        &mut self,
        track: &Arc<Track>,
        stft: &Stft<f32>,
        frames: std::ops::Range<usize>,
        of: usize,
    ) -> Result<Piece> {
        let needed = if frames.end == of { track.signal_length } else { stft.reach(frames.clone()).end };
        while self.start + self.channels.first().map_or(0, Vec::len) < needed {
            if !self.fill(track)? {
                break;
            }
        }
        let spectra = self.channels.iter().map(|channel| stft.forward(channel, self.start, frames.clone())).collect();
        // The next frames begin here; what lies before is done with.
        let next = stft.reach(frames.end..frames.end).start.min(self.start + self.channels[0].len());
        self.channels.iter_mut().for_each(|channel| drop(channel.drain(..next - self.start)));
        self.start = next;
        let original = self.original.as_mut().map_or_else(Vec::new, |original| {
            let empty = vec![Vec::new(); original.len()];
            std::mem::replace(original, empty)
        });
        Ok(Piece { track: Arc::clone(track), frames, of, spectra, original })
    }

    /// Reads a block more, or after the last what the resamplers still hold; whether there was anything.
    fn fill(&mut self, track: &Track) -> Result<bool> {
        if self.samples.next(&mut self.block)? {
            self.read += self.block.first().map_or(0, Vec::len) as u64;
            if self.read > track.length {
                return Err(changed(&track.input.path));
            }
            for ((resampler, samples), channel) in self.resamplers.iter_mut().zip(&self.block).zip(&mut self.channels) {
                resampler.push(samples, channel)?;
            }
            for (original, samples) in self.original.iter_mut().flatten().zip(&self.block) {
                original.extend_from_slice(samples);
            }
            return Ok(true);
        }
        if self.read < track.length {
            return Err(changed(&track.input.path));
        }
        let held = std::mem::take(&mut self.resamplers);
        let any = !held.is_empty();
        for (resampler, channel) in held.into_iter().zip(&mut self.channels) {
            resampler.finish(channel)?;
            channel.resize(track.signal_length.saturating_sub(self.start), 0.0);
        }
        Ok(any)
    }
}

/// The bins that a recording can have anything in: those up to its own Nyquist frequency. Were the empty ones above kept,
/// IS would weigh each of them like a full one and pull all gains down.
pub(super) fn usable_bins(model: &Model, sample_rate: u32) -> usize {
    let share = f64::from(sample_rate) / f64::from(model.sample_rate);
    let bins = (share * model.stft.fft as f64 / 2.0).floor() as usize + 1;
    bins.min(model.bins())
}
