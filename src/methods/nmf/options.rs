//! The options of a factorization: which updates, of which factors, for how long.

use std::fmt;
use std::str::FromStr;

use crate::divergence::Divergence;
use crate::kernels::{Norm, Rule};
use crate::{Error, Result};

/// How the factors are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// One factor after the other, each from the newest value of the other.
    Alternating,
    /// Both factors from one pass over the data (Marmin, Goulart & Févotte 2023), with the majorising exponent. The objective
    /// cannot rise.
    Joint,
    /// Alternating, each update from a point further along the last step (Hien, Leplat & Gillis 2024).
    Extrapolated,
}

impl fmt::Display for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alternating => "alternating",
            Self::Joint => "joint",
            Self::Extrapolated => "extrapolated",
        })
    }
}

impl FromStr for Updates {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Alternating, Self::Joint, Self::Extrapolated];
        let found = all.into_iter().find(|updates| updates.to_string() == text);
        found.ok_or_else(|| {
            Error::input(format!("updates '{text}' are unknown; use alternating, joint or extrapolated"))
        })
    }
}

/// Which factors are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learn {
    /// Bases and gains.
    Both,
    /// Gains alone: separation, or the transform of new data.
    Gains,
    /// Bases alone.
    Bases,
}

/// Which factor an iteration updates first. The second update uses the new value of the first factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// H, then W.
    GainsFirst,
    /// W, then H.
    BasesFirst,
}

/// How the columns of W are normalised after each of their updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normalization {
    /// The norm that becomes 1.
    pub norm: Norm,
    /// Whether the rows of H are multiplied by the norms, so that WH does not change. Otherwise the objective may rise, and a
    /// sparsity is refused.
    pub compensate: bool,
}

/// The options of a factorization.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Divergence, exponent and floor of the updates, and the penalty on the gains. `rule.norm` is ignored: `normalization` sets
    /// the norm of the bases.
    pub rule: Rule,
    /// How the factors are updated.
    pub updates: Updates,
    /// The most iterations.
    pub iterations: usize,
    /// Stop when the objective fell by less than this share of its last value; 0: never. The first value would be a bad measure: a
    /// start of the wrong scale makes it huge.
    pub tolerance: f64,
    /// Compute the objective before the first iteration, after every so many iterations, and after the last; 0: after the last
    /// only.
    pub trace_every: usize,
    /// Which factors are updated.
    pub learn: Learn,
    /// Which factor is updated first.
    pub order: Order,
    /// How bases are normalised, if they are updated. Without it a sparsity has no effect: W grows as H shrinks.
    pub normalization: Option<Normalization>,
}

impl Options {
    /// `iterations` of the plain alternating update of both factors, gains first, without normalisation.
    pub fn of(divergence: Divergence, iterations: usize) -> Self {
        Self {
            rule: Rule::of(divergence),
            updates: Updates::Alternating,
            iterations,
            tolerance: 0.0,
            trace_every: 1,
            learn: Learn::Both,
            order: Order::GainsFirst,
            normalization: None,
        }
    }
}

/// The norm that the bases keep while they are updated, if they keep one.
///
/// # Errors
/// [`Error::Input`] where a sparsity does not go with the normalisation.
pub(crate) fn kept_norm(options: &Options) -> Result<Option<Norm>> {
    let Some(Normalization { norm, compensate }) = options.normalization.filter(|_| options.learn != Learn::Gains)
    else {
        return Ok(None);
    };
    if options.rule.sparsity > 0.0 && !compensate {
        return Err(Error::input("a sparsity does not go with bases that are normalised without their gains"));
    }
    check_norm(&options.rule, norm)?;
    Ok(Some(norm))
}

/// Refuses a sparsity under KL with bases of L1 norm 1. There the sum of the gains is the sum of the data, however the gains are
/// distributed, so the penalty could make nothing sparser.
pub(crate) fn check_norm(rule: &Rule, norm: Norm) -> Result<()> {
    if rule.sparsity > 0.0 && norm == Norm::L1 && rule.divergence == Divergence::KullbackLeibler {
        return Err(Error::input(
            "a sparsity under kl with bases of norm l1: there the sum of the gains is that of the data, so the penalty would \
             scale them and make none sparser; normalise by l2",
        ));
    }
    Ok(())
}

/// Checks a user's numbers: 1 to 10⁶ iterations, and a tolerance and a sparsity that are finite and not negative.
///
/// # Errors
/// [`Error::Input`] names what does not fit.
pub fn check_options(iterations: usize, tolerance: f64, sparsity: f64) -> Result<()> {
    if !(1..=1_000_000).contains(&iterations) {
        return Err(Error::input(format!("{iterations} iterations: must be between 1 and 1000000")));
    }
    for (name, value) in [("tolerance", tolerance), ("sparsity", sparsity)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::input(format!("{name} {value}: must be finite and not negative")));
        }
    }
    Ok(())
}
