//! Separates one recording into its sources by nonnegative factorization.

pub mod audio;
pub mod divergence;
pub mod engine;
mod error;
pub mod evaluate;
pub mod kernels;
pub mod random;

pub use error::{EngineError, Error, Result};
