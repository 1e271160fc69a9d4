//! Many files, one or more engines: decode and STFT → packed panel → gains and masks → iSTFT and write, as a pipeline whose
//! queues are bounded, so that memory depends on neither the number of files nor their length.

mod append;
mod decode;
mod encode;
mod faults;
mod inputs;
mod left_out;
mod manifest;
mod memory;
mod outputs;
mod pack;
mod path_json;
mod pipeline;
mod relay;
mod reports;
mod shard;
mod unfinished;

pub use decode::hash;
pub use inputs::{Input, Listing, list};
pub use left_out::LeftOut;
pub use manifest::{FileReport, MANIFEST, Parameters, Record, Status, read_manifest};
pub use memory::check_memory;
pub use outputs::{Naming, PATTERN};
pub use pipeline::{Job, OnError, run};
pub use relay::{Relay, Station, Successor};
pub use reports::{Outcome, Watch};
pub use shard::Shard;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ndarray::Array2;
use realfft::num_complex::Complex;

use crate::Error;
use crate::audio::Format;
use crate::separate::{Separated, stretches};
use crate::spectrogram::View;

/// One file on its way through the pipeline.
struct Track {
    /// Its place among the inputs.
    index: usize,
    input: Input,
    outputs: Vec<PathBuf>,
    /// What its samples are written as.
    format: Format,
    /// SHA-256, in hex.
    hash: String,
    /// Of the file.
    bytes: u64,
    channels: usize,
    /// Which loudspeakers they are for; 0 if it is not known.
    mask: u32,
    /// Hz.
    sample_rate: u32,
    /// Samples of a channel.
    length: u64,
    /// The largest magnitude of a sample.
    peak: f32,
    /// What was odd about the file.
    warnings: Vec<String>,
    /// How it is shown to the separator.
    view: Arc<View>,
    /// Whether it is separated as one, and not cut into stretches.
    whole: bool,
    /// Samples of a channel at the view's sample rate, at least one.
    signal_length: usize,
    /// Set when it has failed, so that no more of it is decoded.
    failed: AtomicBool,
}

impl Track {
    fn is_resampled(&self) -> bool {
        self.sample_rate != self.view.sample_rate
    }

    fn seconds(&self) -> f64 {
        self.length as f64 / f64::from(self.sample_rate)
    }
}

/// What goes down the pipeline.
enum Step<T> {
    /// A part of a track.
    Part(T),
    /// No more comes of this track.
    Broken(Arc<Track>, Error),
}

/// Some consecutive frames of a track, all channels. A track's pieces are made in order.
struct Piece {
    track: Arc<Track>,
    /// Which of the track's frames.
    frames: Range<usize>,
    /// How many frames the track has.
    of: usize,
    /// A spectrum (n, F) for every channel.
    spectra: Vec<Array2<Complex<f32>>>,
    /// The recording's own samples (C, m) that were read for it, where it is shown at another sample rate.
    original: Vec<Vec<f32>>,
}

impl Piece {
    /// Columns in a panel.
    fn columns(&self) -> usize {
        self.spectra.len() * self.frames.len()
    }

    /// What its columns are made of: stretches, or channels as a whole.
    fn segments(&self) -> impl Iterator<Item = usize> {
        let (frames, whole) = (self.frames.len(), self.track.whole);
        let of_channel = move |_| if whole { vec![frames] } else { stretches(frames).collect() };
        self.spectra.iter().flat_map(of_channel)
    }

    fn is_last(&self) -> bool {
        self.frames.end == self.of
    }
}

/// A piece, and where its masks are.
struct Masked {
    piece: Piece,
    /// Of the whole panel.
    separated: Arc<Separated>,
    /// The panel's column where the piece begins.
    column: usize,
    /// The panel's segment where it begins.
    segment: usize,
    /// What it was computed on.
    engine: Arc<str>,
}
