//! The parameters of the experiment.

use super::tables::PUBLISHED;

/// The parameters of the experiment.
#[derive(Debug, Clone)]
pub struct GainPriorOptions {
    /// Components K per source.
    pub rank: usize,
    /// Gaussians C per source.
    pub mixtures: usize,
    /// The most mixtures per level.
    pub clips: usize,
    /// Levels of speech over music in dB, ascending.
    pub levels: Vec<f64>,
    /// The weights of the grid. Every pair is tried, to find the best at each level.
    pub grid: Vec<f64>,
    /// The seed of the random starts and of the choice of mixtures.
    pub seed: u64,
}

impl Default for GainPriorOptions {
    /// The paper's parameters.
    fn default() -> Self {
        Self {
            rank: 128,
            mixtures: 32,
            clips: 20,
            levels: PUBLISHED.iter().map(|row| row.0).collect(),
            grid: vec![0.0, 0.01, 0.1, 0.5, 2.0, 10.0],
            seed: 0,
        }
    }
}
