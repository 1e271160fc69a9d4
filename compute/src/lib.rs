//! The arithmetic of partwise: divergences, engines, and the kernels that run on them. `partwise` re-exports all of it.
//!
//! A package of its own, since it changes rarely, and for its profile: kernels are compiled as one unit, in development builds
//! with all optimisations too.
//!
//! Axis letters are those of `partwise`: F frequency bin, K component, N frame. Data are V (F, N), bases W (F, K), gains H (K, N),
//! the model Λ = W H (F, N).

pub mod cubics;
pub mod divergence;
pub mod engine;
pub mod kernels;
pub mod random;
pub mod weight;

pub use divergence::Divergence;
pub use engine::{Cpu, Engine, Gpu, GpuChoice, Reference};
pub use kernels::{GainPrior, Glue, Mask, Momentum, Norm, Pairs, Products, Shifts};
pub use partwise_error::{EngineError, Error, Result};
