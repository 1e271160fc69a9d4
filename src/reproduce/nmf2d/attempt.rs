//! A model that is tried: from every start, and judged.

use ndarray::Array2;
use rayon::prelude::*;

use super::Nmf2dOptions;
use super::scene::{Scene, together};
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::kernels::{Lags, Mask, Shifts};
use crate::methods::nmf2d::{self, Found, Start};
use crate::{Result, with_engine};

/// The masks of the estimates unless stated otherwise. The paper uses [`Mask::Hard`].
pub(super) const SOFT: Mask = Mask::Ratio(2.0);

/// A model to try.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) divergence: Divergence,
    pub(super) lags: Lags,
    /// D.
    pub(super) components: usize,
    /// Whether each component is a source. Otherwise components are assigned to the source that they resemble.
    pub(super) whole: bool,
}

impl Arm {
    pub(super) fn name(&self) -> String {
        let Self { divergence, lags, .. } = self;
        if self.whole {
            format!("NMF2D, {divergence}, {} pitch lags", lags.pitch)
        } else {
            format!("NMFD, {divergence}, {} time lags", lags.time)
        }
    }

    /// The number of parameters, (TF + ΦN)D, for data of F bands and N frames.
    pub(super) fn parameters(&self, (bands, frames): (usize, usize)) -> usize {
        (self.lags.time * bands + self.lags.pitch * frames) * self.components
    }
}

/// SDR in dB of each source, with masks made from the sources' own spectra.
pub(super) struct Bound {
    pub(super) soft: Vec<f64>,
    pub(super) hard: Vec<f64>,
}

/// The results of a model.
pub(super) struct Attempt {
    pub(super) arm: Arm,
    /// The final objective of every start.
    pub(super) objectives: Vec<f64>,
    /// SDR in dB of each source after every start, with soft masks.
    pub(super) soft: Vec<Vec<f64>>,
    /// The start with the lowest objective.
    pub(super) best: usize,
    /// The best start's SDR with hard masks.
    pub(super) hard: Vec<f64>,
    /// The best start's factors.
    pub(super) found: Found,
    /// The source of each component.
    pub(super) owners: Vec<usize>,
    /// The best start's soft estimate of each source.
    pub(super) estimates: Vec<Vec<f32>>,
}

impl Attempt {
    pub(super) fn new(
        engine: &AnyEngine,
        scene: &Scene,
        arm: Arm,
        options: &Nmf2dOptions,
        tick: &mut (dyn FnMut(usize) -> Result<()> + Send),
    ) -> Result<Self> {
        let how = nmf2d::Options {
            trace_every: 0,
            ..nmf2d::Options::of(arm.divergence.clone(), arm.lags, options.iterations)
        };
        let (mut ends, mut models) = (Vec::new(), Vec::new());
        for start in 0..options.starts {
            // Starts run one by one, because all are scored and a search keeps only the factors of its best.
            let seed = options.seed.wrapping_add(start as u64);
            let from = Start::Random { components: arm.components, starts: 1, seed };
            let (found, parts) = with_engine!(engine, |engine| {
                let found = nmf2d::search(engine, &[scene.data.view()], from, &how, &mut *tick)?;
                let parts = components(engine, &found, arm.lags)?;
                (found, parts)
            });
            models.push(parts);
            ends.push(found);
        }
        let objectives: Vec<f64> = ends.iter().filter_map(|found| found.fit.objective.last().copied()).collect();
        let best = least(&objectives);
        let outcomes = models.into_par_iter().map(|models| Outcome::new(scene, &arm, &models));
        let mut outcomes = outcomes.collect::<Result<Vec<Outcome>>>()?;
        let soft = outcomes.iter().map(|outcome| outcome.sdr.clone()).collect();
        let (found, Outcome { models, owners, estimates, .. }) = (ends.swap_remove(best), outcomes.swap_remove(best));
        let hard = scene.sdr(&scene.estimates(models, Mask::Hard)?)?.1;
        Ok(Self { arm, objectives, soft, best, hard, found, owners, estimates })
    }

    /// W (bands, T) of a component.
    pub(super) fn pattern(&self, component: usize) -> Array2<f64> {
        let rows = self.found.bases.first().map_or(0, Array2::nrows);
        Array2::from_shape_fn((rows, self.found.bases.len()), |(f, time)| self.found.bases[time][(f, component)])
    }

    /// H (Φ, N) of a component.
    pub(super) fn score(&self, component: usize) -> Array2<f64> {
        let gains = &self.found.gains[0];
        Array2::from_shape_fn((self.arm.lags.pitch, gains.ncols()), |(pitch, n)| {
            gains[(pitch * self.arm.components + component, n)]
        })
    }
}

/// Each component's part of Λ (bands, N).
pub(super) fn components<E: Shifts>(engine: &E, found: &Found, lags: Lags) -> Result<Vec<Array2<f64>>> {
    let bases: Vec<_> = found.bases.iter().map(|w| w.view()).collect();
    let (w, h) = (engine.stack(&bases)?, engine.panel(found.gains[0].view())?);
    let each: Vec<_> = (0..found.bases[0].ncols()).map(|d| d..d + 1).collect();
    engine.shifted_models(&w, &h, &each, lags)?.iter().map(|model| engine.read_panel(model)).collect()
}

/// The scores of one start.
struct Outcome {
    /// The models of each source.
    models: Vec<Array2<f64>>,
    owners: Vec<usize>,
    estimates: Vec<Vec<f32>>,
    /// In dB.
    sdr: Vec<f64>,
}

impl Outcome {
    /// Scores the models of the components.
    fn new(scene: &Scene, arm: &Arm, models: &[Array2<f64>]) -> Result<Self> {
        let sources = scene.names.len();
        let owners = if arm.whole { (0..sources).collect() } else { scene.owners(models, SOFT)? };
        let estimates = scene.estimates(together(models, &owners, sources), SOFT)?;
        // Only the scores tell which estimate belongs to which source.
        let (order, sdr) = scene.sdr(&estimates)?;
        let mut source = vec![0; sources];
        order.iter().enumerate().for_each(|(of, &estimate)| source[estimate] = of);
        let owners: Vec<usize> = owners.into_iter().map(|estimate| source[estimate]).collect();
        let estimates = order.iter().map(|&estimate| estimates[estimate].clone()).collect();
        Ok(Self { models: together(models, &owners, sources), owners, estimates, sdr })
    }
}

/// The index of the lowest value; of equal values, the first.
pub(super) fn least(values: &[f64]) -> usize {
    values.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}
