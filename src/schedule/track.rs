//! The data of the pipeline: files, their pieces, and pieces with masks.

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
    /// Its index in the run.
    pub(super) index: usize,
    pub(super) input: Input,
    pub(super) outputs: Vec<PathBuf>,
    /// The format of its outputs.
    pub(super) format: Format,
    /// SHA-256, in hex.
    pub(super) hash: String,
    /// The size of the file.
    pub(super) bytes: u64,
    pub(super) channels: usize,
    /// The loudspeakers of the channels, as WAV's channel mask; 0 if unknown.
    pub(super) mask: u32,
    /// Hz.
    pub(super) sample_rate: u32,
    /// Samples of a channel.
    pub(super) length: u64,
    /// Warnings about the file.
    pub(super) warnings: Vec<String>,
    /// Turns its spectra into data.
    pub(super) view: Arc<View>,
    /// The frames of a stretch into which it is cut; None: it is separated as a whole.
    pub(super) stretch: Option<usize>,
    /// Samples of a channel at the view's sample rate, at least one.
    pub(super) signal_length: usize,
    /// Set when it has failed. Then no more of it is decoded.
    pub(super) failed: AtomicBool,
}

impl Track {
    pub(super) fn seconds(&self) -> f64 {
        self.length as f64 / f64::from(self.sample_rate)
    }
}

/// A message of the pipeline.
pub(super) enum Step<T> {
    /// A part of a track.
    Part(T),
    /// The track has failed; no part follows.
    Broken(Arc<Track>, Error),
}

/// Consecutive frames of a track, all channels. The pieces of a track are made in order.
pub(super) struct Piece {
    pub(super) track: Arc<Track>,
    /// Its frames in the track.
    pub(super) frames: Range<usize>,
    /// The number of frames of the track.
    pub(super) of: usize,
    pub(super) spectra: Spectra,
}

impl Piece {
    /// The number of its columns in a panel.
    pub(super) fn columns(&self) -> usize {
        self.spectra.columns()
    }

    /// The lengths of its segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = usize> {
        self.spectra.segments()
    }

    pub(super) fn is_last(&self) -> bool {
        self.frames.end == self.of
    }
}

/// A piece, and where its masks are.
pub(super) struct Masked {
    pub(super) piece: Piece,
    /// The masks of the whole panel.
    pub(super) separated: Arc<Separated>,
    /// The first column of the piece in the panel.
    pub(super) column: usize,
    /// The first segment of the piece in the panel.
    pub(super) segment: usize,
    /// The engine that computed it.
    pub(super) engine: Arc<str>,
}
