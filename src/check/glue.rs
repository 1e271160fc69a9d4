//! Checks norms, turned bases and masks.

use std::ops::Range;

use ndarray::Array2;

use super::cases::{Case, alternately, bring_up, matrices, segments, worst};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Reference;
use crate::kernels::{Glue, Mask, Norm, Products};

pub(super) fn normalize<E: Glue>(engine: &E, cases: &[Case], norm: Norm) -> Result<f64> {
    worst(&normalize_on(engine, cases, norm)?, cases, &|case| normalize_on(&Reference, case, norm))
}

fn normalize_on<E: Glue>(engine: &E, cases: &[Case], norm: Norm) -> Result<Vec<Array2<f64>>> {
    let (_, mut w, mut h) = bring_up(engine, cases)?;
    engine.normalize(&mut w, Some(&mut h), norm)?;
    Ok(alternately(matrices(engine, &w, cases[0].v.nrows())?, segments(engine, &h)?))
}

pub(super) fn turn<E: Glue>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&turn_on(engine, cases)?, cases, &|case| turn_on(&Reference, case))
}

/// Turned bases, with the reference's sums on every engine.
fn turn_on<E: Glue>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let (v, mut w, h) = bring_up(&Reference, cases)?;
    Reference.normalize(&mut w, None, Norm::L2)?;
    let (n, d) = Reference.base_sums(&v, &w, &h, &Divergence::KullbackLeibler)?;
    let stack =
        |matrices: &[Array2<f64>]| engine.stack(&matrices.iter().map(|matrix| matrix.view()).collect::<Vec<_>>());
    let (mut w, n, d) = (stack(&w)?, stack(&n)?, stack(&d)?);
    engine.turn_bases(&mut w, &n, &d)?;
    matrices(engine, &w, cases[0].v.nrows())
}

pub(super) fn masks<E: Glue>(engine: &E, cases: &[Case], mask: Mask) -> Result<f64> {
    let k = cases[0].w.ncols();
    // One, two or three sources. The first has one component.
    let cuts = [0, 1, k / 2 + 1, k];
    let sources: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1].min(k)).filter(|range| !range.is_empty()).collect();
    let mut got = masks_on(engine, cases, &sources, mask)?;
    if mask == Mask::Hard {
        for (case, got) in cases.chunks(1).zip(got.chunks_mut(sources.len())) {
            let expected = masks_on(&Reference, case, &sources, mask)?;
            // If two models are equal up to rounding, a hard mask may choose either. Ignore those cells.
            let shares = masks_on(&Reference, case, &sources, Mask::Ratio(1.0))?;
            let top = |at| shares.iter().map(|share| share[at]).fold(0.0, f64::max);
            let tied = |at| shares.iter().filter(|share| share[at] > 0.9999 * top(at)).count() > 1 && top(at) > 0.0;
            let silent = |at| shares.iter().all(|share| share[at] == top(at));
            for (got, expected) in got.iter_mut().zip(&expected) {
                got.indexed_iter_mut()
                    .filter(|(at, _)| tied(*at) && !silent(*at))
                    .for_each(|(at, got)| *got = expected[at]);
            }
        }
    }
    worst(&got, cases, &|case| masks_on(&Reference, case, &sources, mask))
}

/// The masks of every source, for each case.
fn masks_on<E: Glue>(engine: &E, cases: &[Case], sources: &[Range<usize>], mask: Mask) -> Result<Vec<Array2<f64>>> {
    let (_, w, h) = bring_up(engine, cases)?;
    let masks: Result<Vec<_>> =
        engine.masks(&w, &h, sources, mask)?.iter().map(|mask| segments(engine, mask)).collect();
    let masks = masks?;
    Ok((0..cases.len()).flat_map(|case| masks.iter().map(move |mask| mask[case].clone())).collect())
}
