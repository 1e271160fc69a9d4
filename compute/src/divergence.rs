//! The costs d(v|λ) between data and model, and the terms of their multiplicative updates.
//!
//! Every update replaces a factor X by X ∘ (N / D)^γ. N and D back-project two fields of the data V and the model Λ =
//! WH: P(v, λ) and Q(v, λ), with ∂d/∂λ = Q − P.
//!
//! | divergence | d(v\|λ) | P | Q |
//! |---|---|---|---|
//! | EU | (v − λ)² / 2 | v | λ |
//! | KL | v log(v/λ) − v + λ | v/λ | 1 |
//! | IS | v/λ − log(v/λ) − 1 | v/λ² | 1/λ |
//! | β | (v^β + (β−1) λ^β − β v λ^(β−1)) / (β(β−1)) | v λ^(β−2) | λ^(β−1) |
//! | t | −log r + (ν+2)/2 log((ν+2r)/(ν+2)) | ζ v/λ², ζ = (ν+2)/(ν+2r) | 1/λ |
//! | GGD | −log r + (2/β) (r^(β/2) − 1) | ζ v/λ², ζ = r^((β−2)/2) | 1/λ |
//! | learned | −log r + ∫ ζ from 1 to r | ζ v/λ² | 1/λ |
//!
//! The last three are costs of a density (see [`crate::weight`]), with r = v/λ. r is floored at 1e-12, and a v below 1e-12
//! counts as 1e-12 in a term −log v, which is the same for all models.
//!
//! These functions compute in f64, for the reference engine and the host. `kernels/products/cpu/` has the CPU
//! engine's vector forms, `shaders/divergence/` the shaders'. Tests compare all three.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::weight::{Origin, RATIO_FLOOR, Weight};
use crate::{Error, Result};

/// Floor on the model Λ, and on the data of divergences that are infinite at zero. It supposes data near 1.
pub const MODEL_FLOOR: f64 = 1e-12;
/// Floor on the denominator of a multiplicative ratio. It makes 0/0 zero: a dead component stays dead and never becomes
/// NaN.
pub const DENOMINATOR_FLOOR: f64 = 1e-30;

/// The cost between a nonnegative datum v and its model λ > 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Divergence {
    /// Half the squared Euclidean distance (β = 2).
    Euclidean,
    /// The generalized Kullback-Leibler divergence (β = 1).
    KullbackLeibler,
    /// The Itakura-Saito divergence (β = 0), which fits power spectrograms of complex Gaussian sources.
    ItakuraSaito,
    /// Any other β-divergence. Use [`Divergence::beta`] to make one: it checks the range of β and returns the named
    /// cases.
    Beta(f64),
    /// The negative log likelihood of complex spectra under a density: Student's t, a generalized Gaussian, or one that is
    /// learned. With heavy tails, cells far above the model have less weight. Use [`Divergence::student`],
    /// [`Divergence::generalized_gaussian`] or [`Divergence::learned`] to make one.
    Density(Arc<Weight>),
}

impl Divergence {
    /// The β-divergence for this β. 2, 1 and 0 give the named cases.
    ///
    /// # Errors
    /// [`Error::Input`] for β outside [−1, 4]: there λ^(β−2) or λ^β of ordinary data leaves the range of f32.
    pub fn beta(beta: f64) -> Result<Self> {
        if !(-1.0..=4.0).contains(&beta) {
            return Err(Error::input(format!("divergence beta:{beta}: β must be between -1 and 4")));
        }
        Ok(match beta {
            2.0 => Self::Euclidean,
            1.0 => Self::KullbackLeibler,
            0.0 => Self::ItakuraSaito,
            _ => Self::Beta(beta),
        })
    }

    /// The cost of Student's t with ν degrees of freedom (Yoshii, Itoyama & Goto 2016). ν = 1 is Cauchy's; ν → ∞ is
    /// Itakura-Saito.
    ///
    /// # Errors
    /// [`Error::Input`] for ν outside [0.001, 1e6].
    pub fn student(nu: f64) -> Result<Self> {
        Ok(Self::Density(Arc::new(Weight::student(nu)?)))
    }

    /// The cost of the generalized Gaussian of shape β (Kitamura 2019). β = 2 is Itakura-Saito; a smaller β has heavier tails.
    ///
    /// # Errors
    /// [`Error::Input`] for β outside [0.01, 2]: beyond 2, updates may raise the objective.
    pub fn generalized_gaussian(beta: f64) -> Result<Self> {
        Ok(Self::Density(Arc::new(Weight::generalized_gaussian(beta)?)))
    }

    /// The cost of a weight that is learned (Tanji & Murakami 2021).
    pub fn learned(weight: Weight) -> Self {
        Self::Density(Arc::new(weight))
    }

    /// The β by which the cost grows when data and model are scaled: d(s v | s λ) = s^β d(v|λ). The costs of densities have
    /// 0, as Itakura-Saito.
    pub fn exponent_beta(&self) -> f64 {
        match self {
            Self::Euclidean => 2.0,
            Self::KullbackLeibler => 1.0,
            Self::ItakuraSaito | Self::Density(_) => 0.0,
            &Self::Beta(beta) => beta,
        }
    }

    /// The weight of a density; None for other divergences.
    pub fn weight(&self) -> Option<&Weight> {
        if let Self::Density(weight) = self { Some(weight) } else { None }
    }

    /// The number that a divergence of a family has: β, or ν of Student's t; 0 without one.
    pub fn parameter(&self) -> f64 {
        match self {
            Self::Density(weight) => match weight.origin() {
                Origin::Student(parameter) | Origin::GeneralizedGaussian(parameter) => parameter,
                Origin::Learned => 0.0,
            },
            other => other.exponent_beta(),
        }
    }

    /// The exponent γ that makes the update a majorization-minimization step at every β (Févotte & Idier 2011). For 0 ≤
    /// β ≤ 2, γ = 1 is monotone too, and faster.
    pub fn majorizing_exponent(&self) -> f64 {
        match self.exponent_beta() {
            beta if beta < 1.0 => 1.0 / (2.0 - beta),
            beta if beta > 2.0 => 1.0 / (beta - 1.0),
            _ => 1.0,
        }
    }

    /// The default exponent γ: 1 where it is monotone (0 ≤ β ≤ 2), the majorizing exponent elsewhere.
    pub fn default_exponent(&self) -> f64 {
        if (0.0..=2.0).contains(&self.exponent_beta()) { 1.0 } else { self.majorizing_exponent() }
    }

    /// The exponents (a, b) with which the joint update weights the gains in the sums of the bases: H̃ ∘ (H/H̃)^a
    /// beside P and H̃ ∘ (H/H̃)^b beside Q (see [`crate::kernels::Products::update_both`]).
    ///
    /// The exponent is β − 1 for P and β for Q if that part of the cost is convex in λ and is split over the
    /// components. It is 1 if that part is concave and is replaced by its tangent.
    pub fn joint_exponents(&self) -> (f64, f64) {
        let beta = self.exponent_beta();
        (if beta < 2.0 { beta - 1.0 } else { 1.0 }, if beta > 1.0 { beta } else { 1.0 })
    }

    /// Whether a zero datum has infinite cost (β ≤ 0). Such divergences floor the data at [`MODEL_FLOOR`]. Costs of densities
    /// floor r instead.
    pub fn floors_data(&self) -> bool {
        matches!(self, Self::ItakuraSaito) || matches!(self, &Self::Beta(beta) if beta <= 0.0)
    }

    /// The datum v after flooring, as the cost and the updates use it.
    pub fn data(&self, v: f64) -> f64 {
        if self.floors_data() { v.max(MODEL_FLOOR) } else { v }
    }

    /// P(v, λ), the negative part of ∂d/∂λ. λ must be floored already.
    pub fn numerator(&self, v: f64, lambda: f64) -> f64 {
        let v = self.data(v);
        match self {
            Self::Euclidean => v,
            Self::KullbackLeibler => v / lambda,
            Self::ItakuraSaito => v / lambda / lambda,
            &Self::Beta(beta) => v * lambda.powf(beta - 2.0),
            Self::Density(weight) => weight.zeta(v / lambda) * v / lambda / lambda,
        }
    }

    /// Q(v, λ), the positive part of ∂d/∂λ. λ must be floored already.
    pub fn denominator(&self, _v: f64, lambda: f64) -> f64 {
        match self {
            Self::Euclidean => lambda,
            Self::KullbackLeibler => 1.0,
            &Self::Beta(beta) => lambda.powf(beta - 1.0),
            Self::ItakuraSaito | Self::Density(_) => 1.0 / lambda,
        }
    }

    /// The cost d(v|λ), which is 0 at λ = v, and nonnegative unless it is learned. λ must be floored already.
    pub fn cost(&self, v: f64, lambda: f64) -> f64 {
        let v = self.data(v);
        // Near a perfect fit, the logarithm of the rounded quotient v/λ has no correct digit left; log1p has.
        let log_ratio = || {
            let excess = (v - lambda) / lambda;
            if excess.abs() < 0.5 { excess.ln_1p() } else { (v / lambda).ln() }
        };
        // Of a density: −log(max(v, 1e-12)/λ) beside the integral of ζ up to r.
        let r = (v / lambda).max(RATIO_FLOOR);
        let is_seen = v >= MODEL_FLOOR && v / lambda >= RATIO_FLOOR;
        let log_r = || if is_seen { log_ratio() } else { r.ln() };
        let missing = || if is_seen { 0.0 } else { (r * lambda / v.max(MODEL_FLOOR)).ln() };
        match self {
            Self::Euclidean => 0.5 * (v - lambda) * (v - lambda),
            Self::KullbackLeibler if v == 0.0 => lambda,
            Self::KullbackLeibler => v * log_ratio() - (v - lambda),
            Self::ItakuraSaito => (v - lambda) / lambda - log_ratio(),
            &Self::Beta(beta) => {
                (v.powf(beta) + (beta - 1.0) * lambda.powf(beta) - beta * v * lambda.powf(beta - 1.0))
                    / (beta * (beta - 1.0))
            }
            Self::Density(weight) => {
                missing()
                    + match weight.origin() {
                        Origin::Student(nu) => {
                            // (ν + 2r)/(ν + 2) = 1 + 2 (r − 1)/(ν + 2)
                            let excess = if is_seen { (v - lambda) / lambda } else { r - 1.0 };
                            0.5 * (nu + 2.0) * (2.0 * excess / (nu + 2.0)).ln_1p() - log_r()
                        }
                        Origin::GeneralizedGaussian(beta) => 2.0 / beta * (0.5 * beta * log_r()).exp_m1() - log_r(),
                        Origin::Learned => weight.cost().exact(r),
                    }
            }
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Euclidean => f.write_str("eu"),
            Self::KullbackLeibler => f.write_str("kl"),
            Self::ItakuraSaito => f.write_str("is"),
            Self::Beta(beta) => write!(f, "beta:{beta}"),
            Self::Density(weight) => match weight.origin() {
                Origin::Student(nu) => write!(f, "t:{nu}"),
                Origin::GeneralizedGaussian(beta) => write!(f, "ggd:{beta}"),
                Origin::Learned => f.write_str("learned"),
            },
        }
    }
}

impl FromStr for Divergence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "eu" => Ok(Self::Euclidean),
            "kl" => Ok(Self::KullbackLeibler),
            "is" => Ok(Self::ItakuraSaito),
            _ => match text.split_once(':').map(|(family, number)| (family, number.parse())) {
                Some(("beta", Ok(beta))) => Self::beta(beta),
                Some(("t", Ok(nu))) => Self::student(nu),
                Some(("ggd", Ok(beta))) => Self::generalized_gaussian(beta),
                _ => Err(Error::input(format!("divergence '{text}' is unknown; use eu, kl, is, beta:B, t:N or ggd:B"))),
            },
        }
    }
}

/// All divergences, for tests that must cover each.
///
/// # Panics
/// Never: all of them exist.
#[cfg(any(test, feature = "testing"))]
pub fn all() -> Vec<Divergence> {
    let named = [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito];
    let beta = [0.5, 1.5, 3.0, -1.0, -0.5].map(Divergence::Beta);
    let densities = ["t:0.73", "t:4", "ggd:0.5"].map(|text| text.parse().expect("a divergence"));
    named.into_iter().chain(beta).chain(densities).chain([bent()]).collect()
}

/// A learned divergence, for tests: its weight bends twice.
///
/// # Panics
/// Never: its weight has a table.
#[cfg(any(test, feature = "testing"))]
pub fn bent() -> Divergence {
    static BENT: std::sync::LazyLock<Divergence> = std::sync::LazyLock::new(make_bent);
    BENT.clone()
}

#[cfg(any(test, feature = "testing"))]
fn make_bent() -> Divergence {
    let curve = |r: f64| {
        let u = r.ln();
        [0.3 - 0.3 * (0.5 * u).sin() - 0.3 * u, -0.15 * (0.5 * u).cos() - 0.3]
    };
    Divergence::learned(Weight::new(curve).expect("a smooth weight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_of_the_cost_is_q_minus_p() {
        for divergence in all() {
            for v in [0.0, 1e-3, 0.2, 1.0, 7.5, 1e3] {
                for lambda in [1e-2, 0.3, 1.0, 4.0, 250.0] {
                    let step = 1e-5 * lambda;
                    let rise = divergence.cost(v, lambda + step) - divergence.cost(v, lambda - step);
                    let slope = rise / (2.0 * step);
                    let (p, q) = (divergence.numerator(v, lambda), divergence.denominator(v, lambda));
                    // The rounding of the costs, divided by the step, limits this finite difference. A learned cost is an
                    // integral of cubics.
                    let exact = if divergence == bent() { 1e-5 } else { 1e-8 };
                    let bound = exact * (q + p) + 4e-16 * divergence.cost(v, lambda).abs() / step;
                    assert!((slope - (q - p)).abs() < bound, "{divergence}, v {v}, λ {lambda}: {slope} not {}", q - p);
                }
            }
        }
    }

    #[test]
    fn cost_is_zero_only_at_a_perfect_fit() {
        // Except one that is learned.
        for divergence in all().into_iter().filter(|divergence| *divergence != bent()) {
            for v in [1e-6, 0.5, 1.0, 3e4] {
                let scale = divergence.cost(v, 2.0 * v);
                assert!(scale > 0.0, "{divergence} at v {v}");
                assert!(divergence.cost(v, v).abs() <= 1e-14 * scale, "{divergence} at v {v}");
            }
        }
    }

    #[test]
    fn cost_keeps_its_digits_near_a_perfect_fit() {
        // With λ = v(1 − x) exactly, d_IS = x²/2 + 2x³/3 + … and d_KL = v(x²/2 + x³/6 + …).
        for x in [1e-4, 1e-6, 1e-7] {
            let (v, lambda) = (1.0, 1.0 - x);
            let is = Divergence::ItakuraSaito.cost(v, lambda) / (x * x / 2.0);
            let kl = Divergence::KullbackLeibler.cost(v, lambda) / (x * x / 2.0);
            assert!((is - 1.0).abs() < 4.0 * x + 1e-15 / (x * x), "IS at {x}: {is}");
            assert!((kl - 1.0).abs() < 4.0 * x + 1e-15 / (x * x), "KL at {x}: {kl}");
        }
    }

    #[test]
    fn costs_equal_hand_computed_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        near(Divergence::Euclidean.cost(3.0, 1.0), 2.0);
        near(Divergence::KullbackLeibler.cost(2.0, 1.0), 2.0 * 2f64.ln() - 1.0);
        near(Divergence::KullbackLeibler.cost(0.0, 0.7), 0.7);
        near(Divergence::ItakuraSaito.cost(2.0, 1.0), 1.0 - 2f64.ln());
        near(Divergence::ItakuraSaito.cost(0.0, 1.0), 1e-12 - 1e-12f64.ln() - 1.0);
        near(Divergence::Beta(3.0).cost(2.0, 1.0), (8.0 + 2.0 - 6.0) / 6.0);
        near(Divergence::Beta(0.5).cost(4.0, 1.0), (2.0 - 0.5 - 2.0) / -0.25);
    }

    #[test]
    fn beta_equals_the_named_cases_at_2_1_and_0() {
        for (named, beta) in
            [(Divergence::Euclidean, 2.0), (Divergence::KullbackLeibler, 1.0), (Divergence::ItakuraSaito, 0.0)]
        {
            assert_eq!(Divergence::beta(beta).unwrap(), named);
            let close = Divergence::beta(beta + 1e-6).unwrap();
            for (v, lambda) in [(0.5, 2.0), (3.0, 0.4)] {
                assert!((named.cost(v, lambda) - close.cost(v, lambda)).abs() < 1e-4 * named.cost(v, lambda));
                assert!((named.numerator(v, lambda) / close.numerator(v, lambda) - 1.0).abs() < 1e-5);
                assert!((named.denominator(v, lambda) / close.denominator(v, lambda) - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_displayed_divergence_parses_back() {
        for divergence in all().into_iter().filter(|divergence| divergence.to_string() != "learned") {
            assert_eq!(divergence.to_string().parse::<Divergence>().unwrap(), divergence);
        }
        for bad in [
            "",
            "IS",
            "beta",
            "beta:",
            "beta:x",
            "beta:nan",
            "beta:-1.5",
            "beta:9",
            "itakura",
            "t",
            "t:0",
            "t:-1",
            "ggd:0",
            "ggd:2.5",
            "learned",
        ] {
            assert!(bad.parse::<Divergence>().is_err(), "{bad} was accepted");
        }
    }
}
