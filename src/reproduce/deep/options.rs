//! What of the experiment may be chosen.

use crate::spectrogram::{Length, Shape, Transform};

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct DeepOptions {
    /// Steps of every training.
    pub steps: usize,
    /// Examples of every step.
    pub batch: usize,
    /// K of every factorization.
    pub components: usize,
    /// T, the stacks of a training to denoise; a random network has a third of them. Those of a training to separate are two
    /// thirds as many of the bases, and a third as many of the gains.
    pub stacks: usize,
    /// Noises of every recording, over which scores are means.
    pub noises: usize,
    /// Random starts of every mixture of speakers.
    pub starts: usize,
    /// The most mixtures of a pair of speakers.
    pub mixtures: usize,
    /// The level of recordings over the noise in dB.
    pub snr: f64,
    /// Numbers of updates after which scores are taken; they rise.
    pub after: Vec<usize>,
    /// Hz.
    pub sample_rate: u32,
    /// The transform.
    pub transform: Transform,
    /// The seed of everything random.
    pub seed: u64,
}

impl DeepOptions {
    /// The stacks of the bases in a training to separate.
    pub(super) fn stacks_of_bases(&self) -> usize {
        (self.stacks * 2).div_ceil(3)
    }
}

impl Default for DeepOptions {
    /// The paper's parameters, with fewer steps, noises and starts.
    fn default() -> Self {
        let (window, hop) = (Some(Length::Milliseconds(128.0)), Some(Length::Milliseconds(32.0)));
        Self {
            steps: 200,
            batch: 2,
            components: 30,
            stacks: 300,
            noises: 3,
            starts: 3,
            mixtures: 2,
            snr: -10.0,
            after: vec![1, 5, 10, 25, 50, 100, 200, 300, 400, 500],
            sample_rate: 8000,
            transform: Transform { window, hop, fft: None, shape: Shape::Hamming },
            seed: 0,
        }
    }
}
