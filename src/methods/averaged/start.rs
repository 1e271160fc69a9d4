//! The data of a recording at the scale of the priors, and the factors that an inference starts from.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::Result;
use crate::divergence::Divergence;
use crate::engine::cut;
use crate::kernels::variational::{Bases, Order, Variational};
use crate::kernels::{Products, Rule};
use crate::methods::nmf::beside::{Beside, quiet_start};
use crate::random::Stream;

/// a and b, the shapes of the priors: the paper's.
pub(super) const SHAPE: f64 = 0.2;
/// Updates of the background by maximum likelihood before its inference.
const UPDATES: usize = 10;
/// The least start of a background's bases, as a share of the mean power, and of its gains.
const LEAST: (f64, f64) = (1e-12, 1e-6);

/// The data of a recording on an engine, at the scale of the priors.
pub(crate) struct Recording<E: Variational> {
    /// |X|² (F x N). Its mean is what sources explain whose gains are 1.
    pub(super) power: E::Panel,
    /// |X|² (N, F).
    data: Array2<f32>,
    /// The power that each source explains with gains of 1.
    share: f64,
    /// What the data were multiplied by.
    scale: f64,
}

impl<E: Variational + Products> Recording<E> {
    /// Brings up data (N, F), frame by frame: segments one after the other. Each of so many sources has an equal part of the
    /// mean power, `share`, if its gains are 1. That is as many as a background has components, because these have a mean of 1.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new(
        engine: &E,
        data: ArrayView2<f32>,
        segments: &[usize],
        (sources, share): (usize, f64),
    ) -> Result<Self> {
        let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / data.len().max(1) as f64;
        let scale = if mean > 0.0 { sources as f64 * share / mean } else { 1.0 };
        let data = data.mapv(|x| (f64::from(x) * scale) as f32);
        let power = engine.packed(&cut(data.t(), segments))?;
        Ok(Self { power, share, scale, data })
    }

    /// Bases (F, K) that explain this recording's share with gains of 1.
    pub(super) fn scaled(&self, bases: ArrayView2<f32>) -> Array2<f32> {
        let total = bases.iter().map(|&w| f64::from(w)).sum::<f64>() / bases.nrows().max(1) as f64;
        let scale = if total > 0.0 { self.share / total } else { 1.0 };
        bases.mapv(|w| (f64::from(w) * scale) as f32)
    }

    /// Bases at the scale of the priors, at that of the data as they came.
    pub(super) fn at_level_of_data(&self, bases: Array2<f32>) -> Array2<f32> {
        bases.mapv_into(|w| (f64::from(w) / self.scale) as f32)
    }

    /// An order with these bases, and gains at the mean of their prior.
    pub(super) fn order(&self, engine: &E, bases: Bases<E>, components: usize) -> Result<Order<E>> {
        let ones = Array2::ones((components, self.data.nrows()));
        self.order_with(engine, bases, ones.view())
    }

    fn order_with(&self, engine: &E, bases: Bases<E>, gains: ArrayView2<f32>) -> Result<Order<E>> {
        let panel = || engine.panel_like(&self.power, gains);
        Ok(Order { bases, mean: panel()?, harmonic: panel()? })
    }

    fn learned(engine: &E, bases: ArrayView2<f32>) -> Result<Bases<E>> {
        Ok(Bases::Learned { mean: engine.matrix(bases)?, harmonic: engine.matrix(bases)? })
    }

    /// A background whose bases are drawn from their prior, as in the paper.
    pub(super) fn drawn_background(&self, engine: &E, rank: usize, seed: u64) -> Result<Order<E>> {
        let stream = Stream::new(seed, "background");
        let draw = |(f, k): (usize, usize)| (stream.gamma((f * rank + k) as u64, SHAPE) / SHAPE) as f32;
        let bases = Array2::from_shape_fn((self.data.ncols(), rank), draw);
        self.order(engine, Self::learned(engine, bases.view())?, rank)
    }

    /// A background that starts from the data: a low quantile of every bin, then some updates by maximum likelihood beside
    /// bases (F, K) of the other sources.
    pub(super) fn found_background(
        &self,
        engine: &E,
        others: ArrayView2<f32>,
        rank: usize,
        seed: u64,
    ) -> Result<Order<E>> {
        let mean = self.data.iter().map(|&x| f64::from(x)).sum::<f64>() / self.data.len().max(1) as f64;
        let bases = quiet_start(self.data.view(), rank, &Stream::new(seed, "background"));
        let gains = Array2::<f32>::ones((others.ncols() + rank, self.data.nrows()));
        let gains = engine.panel_like(&self.power, gains.view())?;
        let rule = Rule::of(Divergence::ItakuraSaito);
        let Beside { bases, gains, free } =
            Beside::learn(engine, &self.power, others, bases.view(), gains, (&rule, UPDATES))?;
        let bases = engine.read_matrix::<f32>(&bases)?.slice_move(s![.., free.clone()]);
        let gains = engine.read_panel::<f32>(&gains)?.slice_move(s![free, ..]);
        let level: Array1<f32> = gains.map_axis(Axis(1), |gains| {
            (gains.iter().map(|&h| f64::from(h)).sum::<f64>() / gains.len().max(1) as f64) as f32
        });
        let least = ((LEAST.0 * mean) as f32, LEAST.1 as f32);
        let bases = (bases * &level).mapv(|w| w.max(least.0));
        let levels = level.mapv(|level| level.max(f32::MIN_POSITIVE)).insert_axis(Axis(1));
        let gains = (gains / levels).mapv(|h| h.max(least.1));
        self.order_with(engine, Self::learned(engine, bases.view())?, gains.view())
    }
}
