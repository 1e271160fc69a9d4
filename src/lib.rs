#![doc = include_str!("../README.md")]
//!
//! # Axis letters
//!
//! The same everywhere, in this order where an array has several: C channel, J source, F frequency bin, K component,
//! N frame (or sample, for signals). Data are V (F, N), bases W (F, K), gains H (K, N), the model Λ = W H (F, N).

pub mod arrays;
pub mod audio;
pub mod check;
pub mod evaluate;
pub mod methods;
pub mod model;
pub mod report;
pub mod reproduce;
pub mod schedule;
pub mod separate;
pub mod spectrogram;
pub mod train;

pub use model::Model;
pub use ndarray;
#[doc(inline)]
pub use partwise_compute::{Cpu, Divergence, Engine, EngineError, Error, Gpu, GpuChoice, Reference, Result};
#[doc(inline)]
pub use partwise_compute::{GainPrior, Glue, Mask, Momentum, Norm, Products, Shifts};
#[doc(inline)]
pub use partwise_compute::{divergence, engine, kernels, random};
