//! The signals of partwise: files ↔ samples, samples ↔ spectrograms, and the scores of estimates. `partwise` re-exports all of it.
//!
//! A package of its own for the same reasons as `partwise-compute`: it changes rarely, and its loops need what they inline in
//! one unit.
//!
//! Axis letters are those of `partwise`: C channel, J source, F frequency bin, N frame or sample.

pub mod audio;
pub mod evaluate;
pub mod spectrogram;

pub use partwise_error::{Error, Result};
