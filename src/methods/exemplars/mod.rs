//! Exemplars: bases that are taken from the recordings of a source, spectra of several consecutive frames.
//!
//! A mixture is explained by what was heard before: a nonnegative combination of many stacks of frames of all sources, few of
//! which are active at a time. Gains are found under KL with bases of norm 1 (L2) and a penalty λ Σ H, which is what makes them
//! separate: without it, any source's exemplars explain any other's frames.
//!
//! Gemmeke, Virtanen & Hurmalainen, "Exemplar-based sparse representations for noise robust automatic speech recognition" (2011)
//! have such exemplars of speech and noise, in bands, under the same cost. Here masks are formed from the exemplars'
//! bins, see [`crate::methods::committee`].

mod options;
pub(crate) mod select;

pub use options::Training;
pub(crate) use options::{EXEMPLARS, FRAMES};
