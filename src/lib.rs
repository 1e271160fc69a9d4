//! Separates one recording into its sources by nonnegative factorization.

pub mod audio;
pub mod check;
pub mod divergence;
pub mod engine;
mod error;
pub mod evaluate;
pub mod kernels;
pub mod methods;
pub mod random;
pub mod spectrogram;

pub use error::{EngineError, Error, Result};
