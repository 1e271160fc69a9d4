//! The updates of patterns and gains, and their objective.

use ndarray::{Array2, Axis};

use crate::divergence::Divergence;
use crate::kernels::{Lags, Norm, Rule, ShiftRule, Shifts};
use crate::methods::nmf::{Learn, check_norm};
use crate::{Error, Result};

/// The options of a factorization.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Divergence, exponent, floor, lags and edges of the updates, and the penalty on the gains. `rule.rule.norm` is ignored:
    /// `normalize` sets the norm of the patterns.
    pub rule: ShiftRule,
    /// The number of iterations.
    pub iterations: usize,
    /// Compute the objective before the first iteration, after every so many iterations, and after the last; 0: after the last
    /// only.
    pub trace_every: usize,
    /// Which factors are updated.
    pub learn: Learn,
    /// Scales patterns to unit norm after each update of the bases, and the gains so that the model stays. If bases are learned
    /// without it, a sparsity has no effect: W grows as H shrinks.
    pub normalize: Option<Norm>,
}

impl Options {
    /// `iterations` of the plain update of a divergence.
    pub fn of(divergence: Divergence, lags: Lags, iterations: usize) -> Self {
        Self { rule: ShiftRule::of(divergence, lags), iterations, trace_every: 1, learn: Learn::Both, normalize: None }
    }
}

/// The course of a factorization.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The objective Σ d(v|λ) + λ Σ h of every stack of bases, over all segments that share it, wherever it was computed: (stacks,
    /// checks). The last column is of the result.
    pub objective: Array2<f64>,
}

impl Fit {
    /// The first stack with the least objective at the end: of several starts from the same data, the one to keep.
    pub fn best(&self) -> usize {
        let last = self.objective.columns().into_iter().next_back();
        let ranked = last.into_iter().flatten().enumerate();
        ranked.min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(stack, _)| stack)
    }
}

/// Factorizes V (F x N) from the given W (stacks of T bases F x D) and H (ΦD x N), in place: every iteration updates all W^τ,
/// then, with the new Λ, all H^φ. `watch` gets the number of each finished iteration. If it returns an error, the factorization
/// ends with it.
///
/// The result of a stack of bases and its segments is the one that they have alone, to the bit.
///
/// # Errors
/// [`Error::Input`] where shapes or options do not fit, [`Error::Diverged`] where an objective is not finite, [`Error::Engine`].
pub fn factorize<E: Shifts>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Fit> {
    let norm = options.normalize.filter(|_| options.learn != Learn::Gains);
    norm.map_or(Ok(()), |norm| check_norm(&options.rule.rule, norm))?;
    let rule = ShiftRule { rule: Rule { norm, ..options.rule.rule.clone() }, ..options.rule };
    let due = |done: usize| {
        done == options.iterations || (options.trace_every > 0 && done.is_multiple_of(options.trace_every))
    };
    engine.within(|| {
        let stacks = engine.matrices(w) / rule.lags.time.max(1);
        if let Some(norm) = rule.rule.basis_norm() {
            engine.normalize_patterns(w, h, rule.lags, norm)?;
        }
        let mut objective = Array2::zeros((stacks, 0));
        for done in 0..=options.iterations {
            if done > 0 {
                if options.learn != Learn::Gains {
                    engine.update_shifted_bases(v, w, h, &rule)?;
                    if let Some(norm) = norm {
                        engine.normalize_patterns(w, h, rule.lags, norm)?;
                    }
                }
                if options.learn != Learn::Bases {
                    engine.update_shifted_gains(v, w, h, &rule)?;
                }
                watch(done)?;
            }
            if due(done) {
                let now = look(engine, v, w, h, &rule, stacks)?;
                if now.iter().any(|objective| !objective.is_finite()) {
                    let what = format!("factorization ({})", rule.rule.divergence);
                    return Err(Error::Diverged { what, iteration: done });
                }
                objective.push_column(ndarray::aview1(&now)).map_err(|cause| Error::input(cause.to_string()))?;
            }
        }
        Ok(Fit { objective })
    })
}

/// The objective of every stack of bases.
fn look<E: Shifts>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: &E::Panel,
    rule: &ShiftRule,
    stacks: usize,
) -> Result<Vec<f64>> {
    let mut columns = engine.shifted_costs(v, w, h, rule.lags, &rule.rule.divergence)?;
    if rule.rule.sparsity != 0.0 {
        let gains = engine.read_panel::<f64>(h)?.sum_axis(Axis(0));
        columns.iter_mut().zip(gains).for_each(|(cost, gains)| *cost += rule.rule.sparsity * gains);
    }
    let mut rest = columns.as_slice();
    let of_segment = |columns: usize| rest.split_off(..columns).into_iter().flatten().sum();
    let of_segments: Vec<f64> = engine.segments(v).1.into_iter().map(of_segment).collect();
    Ok(of_segments.chunks(of_segments.len().div_ceil(stacks).max(1)).map(|segments| segments.iter().sum()).collect())
}
