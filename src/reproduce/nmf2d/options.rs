//! What of the experiment may be chosen.

use crate::spectrogram::{Length, Shape, Transform};

/// What is tried.
#[derive(Debug, Clone)]
pub struct Nmf2dOptions {
    /// T of NMF2D.
    pub time_lags: usize,
    /// T of NMFD: each is tried.
    pub nmfd_lags: Vec<usize>,
    /// Φ of NMF2D: each is tried.
    pub pitch_lags: Vec<usize>,
    /// Random starts of each model.
    pub starts: usize,
    /// Of each start.
    pub iterations: usize,
    /// D of NMFD; NMF2D has one for each source.
    pub components: usize,
    /// The transform.
    pub transform: Transform,
    /// Of the first start; each has the seed of the one before and 1.
    pub seed: u64,
}

impl Default for Nmf2dOptions {
    /// Those of the paper, and beside its 12 lags of pitch as many as the melody of its score needs; for NMFD also few lags of time,
    /// with which a component is no more than a note.
    fn default() -> Self {
        let (window, hop) = (Some(Length::Samples(2048)), Some(Length::Samples(1024)));
        Self {
            time_lags: 7,
            nmfd_lags: vec![2, 7],
            pitch_lags: vec![12, 18],
            starts: 8,
            iterations: 300,
            components: 6,
            transform: Transform { window, hop, fft: None, shape: Shape::Hann },
            seed: 0,
        }
    }
}
