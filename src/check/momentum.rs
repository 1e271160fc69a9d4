//! Checks the momentum kernels.

use ndarray::{Array2, s};

use super::cases::{Case, error};
use crate::Result;
use crate::engine::Reference;
use crate::kernels::{Momentum, Track};

pub(super) fn lead<E: Momentum>(engine: &E, case: &Case) -> Result<f64> {
    let (w, h) = lead_on(engine, case)?;
    let (expected_w, expected_h) = lead_on(&Reference, case)?;
    Ok(error(w.view(), expected_w.view()).max(error(h.view(), expected_h.view())))
}

/// Extrapolates bases away from their mirror image, and gains back to theirs.
fn lead_on<E: Momentum>(engine: &E, case: &Case) -> Result<(Array2<f64>, Array2<f64>)> {
    let (w, from) = (engine.matrix(case.w.view())?, engine.matrix(case.w.slice(s![..;-1, ..]))?);
    let (h, before) = (engine.panel(case.h.view())?, engine.panel(case.h.slice(s![.., ..;-1]))?);
    let (w, h) = (engine.lead_bases(&w, &from, 0.7)?, engine.lead_gains(&h, &before, -0.5)?);
    Ok((engine.read_matrix(&w)?, engine.read_panel(&h)?))
}

pub(super) fn advance<E: Momentum>(engine: &E, case: &Case) -> Result<f64> {
    let got = advance_on(engine, case)?;
    let expected = advance_on(&Reference, case)?;
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// Every second column is accepted.
fn advance_on<E: Momentum>(engine: &E, case: &Case) -> Result<[Array2<f64>; 4]> {
    let panel = |axis: usize| {
        let mut values = case.h.clone();
        values.invert_axis(ndarray::Axis(axis));
        engine.panel(values.view())
    };
    let columns = case.h.ncols();
    let mut track = Track {
        trial: engine.panel(case.h.view())?,
        next: panel(0)?,
        previous: panel(1)?,
        safe: engine.panel(case.h.mapv(|h| 1.5 * h).view())?,
        costs: engine.panel(Array2::from_shape_fn((1, columns), |(_, n)| 1.0 + (n % 2) as f32).view())?,
        state: engine.panel(Array2::from_shape_fn((2, columns), |(row, n)| [1.5, n as f32][row]).view())?,
    };
    engine.advance(&mut track, 0.5)?;
    let Track { trial, previous, safe, state, .. } = track;
    Ok([
        engine.read_panel(&trial)?,
        engine.read_panel(&previous)?,
        engine.read_panel(&safe)?,
        engine.read_panel(&state)?,
    ])
}

pub(super) fn keep<E: Momentum>(engine: &E, case: &Case) -> Result<f64> {
    Ok(error(keep_on(engine, case)?.view(), keep_on(&Reference, case)?.view()))
}

/// Keeps every third column of the gains beside their mirror image.
fn keep_on<E: Momentum>(engine: &E, case: &Case) -> Result<Array2<f64>> {
    let gains = engine.panel(case.h.view())?;
    let chosen = Array2::from_shape_fn((1, case.h.ncols()), |(_, n)| if n % 3 == 0 { 1.0 } else { 0.0f32 });
    let mut kept = engine.panel(case.h.slice(s![.., ..;-1]))?;
    engine.keep(&gains, &engine.panel(chosen.view())?, &mut kept)?;
    engine.read_panel(&kept)
}
