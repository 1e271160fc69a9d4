//! Fused ratio products: the multiplicative updates of both factors, and the cost they bring down.
//!
//! With Λ = max(WH, 1e-12) and the fields P, Q of a [`Divergence`]:
//!
//! - gains: H ← H ∘ (Wᵀ P / (Wᵀ Q + λ))^γ
//! - bases: W ← W ∘ (P Hᵀ / Q Hᵀ)^γ, or, where λ is for gains of bases of norm 1, what [`Rule`] has for that
//!
//! Λ, P and Q are formed tile by tile and used at once; they never exist whole in memory.

mod cpu;
mod gpu;
mod reference;
mod rule;

pub use rule::Rule;

use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::{Error, Result};

pub(crate) use cpu::{Fields, ModelJob, StoreSink, Terms, VectorRule, fields, shape_of, update_with, with_fields};
pub(crate) use gpu::params;
pub(crate) use reference::gain_sums;

/// The fused products of an engine. V: data F x N; W: bases F x K; H: gains K x N.
///
/// V and H are panels of the same segments. W is one matrix, shared by all of them, or a stack with one for each: a segment is
/// then a problem of its own, and its gains, bases and costs have the bits that they have alone.
///
/// All functions fail with [`Error::Input`] where the shapes do not fit, and with [`Error::Engine`] where the device
/// does.
pub trait Products: Engine {
    /// Updates all gains. Each column of H depends on its own column of V and on W alone.
    fn update_gains(&self, v: &Self::Panel, w: &Self::Matrix, h: &mut Self::Panel, rule: &Rule) -> Result<()>;

    /// Updates all bases, from the whole panel or each from its segment. Sums over columns are taken in an order that depends
    /// on the segments' N alone. A penalty counts by [`Rule::norm`]; who keeps the norm is the caller.
    fn update_bases(&self, v: &Self::Panel, w: &mut Self::Matrix, h: &Self::Panel, rule: &Rule) -> Result<()>;

    /// The update of all gains from `trial` (K x N) into `next`, and `costs` (1 x N): Σ_f d(v_fn | λ_fn) + λ Σ_k h_kn of every
    /// column at `trial`, formed from what the update has in registers. For deciding, not for reporting: f32 sums, good to
    /// 1e-5 of a column's cost.
    fn try_gains(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        trial: &Self::Panel,
        next: &mut Self::Panel,
        costs: &mut Self::Panel,
        rule: &Rule,
    ) -> Result<()>;

    /// Updates both factors from one pass over V, so that P and Q are formed once: joint majorization-minimization (Marmin,
    /// Goulart & Févotte 2023). H is updated as by [`Products::update_gains`]; then, with H̃ the gains before and H those after,
    /// N = P (H̃ ∘ (H/H̃)^a)ᵀ and D = Q (H̃ ∘ (H/H̃)^b)ᵀ with (a, b) of [`Divergence::joint_exponents`]: the minimum over W of a
    /// majorizer of both factors. With the default exponent and no floor the objective cannot rise. A penalty counts for the
    /// bases with the new gains.
    fn update_both(&self, v: &Self::Panel, w: &mut Self::Matrix, h: &mut Self::Panel, rule: &Rule) -> Result<()>;

    /// Σ_f d(v_fn | λ_fn) of every column n.
    fn costs(&self, v: &Self::Panel, w: &Self::Matrix, h: &Self::Panel, divergence: Divergence) -> Result<Vec<f64>>;
}

/// h̃ (h/h̃)^e, and 0 where the gain is 0: what a gain that went from `before` to `after` weighs in a sum of the joint update.
pub(crate) fn joint_weight(before: f64, after: f64, exponent: f64) -> f64 {
    if before == 0.0 || after == 0.0 { 0.0 } else { before * (after / before).powf(exponent) }
}

/// Checks that an update of gains fits where it goes, and has costs of one row. Panels are given by their rows and the columns
/// of their segments.
pub(crate) fn check_trial(trial: (usize, &[usize]), next: (usize, &[usize]), costs: (usize, &[usize])) -> Result<()> {
    if next == trial && costs == (1, trial.1) {
        return Ok(());
    }
    let sizes = [trial, next, costs].map(size);
    Err(Error::input(format!(
        "gains {}, their update {} and costs {} do not fit: K x N, K x N, 1 x N",
        sizes[0], sizes[1], sizes[2]
    )))
}

/// Checks that V, W and H fit one another. Panels are given by their rows and the columns of their segments, a stack by how many
/// matrices it has and their shape.
pub(crate) fn check_shapes(
    v: (usize, &[usize]),
    (matrices, w): (usize, (usize, usize)),
    h: (usize, &[usize]),
) -> Result<()> {
    if v.0 == w.0 && w.1 == h.0 && v.1 == h.1 && (matrices == 1 || matrices == v.1.len()) {
        return Ok(());
    }
    Err(Error::input(format!(
        "data {}, {matrices} of bases {} x {} and gains {} do not fit: F x N, F x K and K x N, the same segments in data and \
         gains, and one of bases for all or for each",
        size(v),
        w.0,
        w.1,
        size(h)
    )))
}

/// The size of a panel, for messages.
fn size((rows, segments): (usize, &[usize])) -> String {
    let columns: usize = segments.iter().sum();
    match segments.len() {
        1 => format!("{rows} x {columns}"),
        count => format!("{rows} x {columns} in {count} segments"),
    }
}
