//! Pictures of what commands have at hand: recordings, models, and what a separation found.

mod explainer;
mod factors;
mod heard;
mod what;

pub(super) use explainer::{Explainer, SECONDS};
pub(super) use factors::{of_explained, of_model};
pub(super) use heard::{Heard, spectrogram};
pub(super) use what::{Drawn, What};
