//! P, Q and the costs of the divergences, on vectors.

use pulp::Simd;

use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::math::{self, Less};
use crate::engine::tile;
use crate::kernels::tables::View;
use crate::weight::{Origin, RATIO_FLOOR, SHARE_SCALE, Weight};

/// P and Q of a divergence on vectors. λ must be floored already.
pub(crate) trait Fields: Copy + Send + Sync {
    /// Whether Q is 1 everywhere. D is then a plain sum of the other factor, and its product is not formed.
    const UNIT_Q: bool = false;

    /// P and Q, or Q and that of which [`Fields::finish`] makes P.
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s);

    /// Makes P of what [`Fields::fields`] returned for many numbers, which are in memory by then.
    #[inline(always)]
    fn finish<S: Simd>(self, _: S, _p: &mut [S::f32s], _q: &[S::f32s]) {}

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

/// The cost of a density. g(r) = r ζ(r) is read from a table.
#[derive(Clone, Copy)]
pub(crate) struct Density<'a> {
    share: View<'a>,
    cost: DensityCost<'a>,
}

/// Where the cost is closed, it keeps its digits near a perfect fit.
#[derive(Clone, Copy)]
enum DensityCost<'a> {
    /// h = (ν + 2)/2
    Student(f32),
    /// β/2
    GeneralizedGaussian(f32),
    Learned(View<'a>),
}

impl<'a> Density<'a> {
    pub(crate) fn new(weight: &'a Weight) -> Self {
        let cost = match weight.origin() {
            Origin::Student(nu) => DensityCost::Student((0.5 * nu + 1.0) as f32),
            Origin::GeneralizedGaussian(beta) => DensityCost::GeneralizedGaussian((0.5 * beta) as f32),
            Origin::Learned => DensityCost::Learned(View::of(weight.cost())),
        };
        Self { share: View::of(weight.share()), cost }
    }
}

/// With x = r − 1: h log(1 + x/h) − log r. Near a perfect fit the terms x of both logarithms cancel.
#[inline(always)]
fn student_cost<S: Simd>(simd: S, h: f32, r: S::f32s, x: S::f32s) -> S::f32s {
    let y = simd.mul_f32s(x, simd.splat_f32s(1.0 / h));
    let (h, one) = (simd.splat_f32s(h), simd.splat_f32s(1.0));
    let (ln, less) = math::ln_and_less(simd, r, x);
    let (ln_y, less_y) = math::ln_and_less(simd, simd.add_f32s(one, y), y);
    let rest = simd.mul_f32s(h, less_y.rest);
    let first = simd.select_f32s(less_y.near, simd.add_f32s(x, rest), simd.mul_f32s(h, ln_y));
    simd.select_f32s(less.near, simd.sub_f32s(rest, less.rest), simd.sub_f32s(first, ln))
}

/// With u = β/2 log r: (e^u − 1 − u)/(β/2).
#[inline(always)]
fn generalized_gaussian_cost<S: Simd>(simd: S, half: f32, r: S::f32s, x: S::f32s) -> S::f32s {
    let (ln, less) = math::ln_and_less(simd, r, x);
    let ln = simd.select_f32s(less.near, simd.add_f32s(x, less.rest), ln);
    let u = simd.mul_f32s(ln, simd.splat_f32s(half));
    let one = simd.splat_f32s(1.0);
    let mut series = one;
    for m in (3..=10).rev() {
        let term = simd.mul_f32s(u, simd.splat_f32s(1.0 / m as f32));
        series = tile::multiply_add(simd, term, series, one);
    }
    let close = simd.mul_f32s(simd.mul_f32s(simd.mul_f32s(u, u), simd.splat_f32s(0.5)), series);
    let far = simd.sub_f32s(simd.sub_f32s(math::exp(simd, u), one), u);
    let near = simd.less_than_f32s(simd.abs_f32s(u), simd.splat_f32s(0.75));
    simd.mul_f32s(simd.select_f32s(near, close, far), simd.splat_f32s(1.0 / half))
}

impl Fields for Density<'_> {
    /// r as the table of g takes it, and Q.
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        let q = tile::inverse(simd, lambda);
        (simd.mul_f32s(simd.mul_f32s(v, q), simd.splat_f32s(SHARE_SCALE as f32)), q)
    }

    /// P = g/λ.
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, p: &mut [S::f32s], q: &[S::f32s]) {
        for (p, &q) in p.iter_mut().zip(q) {
            *p = simd.mul_f32s(self.share.at(simd, p), q);
        }
    }

    /// The cost at r, and log(r λ / v) where r or v is floored.
    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> S::f32s {
        let floor = simd.splat_f32s(RATIO_FLOOR as f32);
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let (exact, x) = ratio(simd, v, lambda);
        let r = simd.max_f32s(exact, floor);
        let x = simd.max_f32s(x, simd.sub_f32s(floor, one));
        let cost = match self.cost {
            DensityCost::Student(h) => student_cost(simd, h, r, x),
            DensityCost::GeneralizedGaussian(half) => generalized_gaussian_cost(simd, half, r, x),
            DensityCost::Learned(table) => table.at(simd, &r),
        };
        let known = simd.and_m32s(
            simd.greater_than_or_equal_f32s(v, floor),
            simd.greater_than_or_equal_f32s(v, simd.mul_f32s(floor, lambda)),
        );
        let missing = simd.div_f32s(simd.mul_f32s(r, lambda), simd.max_f32s(v, floor));
        simd.add_f32s(cost, simd.select_f32s(known, zero, math::ln(simd, missing)))
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
                let $fields = fields::Beta(*beta as f32);
                $call
            }
            Divergence::Density(weight) => {
                let $fields = fields::Density::new(weight);
                $call
            }
        }
    };
}
pub(crate) use with_fields;
