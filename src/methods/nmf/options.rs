//! How a factorization goes: which updates, of which factors, for how long.

use std::fmt;
use std::str::FromStr;

use crate::divergence::Divergence;
use crate::kernels::{Norm, Rule};
use crate::{Error, Result};

/// How the factors are brought towards the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// One after the other, each from the newest other.
    Alternating,
    /// Both from one pass over the data (Marmin, Goulart & Févotte 2023), with the majorising exponent: the objective cannot rise.
    Joint,
    /// Alternating, each from a point further along the last step: see [`super::extrapolation`].
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
            Error::input(format!("updates '{text}' are not known; use alternating, joint or extrapolated"))
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

/// Which factor an iteration updates first; the second sees the first one's new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// H, then W.
    GainsFirst,
    /// W, then H.
    BasesFirst,
}

/// How W's columns are normalised directly after their update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normalization {
    /// To unit norm in this sense.
    pub norm: Norm,
    /// Whether H takes up the scale, so that WH does not change. Without it the objective may rise, and a sparsity is refused.
    pub compensate: bool,
}

/// What to do, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Divergence, exponent and floor of the updates, and the penalty on the gains. Of `rule.norm` nothing is asked: the norm that
    /// bases keep is that of `normalization`.
    pub rule: Rule,
    /// How the factors are updated.
    pub updates: Updates,
    /// How many iterations at most.
    pub iterations: usize,
    /// Stop when the objective fell by less than this share since it was last looked at; 0: never. Not a share of its first value,
    /// which may be anything: a start of the wrong scale makes it huge.
    pub tolerance: f64,
    /// The objective is looked at before the first iteration, after every so many, and after the last; 0: after the last alone.
    pub trace_every: usize,
    /// Which factors are updated.
    pub learn: Learn,
    /// Which of them first.
    pub order: Order,
    /// Normalisation of the bases, where they are updated. Without it a sparsity says nothing: W grows as H shrinks.
    pub normalization: Option<Normalization>,
}

impl Options {
    /// Both factors, gains first, no normalisation, `iterations` of a divergence's plain alternating update.
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

/// The norm that bases have when they are updated, if they have one.
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

/// Refuses the pair of norm and divergence under which a sparsity can make nothing sparser: gains of bases of L1 norm 1 have one
/// sum under KL, that of the data, however they are distributed.
pub(crate) fn check_norm(rule: &Rule, norm: Norm) -> Result<()> {
    if rule.sparsity > 0.0 && norm == Norm::L1 && rule.divergence == Divergence::KullbackLeibler {
        return Err(Error::input(
            "a sparsity under kl with bases of norm l1: there the sum of the gains is that of the data, so the penalty would \
             scale them and make none sparser; normalise by l2",
        ));
    }
    Ok(())
}

/// Checks what a user gives: at most 10⁶ iterations, a tolerance and a sparsity that are finite and not negative.
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
