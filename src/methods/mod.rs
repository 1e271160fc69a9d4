//! The papers' methods, a file each, written once against the kernel families they need. No method knows an engine.

pub mod extrapolation;
pub mod gain_prior;
pub mod leakage;
pub mod nmf;
pub mod nmf2d;
pub mod stopping;
