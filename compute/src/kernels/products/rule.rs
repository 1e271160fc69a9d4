//! The multiplicative rule, and the meaning of a sparsity for bases of norm 1.
//!
//! While W is learned too, a penalty λ Σ H alone has no effect: W grows as H shrinks. With bases of norm 1 the
//! objective is J = D(V | W̃H) + λ Σ H, w̃_k = w_k / ‖w_k‖ (Le Roux, Weninger & Hershey, "Sparse NMF – half-baked or
//! well done?", 2015). Substituting w_k for w̃_k and h_k / ‖w_k‖ for h_k moves the norm from the model to the penalty:
//!
//! J = D(V | WH) + λ Σ_k ‖w_k‖ s_k, s_k = Σ_n h_kn (after Marmin, Goulart & Févotte, arXiv 2207.06316, who use it for
//! L1).
//!
//! Scaling w_k to norm 1, and h_k inversely, leaves this J unchanged. So bases are updated under this penalty and then
//! normalized. Let r be the factor by which an entry w of a basis of norm 1 grows, with N and D as usual. The majorizer
//! of Févotte & Idier (2011) and the tangent of the root, ‖w_k‖₂ ≤ (1 + Σ_f w_fk²) / 2, bound the objective by w times
//!
//! G(r) = D a(r) − N b(r) + M r² / 2, M = λ s_k w, a = r, b = (r^(β−1) − 1) / (β − 1) for β ≤ 1; a = r^β / β for β > 1, and
//! b = r for β > 2,
//!
//! under L2, and G(r) = (D + λ s_k) a(r) − N b(r) under L1. Under L1, r = (N / (D + λ s_k))^γ has the same guarantee as
//! without a penalty. Under L2 the rule uses r = t^γ, where t is the root of
//!
//! (M / 2) t² + (D + M / 2) t = N.
//!
//! With γ at most [`Divergence::default_exponent`], G(r) ≤ G(1), so J cannot rise. Proof: express N by that equation in
//! G(1) − G(r), which becomes A D + B M. A is the decrease without a penalty, which is nonnegative. B is, up to a
//! nonnegative factor,
//!
//! - 0 ≤ β ≤ 1, γ = 1: (1 + r) (r b + 1 − r), not negative since b ≥ 1 − 1/r;
//! - 1 ≤ β ≤ 2, γ = 1: the same, since b ≥ log r ≥ 1 − 1/r;
//! - β < 0, γ = 1/(2−β): t (1 + t) b + 1 − r², t = r^(2−β). t b = r (r^(1−β) − 1) / (1 − β) is at least r (r − 1), so for
//!   r ≥ 1 the first term is at least (r − 1)(1 + r), and for r ≤ 1 at least −(1 − r) r (1 + t) ≥ −(1 − r)(1 + r);
//! - β > 2, γ = 1/(β−1): t (1 + t) (r − 1) + 1 − r², t = r^(β−1), which is further from 1 than r.
//!
//! A smaller γ gives an r between 1 and that value, and G has a single minimum. The root needs no power, so the update
//! costs as much as without a penalty. The minimum of G itself would need a polynomial of degree 2 − β or 3 − β for
//! every entry.

use crate::divergence::{DENOMINATOR_FLOOR, Divergence};
use crate::kernels::Norm;

/// The use of N and D in a multiplicative update: X ← max(X, floor) ∘ (N / max(D + λ, 1e-30))^γ for gains. Bases follow
/// the same rule; λ affects them only if they have a norm to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The divergence, which defines P and Q.
    pub divergence: Divergence,
    /// γ > 0; see [`Divergence::default_exponent`].
    pub exponent: f64,
    /// λ ≥ 0, the weight of an L1 penalty λ Σ H on the gains. 0 for none.
    pub sparsity: f64,
    /// The norm of the bases at which gains are penalized. An update of bases then uses the penalty λ Σ_k ‖w_k‖ Σ_n
    /// h_kn and expects ‖w_k‖ = 1 before the update. With None, the penalty does not affect the bases.
    pub norm: Option<Norm>,
    /// Entries are raised to this before the multiplication, so that a zero can grow again. 0 keeps exact zeros.
    pub floor: f64,
}

impl Rule {
    /// The plain update of a divergence: its default exponent, no penalty, no floor.
    pub fn of(divergence: Divergence) -> Self {
        Self { exponent: divergence.default_exponent(), divergence, sparsity: 0.0, norm: None, floor: 0.0 }
    }

    /// The norm that affects an update of bases, if there is one.
    pub fn basis_norm(&self) -> Option<Norm> {
        self.norm.filter(|_| self.sparsity > 0.0)
    }

    /// Updates a gain, in f64.
    pub(crate) fn of_gain(&self, h: f64, numerator: f64, denominator: f64) -> f64 {
        self.raise(h, numerator / (denominator + self.sparsity).max(DENOMINATOR_FLOOR))
    }

    /// Updates an entry of a basis whose gains have the sum `gains`, in f64.
    pub(crate) fn of_basis(&self, w: f64, numerator: f64, denominator: f64, gains: f64) -> f64 {
        let pull = self.sparsity * gains;
        let ratio = match self.basis_norm() {
            None => numerator / denominator.max(DENOMINATOR_FLOOR),
            Some(Norm::L1) => numerator / (denominator + pull).max(DENOMINATOR_FLOOR),
            Some(Norm::L2) => root(numerator, denominator, pull * w.max(self.floor)),
        };
        self.raise(w, ratio)
    }

    fn raise(&self, x: f64, ratio: f64) -> f64 {
        x.max(self.floor) * if self.exponent == 1.0 { ratio } else { ratio.powf(self.exponent) }
    }
}

/// t ≥ 0 with (M / 2) t² + (D + M / 2) t = N. It is computed from quotients, because their squares stay in the range of
/// f32 where those of sums may not.
fn root(numerator: f64, denominator: f64, curvature: f64) -> f64 {
    let linear = (denominator + 0.5 * curvature).max(DENOMINATOR_FLOOR);
    let ratio = numerator / linear;
    2.0 * ratio / (1.0 + (1.0 + 2.0 * (curvature / linear) * ratio).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::all;
    use crate::random::Stream;

    #[test]
    fn the_root_equals_hand_computed_values() {
        // t² + 2 t = 8; and N / D if the curvature is 0.
        assert_eq!(root(8.0, 1.0, 2.0), 2.0);
        assert_eq!(root(3.0, 4.0, 0.0), 0.75);
        assert_eq!((root(0.0, 1.0, 2.0), root(0.0, 0.0, 0.0)), (0.0, 0.0));
        let rule = |norm| Rule { sparsity: 0.5, norm, floor: 0.0, ..Rule::of(Divergence::KullbackLeibler) };
        // λ s = 2.
        assert_eq!(rule(None).of_basis(1.0, 8.0, 1.0, 4.0), 8.0);
        assert_eq!(rule(Some(Norm::L1)).of_basis(1.0, 9.0, 1.0, 4.0), 3.0);
        assert_eq!(rule(Some(Norm::L2)).of_basis(1.0, 8.0, 1.0, 4.0), 2.0);
    }

    /// G(r) of the module documentation.
    fn majorizer(beta: f64, r: f64, [n, d, m]: [f64; 3]) -> f64 {
        let power = |e: f64| if e == 0.0 { r.ln() } else { (r.powf(e) - 1.0) / e };
        let a = if beta > 1.0 { r.powf(beta) / beta } else { r };
        d * a - n * if beta > 2.0 { r } else { power(beta - 1.0) } + 0.5 * m * r * r
    }

    #[test]
    fn the_majorizer_never_rises() {
        let stream = Stream::new(5, "majorizer");
        let betas = all()
            .into_iter()
            .map(|divergence| divergence.exponent_beta())
            .chain([0.001, 0.3, 0.999, 1.01, 1.7, 2.2, 4.0]);
        for (index, beta) in betas.enumerate() {
            let divergence = Divergence::beta(beta).unwrap();
            for exponent in [divergence.default_exponent(), divergence.majorizing_exponent()] {
                for trial in 0..3000 {
                    // Numbers from 1e-4 to 1e4, drawn independently.
                    let at = |part: u64| 10f64.powf(8.0 * stream.uniform(index as u64 * 9000 + trial * 3 + part) - 4.0);
                    let sums = [at(0), at(1), at(2)];
                    let r = root(sums[0], sums[1], sums[2]).powf(exponent);
                    let (before, after) = (majorizer(beta, 1.0, sums), majorizer(beta, r, sums));
                    let terms = sums[0] + sums[1] * r.powf(beta.max(1.0)) + sums[2] * r * r + before.abs();
                    assert!(after <= before + 1e-12 * terms, "β {beta}, γ {exponent}, {sums:?}: {before} to {after}");
                }
            }
        }
    }
}
