//! From the data of a recording to masks: the sources of a model, and the rest.

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, s};

use super::options::Separation;
use crate::engine::cut;
use crate::kernels::{Glue, Mask, Products, Rule};
use crate::methods::nmf::beside::{Beside, quiet_start};
use crate::methods::nmf::separate::read_masks;
use crate::methods::separator::{Factors, OnEngine, Separated, TrainedBases};
use crate::random::Stream;
use crate::{Error, Result};

/// Updates of gains and free bases where the user names no number. With 60, free bases begin to learn the known sources.
pub(crate) const ITERATIONS: usize = 30;
/// The sum of a free basis over that of a known one: a penalty on their gains is that much less.
const LARGER: f64 = 1e3;

/// How a recording is separated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The free components.
    pub(crate) components: usize,
    /// λ, as a share of the mean sum of known bases.
    sparsity: f64,
    /// Updates of gains and free bases.
    iterations: usize,
    seed: u64,
    mask: Mask,
}

impl Settings {
    pub(crate) fn new(own: &Separation, iterations: Option<usize>, mask: Mask) -> Self {
        let iterations = iterations.unwrap_or(ITERATIONS);
        Self { components: own.rest.components, sparsity: own.sparsity, iterations, seed: own.seed, mask }
    }

    /// The numbers that the engine holds for each column besides the data, beside so many known components: so many per row, and so
    /// many more.
    pub(crate) fn held(&self, sources: usize, components: usize) -> (usize, usize) {
        (2 * (sources + 1), 3 * (components + self.components))
    }
}

/// The bases of a model, beside which the rest of each channel is learned.
pub(crate) struct WithRest {
    bases: TrainedBases,
    /// The sum of each basis, or the mean of all for one of zeros.
    sums: Vec<f64>,
    settings: Settings,
}

impl WithRest {
    pub(crate) fn new(bases: TrainedBases, settings: Settings) -> Self {
        let sums: Vec<f64> =
            bases.bases.columns().into_iter().map(|basis| basis.iter().map(|&w| f64::from(w)).sum()).collect();
        let mean = (sums.iter().sum::<f64>() / sums.len().max(1) as f64).max(f64::from(f32::MIN_POSITIVE));
        let sums = sums.into_iter().map(|sum| if sum > 0.0 { sum } else { mean }).collect();
        Self { bases, sums, settings }
    }

    fn mean_sum(&self) -> f64 {
        self.sums.iter().sum::<f64>() / self.sums.len().max(1) as f64
    }

    /// Separates a channel, the rest last.
    fn channel<E: Products + Glue>(&self, engine: &E, data: ArrayView2<f32>, factors: bool) -> Result<Separated> {
        let Settings { components, sparsity, iterations, seed, mask } = self.settings;
        let (known, mean_sum) = (self.bases.bases.view(), self.mean_sum());
        let free = quiet_start(data.t(), components, &Stream::new(seed, "rest"));
        let sum = free.iter().map(|&w| f64::from(w)).sum::<f64>() / components as f64;
        let scale = if sum > 0.0 { LARGER * mean_sum / sum } else { 0.0 };
        let free = free.mapv(|w| (f64::from(w) * scale) as f32);
        // Every component starts with an equal part of each frame.
        let count = self.sums.len() + components;
        let level = |frame: ndarray::ArrayView1<f32>| frame.iter().map(|&v| f64::from(v)).sum::<f64>() / count as f64;
        let levels: Vec<f64> = data.axis_iter(Axis(1)).map(level).collect();
        let sum_of = |k: usize| self.sums.get(k).copied().unwrap_or(LARGER * mean_sum);
        let gains = Array2::from_shape_fn((count, data.ncols()), |(k, n)| (levels[n] / sum_of(k)) as f32);
        // D of a basis under a flat model at the mean of the data is its sum times that mean to the power of β − 1.
        let mean = (levels.iter().sum::<f64>() * count as f64 / data.len().max(1) as f64).max(1e-12);
        let divergence = &self.bases.divergence;
        let sparsity = sparsity * mean_sum * mean.powf(divergence.exponent_beta() - 1.0);
        let rule = Rule { sparsity, ..Rule::of(divergence.clone()) };
        let v = engine.panel(data)?;
        let gains = engine.panel_like(&v, gains.view())?;
        let learned = Beside::learn(engine, &v, known, free.view(), gains, (&rule, iterations))?;
        let costs = engine.costs(&v, &learned.bases, &learned.gains, divergence)?;
        let mut sources = self.bases.sources.clone();
        sources.push(learned.free);
        let masks = engine.masks(&learned.bases, &learned.gains, &sources, mask)?;
        let mut found =
            Separated { masks: read_masks(engine, &masks)?, costs, iterations: vec![iterations], factors: Vec::new() };
        if factors {
            let (bases, gains) = (engine.read_matrix(&learned.bases)?, engine.read_panel(&learned.gains)?);
            found.factors.push(Factors::plain(bases, &gains, &sources, &[data.ncols()]));
        }
        Ok(found)
    }
}

impl<E: Products + Glue> OnEngine<E> for WithRest {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        if segments.iter().sum::<usize>() != data.ncols() {
            return Err(Error::input(format!("segments {segments:?} of {} columns", data.ncols())));
        }
        let none = || Array2::zeros(data.dim().f());
        let masks = (0..=self.bases.sources.len()).map(|_| none()).collect();
        let mut all = Separated { masks, costs: Vec::new(), iterations: Vec::new(), factors: Vec::new() };
        for channel in cut(data, segments) {
            let own = self.channel(engine, channel, factors)?;
            let columns = all.costs.len()..all.costs.len() + channel.ncols();
            for (mask, own) in all.masks.iter_mut().zip(own.masks) {
                mask.slice_mut(s![.., columns.clone()]).assign(&own);
            }
            all.costs.extend(own.costs);
            all.iterations.extend(own.iterations);
            match (all.factors.last_mut(), own.factors.into_iter().next()) {
                // Every channel has bases of its own.
                (Some(all), Some(own)) => {
                    all.bases.extend(own.bases);
                    all.gains.extend(own.gains);
                }
                (_, own) => all.factors.extend(own),
            }
        }
        Ok(all)
    }
}
