//! Separation of what is known from the rest: sources of a model, and one that is learned on the recording itself.
//!
//! Smaragdis, Raj & Shashanka, "Supervised and semi-supervised separation of sounds from single-channel mixtures" (2007). The bases of
//! the model stay, and K free ones are learned from each channel of a recording beside them. The objective is
//! D(V | WH) + λ Σ H over the gains of the known sources: without a penalty these explain much of the rest, since they are
//! many (on speech in noises that nobody recorded alone, 3.1 dB of SI-SDR without and 5.9 dB with it).
//!
//! The penalty is on all gains, as the kernels have it. Free bases are a thousand times as large as known ones, so their gains are
//! a thousandth, and hardly pay. They start from a low quantile of every bin, which holds what is always there.

mod options;
pub(crate) mod separate;

pub use options::{Rest, Separation};
