//! Checks the reverse pass of updates.

use ndarray::{Array2, ArrayView2};

use super::cases::{Case, bring_up, matrices, segments, worst};
use crate::Result;
use crate::cubics::{at_nodes, no_sums};
use crate::engine::Reference;
use crate::kernels::Adjoint;
use crate::weight::Weight;

/// What is reversed.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Gains(&'a Weight),
    Bases(&'a Weight),
    /// Whether the gains are scaled inversely.
    Norm(bool),
    Model,
}

/// The adjoints of both factors, and the knots of all data.
pub(super) fn reverse<E: Adjoint>(engine: &E, cases: &[Case], step: Step) -> Result<f64> {
    let adjoints = worst(&on(engine, cases, step)?.0, cases, &|case| Ok(on(&Reference, case, step)?.0))?;
    let (got, expected) = (on(engine, cases, step)?.1, on(&Reference, cases, step)?.1);
    Ok(adjoints.max(of_knots(&got, &expected)))
}

/// Numbers of both signs that depend on the entry.
fn signed(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((5 * i + 3 * j) % 11) as f32 / 11.0 - 0.4)
}

fn views(all: &[Array2<f32>]) -> Vec<ArrayView2<'_, f32>> {
    all.iter().map(|one| one.view()).collect()
}

/// The results of every segment, and the knots. What an update adds to is 0 before.
fn on<E: Adjoint>(engine: &E, cases: &[Case], step: Step) -> Result<(Vec<Array2<f64>>, Array2<f64>)> {
    let (v, w, h) = bring_up(engine, cases)?;
    let all = |part: fn(&Case) -> &Array2<f32>, is_given: bool| -> Vec<Array2<f32>> {
        let given = if is_given { 1.0 } else { 0.0 };
        cases.iter().map(|case| signed(part(case).nrows(), part(case).ncols()) * given).collect()
    };
    let [gives_w, gives_h] = match step {
        Step::Gains(_) => [false, true],
        Step::Bases(_) => [true, false],
        Step::Norm(_) => [true, true],
        Step::Model => [false, false],
    };
    let mut of_w = engine.stack(&views(&all(|case| &case.w, gives_w)))?;
    let mut of_h = engine.packed(&views(&all(|case| &case.h, gives_h)))?;
    let mut knots = engine.matrix(no_sums().view())?;
    let mut models = Vec::new();
    match step {
        Step::Gains(weight) => engine.adjoint_of_gains(&v, &w, &h, weight, &mut of_w, &mut of_h, &mut knots)?,
        Step::Bases(weight) => engine.adjoint_of_bases(&v, &w, &h, weight, &mut of_w, &mut of_h, &mut knots)?,
        Step::Norm(compensated) => engine.adjoint_of_norm(&w, &h, &mut of_w, &mut of_h, compensated)?,
        Step::Model => {
            let of_model = engine.packed(&views(&all(|case| &case.v, true)))?;
            engine.adjoint_of_model(&w, &h, &of_model, &mut of_w, &mut of_h)?;
            models = segments(engine, &engine.floored_model(&w, &h)?)?;
        }
    }
    let (of_w, of_h) = (matrices(engine, &of_w, cases[0].w.nrows())?, segments(engine, &of_h)?);
    let mut results = Vec::new();
    for (segment, case) in cases.iter().enumerate() {
        results.push(changes(case, &of_w[segment], &of_h[segment]));
        results.extend(models.get(segment).cloned());
    }
    Ok((results, engine.read_matrix(&knots)?))
}

/// Both adjoints side by side, each times the largest entry of its factor: what a change of that share does to the loss. Of a
/// single bin or frame, the adjoint of one factor is the small rest of terms as large as the other one.
fn changes(case: &Case, of_w: &Array2<f64>, of_h: &Array2<f64>) -> Array2<f64> {
    let scaled = |of: &Array2<f64>, factor: &Array2<f32>| -> Vec<f64> {
        let largest = factor.iter().fold(0.0f32, |largest, &x| largest.max(x));
        of.iter().map(|of| of * f64::from(largest)).collect()
    };
    let all = [scaled(of_w, &case.w), scaled(of_h, &case.h)].concat();
    Array2::from_shape_fn((1, all.len()), |(_, at)| all[at])
}

/// The largest error of Σ gΦ f(r) for smooth f, as a share of the sum of absolute terms. Knots themselves are not compared: a
/// number near the end of its cell may count in the next one.
fn of_knots(got: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    let (got, expected) = (at_nodes(got.view()), at_nodes(expected.view()));
    let functions: [fn(f64) -> f64; 3] = [|_| 1.0, f64::ln, |r| r / (1.0 + r)];
    let error = |f: fn(f64) -> f64| {
        let sum = |nodes: &[(f64, f64)]| nodes.iter().map(|&(r, of_phi)| of_phi * f(r)).sum::<f64>();
        let size: f64 = expected.iter().map(|&(r, of_phi)| (of_phi * f(r)).abs()).sum();
        let difference = (sum(&got) - sum(&expected)).abs();
        if size == 0.0 { difference } else { difference / size }
    };
    functions
        .map(error)
        .into_iter()
        .fold(0.0, |worst, error| if error.is_nan() { f64::INFINITY } else { error.max(worst) })
}
