//! The papers' methods, a folder each, written once against the kernel families they need. No method knows an engine.
//!
//! A folder holds all of its paper: the mathematics (`mod.rs`), the options of a user (`options.rs`), how it learns from frames
//! (`train.rs`), how it turns a panel into masks (`separate.rs`), and what it adds to a model (`file.rs`).

pub mod averaged;
pub mod committee;
pub mod deep;
pub mod discriminative;
pub mod exemplars;
pub mod gain_prior;
pub(crate) mod keeper;
pub mod nmf;
pub mod nmf2d;
pub mod rest;
pub(crate) mod separator;
pub mod sparse;
