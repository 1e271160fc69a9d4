//! Transforms samples to frames and back, and bins of frames to bands and back.

mod adjoint;
mod band_map;
mod bands;
mod emphasis;
mod mel;
mod overlap_add;
mod spectrum;
mod stft;
mod transform;
mod view;
mod window;

pub use band_map::BandMap;
pub use bands::{Bands, Grouping, Spreading};
pub use emphasis::PreEmphasis;
pub use mel::{MelScale, Triangle};
pub use overlap_add::OverlapAdd;
pub use spectrum::{Spectrum, level_scale};
pub use stft::{Pad, Sample, Stft, StftParams};
pub use transform::{Length, Transform};
pub use view::{Front, View};
pub use window::Shape;
