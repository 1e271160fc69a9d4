//! Fused ratio products: the multiplicative updates of both factors, and the cost that they reduce.
//!
//! With Λ = max(WH, 1e-12) and the fields P, Q of a [`Divergence`]:
//!
//! - gains: H ← H ∘ (Wᵀ P / (Wᵀ Q + λ))^γ
//! - bases: W ← W ∘ (P Hᵀ / Q Hᵀ)^γ, or the update in [`Rule`] if λ penalizes the gains of bases of norm 1
//!
//! Λ, P and Q are formed tile by tile and used at once. They never exist whole in memory.

mod cpu;
mod gpu;
mod reference;
mod rule;

pub use rule::Rule;

use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::{Error, Result};

pub(crate) use cpu::{
    BasisSums, FieldSink, Fields, GROUP, ModelJob, RANGE, SPAN, StoreSink, Terms, VectorRule, basis_sums, fields,
    groups_of, shape_of, split, update_with, with_fields,
};
pub(crate) use gpu::{params, storable};
pub(crate) use reference::gain_sums;

/// The fused products of an engine. V: data F x N. W: bases F x K. H: gains K x N.
///
/// V and H are panels with the same segments. W is one matrix, shared by all segments, or a stack with one matrix per
/// segment. With a stack, each segment is a problem of its own: its gains, bases and costs have the bits that they
/// would have alone.
///
/// An updated entry below 2^-126, the least normal f32 number, may become 0.
///
/// All functions return [`Error::Input`] if the shapes do not fit, and [`Error::Engine`] if the device fails.
pub trait Products: Engine {
    /// Updates all gains. Each column of H depends only on its own column of V and on W.
    fn update_gains(&self, v: &Self::Panel, w: &Self::Matrix, h: &mut Self::Panel, rule: &Rule) -> Result<()>;

    /// Updates all bases, from the whole panel or each from its segment. The order of sums over columns depends only on
    /// the segments' N. A penalty follows [`Rule::norm`]; the caller keeps the bases at that norm.
    fn update_bases(&self, v: &Self::Panel, w: &mut Self::Matrix, h: &Self::Panel, rule: &Rule) -> Result<()>;

    /// Computes the sums of an update of bases: N = P Hᵀ and D = Q Hᵀ, each F x K, one matrix per matrix of W. A rule that
    /// does not treat every entry by itself starts from them, such as [`crate::kernels::Glue::turn_bases`].
    fn base_sums(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &Self::Panel,
        divergence: &Divergence,
    ) -> Result<(Self::Matrix, Self::Matrix)>;

    /// Computes the update of all gains from `trial` (K x N) into `next`. Also computes `costs` (1 x N) from values in
    /// registers: Σ_f d(v_fn | λ_fn) + λ Σ_k h_kn for every column at `trial`. The costs are f32 sums, accurate to 1e-5
    /// of a column's cost: good enough to accept or refuse a trial, not to report.
    fn try_gains(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        trial: &Self::Panel,
        next: &mut Self::Panel,
        costs: &mut Self::Panel,
        rule: &Rule,
    ) -> Result<()>;

    /// Updates both factors in one pass over V, which forms P and Q once: joint majorization-minimization (Marmin,
    /// Goulart & Févotte 2023).
    ///
    /// H is updated as by [`Products::update_gains`]. Then, with H̃ the gains before and H those after, N = P (H̃ ∘
    /// (H/H̃)^a)ᵀ and D = Q (H̃ ∘ (H/H̃)^b)ᵀ, with (a, b) from [`Divergence::joint_exponents`]. This is the minimum
    /// over W of a majorizer of both factors. With the default exponent and no floor, the objective cannot rise. For
    /// the bases, a penalty uses the new gains.
    fn update_both(&self, v: &Self::Panel, w: &mut Self::Matrix, h: &mut Self::Panel, rule: &Rule) -> Result<()>;

    /// Computes Σ_f d(v_fn | λ_fn) for every column n.
    fn costs(&self, v: &Self::Panel, w: &Self::Matrix, h: &Self::Panel, divergence: &Divergence) -> Result<Vec<f64>>;
}

/// h̃ (h/h̃)^e, or 0 if the gain is 0: the weight in a sum of the joint update of a gain that changed from `before` to
/// `after`.
pub(crate) fn joint_weight(before: f64, after: f64, exponent: f64) -> f64 {
    if before == 0.0 || after == 0.0 { 0.0 } else { before * (after / before).powf(exponent) }
}

/// Checks that an update of gains fits its destination and that costs have one row. Panels are given by their rows and
/// the columns of each segment.
pub(crate) fn check_trial(trial: (usize, &[usize]), next: (usize, &[usize]), costs: (usize, &[usize])) -> Result<()> {
    if next == trial && costs == (1, trial.1) {
        return Ok(());
    }
    let sizes = [trial, next, costs].map(size);
    Err(Error::input(format!(
        "gains {}, their update {} and costs {} do not fit; use K x N, K x N and 1 x N",
        sizes[0], sizes[1], sizes[2]
    )))
}

/// Checks that V, W and H fit one another. Panels are given by their rows and the columns of each segment, a stack by
/// the number and shape of its matrices.
pub(crate) fn check_shapes(
    v: (usize, &[usize]),
    (matrices, w): (usize, (usize, usize)),
    h: (usize, &[usize]),
) -> Result<()> {
    if v.0 == w.0 && w.1 == h.0 && v.1 == h.1 && (matrices == 1 || matrices == v.1.len()) {
        return Ok(());
    }
    Err(Error::input(format!(
        "data {}, {matrices} matrices of bases {} x {} and gains {} do not fit; use F x N, F x K and K x N, the same segments \
         in data and gains, and one matrix for all segments or for each",
        size(v),
        w.0,
        w.1,
        size(h)
    )))
}

/// A panel's size, for messages.
fn size((rows, segments): (usize, &[usize])) -> String {
    let columns: usize = segments.iter().sum();
    match segments.len() {
        1 => format!("{rows} x {columns}"),
        count => format!("{rows} x {columns} in {count} segments"),
    }
}
