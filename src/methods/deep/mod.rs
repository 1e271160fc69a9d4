//! Costs that are learned: Tanji & Murakami, "Learning the Statistical Model of the NMF Using the Deep Multiplicative Update
//! Algorithm with Applications" (2021).
//!
//! A cost log λ − log f(v/λ) enters the updates by a weight ζ = −f'/f of the data alone (see [`crate::weight`]). The stacked
//! updates are a network with the parameters θ of Φ = log ζ. Those are trained by gradient descent, so that what the updates
//! estimate is close to the clean recordings.

pub mod adam;
pub mod denoising;
mod file;
mod loss;
mod network;
pub mod noise;
mod options;
pub mod pairs;
mod phi;
pub(crate) mod separate;
pub mod stacks;
mod task;
pub mod train;

pub use file::Learned;
pub use loss::decibels;
pub use options::{Denoising, Start, Training};
pub use phi::{Curve, Phi};
pub use task::Task;

/// The source of a training that has recordings of noise.
pub const NOISE: &str = "noise";
/// What progress calls the training of the cost.
pub const COST: &str = "cost";
/// The only stem of a denoised recording.
pub const DENOISED: &str = "denoised";
/// Updates of a denoised recording: the paper's.
pub const ITERATIONS: usize = 300;
