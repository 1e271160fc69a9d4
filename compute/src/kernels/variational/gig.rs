//! The moments of a generalized inverse Gaussian in f64, by quadrature.
//!
//! GIG(y; τ, ρ, p) ∝ y^(p−1) exp(−ρ y − τ/y) has, with z = 2 √ρ √τ and the Bessel function K,
//!
//! - E\[y\] = A/ρ with A = (z/2) K_{p+1}(z)/K_p(z)
//! - 1/E\[1/y\] = D/ρ with D = (z/2) K_p(z)/K_{p−1}(z)
//!
//! Let B = (z/2) K_{p−1}(z)/K_p(z), so that B D = z²/4. The recurrence of K gives A = B + p exactly. One ratio of two K has
//! both: T(z) = K_{q−1}/K_q with q = max(p, 1 − p), which rises from 0 to 1. B = (z/2) T and D = (z/2)/T if p ≥ 1/2, and
//! the other way round if p < 1/2, because K_{p−1} = K_{1−p}.
//!
//! The term of an element in the lower bound is E log Gamma(y; p, p) − E log GIG(y) = G(z) − p log(ρ/p) − p (E\[y\] − 1) with
//!
//! G(z) = A + B + log K_p(z) + p log z − (log Γ(p) + (p − 1) log 2 + p).
//!
//! G is 0 at z = 0, monotone, and (p − 1/2) log z + constant for large z. A + B − z and log K_p + z are computed as such,
//! because both sums cancel for large z.
//!
//! **Quadrature.** K_p(z) e^z = ∫ exp(−z (cosh u − 1)) cosh(pu) du over u > 0. All that is needed are means under this
//! weight. The trapezoid rule converges geometrically, because the weight is even and analytic. All terms are positive.

/// The step, and the step in widths of the weight's peak.
const STEP: f64 = 0.25;
const STEP_IN_WIDTHS: f64 = 0.45;
/// Terms that are smaller than this share of those at the peak are left out.
const SHARE: f64 = 1e-22;

/// ∫ w r du for w = exp(−z (cosh u − 1)) cosh(pu) and r = 1, cosh((p−1) u)/cosh(pu), and cosh u − 1. All are divided by
/// e^log.
struct Integrals {
    plain: f64,
    ratio: f64,
    level: f64,
    log: f64,
}

/// cosh u − 1, given e^u.
fn cosh_less(u: f64, power: f64) -> f64 {
    // Only the first form has all digits for small u, and only the second is fast.
    if u < 0.5 { 2.0 * (0.5 * u).sinh().powi(2) } else { 0.5 * (power + power.recip()) - 1.0 }
}

fn integrate(p: f64, z: f64) -> Integrals {
    let peak = (p / z).asinh();
    let step = STEP.min(STEP_IN_WIDTHS / z.hypot(p).sqrt());
    let log = p * peak - z * cosh_less(peak, peak.exp());
    // The terms without the step. cosh(pu) = e^pu (1 + e^-2pu)/2, and alike for p − 1.
    let terms = |u: f64| {
        let (power, fold) = (u.exp(), (-2.0 * p * u).exp());
        let less = cosh_less(u, power);
        let half = 0.5 * (p * u - z * less - log).exp();
        let plain = half * (1.0 + fold);
        [plain, half * (power.recip() + power * fold), plain * less]
    };
    let least = terms(peak).map(|term| SHARE * term);
    let mut sums = [0.0; 3];
    let mut add = |index: f64| {
        let terms = terms(index * step);
        // The rule on the whole line counts u = 0 once, and all other u twice.
        let weight = if index == 0.0 { 0.5 } else { 1.0 };
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += weight * term);
        terms[0] > least[0] || terms[1] > least[1]
    };
    let middle = (peak / step).floor();
    let mut index = middle;
    while index >= 0.0 && add(index) {
        index -= 1.0;
    }
    index = middle + 1.0;
    while add(index) {
        index += 1.0;
    }
    let [plain, ratio, level] = sums.map(|sum| sum * step);
    Integrals { plain, ratio, level, log }
}

impl Integrals {
    /// K_{p−1}/K_p
    fn ratio(&self) -> f64 {
        self.ratio / self.plain
    }

    /// G
    fn level(&self, p: f64, z: f64) -> f64 {
        let at_zero = log_gamma(p) + (p - 1.0) * std::f64::consts::LN_2 + p;
        z * self.level / self.plain + self.log + self.plain.ln() + p * z.ln() - at_zero
    }
}

/// T(z) = K_{q−1}(z)/K_q(z), q = max(p, 1 − p), for z > 0.
pub(super) fn ratio(p: f64, z: f64) -> f64 {
    let ratio = integrate(p, z).ratio();
    if p >= 0.5 { ratio } else { ratio.recip() }
}

/// G(z) for z > 0.
pub(super) fn level(p: f64, z: f64) -> f64 {
    integrate(p, z).level(p, z)
}

/// log Γ(x) for x > 0: Stirling's series, after the recurrence.
fn log_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    let mut log = 0.0;
    while x < 12.0 {
        product *= x;
        x += 1.0;
    }
    log -= f64::ln(product);
    let inverse = 1.0 / (x * x);
    let series = [-691.0 / 360_360.0, 1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0];
    let series = series.into_iter().fold(0.0, |sum, term| sum * inverse + term) / x;
    log + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

/// The posterior of an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// E\[y\]
    pub mean: f64,
    /// 1/E\[1/y\]
    pub harmonic: f64,
    /// E log Gamma(y; p, p) − E log GIG(y)
    pub term: f64,
    /// log ∫ y^(p−1) exp(−ρ y − τ/y) dy
    pub log_normalizer: f64,
}

/// GIG(τ, ρ, p) in f64, for τ ≥ 0, ρ > 0 and p > 0. With τ = 0 it is Gamma(p, ρ).
///
/// ```
/// let of_gamma = partwise_compute::kernels::variational::posterior(0.0, 2.0, 3.0);
/// assert_eq!((of_gamma.mean, of_gamma.harmonic), (1.5, 1.0));
/// ```
pub fn posterior(tau: f64, rho: f64, p: f64) -> Posterior {
    let z = 2.0 * rho.sqrt() * tau.sqrt();
    let (b, d, level) = if z > 0.0 {
        let integrals = integrate(p, z);
        let ratio = integrals.ratio();
        (0.5 * z * ratio, 0.5 * z / ratio, integrals.level(p, z))
    } else {
        (0.0, (p - 1.0).max(0.0), 0.0)
    };
    let mean = (b + p) / rho;
    Posterior {
        mean,
        harmonic: d / rho,
        term: level - p * (rho / p).ln() - p * (mean - 1.0),
        log_normalizer: level - 2.0 * b - p * rho.ln() + log_gamma(p),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// p, z, T and G, computed with 40 digits.
    #[rustfmt::skip]
    const KNOWN: [(f64, f64, f64, f64); 22] = [
            (0.2, 1e-9, 1.0354544244004054e-5, -0.00014483479073235233),
            (0.2, 0.001, 0.03873309789596937, -0.03673027749399218),
            (0.2, 0.7, 0.7549346203864253, -0.5092178308588952),
            (0.2, 50.0, 0.9940764822020272, -1.6215003014941385),
            (0.5, 1e-6, 1.0, 0.0),
            (0.5, 3.0, 1.0, 0.0),
            (0.8, 1e-5, 0.0025765719323591115, 9.630894876289073e-9),
            (0.8, 2.0, 0.8837283497663003, 0.2679506696207362),
            (1.0, 1e-10, 2.314178244559887e-9, 1.1320891222799436e-19),
            (1.0, 0.5, 0.5580754184765854, 0.09056192598299853),
            (1.0, 10000.0, 0.9999500037496251, 4.331036533008475),
            (1.5, 0.001, 0.000999000999000999, 4.993340825341659e-7),
            (1.5, 8.0, 0.8888888888888888, 1.3083356884473305),
            (7.0, 0.0001, 8.333333332638889e-6, 4.1666666661458335e-10),
            (7.0, 7.0, 0.45116489981128605, 1.3885179634672935),
            (7.0, 100000.0, 0.9999350024374756, 57.82216007592484),
            (200.0, 1.0, 0.002512546872425454, 0.001256269450818446),
            (200.0, 300.0, 0.5363380326234799, 67.5436417078099),
            (0.001, 1e-8, 1.8884503680551827e-7, -3.2603861774203233),
            (0.001, 2.0, 0.8146393837064466, -5.931445666053341),
            (1000.0, 1e-6, 5.005005005005004e-10, 2.5025025025025022e-16),
            (1000.0, 500.0, 0.23626811170381343, 57.38534917756122),
    ];

    #[test]
    fn ratios_and_levels_equal_those_of_forty_digits() {
        for (p, z, t, g) in KNOWN {
            let (got, level) = (ratio(p, z), level(p, z));
            assert!((got / t - 1.0).abs() < 1e-13, "T({p}, {z}): {got} is not {t}");
            // G is a difference of numbers as large as p log z and log Γ(p).
            let scale = 1.0 + p * (p.max(1.0).ln() + z.ln().abs());
            assert!((level - g).abs() < 3e-14 * scale, "G({p}, {z}): {level} is not {g}");
        }
    }

    #[test]
    fn log_gamma_equals_logarithms_of_factorials_and_of_roots_of_pi() {
        let pi = std::f64::consts::PI;
        for (x, gamma) in [(1.0, 1.0), (2.0, 1.0), (5.0, 24.0), (0.5, pi.sqrt()), (13.0, 479_001_600.0)] {
            assert!((log_gamma(x) - f64::ln(gamma)).abs() < 1e-14 * (1.0 + gamma.ln()), "{x}: {}", log_gamma(x));
        }
        assert!((log_gamma(1e-3) - 6.907_178_885_383_854).abs() < 1e-13);
    }

    #[test]
    fn posteriors_equal_hand_computed_ones() {
        // p = 1/2 has a closed form: E[y] = √(τ/ρ) (1 + 1/z), E[1/y] = √(ρ/τ). Here z = 4.
        let Posterior { mean, harmonic, term, log_normalizer } = posterior(2.0, 2.0, 0.5);
        assert!((mean - 1.25).abs() < 1e-14 && (harmonic - 1.0).abs() < 1e-14, "{mean} {harmonic}");
        assert!((term - (-0.5 * 4f64.ln() - 0.125)).abs() < 1e-14, "{term}");
        // √(π/ρ) exp(−z)
        assert!((log_normalizer - (0.5 * f64::ln(0.5 * std::f64::consts::PI) - 4.0)).abs() < 1e-14, "{log_normalizer}");
        // Gamma(3, 2) under Gamma(3, 3): 3 log 3 - 3 log 2 - 3 (3/2 - 1).
        let Posterior { mean, harmonic, term, log_normalizer } = posterior(0.0, 2.0, 3.0);
        assert_eq!((mean, harmonic), (1.5, 1.0));
        assert!((term - (3.0 * 1.5f64.ln() - 1.5)).abs() < 1e-14, "{term}");
        assert!((log_normalizer - f64::ln(2.0 / 8.0)).abs() < 1e-14, "{log_normalizer}");
        // The prior itself.
        let Posterior { mean, harmonic, term, .. } = posterior(0.0, 0.7, 0.7);
        assert_eq!((mean, harmonic, term), (1.0, 0.0, 0.0));
    }

    #[test]
    fn moments_are_finite_at_all_extremes() {
        for p in [1e-4, 0.2, 0.5, 1.0, 3.0, 1e4] {
            for tau in [0.0, 1e-300, 1e-38, 1e-12, 1.0, 1e12, 1e38] {
                for rho in [1e-4, 1.0, 1e12, 1e38] {
                    let of = posterior(tau, rho, p);
                    assert!(
                        of.mean.is_finite() && of.harmonic.is_finite() && of.term.is_finite(),
                        "{tau} {rho} {p} {of:?}"
                    );
                    // The harmonic mean is below the mean, and no divergence is negative.
                    assert!(
                        0.0 <= of.harmonic
                            && of.harmonic <= of.mean * (1.0 + 1e-14)
                            && of.term < 1e-9 * (1.0 + of.mean),
                        "{tau} {rho} {p} {of:?}"
                    );
                }
            }
        }
    }
}
