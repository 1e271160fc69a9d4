//! Fused ratio products: the multiplicative updates of both factors, and the cost they bring down.
//!
//! With Λ = max(WH, 1e-12) and the fields P, Q of a [`Divergence`]:
//!
//! - gains: H ← H ∘ (Wᵀ P / (Wᵀ Q + λ))^γ
//! - bases: W ← W ∘ (P Hᵀ / (Q Hᵀ + λ))^γ
//!
//! Λ, P and Q are formed tile by tile and used at once; they never exist whole in memory.

mod cpu;
mod gpu;
mod reference;

use crate::divergence::{DENOMINATOR_FLOOR, Divergence};
use crate::engine::Engine;
use crate::{Error, Result};

pub(crate) use cpu::ModelJob;

/// What a multiplicative update does with N and D: X ← max(X, floor) ∘ (N / max(D + λ, 1e-30))^γ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Which P and Q.
    pub divergence: Divergence,
    /// γ > 0; see [`Divergence::default_exponent`].
    pub exponent: f64,
    /// λ ≥ 0, the weight of an L1 penalty λ Σ X on the factor being updated; 0 for none.
    pub sparsity: f64,
    /// The factor is raised to this before it is multiplied, so that a zero can grow again; 0 keeps exact zeros.
    pub floor: f64,
}

impl Rule {
    /// The plain update of a divergence: its default exponent, no penalty, no floor.
    pub fn of(divergence: Divergence) -> Self {
        Self { divergence, exponent: divergence.default_exponent(), sparsity: 0.0, floor: 0.0 }
    }

    /// One entry's update, in f64.
    pub(crate) fn apply(&self, x: f64, numerator: f64, denominator: f64) -> f64 {
        let ratio = numerator / (denominator + self.sparsity).max(DENOMINATOR_FLOOR);
        x.max(self.floor) * if self.exponent == 1.0 { ratio } else { ratio.powf(self.exponent) }
    }
}

/// The fused products of an engine. V: data F x N; W: bases F x K; H: gains K x N.
///
/// All three functions fail with [`Error::Input`] where the shapes do not fit, and with [`Error::Engine`] where the device
/// does.
pub trait Products: Engine {
    /// Updates all gains. Each column of H depends on its own column of V and on W alone.
    fn update_gains(&self, v: &Self::Panel, w: &Self::Matrix, h: &mut Self::Panel, rule: &Rule) -> Result<()>;

    /// Updates all bases from the whole panel. Sums over columns are taken in an order that depends on N alone.
    fn update_bases(&self, v: &Self::Panel, w: &mut Self::Matrix, h: &Self::Panel, rule: &Rule) -> Result<()>;

    /// Σ_f d(v_fn | λ_fn) of every column n.
    fn costs(&self, v: &Self::Panel, w: &Self::Matrix, h: &Self::Panel, divergence: Divergence) -> Result<Vec<f64>>;
}

/// Checks that V (F, N), W (F, K) and H (K, N) fit one another and hold something.
pub(crate) fn check_shapes(v: (usize, usize), w: (usize, usize), h: (usize, usize)) -> Result<()> {
    if v.0 == w.0 && w.1 == h.0 && v.1 == h.1 && v.0 * v.1 * w.1 > 0 {
        return Ok(());
    }
    Err(Error::input(format!(
        "data {} x {}, bases {} x {} and gains {} x {} do not fit: F x N, F x K and K x N, none of them 0",
        v.0, v.1, w.0, w.1, h.0, h.1
    )))
}
