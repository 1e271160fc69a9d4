//! The moments of posteriors on vectors.

use pulp::Simd;

use super::super::{Gig, QUOTIENT_CEILING};
use crate::engine::{Cpu, math, tile};
use crate::kernels::tables::{View, known};

/// The functions of posteriors under a prior Gamma(p, p).
pub(super) struct Moments<'a, S: Simd> {
    ratio: View<'a>,
    level: View<'a>,
    p: S::f32s,
    /// log p
    log_p: S::f32s,
    /// D at z = 0.
    at_zero: S::f32s,
    /// Whether B is (z/2) T, and not (z/2)/T.
    rises: bool,
}

impl<'a, S: Simd> Moments<'a, S> {
    #[inline(always)]
    pub(super) fn new(simd: S, gig: &'a Gig<Cpu>) -> Self {
        Self {
            ratio: gig.ratio.view(),
            level: gig.level.view(),
            p: simd.splat_f32s(gig.shape as f32),
            log_p: simd.splat_f32s(gig.shape.ln() as f32),
            at_zero: simd.splat_f32s((gig.shape - 1.0).max(0.0) as f32),
            rises: gig.shape >= 0.5,
        }
    }

    /// The mean, the harmonic mean and the term of GIG(I² n, p + d, p). See `gig.rs`.
    #[inline(always)]
    pub(super) fn of(&self, simd: S, n: S::f32s, d: S::f32s, harmonic: S::f32s) -> (S::f32s, S::f32s, S::f32s) {
        let most = simd.splat_f32s(QUOTIENT_CEILING as f32);
        // I (I n), because I² may be too small for f32.
        let tau = simd.mul_f32s(harmonic, simd.min_f32s(n, most));
        let tau = simd.min_f32s(simd.mul_f32s(harmonic, tau), most);
        let rho = simd.min_f32s(simd.add_f32s(self.p, d), most);
        let half = simd.mul_f32s(simd.sqrt_f32s(rho), simd.sqrt_f32s(tau));
        let z = known(simd, simd.add_f32s(half, half));
        let (ratio, level) = (self.ratio.at(simd, &z), self.level.at(simd, &z));
        let (with, against) = (simd.mul_f32s(half, ratio), simd.div_f32s(half, ratio));
        let (zero, empty) = (simd.splat_f32s(0.0), simd.equal_f32s(half, simd.splat_f32s(0.0)));
        let (b, d) = if self.rises { (with, against) } else { (against, with) };
        let (b, d) = (simd.select_f32s(empty, zero, b), simd.select_f32s(empty, self.at_zero, d));
        let inverse = simd.div_f32s(simd.splat_f32s(1.0), rho);
        let mean = simd.mul_f32s(simd.add_f32s(self.p, b), inverse);
        // G − p (log(ρ/p) + E − 1)
        let excess = simd.sub_f32s(mean, simd.splat_f32s(1.0));
        let spread = simd.add_f32s(simd.sub_f32s(math::ln(simd, rho), self.log_p), excess);
        let term = tile::multiply_add(simd, tile::negate(simd, self.p), spread, level);
        (mean, simd.mul_f32s(d, inverse), term)
    }
}
