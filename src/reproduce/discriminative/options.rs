//! What of the experiment may be chosen.

use crate::spectrogram::{BandMap, Length, MelScale, Shape, Spectrum, Transform, Triangle};

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct DiscriminativeOptions {
    /// Components K per speaker. Each value is tried.
    pub ranks: Vec<usize>,
    /// Weights λ of the penalty on the gains. Each value is tried.
    pub sparsities: Vec<f64>,
    /// Random starts. Every number is a mean over them.
    pub starts: usize,
    /// The most mixtures of each pair of speakers.
    pub mixtures: usize,
    /// Iterations of training, and updates of separation.
    pub iterations: usize,
    /// What of the spectrum is factorized.
    pub spectrum: Spectrum,
    /// The bands.
    pub bands: BandMap,
    /// c of the pre-emphasis.
    pub pre_emphasis: f64,
    /// The transform.
    pub transform: Transform,
    /// The seed of the first start, and of the choice of mixtures. Each further start adds 1.
    pub seed: u64,
}

impl Default for DiscriminativeOptions {
    /// The paper's front end on magnitudes, and that part of its grid in which the best results lie. The paper has powers
    /// and, at 25 kHz, a window of 800 samples. A transform of 1024 points leaves no mel band empty.
    fn default() -> Self {
        let (window, hop) = (Some(Length::Milliseconds(32.0)), Some(Length::Milliseconds(16.0)));
        Self {
            ranks: vec![70, 140, 280],
            sparsities: vec![0.0, 0.1],
            starts: 2,
            mixtures: 5,
            iterations: 100,
            spectrum: Spectrum::Magnitude,
            bands: BandMap::Mel { count: 80, range_hz: 0.0..4000.0, scale: MelScale::Htk, triangle: Triangle::Peak },
            pre_emphasis: 0.95,
            transform: Transform { window, hop, fft: Some(1024), shape: Shape::Hamming },
            seed: 0,
        }
    }
}
