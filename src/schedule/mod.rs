//! Many files, one engine: decode and STFT → packed panel → gains and masks → iSTFT and write, as a pipeline whose queues
//! are bounded, so that memory depends on neither the number of files nor, beyond its own samples, on a file's length.

mod decode;
mod encode;
mod inputs;
mod manifest;
mod outputs;
mod path_json;
mod pipeline;
mod shard;

pub use decode::hash;
pub use inputs::{Input, list};
pub use manifest::{FileReport, MANIFEST, Parameters, Record, Status, read_manifest};
pub use outputs::{Naming, PATTERN};
pub use pipeline::{Job, OnError, Watch, run};
pub use shard::Shard;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ndarray::Array2;
use realfft::num_complex::Complex;

use crate::audio::Recording;

/// One file on its way through the pipeline.
struct Track {
    /// Its place among the inputs.
    index: usize,
    input: Input,
    outputs: Vec<PathBuf>,
    hash: String,
    bytes: u64,
    recording: Recording,
    /// The model's sample rate.
    signal_rate: u32,
    /// The channels at the model's sample rate, where the recording has another.
    resampled: Option<Vec<Vec<f32>>>,
    /// Set when it has failed, so that no more of it is decoded.
    failed: AtomicBool,
}

impl Track {
    /// The channels at the model's sample rate.
    fn signal(&self) -> &[Vec<f32>] {
        self.resampled.as_deref().unwrap_or(&self.recording.channels)
    }

    /// Samples of a channel at the model's sample rate.
    fn samples(&self) -> usize {
        self.signal().first().map_or(0, Vec::len)
    }
}

/// Some consecutive frames of a track, all channels: what is packed into panels. A track's pieces come in order.
struct Piece {
    track: Arc<Track>,
    /// Which of the track's frames.
    frames: Range<usize>,
    /// How many frames the track has.
    of: usize,
    /// A spectrum (n, F) for every channel.
    spectra: Vec<Array2<Complex<f32>>>,
    /// The data made of them, one channel after the other: (C n, bins), scaled by the track's peak.
    data: Array2<f32>,
}

impl Piece {
    /// Columns in a panel.
    fn columns(&self) -> usize {
        self.data.nrows()
    }

    fn is_last(&self) -> bool {
        self.frames.end == self.of
    }
}

/// A piece with the masks of the panel that it was part of.
struct Masked {
    piece: Piece,
    /// By source: (F, N) of the whole panel, stored frame by frame.
    masks: Arc<Vec<Array2<f32>>>,
    /// The panel's column where the piece begins.
    first: usize,
    /// The sum of its columns' objectives.
    cost: f64,
}
