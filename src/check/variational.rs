//! Checks variational Bayes.

use ndarray::{Array2, ArrayView2};

use super::cases::{Case, cut, matrices, segments, worst};
use crate::Result;
use crate::engine::Reference;
use crate::kernels::{Bases, Gig, Order, Variational};

/// The shapes of the priors.
pub(super) const SHAPES: [f64; 3] = [0.2, 1.0, 2.5];

/// Priors of one shape. Their tables take longer than most cases.
pub(super) struct Priors<E: Variational> {
    on_engine: Gig<E>,
    on_reference: Gig<Reference>,
}

impl<E: Variational> Priors<E> {
    pub(super) fn new(engine: &E, shape: f64) -> Result<Self> {
        Ok(Self { on_engine: Gig::new(engine, shape)?, on_reference: Gig::new(&Reference, shape)? })
    }
}

fn views(all: &[Array2<f32>]) -> Vec<ArrayView2<'_, f32>> {
    all.iter().map(|one| one.view()).collect()
}

/// An order of every segment: fixed bases, or their posteriors, and gains. The second of an order's two means is smaller, by
/// a share that differs from entry to entry.
fn order<E: Variational>(engine: &E, cases: &[Case], learned: bool) -> Result<Order<E>> {
    let less = |mean: &Array2<f32>| {
        Array2::from_shape_fn(mean.dim(), |(i, j)| mean[[i, j]] * ((i + 2 * j) % 5 + 1) as f32 / 6.0)
    };
    let two = |part: fn(&Case) -> &Array2<f32>| {
        let mean: Vec<Array2<f32>> = cases.iter().map(|case| part(case).clone()).collect();
        let harmonic: Vec<Array2<f32>> = mean.iter().map(less).collect();
        [mean, harmonic]
    };
    let [w, less_w] = two(|case| &case.w);
    let bases = match learned {
        false => Bases::Fixed(engine.stack(&views(&w))?),
        true => Bases::Learned { mean: engine.stack(&views(&w))?, harmonic: engine.stack(&views(&less_w))? },
    };
    let [h, less_h] = two(|case| &case.h);
    Ok(Order { bases, mean: engine.packed(&views(&h))?, harmonic: engine.packed(&views(&less_h))? })
}

fn data<E: Variational>(engine: &E, cases: &[Case]) -> Result<E::Panel> {
    engine.packed(&cases.iter().map(|case| case.v.view()).collect::<Vec<_>>())
}

/// A panel with the values of a function of row and column.
fn panel<E: Variational>(engine: &E, cases: &[Case], rows: usize, f: impl Fn(usize, usize) -> f32) -> Result<E::Panel> {
    let of = |case: &Case| Array2::from_shape_fn((rows, case.v.ncols()), |(row, column)| f(row, column));
    let all: Vec<Array2<f32>> = cases.iter().map(of).collect();
    engine.packed(&views(&all))
}

/// Sums of so many terms for every column, as segments. The terms of a sum may cancel, so a second row has their number, and
/// errors are shares of it at least.
fn rows_of(cases: &[Case], sums: &[f64], terms: usize) -> Vec<Array2<f64>> {
    let lengths: Vec<usize> = cases.iter().map(|case| case.v.ncols()).collect();
    let sum = |n: usize| sums.get(n).copied().unwrap_or(f64::NAN);
    let of = |(row, n): (usize, usize)| if row == 0 { sum(n) } else { terms as f64 };
    let all = Array2::from_shape_fn((2, lengths.iter().sum()), of);
    cut(all.view(), &lengths)
}

/// For every segment, its part of each list.
fn by_segment(lists: Vec<Vec<Array2<f64>>>) -> Vec<Array2<f64>> {
    let count = lists.first().map_or(0, Vec::len);
    (0..count).flat_map(|segment| lists.iter().filter_map(move |list| list.get(segment).cloned())).collect()
}

fn variances_of<E: Variational>(engine: &E, cases: &[Case]) -> Result<[E::Panel; 2]> {
    let orders = [order(engine, cases, true)?, order(engine, cases, false)?];
    let q = panel(engine, cases, 2, |row, column| if row == 0 { 0.25 + 0.1 * (column % 5) as f32 } else { 0.5 })?;
    let one = panel(engine, cases, 1, |_, _| 1.0)?;
    Ok([engine.variance(&orders, &q)?, engine.variance(&orders[1..], &one)?])
}

/// c of two sources, the first of which has two orders.
pub(super) fn variances<E: Variational>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&variances_on(engine, cases)?, cases, &|alone| variances_on(&Reference, alone))
}

fn variances_on<E: Variational>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let [first, second] = variances_of(engine, cases)?;
    Ok(by_segment(vec![segments(engine, &first)?, segments(engine, &second)?]))
}

/// P, the masks, the energy, the likelihood and a weighed sum of two sources.
pub(super) fn sources<E: Variational>(engine: &E, cases: &[Case], noise: f64) -> Result<f64> {
    worst(&sources_on(engine, cases, noise)?, cases, &|alone| sources_on(&Reference, alone, noise))
}

fn sources_on<E: Variational>(engine: &E, cases: &[Case], noise: f64) -> Result<Vec<Array2<f64>>> {
    let (x, variances) = (data(engine, cases)?, variances_of(engine, cases)?);
    let rows = cases[0].v.nrows();
    let (energy, likelihood) = (engine.energy(&x, &variances, noise)?, engine.likelihood(&x, &variances, noise)?);
    let mut all = vec![rows_of(cases, &energy, rows), rows_of(cases, &likelihood, rows)];
    let q = panel(engine, cases, 2, |row, column| 0.5 + (row + column) as f32 % 3.0)?;
    let first = engine.weigh(None, &variances[0], &q, 0)?;
    all.push(segments(engine, &engine.weigh(Some(first), &variances[1], &q, 1)?)?);
    let first = engine.weigh_power(None, &x, &variances, (0, noise), (&q, 0))?;
    all.push(segments(engine, &engine.weigh_power(Some(first), &x, &variances, (1, noise), (&q, 1))?)?);
    for source in 0..2 {
        all.push(segments(engine, &engine.power(&x, &variances, source, noise)?)?);
        all.push(segments(engine, &engine.fraction(&variances, source)?)?);
    }
    Ok(by_segment(all))
}

/// The posteriors of gains under fixed or learned bases, their terms, and the evidence.
pub(super) fn gains<E: Variational>(engine: &E, cases: &[Case], learned: bool, priors: &Priors<E>) -> Result<f64> {
    let got = gains_on(engine, cases, learned, &priors.on_engine)?;
    worst(&got, cases, &|alone| gains_on(&Reference, alone, learned, &priors.on_reference))
}

fn gains_on<E: Variational>(engine: &E, cases: &[Case], learned: bool, gig: &Gig<E>) -> Result<Vec<Array2<f64>>> {
    let p = data(engine, cases)?;
    let mut orders = [order(engine, cases, learned)?];
    let evidence = engine.evidence(&p, &orders)?;
    let terms = engine.update_gain_posteriors(&p, &mut orders, gig)?;
    let (rows, components) = cases[0].w.dim();
    let evidence = rows_of(cases, &evidence.row(0).to_vec(), rows);
    let terms = rows_of(cases, &terms.row(0).to_vec(), components);
    let panels = (segments(engine, &orders[0].mean)?, segments(engine, &orders[0].harmonic)?);
    Ok(by_segment(vec![evidence, terms, panels.0, panels.1]))
}

/// The posteriors of bases, and their terms.
pub(super) fn bases<E: Variational>(engine: &E, cases: &[Case], priors: &Priors<E>) -> Result<f64> {
    let got = bases_on(engine, cases, &priors.on_engine)?;
    worst(&got, cases, &|alone| bases_on(&Reference, alone, &priors.on_reference))
}

fn bases_on<E: Variational>(engine: &E, cases: &[Case], gig: &Gig<E>) -> Result<Vec<Array2<f64>>> {
    let p = data(engine, cases)?;
    let mut order = order(engine, cases, true)?;
    let terms = engine.update_basis_posteriors(&p, &mut order, gig)?;
    let (rows, components) = cases[0].w.dim();
    let with_count = |sum: f64| Array2::from_shape_fn((2, 1), |(row, _)| [sum, (rows * components) as f64][row]);
    let mut all = vec![terms.into_iter().map(with_count).collect()];
    if let Bases::Learned { mean, harmonic } = &order.bases {
        all.push(matrices(engine, mean, rows)?);
        all.push(matrices(engine, harmonic, rows)?);
    }
    Ok(by_segment(all))
}
