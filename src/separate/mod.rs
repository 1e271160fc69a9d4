//! From data to masks: with a trained model, or blindly.

mod blind;
mod scheme;
mod supervised;

use ndarray::{Array2, ArrayView2};

use crate::Result;
pub use crate::methods::nmf::Updates;
pub use blind::{Blind, BlindSettings, Patterns};
pub use scheme::Scheme;
pub use supervised::{Bases, OnEngine, PriorSettings, Settings, Weight, gains, separate};

/// Frames of a channel that are judged together, from the first frame of a recording on: where updates stop early and how much
/// priors count for does not depend on where panels are cut.
pub const STRETCH: usize = 128;

/// The stretches of so many frames of a channel, the first of which begins one.
pub fn stretches(frames: usize) -> impl Iterator<Item = usize> {
    (0..frames).step_by(STRETCH).map(move |start| STRETCH.min(frames - start))
}

/// The masks of a panel, and how well the model explains it.
pub struct Separated {
    /// A mask (F, N) for every source, stored frame by frame.
    pub masks: Vec<Array2<f32>>,
    /// The objective of every column (N) after the last update.
    pub costs: Vec<f64>,
    /// The updates that each segment took.
    pub iterations: Vec<usize>,
}

/// Turns panels of data into masks, on an engine of whatever kind.
pub trait Separator: Send + Sync {
    /// Which engine, as [`crate::engine::Engine::describe`].
    fn describe(&self) -> String;

    /// Separates `data` (N, F), frame by frame: its segments one after the other, `segments` the columns of each.
    ///
    /// # Errors
    /// [`crate::Error::Input`] where shapes do not fit, and those of the engine.
    fn separate(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated>;

    /// Whether segments are separated alike alone and together, so that a panel may be separated in parts.
    fn by_segment(&self) -> bool;
}
