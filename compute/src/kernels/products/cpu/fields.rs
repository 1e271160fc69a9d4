//! P, Q and the costs of the divergences, on vectors.

use pulp::Simd;

use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::math::{self, Less};
use crate::engine::tile;

/// P and Q of a divergence on vectors. λ must be floored already.
pub(crate) trait Fields: Copy + Send + Sync {
    /// Whether Q is 1 everywhere. D is then a plain sum of the other factor, and its product is not formed.
    const UNIT_Q: bool = false;

    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s);

    /// d(v|λ)
    fn cost<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> S::f32s;
}

#[derive(Clone, Copy)]
pub(crate) struct Euclidean;

impl Fields for Euclidean {
    #[inline(always)]
    fn fields<S: Simd>(self, _: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        (v, lambda)
    }

    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> S::f32s {
        let difference = simd.sub_f32s(v, lambda);
        simd.mul_f32s(simd.mul_f32s(difference, difference), simd.splat_f32s(0.5))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct KullbackLeibler;

impl Fields for KullbackLeibler {
    const UNIT_Q: bool = true;

    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        // Multiply by 1 / λ instead of dividing by λ: the cost needs 1 / λ too, and a division takes as long as ten
        // multiplications.
        (simd.mul_f32s(v, simd.div_f32s(simd.splat_f32s(1.0), lambda)), simd.splat_f32s(1.0))
    }

    /// With r = v/λ and x = r − 1: v log r − (v − λ), near a perfect fit as λ (r (log r − x) + x²).
    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> S::f32s {
        let (r, x) = ratio(simd, v, lambda);
        let (ln, Less { near, rest }) = math::ln_and_less(simd, r, x);
        let close = simd.mul_f32s(lambda, tile::multiply_add(simd, r, rest, simd.mul_f32s(x, x)));
        let far = simd.sub_f32s(simd.mul_f32s(v, ln), simd.sub_f32s(v, lambda));
        simd.select_f32s(near, close, far)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct ItakuraSaito;

impl Fields for ItakuraSaito {
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        let v = simd.max_f32s(v, simd.splat_f32s(MODEL_FLOOR as f32));
        let r = simd.div_f32s(simd.splat_f32s(1.0), lambda);
        // (v r) r, because r² of an ordinary λ overflows f32 long before the product does.
        (simd.mul_f32s(simd.mul_f32s(v, r), r), r)
    }

    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> S::f32s {
        let (r, x) = ratio(simd, simd.max_f32s(v, simd.splat_f32s(MODEL_FLOOR as f32)), lambda);
        let (ln, Less { near, rest }) = math::ln_and_less(simd, r, x);
        tile::negate(simd, simd.select_f32s(near, rest, simd.sub_f32s(ln, x)))
    }
}

/// v/λ, and v/λ − 1 without a subtraction of nearly equal numbers.
#[inline(always)]
fn ratio<S: Simd>(simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
    let inverse = simd.div_f32s(simd.splat_f32s(1.0), lambda);
    (simd.mul_f32s(v, inverse), simd.mul_f32s(simd.sub_f32s(v, lambda), inverse))
}

#[derive(Clone, Copy)]
pub(crate) struct Beta(pub(crate) f32);

impl Fields for Beta {
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        let v = if self.0 <= 0.0 { simd.max_f32s(v, simd.splat_f32s(MODEL_FLOOR as f32)) } else { v };
        let q = tile::each(simd, lambda, |lambda| lambda.powf(self.0 - 1.0));
        (simd.mul_f32s(v, simd.div_f32s(q, lambda)), q)
    }

    #[inline(always)]
    fn cost<S: Simd>(self, _: S, v: S::f32s, lambda: S::f32s) -> S::f32s {
        let divergence = Divergence::Beta(f64::from(self.0));
        // The floor of f32 is a slightly different number in f64, and β ≤ 0 is sensitive to the difference.
        let cost = |v, lambda| divergence.cost(f64::from(v), f64::from(lambda).max(MODEL_FLOOR));
        tile::each_two(v, lambda, |v, lambda| cost(v, lambda) as f32)
    }
}

/// Evaluates `$call` with `$fields` bound to the [`Fields`] of a divergence.
macro_rules! with_fields {
    ($divergence:expr, |$fields:ident| $call:expr) => {
        match $divergence {
            Divergence::Euclidean => {
                let $fields = fields::Euclidean;
                $call
            }
            Divergence::KullbackLeibler => {
                let $fields = fields::KullbackLeibler;
                $call
            }
            Divergence::ItakuraSaito => {
                let $fields = fields::ItakuraSaito;
                $call
            }
            Divergence::Beta(beta) => {
                let $fields = fields::Beta(beta as f32);
                $call
            }
        }
    };
}
pub(crate) use with_fields;
