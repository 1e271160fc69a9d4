//! Samples to frames and back.

mod overlap_add;
mod spectrum;
mod stft;
mod window;

pub use overlap_add::OverlapAdd;
pub use spectrum::{Spectrum, level_scale};
pub use stft::{Pad, Sample, Stft, StftParams};
pub use window::Shape;
