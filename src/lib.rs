//! Separates one recording into its sources by nonnegative factorization.

pub mod audio;
pub mod check;
pub mod divergence;
pub mod engine;
mod error;
pub mod evaluate;
pub mod kernels;
pub mod methods;
pub mod model;
pub mod random;
pub mod report;
pub mod schedule;
pub mod separate;
pub mod spectrogram;
pub mod train;

pub use error::{EngineError, Error, Result};
