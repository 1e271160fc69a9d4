//! Files to pieces.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Input, Piece, Step, Track};
use crate::audio::{Reader, Resampler};
use crate::separate::{STRETCH, Scheme};
use crate::spectrogram::View;
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

/// How the recordings of a job are shown, by their sample rates: a transform is planned once.
pub(super) struct Views<'a> {
    scheme: &'a Scheme,
    of: Mutex<HashMap<u32, Arc<View>>>,
}

impl<'a> Views<'a> {
    pub(super) fn new(scheme: &'a Scheme) -> Self {
        Self { scheme, of: Mutex::default() }
    }

    fn of(&self, sample_rate: u32) -> Result<Arc<View>> {
        let mut known = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = known.get(&sample_rate) {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.scheme.view(sample_rate)?);
        known.insert(sample_rate, Arc::clone(&view));
        Ok(view)
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

/// A file that is to be read.
pub(super) struct Begun<'a> {
    /// Its place among the inputs.
    pub(super) index: usize,
    pub(super) input: &'a Input,
    pub(super) outputs: &'a [PathBuf],
    pub(super) stand: Stand,
    pub(super) reader: Reader,
    pub(super) hash: String,
}

/// Reads a file for what must be known before its first frame: its length and its peak, and that it can be read at all.
pub(super) fn open(begun: Begun, job: &super::Job, views: &Views) -> Result<Opened> {
    let Begun { index, input, outputs, stand, mut reader, hash } = begun;
    let path = &input.path;
    let format = job.naming.format.of(reader.bits());
    if let Some(reason) = format.refuses(reader.channels(), reader.sample_rate()) {
        return Err(Error::audio(path, reason));
    }
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
    let sample_rate = reader.sample_rate();
    let view = views.of(sample_rate).map_err(|error| Error::audio(path, error.to_string()))?;
    // A recording of a sample or two may have none at a lower rate. One of silence leaves all of it to be shared equally.
    let signal_length = Resampler::length(length, sample_rate, view.sample_rate).max(1);
    let track = Track {
        index,
        input: input.clone(),
        outputs: outputs.to_vec(),
        format,
        hash,
        bytes: stand.bytes(),
        channels: reader.channels(),
        mask: reader.channel_mask(),
        sample_rate,
        length,
        peak,
        warnings: reader.warnings().to_vec(),
        view,
        whole: job.scheme.whole,
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
/// go on. They are cut at stretches, or not at all where a recording is separated as a whole.
pub(super) fn pieces(opened: Opened, columns: usize, mut send: impl FnMut(Step<Piece>) -> bool) {
    let track = Arc::new(opened.track);
    let of = track.view.stft.frames(track.signal_length);
    let step = (PIECE_COLUMNS.min(columns) / track.channels / STRETCH * STRETCH).max(STRETCH);
    let step = if track.whole { of.max(1) } else { step };
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
        let piece = signal.piece(&track, frames, of).and_then(|piece| {
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
        let resampler = |_| Resampler::new(track.sample_rate, track.view.sample_rate);
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
    fn piece(&mut self, track: &Arc<Track>, frames: std::ops::Range<usize>, of: usize) -> Result<Piece> {
        let stft = &track.view.stft;
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
