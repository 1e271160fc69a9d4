//! Files → pieces.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{File, Piece, Step, Track};
use crate::audio::Reader;
use crate::separate::{Scheme, Signal, signal_length};
use crate::spectrogram::View;
use crate::{Error, Result};

/// The approximate number of columns of a piece: small enough to fill panels well, large enough that sending it costs little.
const PIECE_COLUMNS: usize = 1024;
/// The most samples that are kept from the first reading of a file to the second. A longer file is decoded again.
const KEPT_SAMPLES: u64 = 1 << 22;

/// SHA-256 of a file, in hex.
///
/// # Errors
/// [`Error::Io`].
pub fn hash(path: &Path) -> Result<String> {
    hash_while(path, || Ok(()))
}

/// The same, as long as `wanted` gives no error.
pub(super) fn hash_while(path: &Path, wanted: impl Fn() -> Result<()>) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(Error::io(path, "open"))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        wanted()?;
        match file.read(&mut buffer).map_err(Error::io(path, "read"))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// The SHA-256 of bytes, as [`hash`] has it of a file.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The length and time of a file, compared again when all of it has been read.
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

/// The most sample rates whose views are kept. Files of a live run may have any number of rates.
const KEPT_VIEWS: usize = 32;

/// The views of a job by sample rate, so that each transform is planned once.
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
        // The window of a model was doubted when it was trained.
        if let Some(doubt) =
            self.scheme.front.transform.doubt(sample_rate).filter(|_| self.scheme.sample_rate.is_none())
        {
            log::warn!("{doubt}");
        }
        if known.len() == KEPT_VIEWS {
            known.clear();
        }
        known.insert(sample_rate, Arc::clone(&view));
        Ok(view)
    }
}

/// A file that was read once from end to end, and is ready to be read again.
pub(super) struct Opened {
    pub(super) track: Track,
    stand: Stand,
    samples: Samples,
}

/// Blocks of samples (C, n): kept from the first reading, or read again.
enum Samples {
    Kept(std::vec::IntoIter<Vec<Vec<f32>>>),
    Again(Box<Reader>),
}

/// The samples of a track. They must be as many as at the first reading.
struct Checked {
    samples: Samples,
    track: Arc<Track>,
    /// Samples of a channel read so far.
    read: u64,
}

impl Checked {
    /// Replaces `block` by the next samples (C, n); whether there were any.
    fn next(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool> {
        let any = match &mut self.samples {
            Samples::Kept(blocks) => blocks.next().map(|kept| *block = kept).is_some(),
            Samples::Again(reader) => reader.read(block)?,
        };
        if any {
            self.read += block.first().map_or(0, Vec::len) as u64;
        }
        if self.read > self.track.length || (!any && self.read < self.track.length) {
            return Err(changed(&self.track.input.path));
        }
        Ok(any)
    }
}

/// A file before its first reading.
pub(super) struct Begun<'a> {
    pub(super) file: &'a File,
    pub(super) stand: Stand,
    pub(super) reader: Reader,
    pub(super) hash: String,
}

/// Reads a file for the first time, as long as `wanted` gives no error: for its length, which stands at the start of its outputs,
/// and to see that it can be read.
pub(super) fn open(begun: Begun, job: &super::Job, views: &Views, wanted: impl Fn() -> Result<()>) -> Result<Opened> {
    let Begun { file, stand, mut reader, hash } = begun;
    let path = &file.input.path;
    let format = job.naming.format.of(reader.bits());
    if let Some(reason) = format.refuses(reader.channels(), reader.sample_rate()) {
        return Err(Error::audio(path, reason));
    }
    let mut length = 0;
    let (mut kept, mut block) = (Some(Vec::new()), Vec::new());
    while reader.read(&mut block)? {
        wanted()?;
        length += block.first().map_or(0, Vec::len) as u64;
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
    let signal_length =
        signal_length(length, sample_rate, &view).map_err(|error| Error::audio(path, error.to_string()))?;
    let track = Track {
        index: file.index,
        input: file.input.clone(),
        outputs: file.outputs.clone(),
        format,
        hash,
        bytes: stand.bytes(),
        channels: reader.channels(),
        mask: reader.channel_mask(),
        sample_rate,
        length,
        warnings: reader.warnings().to_vec(),
        view,
        stretch: job.scheme.stretch,
        signal_length,
        failed: AtomicBool::new(false),
    };
    let samples = match kept {
        Some(blocks) => Samples::Kept(blocks.into_iter()),
        None => Samples::Again(Box::new(Reader::open(path)?)),
    };
    Ok(Opened { track, stand, samples })
}

/// Cuts a track into pieces of about a thousand columns, or of a panel's width if that is less, and sends them. `send` returns
/// whether to go on. Cuts lie between stretches. A recording that is separated as a whole is not cut. `kept`: whether its own
/// samples go with the pieces.
pub(super) fn pieces(opened: Opened, columns: usize, kept: bool, mut send: impl FnMut(Step<Piece>) -> bool) {
    let track = Arc::new(opened.track);
    let of = track.view.stft.frames(track.signal_length);
    let cut = |stretch: usize| (PIECE_COLUMNS.min(columns) / track.channels / stretch * stretch).max(stretch);
    let step = track.stretch.map_or(of.max(1), cut);
    let mut samples = Checked { samples: opened.samples, track: Arc::clone(&track), read: 0 };
    let recording = (track.channels, track.sample_rate);
    let mut signal = match Signal::new(&track.view, track.stretch, recording, kept) {
        Ok(signal) => signal,
        Err(error) => {
            send(Step::Broken(track, error));
            return;
        }
    };
    let mut block = Vec::new();
    for start in (0..of).step_by(step) {
        let frames = start..of.min(start + step);
        let last = frames.end == of;
        let piece = fill(&mut signal, &mut samples, frames.end, &mut block).and_then(|()| {
            let spectra = signal.frames(frames.clone());
            if last && !opened.stand.is_still(&track.input.path) {
                return Err(changed(&track.input.path));
            }
            Ok(Piece { track: Arc::clone(&track), frames, of, spectra })
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

/// Reads on until so many frames of a track are ready, all of them at its end.
fn fill(signal: &mut Signal, samples: &mut Checked, frames: usize, block: &mut Vec<Vec<f32>>) -> Result<()> {
    while signal.ready() < frames {
        if samples.next(block)? {
            signal.push(block)?;
        } else {
            signal.end()?;
        }
    }
    Ok(())
}

fn changed(path: &Path) -> Error {
    Error::audio(path, "changed while it was read; run again when nothing writes it")
}
