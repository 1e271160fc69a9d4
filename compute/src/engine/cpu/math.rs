//! Logarithms, exponentials and powers of f32 vectors.
//!
//! Each function reduces the range by the bits of the number and then evaluates a polynomial (coefficients from Cephes,
//! S. L. Moshier). Valid for positive normal numbers, with a relative error below 2e-7.

use pulp::Simd;

use super::tile::multiply_add;

/// The bits of √½, and their distance from the bits of 1.
const HALF_ROOT: u32 = 0x3f35_04f3;
const ONE: u32 = 0x3f80_0000;
const MANTISSA: u32 = 0x007f_ffff;
/// 2²³. An integer below it, stored in the mantissa, reads as 2²³ + the integer.
const INTEGER: f32 = 8_388_608.0;

/// Σ_i c_i x^i, highest power first.
#[inline(always)]
fn horner<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = multiply_add(simd, sum, x, simd.splat_f32s(c));
    }
    sum
}

/// x = m 2^e with m in [√½, √2): (m − 1, e).
#[inline(always)]
fn split<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let splat = |bits: u32| simd.splat_u32s(bits);
    let shifted = simd.add_u32s(simd.transmute_u32s_f32s(x), splat(ONE - HALF_ROOT));
    let exponent = simd.wrapping_dyn_shr_u32s(shifted, splat(23));
    let exponent = simd.transmute_f32s_u32s(simd.or_u32s(exponent, splat(INTEGER.to_bits())));
    let mantissa = simd.add_u32s(simd.and_u32s(shifted, splat(MANTISSA)), splat(HALF_ROOT));
    let excess = simd.sub_f32s(simd.transmute_f32s_u32s(mantissa), simd.splat_f32s(1.0));
    (excess, simd.sub_f32s(exponent, simd.splat_f32s(INTEGER + 127.0)))
}

/// log(1 + x) − x + x²/2 for 1 + x in [√½, √2).
#[inline(always)]
fn ln_rest<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let series = horner(
        simd,
        x,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            0.333_333_3,
        ],
    );
    simd.mul_f32s(simd.mul_f32s(x, x), simd.mul_f32s(x, series))
}

/// log x
#[inline(always)]
pub(crate) fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (excess, exponent) = split(simd, x);
    let half = simd.splat_f32s(-0.5);
    let rest = multiply_add(simd, simd.mul_f32s(excess, excess), half, ln_rest(simd, excess));
    let ln = simd.add_f32s(excess, rest);
    multiply_add(simd, exponent, simd.splat_f32s(std::f32::consts::LN_2), ln)
}

/// 2^y for |y| < 126
#[inline(always)]
fn exp2<S: Simd>(simd: S, y: S::f32s) -> S::f32s {
    // Adding 1.5 · 2²³ rounds y to an integer, which is then in the lowest bits.
    let magic = simd.splat_f32s(1.5 * INTEGER);
    let rounded = simd.add_f32s(y, magic);
    let rest = simd.sub_f32s(y, simd.sub_f32s(rounded, magic));
    let power = horner(
        simd,
        rest,
        [1.535_336_6e-4, 1.339_887_5e-3, 9.618_437e-3, 5.550_332_4e-2, 2.402_264_7e-1, 6.931_472e-1, 1.0],
    );
    let scale = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), scale))
}

/// e^x for x < 87, at least 2^-100: products with smaller numbers would leave the normal range of f32, which made a
/// step of expectation-maximization take 1.7 times as long. The relative error grows as 1e-7 |x|.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let y = simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E));
    exp2(simd, simd.max_f32s(y, simd.splat_f32s(-100.0)))
}

/// x^y for results in 1e-37..1e37. The relative error grows as 1e-7 |y log x|.
#[inline(always)]
pub(crate) fn pow<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    let log2 = simd.mul_f32s(ln(simd, x), simd.splat_f32s(std::f32::consts::LOG2_E));
    let y = simd.mul_f32s(log2, y);
    exp2(simd, simd.min_f32s(simd.max_f32s(y, simd.splat_f32s(-125.0)), simd.splat_f32s(125.0)))
}

/// log r for x = r − 1, both given. Also log r − x near r = 1, computed without the cancellation of a subtraction.
#[inline(always)]
pub(crate) fn ln_and_less<S: Simd>(simd: S, r: S::f32s, x: S::f32s) -> (S::f32s, Less<S>) {
    let (excess, exponent) = split(simd, r);
    let near = simd.equal_f32s(exponent, simd.splat_f32s(0.0));
    let excess = simd.select_f32s(near, x, excess);
    let rest = multiply_add(simd, simd.mul_f32s(excess, excess), simd.splat_f32s(-0.5), ln_rest(simd, excess));
    let ln = multiply_add(simd, exponent, simd.splat_f32s(std::f32::consts::LN_2), simd.add_f32s(excess, rest));
    (ln, Less { near, rest })
}

/// log r − x for r near 1.
pub(crate) struct Less<S: Simd> {
    /// Where r is in [√½, √2).
    pub(crate) near: S::m32s,
    /// log r − x there; unspecified elsewhere.
    pub(crate) rest: S::f32s,
}

#[cfg(test)]
mod tests {
    use super::super::tile::{self, StripJob};
    use super::*;

    /// Applies a vector function to one number.
    struct On<'a, F>(F, &'a mut f32);

    trait Vector {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s;
    }

    impl<F: Vector> StripJob for On<'_, F> {
        fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(
            self,
            simd: S,
        ) {
            let y = self.0.of(simd, simd.splat_f32s(*self.1));
            let lanes: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&y));
            assert!(lanes.iter().all(|lane| lane.to_bits() == lanes[0].to_bits()));
            *self.1 = lanes[0];
        }
    }

    fn worst<F: Vector + Copy>(f: F, exact: impl Fn(f64) -> f64, numbers: impl Iterator<Item = f64>) -> f64 {
        let error = |x: f64| {
            let mut y = x as f32;
            tile::dispatch(On(f, &mut y));
            let expected = exact(f64::from(x as f32));
            ((f64::from(y) - expected) / expected.abs().max(1e-30)).abs()
        };
        numbers.map(error).fold(0.0, f64::max)
    }

    fn spread(low: f64, high: f64) -> impl Iterator<Item = f64> {
        (0..4001).map(move |i| (low.ln() + (high / low).ln() * f64::from(i) / 4000.0).exp())
    }

    #[derive(Clone, Copy)]
    struct Ln;
    impl Vector for Ln {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            ln(simd, x)
        }
    }

    #[derive(Clone, Copy)]
    struct Exp;
    impl Vector for Exp {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            exp(simd, x)
        }
    }

    #[derive(Clone, Copy)]
    struct Pow(f32);
    impl Vector for Pow {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            pow(simd, x, simd.splat_f32s(self.0))
        }
    }

    #[derive(Clone, Copy)]
    struct LnLess;
    impl Vector for LnLess {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            let (ln, Less { near, rest }) = ln_and_less(simd, simd.add_f32s(x, simd.splat_f32s(1.0)), x);
            simd.select_f32s(near, rest, simd.sub_f32s(ln, x))
        }
    }

    #[derive(Clone, Copy)]
    struct Inverse;
    impl Vector for Inverse {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            tile::inverse(simd, x)
        }
    }

    #[test]
    fn inverses_are_accurate() {
        assert!(worst(Inverse, f64::recip, spread(1e-30, 1e30)) < 2e-7);
    }

    #[test]
    fn logarithms_and_powers_are_accurate() {
        // Near 1 the error is relative to the logarithm itself, because nothing is subtracted.
        assert!(worst(Ln, f64::ln, spread(1e-37, 0.9999).chain(spread(1.0001, 1e37))) < 3e-7);
        for y in [0.9f32, -0.5, 0.25, 1.0] {
            let error = worst(Pow(y), |x| x.powf(f64::from(y)), spread(0.5, 2.0));
            assert!(error < 4e-7, "{y}: {error}");
        }
        assert!(worst(Exp, f64::exp, spread(1e-6, 1.0).chain(spread(1e-6, 1.0).map(|x| -x))) < 3e-7);
        assert!(worst(Exp, f64::exp, spread(1.0, 80.0).chain(spread(1.0, 69.0).map(|x| -x))) < 1e-5);
        assert!(worst(Exp, |_| 2f64.powi(-100), [-70.0, -1e30].into_iter()) < 1e-6);
        assert!(worst(Pow(-0.5), |x| x.powf(-0.5), spread(1e-30, 1e30)) < 1e-5);
        let both = || spread(1e-6, 30.0).chain(spread(1e-6, 0.99).map(|x| -x));
        assert!(worst(LnLess, |x| x.ln_1p() - x, both().filter(|x| x.abs() > 1e-3)) < 4e-6);
        assert!(worst(LnLess, |x| -0.5 * x * x + x * x * x / 3.0, both().filter(|x| x.abs() <= 1e-3)) < 1e-5);
    }
}
