//! Checks the shifted factors.

use ndarray::Array2;

use super::cases::{Case, alternately, cut, matrices, segments, worst, worst_costs};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{Engine, Reference};
use crate::kernels::{Edges, Lags, Mask, Norm, Rule, ShiftRule, Shifts};

/// The lags and the number of components of a case. The lags are one, a few, and more than there are frames or bins.
fn lags(case: &Case) -> (Lags, usize) {
    let bins = case.v.nrows();
    (Lags { time: [2, 3, 11, 5, 1, 1, 8][bins % 7], pitch: [2, 3, 1, 9][bins / 4 % 4] }, case.w.ncols().min(5))
}

/// A batch on an engine.
struct Shifted<E: Engine> {
    v: E::Panel,
    w: E::Matrix,
    h: E::Panel,
    lags: Lags,
}

/// Uploads V, W and H of a batch. The factors' copies are columns and rows of the case, in turn.
fn bring_up_shifted<E: Engine>(engine: &E, cases: &[Case]) -> Result<Shifted<E>> {
    let (lags, components) = lags(&cases[0]);
    let (mut bases, mut gains) = (Vec::new(), Vec::new());
    for Case { w, h, .. } in cases {
        let of_lag = |time| move |(f, d)| w[(f, (time * components + d) % w.ncols())];
        bases.extend((0..lags.time).map(|time| Array2::from_shape_fn((w.nrows(), components), of_lag(time))));
        let row = |(row, n)| h[(row % h.nrows(), n)];
        gains.push(Array2::from_shape_fn((lags.pitch * components, h.ncols()), row));
    }
    let data: Vec<_> = cases.iter().map(|case| case.v.view()).collect();
    let stack = engine.stack(&bases.iter().map(|basis| basis.view()).collect::<Vec<_>>())?;
    let gains = engine.packed(&gains.iter().map(|gains| gains.view()).collect::<Vec<_>>())?;
    Ok(Shifted { v: engine.packed(&data)?, w: stack, h: gains, lags })
}

pub(super) fn shifted_gains<E: Shifts>(engine: &E, cases: &[Case], kind: (Divergence, Edges)) -> Result<f64> {
    worst(&shifted_gains_on(engine, cases, kind.clone())?, cases, &|case| {
        shifted_gains_on(&Reference, case, kind.clone())
    })
}

fn shifted_gains_on<E: Shifts>(
    engine: &E,
    cases: &[Case],
    (divergence, edges): (Divergence, Edges),
) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, w, mut h, lags } = bring_up_shifted(engine, cases)?;
    let rule = Rule { sparsity: 0.01, floor: 1e-6, ..Rule::of(divergence) };
    engine.update_shifted_gains(&v, &w, &mut h, &ShiftRule { rule, lags, edges })?;
    segments(engine, &h)
}

pub(super) fn shifted_bases<E: Shifts>(
    engine: &E,
    cases: &[Case],
    kind: (Divergence, Edges, Option<Norm>),
) -> Result<f64> {
    worst(&shifted_bases_on(engine, cases, kind.clone())?, cases, &|case| {
        shifted_bases_on(&Reference, case, kind.clone())
    })
}

fn shifted_bases_on<E: Shifts>(
    engine: &E,
    cases: &[Case],
    (divergence, edges, norm): (Divergence, Edges, Option<Norm>),
) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, mut w, h, lags } = bring_up_shifted(engine, cases)?;
    let rule = Rule { sparsity: 0.01, norm, ..Rule::of(divergence) };
    engine.update_shifted_bases(&v, &mut w, &h, &ShiftRule { rule, lags, edges })?;
    matrices(engine, &w, lags.time * cases[0].v.nrows())
}

pub(super) fn shifted_costs<E: Shifts>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<f64> {
    let got = shifted_costs_on(engine, cases, divergence)?;
    worst_costs(&got, cases, divergence, &|case| shifted_costs_on(&Reference, case, divergence))
}

fn shifted_costs_on<E: Shifts>(engine: &E, cases: &[Case], divergence: &Divergence) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, w, h, lags } = bring_up_shifted(engine, cases)?;
    let costs = engine.shifted_costs(&v, &w, &h, lags, divergence)?;
    let costs = Array2::from_shape_fn((1, engine.shape(&v).1), |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN));
    Ok(cut(costs.view(), &engine.segments(&v).1))
}

pub(super) fn shifted_norms<E: Shifts>(engine: &E, cases: &[Case], norm: Norm) -> Result<f64> {
    worst(&shifted_norms_on(engine, cases, norm)?, cases, &|case| shifted_norms_on(&Reference, case, norm))
}

fn shifted_norms_on<E: Shifts>(engine: &E, cases: &[Case], norm: Norm) -> Result<Vec<Array2<f64>>> {
    let Shifted { mut w, mut h, lags, .. } = bring_up_shifted(engine, cases)?;
    engine.normalize_patterns(&mut w, &mut h, lags, norm)?;
    Ok(alternately(matrices(engine, &w, lags.time * cases[0].v.nrows())?, segments(engine, &h)?))
}

pub(super) fn shifted_models<E: Shifts>(engine: &E, cases: &[Case], mask: Option<Mask>) -> Result<f64> {
    worst(&shifted_models_on(engine, cases, mask)?, cases, &|case| shifted_models_on(&Reference, case, mask))
}

/// The models, or the masks if `mask` is given.
fn shifted_models_on<E: Shifts>(engine: &E, cases: &[Case], mask: Option<Mask>) -> Result<Vec<Array2<f64>>> {
    let Shifted { w, h, lags, .. } = bring_up_shifted(engine, cases)?;
    // Two sources: the first component, and all components. A component may belong to several sources.
    let sources = [0..1, 0..engine.shape(&h).0 / lags.pitch];
    let panels = match mask {
        None => engine.shifted_models(&w, &h, &sources, lags)?,
        Some(mask) => engine.shifted_masks(&w, &h, &sources, lags, mask)?,
    };
    let all: Result<Vec<_>> = panels.iter().map(|panel| segments(engine, panel)).collect();
    Ok(all?.concat())
}
