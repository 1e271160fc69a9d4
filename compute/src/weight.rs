//! The weight ζ of data in a cost that is given by a density: d(v|λ) = log λ − log f(v/λ), up to a number that depends on v
//! alone, with ζ = −f'/f.
//!
//! With r = v/λ, the fields of the updates are P = ζ(r) v/λ² and Q = 1/λ. So an update is that of Itakura-Saito for the data
//! ζ v: if ζ falls, a cell far above its model has less weight. ζ = 1 is Itakura-Saito itself.
//!
//! Tanji & Murakami, "Learning the Statistical Model of the NMF Using the Deep Multiplicative Update Algorithm with
//! Applications" (2021), equations (1) to (8). There Φ = log ζ is a network of log r (12). Kernels read g(r) = r ζ(r) from a
//! table, because P is g/λ, and because g rises by a power from 0 to 1 where ζ falls by one: a table follows that best.

use std::fmt;
use std::sync::Arc;

use crate::cubics::{Cubics, End, Integral};
use crate::{Error, Result};

/// The least r = v/λ. It bounds ζ(r) for silent data.
pub const RATIO_FLOOR: f64 = 1e-12;
/// The share is tabulated by r times this, a number near 1: then the floor of r is 2^-40, an edge of cells.
pub(crate) const SHARE_SCALE: f64 = 1.0 / ((1u64 << 40) as f64 * RATIO_FLOOR);
/// The most by which a table may miss Φ = log ζ, for r from 1e-12 to 1e12.
pub const ACCURACY: f64 = 1e-5;
/// Where the tables are compared with Φ: from 2^-40 to 2^40, so many times an octave.
const COMPARED: (std::ops::Range<i32>, i32) = (-40..40, 19);

/// [Φ, dΦ/d log r] at r.
type Curve = dyn Fn(f64) -> [f64; 2] + Send + Sync;

/// Where a weight comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin {
    /// Student's t with ν degrees of freedom.
    Student(f64),
    /// The generalized Gaussian of shape β.
    GeneralizedGaussian(f64),
    /// A curve that is learned.
    Learned,
}

/// A weight ζ(r), with the cost that it stands for.
pub struct Weight {
    origin: Origin,
    curve: Arc<Curve>,
    share: Cubics,
    slope: Cubics,
    cost: Cubics,
}

impl Weight {
    /// Tabulates a weight that is learned. `curve` returns Φ = log ζ and its slope dΦ/d log r at r > 0.
    ///
    /// ```
    /// use partwise_compute::weight::Weight;
    ///
    /// // Student's t with ν = 2: ζ = 4 / (2 + 2r).
    /// let t = Weight::new(|r| [(4.0 / (2.0 + 2.0 * r)).ln(), -r / (1.0 + r)])?;
    /// assert!((t.zeta(3.0) - 0.5).abs() < 1e-12);
    /// # Ok::<(), partwise_compute::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] if Φ is not finite somewhere, if ζ leaves the range of f32, or if it bends so much that a table misses
    /// it by more than [`ACCURACY`].
    pub fn new(curve: impl Fn(f64) -> [f64; 2] + Send + Sync + 'static) -> Result<Self> {
        Self::tabulate(Origin::Learned, Arc::new(curve))
    }

    /// That of Student's t with ν degrees of freedom: ζ = (ν + 2)/(ν + 2r), equation (19).
    ///
    /// # Errors
    /// [`Error::Input`] for ν outside [0.001, 1e6].
    pub fn student(nu: f64) -> Result<Self> {
        if !(1e-3..=1e6).contains(&nu) {
            return Err(Error::input(format!("divergence t:{nu}: ν must be between 0.001 and 1000000")));
        }
        Self::tabulate(Origin::Student(nu), Arc::new(move |r| student(nu, r)))
    }

    /// That of the generalized Gaussian of shape β: ζ = r^((β−2)/2), equation (20).
    ///
    /// # Errors
    /// [`Error::Input`] for β outside [0.01, 2]. Beyond 2, updates may raise the objective.
    pub fn generalized_gaussian(beta: f64) -> Result<Self> {
        if !(0.01..=2.0).contains(&beta) {
            return Err(Error::input(format!("divergence ggd:{beta}: β must be between 0.01 and 2")));
        }
        Self::tabulate(Origin::GeneralizedGaussian(beta), Arc::new(move |r| generalized_gaussian(beta, r)))
    }

    fn tabulate(origin: Origin, curve: Arc<Curve>) -> Result<Self> {
        let of = |curve: &Arc<Curve>, f: fn(f64, [f64; 2]) -> f64| {
            let curve = Arc::clone(curve);
            move |r: f64| f(r, curve(r))
        };
        let share_at = |r: f64, [phi, _]: [f64; 2]| (r.ln() + phi).exp();
        let [low, high] = Cubics::ends().map(|end| (end, curve(end)));
        let share = {
            let curve = Arc::clone(&curve);
            move |scaled: f64| {
                let r = scaled / SHARE_SCALE;
                let floored = r.max(RATIO_FLOOR);
                share_at(floored, curve(floored)) * (r / RATIO_FLOOR).min(1.0)
            }
        };
        let share = Cubics::new(share, [End::Power(1.0), End::Power(1.0 + high.1[1])])?;
        let slope = Cubics::new(of(&curve, |_, [_, slope]| slope), [End::Power(0.0); 2])?;
        let zeta = Integral::new(of(&curve, |_, [phi, _]| phi.exp()));
        let ends = [low, high].map(|(end, at)| End::Logarithm(share_at(end, at) - 1.0));
        let cost = Cubics::new(move |r| zeta.up_to(r) - r.ln(), ends)?;
        let weight = Self { origin, curve, share, slope, cost };
        match weight.worst() {
            worst if worst <= ACCURACY => Ok(weight),
            worst => Err(Error::input(format!("a weight bends too much: its table misses log ζ by {worst:.0e}"))),
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// ζ(r), the curve itself and not its table. r is floored at [`RATIO_FLOOR`].
    pub fn zeta(&self, r: f64) -> f64 {
        (self.curve)(r.max(RATIO_FLOOR))[0].exp()
    }

    /// dΦ/d log r at r, which is floored at [`RATIO_FLOOR`].
    pub fn slope_at(&self, r: f64) -> f64 {
        (self.curve)(r.max(RATIO_FLOOR))[1]
    }

    /// g(r) = r ζ(r) as a table of [`SHARE_SCALE`] r. ζ is constant below [`RATIO_FLOOR`], so g falls with r there.
    pub(crate) fn share(&self) -> &Cubics {
        &self.share
    }

    /// dΦ/d log r as a table.
    pub fn slope(&self) -> &Cubics {
        &self.slope
    }

    /// −log r + ∫ ζ from 1 to r, as a table.
    pub fn cost(&self) -> &Cubics {
        &self.cost
    }

    /// The most by which the table of g misses Φ.
    fn worst(&self) -> f64 {
        let (octaves, each) = COMPARED;
        let numbers = (octaves.start * each..octaves.end * each).map(|at| (f64::from(at) / f64::from(each)).exp2());
        let miss = |scaled: f64| {
            let (scaled, at) = (f64::from(scaled as f32), self.share.at(scaled as f32));
            let r = scaled / SHARE_SCALE;
            (at.ln() - r.ln() - (self.curve)(r.max(RATIO_FLOOR))[0]).abs()
        };
        numbers.map(miss).fold(0.0, |worst, miss| if miss > worst || miss.is_nan() { miss } else { worst })
    }
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weight").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Weights are equal if kernels read the same from their tables.
impl PartialEq for Weight {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.share.cells() == other.share.cells()
    }
}

/// [Φ, dΦ/d log r] of Student's t.
pub fn student(nu: f64, r: f64) -> [f64; 2] {
    [((nu + 2.0) / (nu + 2.0 * r)).ln(), -2.0 * r / (nu + 2.0 * r)]
}

/// [Φ, dΦ/d log r] of the generalized Gaussian.
pub fn generalized_gaussian(beta: f64, r: f64) -> [f64; 2] {
    let slope = 0.5 * (beta - 2.0);
    [slope * r.ln(), slope]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_steep_and_flat_weights() {
        for nu in [1e-3, 0.73, 4.0, 1e4] {
            let worst = Weight::student(nu).unwrap().worst();
            assert!(worst < 1e-6, "t of {nu}: {worst:.1e}");
        }
        for beta in [0.01, 0.14, 1.2, 2.0] {
            let worst = Weight::generalized_gaussian(beta).unwrap().worst();
            assert!(worst < 1e-6, "the shape {beta}: {worst:.1e}");
        }
    }

    #[test]
    fn the_share_of_silent_data_falls_with_r() {
        for weight in [Weight::student(0.73).unwrap(), Weight::generalized_gaussian(0.14).unwrap()] {
            for r in [1e-11, 1.01e-12, 0.99e-12, 1e-13, 1e-18, 1e-24] {
                let (share, expected) = (weight.share().at((r * SHARE_SCALE) as f32), r * weight.zeta(r));
                assert!((share / expected - 1.0).abs() < 1e-6, "{r}: {share} is not {expected}");
            }
        }
    }

    #[test]
    fn costs_are_integrals_of_the_weight() {
        // ν = 1: ∫ 3/(1 + 2r) = 1.5 log((1 + 2r)/3).
        let t = Weight::student(1.0).unwrap();
        for r in [1e-11, 1e-3, 0.4, 1.0, 7.0, 1e9] {
            let terms = [-f64::ln(r), 1.5 * ((1.0 + 2.0 * r) / 3.0).ln()];
            let (expected, size) = (terms[0] + terms[1], terms[0].abs() + terms[1].abs());
            let (exact, tabulated) = (t.cost().exact(r), t.cost().at(r as f32));
            assert!((exact - expected).abs() <= 5e-8 * size, "{r}: {exact} is not {expected}");
            assert!((tabulated - expected).abs() <= 5e-7 * (1.0 + size), "{r}: {tabulated} is not {expected}");
        }
    }

    #[test]
    fn a_weight_that_a_table_cannot_follow_is_refused() {
        assert!(Weight::new(|r| [(20.0 * r.ln()).sin(), 20.0 * (20.0 * r.ln()).cos()]).is_err());
        assert!(Weight::new(|r| [r, r]).is_err());
        assert!(Weight::new(|_| [f64::NAN, 0.0]).is_err());
    }
}
