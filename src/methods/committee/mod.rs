//! Several sets of bases for the same sources, and masks that are the mean of theirs.
//!
//! A single factorization errs where another one does not: other ranks, other starts and bases that span several frames explain
//! a mixture differently. The mean of their masks separates better than the best of them, and varies less from start to start.
//!
//! A member finds its gains by itself, under its own bases W (TF, K), T consecutive frames of F bins ([`Manner`]): under KL with a
//! penalty λ Σ H, on bins or on bands of them. Its masks are those of its bins, from Λ_n = Σ_τ W^τ H_{n+T−1−τ}
//! ([`crate::methods::nmf`], `context.rs`). So bands make gains cheap, and cost little sharpness: what a basis looks like in the bins is
//! known from the recordings that it was learned from.

mod file;
mod options;
pub(crate) mod recipe;
pub(crate) mod separate;
pub(crate) mod train;
mod windows;

pub use file::{Learned, Manner, Member};
pub(crate) use options::{CONTEXT, check_context};
pub use options::{Quality, Separation, Training};
