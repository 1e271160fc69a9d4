//! Φ_θ = log ζ, the logarithm of the weight that is learned: its kinds, their numbers θ, and the gradient with respect to them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::network;
use crate::divergence::Divergence;
use crate::weight::{Weight, generalized_gaussian, student};
use crate::{Error, Result};

/// The kind of Φ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phi {
    /// Student's t (19): θ = log ν.
    T,
    /// The generalized Gaussian (20): θ = log β.
    Ggd,
    /// A network of log r.
    Network,
}

impl fmt::Display for Phi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T => "t",
            Self::Ggd => "ggd",
            Self::Network => "network",
        })
    }
}

impl FromStr for Phi {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "t" => Ok(Self::T),
            "ggd" => Ok(Self::Ggd),
            "network" => Ok(Self::Network),
            _ => Err(Error::input("use t, ggd or network")),
        }
    }
}

/// A Φ with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its kind.
    pub phi: Phi,
    /// θ.
    pub theta: Vec<f64>,
}

impl Curve {
    /// Student's t with ν degrees of freedom.
    pub fn t(nu: f64) -> Self {
        Self { phi: Phi::T, theta: vec![nu.ln()] }
    }

    /// The generalized Gaussian of shape β.
    pub fn ggd(beta: f64) -> Self {
        Self { phi: Phi::Ggd, theta: vec![beta.ln()] }
    }

    /// A random network.
    pub fn network(seed: u64) -> Self {
        Self { phi: Phi::Network, theta: network::random(seed) }
    }

    /// The number of a kind's parameters.
    pub fn parameters(phi: Phi) -> usize {
        if phi == Phi::Network { network::PARAMETERS } else { 1 }
    }

    /// ν or β.
    pub fn number(&self) -> Option<f64> {
        (self.phi != Phi::Network).then(|| self.theta[0].exp())
    }

    /// [Φ, dΦ/d log r] at r.
    pub fn at(&self, r: f64) -> [f64; 2] {
        match self.phi {
            Phi::T => student(self.theta[0].exp(), r),
            Phi::Ggd => generalized_gaussian(self.theta[0].exp(), r),
            Phi::Network => network::curve(&self.theta, r.ln()),
        }
    }

    /// The weight, in tables.
    ///
    /// # Errors
    /// [`Error::Input`] if ν or β leaves its range, or a network bends more than a table can follow.
    pub fn weight(&self) -> Result<Weight> {
        match self.phi {
            Phi::T => Weight::student(self.theta[0].exp()),
            Phi::Ggd => Weight::generalized_gaussian(self.theta[0].exp()),
            Phi::Network => {
                let curve = self.clone();
                Weight::new(move |r| curve.at(r))
            }
        }
    }

    /// The divergence of this weight.
    ///
    /// # Errors
    /// Those of [`Curve::weight`].
    pub fn divergence(&self) -> Result<Divergence> {
        Ok(Divergence::learned(self.weight()?))
    }

    /// Σ g dΦ/dθ over pairs (r, g).
    pub fn gradient(&self, pairs: &[(f64, f64)]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.theta.len()];
        let parameter = self.theta[0].exp();
        for &(r, weight) in pairs {
            match self.phi {
                Phi::T => gradient[0] += weight * (parameter / (parameter + 2.0) - parameter / (parameter + 2.0 * r)),
                Phi::Ggd => gradient[0] += weight * 0.5 * parameter * r.ln(),
                Phi::Network => network::add_gradient(&self.theta, r.ln(), weight, &mut gradient),
            }
        }
        gradient
    }

    /// A network that is fitted to this curve, for r from 1e-9 to 1e9 and least near r = 1.
    pub fn as_network(&self, seed: u64) -> Self {
        let mut network = Self::network(seed);
        let mut adam = super::adam::Adam::new(network.theta.len());
        let places: Vec<f64> =
            (-60..=60).map(|at| (f64::from(at) / 60.0 * 9.0 * std::f64::consts::LN_10).exp()).collect();
        for step in 0..FIT_STEPS {
            let pairs: Vec<(f64, f64)> =
                places.iter().map(|&r| (r, (network.at(r)[0] - self.at(r)[0]) / places.len() as f64)).collect();
            let gradient = network.gradient(&pairs);
            // The rate falls to a hundredth, so that the fit settles.
            let rate = 1e-2 * 0.01f64.powf(step as f64 / FIT_STEPS as f64);
            adam.step(&mut network.theta, &gradient, rate);
        }
        network
    }
}

/// Steps of a fit of a network to another curve.
const FIT_STEPS: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let pairs = [(1e-9, 0.3), (0.2, -1.0), (1.0, 2.0), (40.0, 0.7), (1e8, 0.1)];
        for curve in [Curve::t(0.73), Curve::ggd(0.14), Curve::network(5)] {
            let value = |at: usize, by: f64| {
                let mut moved = curve.clone();
                moved.theta[at] += by;
                pairs.iter().map(|&(r, weight)| weight * moved.at(r)[0]).sum::<f64>()
            };
            let gradient = curve.gradient(&pairs);
            assert_eq!(gradient.len(), Curve::parameters(curve.phi));
            for (at, gradient) in gradient.iter().enumerate() {
                let expected = (value(at, 1e-5) - value(at, -1e-5)) / 2e-5;
                assert!((gradient - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{} {at}", curve.phi);
            }
        }
    }

    #[test]
    fn networks_have_tables_and_learn_other_curves() {
        let random = Curve::network(1).weight().unwrap();
        assert!((random.zeta(3.0).ln() - Curve::network(1).at(3.0)[0]).abs() < 1e-12);
        let t = Curve::t(0.73);
        let network = t.as_network(2);
        for r in [1e-6, 1e-2, 0.5, 1.0, 3.0, 1e3, 1e7] {
            assert!((network.at(r)[0] - t.at(r)[0]).abs() < 0.1, "{r}: {} not {}", network.at(r)[0], t.at(r)[0]);
        }
        network.weight().unwrap();
    }
}
