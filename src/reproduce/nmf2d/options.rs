//! What of the experiment may be chosen.

use crate::spectrogram::{Length, Shape, Transform};

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct Nmf2dOptions {
    /// Time lags T of NMF2D.
    pub time_lags: usize,
    /// Time lags T of NMFD. Each value is tried.
    pub nmfd_lags: Vec<usize>,
    /// Pitch lags Φ of NMF2D. Each value is tried.
    pub pitch_lags: Vec<usize>,
    /// Random starts per model.
    pub starts: usize,
    /// Iterations per start.
    pub iterations: usize,
    /// Components D of NMFD. NMF2D has one per source.
    pub components: usize,
    /// The transform.
    pub transform: Transform,
    /// The seed of the first start. Each further start adds 1.
    pub seed: u64,
}

impl Default for Nmf2dOptions {
    /// The paper's parameters. Beside the paper's 12 pitch lags also as many as the melody of its score needs, and for
    /// NMFD also few time lags, for components no longer than a note.
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
