//! Bases of all sources that are learned at once, so that they reconstruct the sources alone and their mixtures.
//!
//! Wang & Sha, "Discriminative non-negative matrix factorization for single-channel speech separation" (2014). Each
//! source has utterances with data S, bases W of norm 1 in L2 and gains H. Every utterance is mixed with every utterance
//! of every other source, and the gains of a mixture are those of its two utterances alone. The objective is (8) with
//! every mixture counted once; see [`crate::kernels::pairs`] for it, and for lengths and numbers that differ.
//!
//! A round updates one source after the other by (9): H, then W from the new H, then W is scaled to norm 1. Updates of H
//! cannot raise the objective. Updates of W can, since the norm is part of the model, but have not been seen to.

mod checkpoint;
mod file;
mod options;
mod reconstruction;
pub(crate) mod separate;
pub(crate) mod train;

pub use file::Learned;
pub use options::{Objective, Training};

use crate::divergence::Divergence;
use crate::kernels::{Glue, Pairing, Pairs, Products, Rule};
use crate::methods::nmf::Fit;
use crate::methods::sparse;
use crate::{Error, Result};

/// The options of a training on pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// λ, the weight of an L1 penalty on the gains.
    pub sparsity: f64,
    /// Rounds over the sources, at most.
    pub rounds: usize,
    /// Updates of a source in a round, of its gains and of its bases.
    pub updates: usize,
    /// Rounds end if the objective fell by less than this share of its last value; 0: never.
    pub tolerance: f64,
    /// Compute the objective before the first round, after every so many rounds, and after the last; 0: not at all. It
    /// takes about as long as a round of two sources.
    pub trace_every: usize,
}

/// The bases of every source, and the gains of its utterances.
pub struct Factors<E: Products> {
    /// W_a (F, K_a) of every source, with columns of norm 1 in L2.
    pub bases: Vec<E::Matrix>,
    /// H_a (K_a, T_a) of every source, an utterance a segment.
    pub gains: Vec<E::Panel>,
}

/// The updates of (9), and the models that they need.
struct Rounds<'a, E: Products> {
    engine: &'a E,
    pairing: &'a Pairing<E>,
    factors: &'a mut Factors<E>,
    rule: Rule,
    /// Λ_a of every source.
    models: Vec<E::Panel>,
}

impl<'a, E: Products + Glue + Pairs> Rounds<'a, E> {
    fn new(engine: &'a E, pairing: &'a Pairing<E>, factors: &'a mut Factors<E>, sparsity: f64) -> Result<Self> {
        let models =
            factors.bases.iter().zip(&factors.gains).map(|(w, h)| engine.model(w, h)).collect::<Result<_>>()?;
        let rule = Rule { sparsity, ..Rule::of(Divergence::KullbackLeibler) };
        Ok(Self { engine, pairing, factors, rule, models })
    }

    /// Updates the gains of a source. The penalty needs no factor U, because the shares are means over U terms.
    fn update_gains(&mut self, source: usize) -> Result<()> {
        let shares = self.engine.shares(self.pairing, &self.models, source)?;
        let (w, h) = (&self.factors.bases[source], &mut self.factors.gains[source]);
        self.engine.update_gains(&shares, w, h, &self.rule)?;
        self.model(source)
    }

    /// Updates the bases of a source.
    fn update_bases(&mut self, source: usize) -> Result<()> {
        let shares = self.engine.shares(self.pairing, &self.models, source)?;
        sparse::update_bases(self.engine, &shares, &mut self.factors.bases[source], &self.factors.gains[source])?;
        self.model(source)
    }

    fn model(&mut self, source: usize) -> Result<()> {
        self.models[source] = self.engine.model(&self.factors.bases[source], &self.factors.gains[source])?;
        Ok(())
    }

    /// J: (8) with every mixture counted once.
    fn objective(&self) -> Result<f64> {
        let mut sum = 0.0;
        for (source, gains) in self.factors.gains.iter().enumerate() {
            sum += self.engine.pair_costs(self.pairing, &self.models, source)?.iter().sum::<f64>();
            if self.rule.sparsity > 0.0 {
                let penalty = self.rule.sparsity * self.pairing.utterances() as f64;
                sum += penalty * self.engine.read_panel::<f64>(gains)?.sum();
            }
        }
        Ok(sum)
    }
}

/// Learns the factors of all sources from their utterances and mixtures, from the given ones. The bases must have columns
/// of norm 1 in L2.
///
/// # Errors
/// [`Error::Input`] if shapes do not fit, [`Error::Diverged`] if the objective is not finite, [`Error::Engine`], and those
/// of `watch`.
pub fn factorize<E: Products + Glue + Pairs>(
    engine: &E,
    pairing: &Pairing<E>,
    factors: &mut Factors<E>,
    options: &Options,
    watch: &mut (dyn FnMut(Step<E>) -> Result<()> + Send),
) -> Result<Fit> {
    let nothing = Fit { objective: Vec::new(), iterations: 0, converged: false };
    go_on(engine, pairing, factors, options, nothing, watch)
}

/// As [`factorize`], after rounds that an earlier run did.
fn go_on<E: Products + Glue + Pairs>(
    engine: &E,
    pairing: &Pairing<E>,
    factors: &mut Factors<E>,
    options: &Options,
    mut fit: Fit,
    watch: &mut (dyn FnMut(Step<E>) -> Result<()> + Send),
) -> Result<Fit> {
    if factors.bases.len() != pairing.sources() || factors.gains.len() != pairing.sources() {
        return Err(Error::input(format!(
            "{} bases and {} gains do not fit {} sources",
            factors.bases.len(),
            factors.gains.len(),
            pairing.sources()
        )));
    }
    let mut rounds = Rounds::new(engine, pairing, factors, options.sparsity)?;
    loop {
        let done = fit.iterations;
        let last = done == options.rounds;
        if options.trace_every > 0 && (last || done.is_multiple_of(options.trace_every)) {
            let objective = rounds.objective()?;
            if !objective.is_finite() {
                return Err(Error::Diverged { what: "discriminative training".into(), iteration: done });
            }
            let slow = |before: &f64| before - objective < options.tolerance * before;
            fit.converged = options.tolerance > 0.0 && fit.objective.last().is_some_and(slow);
            fit.objective.push(objective);
        }
        if last || fit.converged {
            return Ok(fit);
        }
        for source in 0..pairing.sources() {
            for _ in 0..options.updates {
                rounds.update_gains(source)?;
                rounds.update_bases(source)?;
            }
            watch(Step::Source(source, done + 1))?;
        }
        fit.iterations = done + 1;
        watch(Step::Round(rounds.factors, &fit))?;
    }
}

/// What has been done.
pub enum Step<'a, E: Products> {
    /// The updates of this source in this round, counted from 1.
    Source(usize, usize),
    /// A round, which gave these factors. The objective after it may not be known yet.
    Round(&'a Factors<E>, &'a Fit),
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::engine::Reference;
    use crate::kernels::{Mixtures, Norm};
    use crate::random::Stream;

    type Stack = Vec<Array2<f64>>;

    /// Numbers above 0.05, without a pattern.
    fn numbers(seed: u64, rows: usize, columns: usize) -> Array2<f64> {
        let stream = Stream::new(seed, "numbers");
        Array2::from_shape_fn((rows, columns), |(row, column)| stream.uniform((row * columns + column) as u64) + 0.05)
    }

    /// Three sources with utterances of different lengths and numbers, and factors to start from.
    fn problem() -> (Pairing<Reference>, Factors<Reference>) {
        let lengths: [&[usize]; 3] = [&[5, 3], &[4], &[6, 2, 7]];
        let panel = |seed: u64, rows: usize, lengths: &[usize]| -> Stack {
            (seed..).zip(lengths).map(|(seed, &frames)| numbers(seed, rows, frames)).collect()
        };
        let mut mixtures = Vec::new();
        for (first, second) in [(0, 1), (0, 2), (1, 2)] {
            let common = |&one: &usize| lengths[second].iter().map(move |&other| one.min(other));
            let common: Vec<usize> = lengths[first].iter().flat_map(common).collect();
            mixtures.push(panel(100 * (1 + first + second) as u64, 8, &common));
        }
        let data = (0..3).map(|source| panel(10 * source as u64, 8, lengths[source])).collect();
        let pairing = Pairing::new(&Reference, data, Mixtures::Stored(mixtures)).unwrap();
        let bases = (0..3).map(|source| {
            let mut w = vec![numbers(700 + source, 8, 3)];
            Reference.normalize(&mut w, None, Norm::L2).unwrap();
            w
        });
        let gains = (0..3).map(|source| panel(800 + 10 * source as u64, 3, lengths[source])).collect();
        (pairing, Factors { bases: bases.collect(), gains })
    }

    const SPARSITY: f64 = 0.1;

    fn objective(pairing: &Pairing<Reference>, factors: &mut Factors<Reference>) -> f64 {
        Rounds::new(&Reference, pairing, factors, SPARSITY).unwrap().objective().unwrap()
    }

    #[test]
    fn the_shares_give_the_gradient_of_the_objective() {
        let (pairing, mut factors) = problem();
        let rounds = Rounds::new(&Reference, &pairing, &mut factors, SPARSITY).unwrap();
        let shares = [0, 1, 2].map(|source| Reference.shares(&pairing, &rounds.models, source).unwrap());
        let models = rounds.models.clone();
        for source in 0..3 {
            for utterance in 0..factors.gains[source].len() {
                let ratio = &shares[source][utterance] / &models[source][utterance];
                let w = factors.bases[source][0].clone();
                let slopes = w.t().dot(&(1.0 - ratio)) + SPARSITY;
                for at in [(0, 0), (2, 1)] {
                    let mut moved = |by: f64| {
                        factors.gains[source][utterance][at] += by;
                        let moved = objective(&pairing, &mut factors);
                        factors.gains[source][utterance][at] -= by;
                        moved
                    };
                    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    let slope = pairing.utterances() as f64 * slopes[at];
                    assert!((difference - slope).abs() < 1e-5 * slope.abs().max(1.0), "{difference} for {slope}");
                }
            }
        }
    }

    #[test]
    fn updates_of_the_gains_never_raise_the_objective() {
        let (pairing, mut factors) = problem();
        let mut before = objective(&pairing, &mut factors);
        for update in 0..60 {
            let mut rounds = Rounds::new(&Reference, &pairing, &mut factors, SPARSITY).unwrap();
            rounds.update_gains(update % 3).unwrap();
            let after = rounds.objective().unwrap();
            assert!(after <= before * (1.0 + 1e-12), "update {update}: {before} to {after}");
            before = after;
        }
    }

    #[test]
    fn rounds_that_were_interrupted_end_as_those_that_were_not() {
        let options = Options { sparsity: SPARSITY, rounds: 5, updates: 2, tolerance: 0.0, trace_every: 2 };
        let run = |options: &Options, fit: Fit, factors: &mut Factors<Reference>| {
            go_on(&Reference, &problem().0, factors, options, fit, &mut |_| Ok(())).unwrap()
        };
        let nothing = || Fit { objective: Vec::new(), iterations: 0, converged: false };
        let (_, mut whole) = problem();
        let fit = run(&options, nothing(), &mut whole);
        assert_eq!((fit.objective.len(), fit.iterations), (4, 5));
        assert!(fit.objective.windows(2).all(|pair| pair[1] < pair[0]), "{:?}", fit.objective);
        let (pairing, mut factors) = problem();
        let mut kept = nothing();
        let mut stop = |step: Step<Reference>| match step {
            Step::Round(_, fit) if fit.iterations == 2 => {
                kept = fit.clone();
                Err(Error::Cancelled)
            }
            _ => Ok(()),
        };
        assert!(factorize(&Reference, &pairing, &mut factors, &options, &mut stop).is_err());
        assert_eq!((run(&options, kept, &mut factors), factors.gains, factors.bases), (fit, whole.gains, whole.bases));
    }

    #[test]
    fn a_tolerance_ends_the_rounds() {
        let (pairing, mut factors) = problem();
        let options = Options { sparsity: SPARSITY, rounds: 500, updates: 1, tolerance: 1e-3, trace_every: 5 };
        let fit = factorize(&Reference, &pairing, &mut factors, &options, &mut |_| Ok(())).unwrap();
        assert!(fit.converged && fit.iterations < 500 && fit.iterations.is_multiple_of(5));
        factors.bases.pop();
        assert!(factorize(&Reference, &pairing, &mut factors, &options, &mut |_| Ok(())).is_err());
    }
}
