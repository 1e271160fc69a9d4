//! The objective of a factorization over its iterations, and the test for convergence.

use super::options::Options;
use crate::kernels::{Products, Rule};
use crate::{Error, Result};

/// The course of a factorization.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The objective Σ d(v|λ) + λ Σ h wherever it was computed; the last entry is of the result.
    pub objective: Vec<f64>,
    /// Iterations done.
    pub iterations: usize,
    /// Whether it ended by the tolerance.
    pub converged: bool,
}

/// The objective so far, and whether it has converged.
pub(crate) struct Trace<'a> {
    options: &'a Options,
    objective: Vec<f64>,
    /// Whether the objective has stopped falling.
    pub(crate) converged: bool,
}

impl<'a> Trace<'a> {
    /// Nothing yet.
    pub(crate) fn new(options: &'a Options) -> Self {
        Self { options, objective: Vec::new(), converged: false }
    }

    /// Whether to compute the objective after this iteration.
    pub(crate) fn due(&self, iteration: usize) -> bool {
        self.options.trace_every > 0 && iteration.is_multiple_of(self.options.trace_every)
    }

    /// Takes the objective after an iteration.
    ///
    /// # Errors
    /// [`Error::Diverged`] if it is not finite.
    pub(crate) fn push(&mut self, iteration: usize, objective: f64) -> Result<()> {
        if !objective.is_finite() {
            return Err(Error::Diverged {
                what: format!("factorization ({})", self.options.rule.divergence),
                iteration,
            });
        }
        self.objective.push(objective);
        if let [.., before, now] = self.objective[..] {
            let tolerance = self.options.tolerance;
            self.converged |= tolerance > 0.0 && before - now < tolerance * before.abs();
        }
        Ok(())
    }

    /// The course, after so many iterations.
    pub(crate) fn fit(self, iterations: usize) -> Fit {
        Fit { objective: self.objective, iterations, converged: self.converged }
    }
}

/// Σ d(v|λ) + λ Σ h.
///
/// # Errors
/// Those of the engine.
pub(crate) fn objective<E: Products>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: &E::Panel,
    rule: &Rule,
) -> Result<f64> {
    let cost: f64 = engine.costs(v, w, h, &rule.divergence)?.iter().sum();
    if rule.sparsity == 0.0 {
        return Ok(cost);
    }
    Ok(cost + rule.sparsity * engine.read_panel::<f64>(h)?.sum())
}
