//! The kernels between the products: normalization of the bases, and masks that share a mixture among its sources.

mod cpu;
mod gpu;
mod reference;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

pub(crate) use cpu::ShareJob;
pub use reference::share;

use crate::engine::Engine;
use crate::{Error, Result};

/// A norm for the columns of the bases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Σ_f w
    L1,
    /// (Σ_f w²)^½
    L2,
}

impl Norm {
    /// The norm of nonnegative numbers.
    pub fn of(self, numbers: impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::L1 => numbers.sum(),
            Self::L2 => numbers.map(|x| x * x).sum::<f64>().sqrt(),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
        })
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "l1" => Ok(Self::L1),
            "l2" => Ok(Self::L2),
            _ => Err(Error::input(format!("norm '{text}' is unknown; use l1 or l2"))),
        }
    }
}

/// The rule by which sources with models Λ_j share a cell of the mixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mask {
    /// Λ_j^p / Σ_i Λ_i^p, 0 < p ≤ 16.
    Ratio(f64),
    /// 1 for the largest Λ_j (the first of equal ones), 0 for the others.
    Hard,
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(power) => write!(f, "ratio:{power}"),
            Self::Hard => f.write_str("hard"),
        }
    }
}

/// The kernels between the products. W: bases F x K, one matrix or one per segment of the gains. H: gains K x N.
pub trait Glue: Engine {
    /// Scales every column of W to unit norm, except zero columns. If gains are given, row k of H is multiplied by the
    /// norm of column k, so WH does not change.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit, [`Error::Engine`] if the device fails.
    fn normalize(&self, w: &mut Self::Matrix, h: Option<&mut Self::Panel>, norm: Norm) -> Result<()>;

    /// Updates bases of norm 1 (L2) from the sums N and D of [`crate::kernels::Products::base_sums`], or of another pass over
    /// data: W ← W ∘ (N + (1 (D∘W)) ∘ W) / max(D + (1 (N∘W)) ∘ W, 1e-30), with 1 the F x F matrix of ones.
    ///
    /// The gradient of the cost of W̄H, w̄_k = w_k / ‖w_k‖, is D − N without its part along w_k: D + (1 (N∘W)) ∘ W minus
    /// N + (1 (D∘W)) ∘ W. This is their ratio (Wang & Sha 2014, eq. (5)). The bases lose norm 1, which the caller restores by
    /// [`Glue::normalize`] without the gains: the cost of W̄H does not see it.
    ///
    /// # Errors
    /// [`Error::Input`] if the three shapes differ, [`Error::Engine`] if the device fails.
    fn turn_bases(&self, w: &mut Self::Matrix, n: &Self::Matrix, d: &Self::Matrix) -> Result<()>;

    /// Returns the mask (F x N) of every source. Source j has the components `sources[j]`, columns of W. With J
    /// sources, every Λ_j = W_j H_j is floored at 1e-12 / J, so the masks sum to 1 in silence too.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes, ranges or exponent do not fit, [`Error::Engine`] if the device fails.
    fn masks(
        &self,
        w: &Self::Matrix,
        h: &Self::Panel,
        sources: &[Range<usize>],
        mask: Mask,
    ) -> Result<Vec<Self::Panel>>;
}

/// Checks that W and H have the same K, and that there is one matrix in all or one per segment.
pub(crate) fn check_factors((matrices, w): (usize, (usize, usize)), (rows, segments): (usize, usize)) -> Result<()> {
    if w.1 == rows && (matrices == 1 || matrices == segments) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{matrices} matrices of bases {} x {} do not fit {rows} rows of gains in {segments} segments",
        w.0, w.1
    )))
}

/// Checks that bases and their sums are stacks of one shape.
pub(crate) fn check_sums(
    w: (usize, (usize, usize)),
    n: (usize, (usize, usize)),
    d: (usize, (usize, usize)),
) -> Result<()> {
    if w == n && w == d {
        return Ok(());
    }
    let size = |(count, (rows, columns)): (usize, (usize, usize))| format!("{count} of {rows} x {columns}");
    Err(Error::input(format!("bases ({}) do not fit their sums ({} and {})", size(w), size(n), size(d))))
}

/// Checks that the sources' ranges partition the K components, and that the exponent is valid.
pub(crate) fn check_masks(components: usize, sources: &[Range<usize>], mask: Mask) -> Result<()> {
    if sources.is_empty() || sources.iter().any(|range| range.is_empty() || range.end > components) {
        return Err(Error::input(format!("sources {sources:?} do not partition {components} components")));
    }
    check_mask(mask)
}

/// Checks that a mask's exponent is valid.
pub(crate) fn check_mask(mask: Mask) -> Result<()> {
    match mask {
        Mask::Ratio(p) if !(p > 0.0 && p <= 16.0) => {
            Err(Error::input(format!("mask ratio:{p}: the exponent must be above 0 and at most 16")))
        }
        _ => Ok(()),
    }
}
