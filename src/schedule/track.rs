//! What goes down the pipeline: files on their way, as pieces, and as pieces with masks.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Input;
use crate::Error;
use crate::audio::Format;
use crate::separate::{Separated, Spectra};
use crate::spectrogram::View;

/// One file on its way through the pipeline.
pub(super) struct Track {
    /// Its place among the inputs.
    pub(super) index: usize,
    pub(super) input: Input,
    pub(super) outputs: Vec<PathBuf>,
    /// What its samples are written as.
    pub(super) format: Format,
    /// SHA-256, in hex.
    pub(super) hash: String,
    /// Of the file.
    pub(super) bytes: u64,
    pub(super) channels: usize,
    /// Which loudspeakers they are for; 0 if it is not known.
    pub(super) mask: u32,
    /// Hz.
    pub(super) sample_rate: u32,
    /// Samples of a channel.
    pub(super) length: u64,
    /// The largest magnitude of a sample.
    pub(super) peak: f32,
    /// What was odd about the file.
    pub(super) warnings: Vec<String>,
    /// How it is shown to the separator.
    pub(super) view: Arc<View>,
    /// Whether it is separated as one, and not cut into stretches.
    pub(super) whole: bool,
    /// Samples of a channel at the view's sample rate, at least one.
    pub(super) signal_length: usize,
    /// Set when it has failed, so that no more of it is decoded.
    pub(super) failed: AtomicBool,
}

impl Track {
    pub(super) fn seconds(&self) -> f64 {
        self.length as f64 / f64::from(self.sample_rate)
    }
}

/// What goes down the pipeline.
pub(super) enum Step<T> {
    /// A part of a track.
    Part(T),
    /// No more comes of this track.
    Broken(Arc<Track>, Error),
}

/// Some consecutive frames of a track, all channels. A track's pieces are made in order.
pub(super) struct Piece {
    pub(super) track: Arc<Track>,
    /// Which of the track's frames.
    pub(super) frames: Range<usize>,
    /// How many frames the track has.
    pub(super) of: usize,
    pub(super) spectra: Spectra,
}

impl Piece {
    /// Columns in a panel.
    pub(super) fn columns(&self) -> usize {
        self.spectra.columns()
    }

    /// What its columns are made of: stretches, or channels as a whole.
    pub(super) fn segments(&self) -> impl Iterator<Item = usize> {
        self.spectra.segments(self.track.whole)
    }

    pub(super) fn is_last(&self) -> bool {
        self.frames.end == self.of
    }
}

/// A piece, and where its masks are.
pub(super) struct Masked {
    pub(super) piece: Piece,
    /// Of the whole panel.
    pub(super) separated: Arc<Separated>,
    /// The panel's column where the piece begins.
    pub(super) column: usize,
    /// The panel's segment where it begins.
    pub(super) segment: usize,
    /// What it was computed on.
    pub(super) engine: Arc<str>,
}
