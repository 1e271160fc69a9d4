//! partwise separates one recording into its sources by nonnegative matrix factorization, on any GPU or CPU, from models that
//! anyone can train in a minute on recordings of their own.
//!
//! # In memory: train, then separate
//!
//! ```
//! use std::ops::ControlFlow::Continue;
//! use partwise::{EngineChoice, Recording, Separation, Training, audio, separate, train};
//!
//! let engine = EngineChoice::Auto.open()?;
//! let speech = audio::read_folder("examples/audio/speech/train".as_ref())?;
//! let piano = audio::read_folder("examples/audio/piano/train".as_ref())?;
//! let sources = [("speech", &speech[..]), ("piano", &piano[..])];
//! let model = train(&engine, &sources, &Training::default(), &mut |_share_done| Continue(()))?;
//!
//! let [voice, keys] = [&speech[3].channels[0], &piano[1].channels[0]];
//! let mixture = Recording::new(vec![voice.iter().zip(keys).map(|(a, b)| a + b).collect()], 16_000)?;
//! let stems = separate(&engine, Some(&model), &mixture, &Separation::default(), &mut |_| Continue(()))?;
//! assert_eq!((stems[0].source.as_str(), stems[0].recording.frames()), ("speech", mixture.frames()));
//! # Ok::<(), partwise::Error>(())
//! ```
//!
//! # The ways in
//!
//! | you have | you want | call |
//! |---|---|---|
//! | samples | a model, stems | [`train`](fn@train), [`separate`](fn@separate) |
//! | samples that are still to come | those of the stems, as they come | [`Stream`] |
//! | files | a model | [`train::train`], which reads them and reports every odd one |
//! | many files, one or more GPUs | files of stems, a manifest, resume | [`schedule::run`] with a [`separate::Plan`] |
//! | files that are still to come | the same | [`schedule::run_live`] |
//! | clients | jobs over HTTP | `serve::Server`, behind the feature `serve` |
//! | a matrix V | factors W and H | [`methods::nmf::factorize`], [`methods::nmf2d::search`] |
//! | true sources and estimates | SDR, SI-SDR | [`evaluate`] |
//!
//! A job is data: [`Training`] and [`Separation`] hold every option, with the names that the command line, `--config` files,
//! manifests and models use. [`EngineChoice`] opens an [`AnyEngine`]; [`with_engine!`] hands the engine inside to code that is
//! generic over the kernel traits ([`Products`], [`Glue`], [`Momentum`], [`GainPrior`], [`Shifts`]).
//!
//! # Axis letters
//!
//! The same everywhere, in this order where an array has several: C channel, J source, F frequency bin, K component,
//! N frame (or sample, for signals). Data are V (F, N), bases W (F, K), gains H (K, N), the model Λ = W H (F, N).

pub mod arrays;
pub mod check;
pub mod engines;
mod front;
pub mod job;
pub mod methods;
pub mod model;
pub mod options;
pub mod recordings;
pub mod report;
pub mod reproduce;
pub mod schedule;
pub mod separate;
#[cfg(feature = "serve")]
pub mod serve;
mod tensors;
pub mod train;

pub use engines::{AnyEngine, EngineChoice};
pub use front::{separate, train};
pub use job::{Separation, Training};
pub use model::Model;
pub use ndarray;
#[doc(inline)]
pub use partwise_compute::{Cpu, Divergence, Engine, Gpu, GpuChoice, Reference};
#[doc(inline)]
pub use partwise_compute::{GainPrior, Glue, Mask, Momentum, Norm, Products, Shifts};
#[doc(inline)]
pub use partwise_compute::{cubics, divergence, engine, kernels, random, weight};
#[doc(inline)]
pub use partwise_error::{EngineError, Error, Result};
#[doc(inline)]
pub use partwise_signal::audio::Recording;
#[doc(inline)]
pub use partwise_signal::{audio, evaluate, spectrogram};
pub use separate::Stream;

/// The examples of the pages, compiled and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/library.md")]
    struct Library;
}
