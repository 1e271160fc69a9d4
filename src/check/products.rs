//! Checks the products.

use ndarray::Array2;

use super::cases::{Case, alternately, bring_up, cut, error, error_of_terms, matrices, segments, worst, worst_costs};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Reference;
use crate::kernels::{Norm, Products, Rule};

pub(super) fn gains<E: Products>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, floor: 1e-6, ..Rule::of(divergence.clone()) };
    worst(&gains_on(engine, cases, &rule)?, cases, &|case| gains_on(&Reference, case, &rule))
}

fn gains_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, w, mut h) = bring_up(engine, cases)?;
    engine.update_gains(&v, &w, &mut h, rule)?;
    segments(engine, &h)
}

pub(super) fn bases<E: Products>(
    engine: &E,
    cases: &[Case],
    (divergence, norm): (Divergence, Option<Norm>),
) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, norm, ..Rule::of(divergence.clone()) };
    worst(&bases_on(engine, cases, &rule)?, cases, &|case| bases_on(&Reference, case, &rule))
}

fn bases_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, mut w, h) = bring_up(engine, cases)?;
    engine.update_bases(&v, &mut w, &h, rule)?;
    matrices(engine, &w, cases[0].v.nrows())
}

pub(super) fn base_sums<E: Products>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<f64> {
    worst(&sums_on(engine, cases, divergence)?, cases, &|case| sums_on(&Reference, case, divergence))
}

fn sums_on<E: Products>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<Vec<Array2<f64>>> {
    let (v, w, h) = bring_up(engine, cases)?;
    let (n, d) = engine.base_sums(&v, &w, &h, divergence)?;
    let rows = cases[0].v.nrows();
    Ok(alternately(matrices(engine, &n, rows)?, matrices(engine, &d, rows)?))
}

pub(super) fn trial<E: Products>(engine: &E, case: &Case, divergence: &Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, ..Rule::of(divergence.clone()) };
    let (next, costs) = try_on(engine, case, &rule)?;
    let (expected, expected_costs) = try_on(&Reference, case, &rule)?;
    // These costs only decide about trials and are not reported. So they may be off by twice as much, and near a
    // perfect fit they are rounding errors of terms near 1.
    let worst = error_of_terms(costs.view(), expected_costs.view(), case.v.nrows()) / 2.0;
    Ok(error(next.view(), expected.view()).max(worst))
}

/// The gains and the costs from [`Products::try_gains`].
fn try_on<E: Products>(engine: &E, case: &Case, rule: &Rule) -> Result<(Array2<f64>, Array2<f64>)> {
    let (v, w, trial) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    let mut next = engine.panel(Array2::<f32>::ones(case.h.dim()).view())?;
    let mut costs = engine.panel(Array2::<f32>::ones((1, case.v.ncols())).view())?;
    engine.try_gains(&v, &w, &trial, &mut next, &mut costs, rule)?;
    Ok((engine.read_panel(&next)?, engine.read_panel(&costs)?))
}

pub(super) fn both<E: Products>(
    engine: &E,
    cases: &[Case],
    (divergence, norm): (Divergence, Option<Norm>),
) -> Result<f64> {
    let rule =
        Rule { exponent: divergence.majorizing_exponent(), sparsity: 0.01, norm, ..Rule::of(divergence.clone()) };
    worst(&both_on(engine, cases, &rule)?, cases, &|case| both_on(&Reference, case, &rule))
}

fn both_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, mut w, mut h) = bring_up(engine, cases)?;
    engine.update_both(&v, &mut w, &mut h, rule)?;
    Ok(alternately(matrices(engine, &w, cases[0].v.nrows())?, segments(engine, &h)?))
}

pub(super) fn costs<E: Products>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<f64> {
    let got = costs_on(engine, cases, divergence)?;
    worst_costs(&got, cases, divergence, &|case| costs_on(&Reference, case, divergence))
}

fn costs_on<E: Products>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<Vec<Array2<f64>>> {
    let (v, w, h) = bring_up(engine, cases)?;
    let costs = engine.costs(&v, &w, &h, divergence)?;
    let (_, columns) = engine.shape(&v);
    let costs = Array2::from_shape_fn((1, columns), |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN));
    Ok(cut(costs.view(), &engine.segments(&v).1))
}
