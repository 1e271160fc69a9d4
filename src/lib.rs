#![doc = include_str!("../README.md")]
//!
//! # Axis letters
//!
//! The same everywhere, in this order where an array has several: C channel, J source, F frequency bin, K component,
//! N frame (or sample, for signals). Data are V (F, N), bases W (F, K), gains H (K, N), the model Λ = W H (F, N).

pub mod arrays;
pub mod audio;
pub mod check;
pub mod divergence;
pub mod engine;
pub mod engines;
mod error;
pub mod evaluate;
mod front;
pub mod job;
pub mod kernels;
pub mod methods;
pub mod model;
pub mod options;
pub mod random;
pub mod recordings;
pub mod report;
pub mod reproduce;
pub mod schedule;
pub mod separate;
pub mod spectrogram;
mod tensors;
pub mod train;

pub use audio::Recording;
pub use divergence::Divergence;
pub use engine::{Cpu, Engine, Gpu, GpuChoice, Reference};
pub use engines::{AnyEngine, EngineChoice};
pub use error::{EngineError, Error, Result};
pub use front::{separate, train};
pub use job::{Separation, Training};
pub use kernels::{GainPrior, Glue, Mask, Momentum, Norm, Products, Shifts};
pub use model::Model;
pub use ndarray;
