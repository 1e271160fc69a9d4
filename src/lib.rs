//! Separates one recording into its sources by nonnegative factorization.

pub mod audio;
mod error;
pub mod evaluate;
pub mod spectrogram;

pub use error::{EngineError, Error, Result};
