//! Products of shifted factors: patterns that move in time and in pitch, and the multiplicative updates of both
//! factors.
//!
//! With T lags of time, Φ lags of pitch and D components, V (F x N) is modelled by
//!
//! Λ_fn = max(Σ_{τ,φ,d} W^τ_{f−φ,d} H^φ_{d,n−τ}, 1e-12), τ < T, φ < Φ. Shifts bring in zeros.
//!
//! With the fields P, Q of a [`Divergence`], the row shifts ↓φ and ↑φ, and the column shifts →τ and ←τ:
//!
//! - gains: H^φ ← H^φ ∘ (Σ_τ (↓φ W^τ)ᵀ (←τ P) / (Σ_τ (↓φ W^τ)ᵀ (←τ Q) + λ))^γ
//! - bases: W^τ ← W^τ ∘ (Σ_φ (↑φ P) (→τ H^φ)ᵀ / (Σ_φ (↑φ Q) (→τ H^φ)ᵀ + λ))^γ
//!
//! All W^τ are updated from one Λ, and so are all H^φ. With one lag of pitch this is NMFD; with one of each it is plain
//! NMF.
//!
//! Schmidt & Mørup, "Nonnegative matrix factor 2-D deconvolution for blind single channel source separation" (2006).

mod cpu;
mod gpu;
mod reference;

use std::ops::Range;

use super::glue::{Mask, Norm, check_masks};
use super::products::Rule;
use crate::divergence::Divergence;
use crate::engine::Engine;
use crate::{Error, Result};

/// The extent of patterns: T frames and Φ bins, both at least 1. More lags than frames or bins are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lags {
    /// T, the frames of a component's pattern.
    pub time: usize,
    /// Φ, the number of pitches at which it can sound, one bin apart.
    pub pitch: usize,
}

/// The values outside the matrix if Q is 1 (KL). They affect D alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edges {
    /// Zeros, as in N. D is then part of the gradient, and the objective cannot rise.
    #[default]
    Exact,
    /// Ones, as eqs. (22), (23) are printed. Values that reach beyond the last rows and columns are driven down.
    Printed,
}

/// The parameters of an update of shifted factors.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftRule {
    /// The rule that uses N and D.
    pub rule: Rule,
    /// T and Φ.
    pub lags: Lags,
    /// [`Edges::Printed`] is allowed only under KL.
    pub edges: Edges,
}

impl ShiftRule {
    /// The plain update of a divergence.
    pub fn of(divergence: Divergence, lags: Lags) -> Self {
        Self { rule: Rule::of(divergence), lags, edges: Edges::Exact }
    }
}

/// The kernels of shifted factors.
///
/// V: data F x N. W: stacks of T bases F x D, W^0 first. One stack serves all segments. G stacks, where G divides the
/// number of segments S, serve S/G consecutive segments each. H: gains ΦD x N with the segments of V; row φD + d is row
/// d of H^φ. Shifts end at the ends of a segment. The results of segments with their own bases depend on their own data
/// alone, to the bit.
///
/// All functions return [`Error::Input`] if shapes, lags or edges do not fit, and [`Error::Engine`] if the device
/// fails.
pub trait Shifts: Engine {
    /// Updates all H^φ.
    fn update_shifted_gains(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &mut Self::Panel,
        rule: &ShiftRule,
    ) -> Result<()>;

    /// Updates all W^τ. Each stack uses N and D summed over its segments.
    fn update_shifted_bases(
        &self,
        v: &Self::Panel,
        w: &mut Self::Matrix,
        h: &Self::Panel,
        rule: &ShiftRule,
    ) -> Result<()>;

    /// Computes Σ_f d(v_fn | λ_fn) for every column n.
    fn shifted_costs(
        &self,
        v: &Self::Panel,
        w: &Self::Matrix,
        h: &Self::Panel,
        lags: Lags,
        divergence: &Divergence,
    ) -> Result<Vec<f64>>;

    /// Scales every component's pattern, its columns in all W^τ of a stack, to unit norm, except zero patterns. Its
    /// rows of H in the stack's segments are multiplied by the previous norm, so Λ does not change.
    fn normalize_patterns(&self, w: &mut Self::Matrix, h: &mut Self::Panel, lags: Lags, norm: Norm) -> Result<()>;

    /// Computes every source's part of Λ (F x N), unfloored. Source j has the components `sources[j]`.
    fn shifted_models(
        &self,
        w: &Self::Matrix,
        h: &Self::Panel,
        sources: &[Range<usize>],
        lags: Lags,
    ) -> Result<Vec<Self::Panel>>;

    /// Computes the mask (F x N) of every source from its part of Λ, like [`crate::kernels::Glue::masks`] but without
    /// its floor. So sources share a nearly silent cell in proportion to their models there. If all models are 0 in a
    /// cell, all masks are equal.
    fn shifted_masks(
        &self,
        w: &Self::Matrix,
        h: &Self::Panel,
        sources: &[Range<usize>],
        lags: Lags,
        mask: Mask,
    ) -> Result<Vec<Self::Panel>>;
}

/// Checks that W and H fit each other. `w`: the number and shape of the matrices; `h`: the rows, and the columns of
/// every segment.
fn check_factors((matrices, w): (usize, (usize, usize)), h: (usize, &[usize]), lags: Lags) -> Result<()> {
    let Lags { time, pitch } = lags;
    if time == 0 || pitch == 0 {
        return Err(Error::input(format!("{time} lags of time and {pitch} of pitch: use at least one of each")));
    }
    // Divide instead of multiplying: the caller's numbers could overflow.
    let gains = h.0.is_multiple_of(pitch) && h.0 / pitch == w.1;
    let (stacks, segments) = (matrices / time, h.1.len().max(1));
    let of_segments = matrices.is_multiple_of(time) && stacks > 0 && segments.is_multiple_of(stacks);
    if gains && of_segments {
        return Ok(());
    }
    Err(Error::input(format!(
        "{matrices} bases {} x {} and {} rows of gains in {} segments do not fit {time} lags of time and {pitch} of pitch; use T \
         bases F x D for all segments or for each of equal groups, and ΦD rows",
        w.0,
        w.1,
        h.0,
        h.1.len()
    )))
}

/// Checks that W and H fit each other, and that a mask can share their components among the sources.
fn check_sources(
    w: (usize, (usize, usize)),
    h: (usize, &[usize]),
    lags: Lags,
    sources: &[Range<usize>],
    mask: Mask,
) -> Result<()> {
    check_factors(w, h, lags)?;
    check_masks(w.1.1, sources, mask)
}

/// Checks that V, W and H fit one another.
fn check_shapes(v: (usize, &[usize]), w: (usize, (usize, usize)), h: (usize, &[usize]), lags: Lags) -> Result<()> {
    check_factors(w, h, lags)?;
    if v.0 == w.1.0 && v.1 == h.1 {
        return Ok(());
    }
    Err(Error::input(format!(
        "data with {} rows and segments {:?} do not fit bases with {} rows and gains with segments {:?}",
        v.0, v.1, w.1.0, h.1
    )))
}

/// Checks that the edges fit the divergence.
fn check_edges(rule: &ShiftRule) -> Result<()> {
    if rule.edges == Edges::Exact || rule.rule.divergence == Divergence::KullbackLeibler {
        return Ok(());
    }
    Err(Error::input(format!("printed edges need kl, not {}", rule.rule.divergence)))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::engine::gpu::tests::gpu;
    use crate::engine::{Cpu, Reference};

    #[test]
    fn nearly_silent_cells_are_shared_by_the_models_there() {
        fn check<E: Shifts>(engine: &E) {
            let w = engine.matrix(array![[3e-10, 1e-10], [0.0, 1e-10], [0.0, 0.0]].view()).unwrap();
            let h = engine.panel(array![[1e-10], [1e-10]].view()).unwrap();
            let lags = Lags { time: 1, pitch: 1 };
            for (mask, expected) in [
                (Mask::Ratio(1.0), array![[0.75], [0.0], [0.5]]),
                (Mask::Ratio(2.0), array![[0.9], [0.0], [0.5]]),
                (Mask::Hard, array![[1.0], [0.0], [1.0]]),
            ] {
                let masks = engine.shifted_masks(&w, &h, &[0..1, 1..2], lags, mask).unwrap();
                let [first, second] = [0, 1].map(|source| engine.read_panel::<f64>(&masks[source]).unwrap());
                let near = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().all(|error| error.abs() < 1e-6);
                assert!(near(&first, &expected) && near(&second, &(1.0 - &expected)), "{mask}: {first}");
            }
        }
        check(&Reference);
        check(&Cpu::new(Some(1)).unwrap());
        if let Some(gpu) = gpu() {
            check(&gpu);
        }
    }
}
