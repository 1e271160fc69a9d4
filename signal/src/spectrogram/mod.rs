//! Transforms samples to frames and back, and bins of frames to bands and back.

mod bands;
mod overlap_add;
mod spectrum;
mod stft;
mod transform;
mod view;
mod window;

pub use bands::{BandMap, Bands, Grouping};
pub use overlap_add::OverlapAdd;
pub use spectrum::{Spectrum, level_scale};
pub use stft::{Pad, Sample, Stft, StftParams};
pub use transform::{Length, Transform};
pub use view::{Front, View};
pub use window::Shape;
