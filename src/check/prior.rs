//! Checks the gain prior kernels.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis};

use super::cases::{Case, alternately, bring_up, error, segments, worst};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{Engine, Reference};
use crate::kernels::{Density, GainPrior, Gradient, Mixture, Prior, Rule};
use crate::random::Stream;

/// The rows of a case's gains with a prior: all but the first third.
fn prior_rows(case: &Case) -> Range<usize> {
    let all = case.h.nrows();
    all / 3..all
}

/// A mixture of 1 to 33 components. The variances grow with the dimensions, so that several components share each
/// column. With log-likelihoods in the hundreds, f32 would leave few digits of their differences.
fn mixture(case: &Case) -> Mixture {
    let (dimensions, components) = (prior_rows(case).len(), [1, 3, 4, 33, 6][case.v.nrows() % 5]);
    let fill = |name: &str| {
        let stream = Stream::new(1, name);
        let at = |(row, column)| stream.uniform((row * dimensions + column) as u64);
        Array2::from_shape_fn((components, dimensions), at)
    };
    let weights: Array1<f64> = fill("weights").column(0).mapv(|weight| weight + 0.1);
    Mixture {
        weights: &weights / weights.sum(),
        means: fill("means").mapv(|mean| -0.5 - 3.0 * mean),
        variances: fill("variances").mapv(|variance| dimensions as f64 * (0.5 + variance)),
    }
}

/// The gain floor ρ of the cases. It keeps columns with many zeros as accurate as others.
const GAIN_SHARE: f64 = 1e-3;

fn prior<E: Engine>(engine: &E, case: &Case, gradient: Gradient) -> Result<Prior<E::Matrix>> {
    let density = Density::new(engine, &mixture(case))?;
    Ok(Prior { rows: prior_rows(case), density, gradient, floor: GAIN_SHARE })
}

/// The weight α of every column, 0 in every third column.
fn prior_weights<E: Engine>(engine: &E, cases: &[Case]) -> Result<E::Panel> {
    let of = |case: &Case| Array2::from_shape_fn((1, case.v.ncols()), |(_, n)| [0.3, 0.0, 0.1][n % 3]);
    let weights: Vec<Array2<f64>> = cases.iter().map(of).collect();
    engine.packed(&weights.iter().map(|weights| weights.view()).collect::<Vec<_>>())
}

pub(super) fn log_normalize<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&log_normalize_on(engine, cases)?, cases, &|case| log_normalize_on(&Reference, case))
}

fn log_normalize_on<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let (_, _, h) = bring_up(engine, cases)?;
    segments(engine, &engine.log_normalized(&h, prior_rows(&cases[0]), GAIN_SHARE)?)
}

pub(super) fn responsibilities<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&responsibilities_on(engine, cases)?, cases, &|case| responsibilities_on(&Reference, case))
}

fn responsibilities_on<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let (_, _, h) = bring_up(engine, cases)?;
    let x = engine.log_normalized(&h, prior_rows(&cases[0]), GAIN_SHARE)?;
    let (r, likelihoods) = engine.responsibilities(&x, &Density::new(engine, &mixture(&cases[0]))?)?;
    Ok(alternately(segments(engine, &r)?, segments(engine, &likelihoods)?))
}

pub(super) fn moments<E: GainPrior>(engine: &E, case: &Case) -> Result<f64> {
    let (got, expected) = (moments_on(engine, case)?, moments_on(&Reference, case)?);
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// Σ L, Σ r, and the means of x − 1 and of its square. Variances near 0, and x of a single dimension, would have no
/// digits to compare.
fn moments_on<E: GainPrior>(engine: &E, case: &Case) -> Result<[Array2<f64>; 4]> {
    let x = engine.log_normalized(&engine.panel(case.h.view())?, prior_rows(case), GAIN_SHARE)?;
    let found = engine.moments(&x, &Density::new(engine, &mixture(case))?)?;
    let means = &found.means - 1.0;
    let mut squares = &means * &means;
    for (mut row, variances) in squares.outer_iter_mut().zip(&found.variances) {
        variances.iter().for_each(|variances| row += variances);
    }
    let likelihood = Array2::from_elem((1, 1), found.log_likelihood);
    Ok([likelihood, found.counts.insert_axis(Axis(0)), means, squares])
}

pub(super) fn add_priors<E: GainPrior>(engine: &E, case: &Case, gradient: Gradient) -> Result<f64> {
    let (got, expected) = (add_priors_on(engine, case, gradient)?, add_priors_on(&Reference, case, gradient)?);
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// N, D and the gains after adding a prior.
fn add_priors_on<E: GainPrior>(engine: &E, case: &Case, gradient: Gradient) -> Result<[Array2<f64>; 3]> {
    let panel = || engine.panel(case.h.view());
    let (mut h, mut n, mut d) = (panel()?, panel()?, panel()?);
    let weights = prior_weights(engine, std::slice::from_ref(case))?;
    engine.add_priors(&mut h, &[prior(engine, case, gradient)?], &weights, &mut n, &mut d)?;
    Ok([engine.read_panel(&h)?, engine.read_panel(&n)?, engine.read_panel(&d)?])
}

pub(super) fn under<E: GainPrior>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, ..Rule::of(divergence.clone()) };
    worst(&under_on(engine, cases, &rule)?, cases, &|case| under_on(&Reference, case, &rule))
}

fn under_on<E: GainPrior>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, w, mut h) = bring_up(engine, cases)?;
    let priors = [prior(engine, &cases[0], Gradient::Exact)?];
    engine.update_gains_under(&v, &w, &mut h, rule, &priors, &prior_weights(engine, cases)?)?;
    segments(engine, &h)
}
