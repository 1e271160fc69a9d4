//! From data to masks under fixed bases.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, s};
use rayon::prelude::*;

use super::options::Updates;
use super::start::flat_gains;
use super::stopping::Until;
use crate::divergence::Divergence;
use crate::kernels::{Glue, Mask, Momentum, Products, Rule};
use crate::methods::separator::{Factors, OnEngine, STRETCH, Separated, TrainedBases};
use crate::{Error, Result};

/// How gains are found and cells shared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// How the gains are updated: extrapolated or alternating.
    pub(crate) updates: Updates,
    /// Updates of a segment's gains at most.
    pub(crate) iterations: usize,
    /// When a segment's updates stop early, see [`Until::tolerance`]; 0: never.
    pub(crate) tolerance: f64,
    /// λ, the weight of an L1 penalty on the gains.
    pub(crate) sparsity: f64,
    /// How cells are shared.
    pub(crate) mask: Mask,
}

impl Settings {
    /// Completes what a job says: 12 extrapolated updates, or 36 alternating ones. More lower the objective, and do not separate
    /// better: where sources are alike, they separate worse.
    ///
    /// # Errors
    /// [`Error::Option`] for joint updates.
    pub(crate) fn new(updates: Option<Updates>, iterations: Option<usize>, tolerance: f64, mask: Mask) -> Result<Self> {
        let updates = updates.unwrap_or(Updates::Extrapolated);
        let usual = match updates {
            Updates::Extrapolated => 12,
            Updates::Alternating => 36,
            Updates::Joint => {
                return Err(Error::option("updates", "joint: updates both factors; here the bases are fixed"));
            }
        };
        Ok(Self { updates, iterations: iterations.unwrap_or(usual), tolerance, sparsity: 0.0, mask })
    }
}

/// Fixed bases on the host and on an engine.
pub(crate) struct FixedBases<E: Products> {
    /// W (F, ΣK).
    pub(crate) on_host: Array2<f32>,
    /// The same.
    pub(crate) on_engine: E::Matrix,
    /// Which components are whose.
    pub(crate) sources: Vec<Range<usize>>,
    /// What gains are found under.
    pub(crate) divergence: Divergence,
}

impl<E: Products> FixedBases<E> {
    /// Brings bases up.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new(engine: &E, bases: TrainedBases) -> Result<Self> {
        let TrainedBases { bases: on_host, sources, divergence, .. } = bases;
        Ok(Self { on_engine: engine.matrix(on_host.view())?, on_host, sources, divergence })
    }

    /// Gains (ΣK, N) to start from: flat, at each frame's level.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn start(&self, engine: &E, data: ArrayView2<f32>) -> Result<E::Panel> {
        engine.panel(flat_gains(data, self.on_host.view()).view())
    }

    /// Gains (ΣK, N) of `data` (F, N), which is `panel` on the engine, and the updates that each segment took.
    ///
    /// # Errors
    /// As [`super::update_gains`].
    pub(crate) fn gains(
        &self,
        engine: &E,
        data: ArrayView2<f32>,
        panel: &E::Panel,
        segments: &[usize],
        settings: &Settings,
    ) -> Result<(E::Panel, Vec<usize>)>
    where
        E: Momentum,
    {
        let &Settings { updates, iterations, tolerance, sparsity, .. } = settings;
        let until = Until { iterations, tolerance, segments };
        let start = self.start(engine, data)?;
        let rule = Rule { sparsity, ..Rule::of(self.divergence.clone()) };
        super::update_gains(engine, panel, &self.on_engine, start, &rule, updates, &until)
    }

    /// The masks of all sources under gains that were found, what every column costs, and the factors of these segments if
    /// they are asked for.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn masks(
        &self,
        engine: &E,
        panel: &E::Panel,
        (gains, iterations): (E::Panel, Vec<usize>),
        mask: Mask,
        asked: Option<&[usize]>,
    ) -> Result<Separated>
    where
        E: Glue,
    {
        let costs = engine.costs(panel, &self.on_engine, &gains, &self.divergence)?;
        let masks = engine.masks(&self.on_engine, &gains, &self.sources, mask)?;
        let read = |segments| -> Result<Vec<Factors>> {
            let gains = engine.read_panel(&gains)?;
            Ok(vec![Factors::plain(self.on_host.clone(), &gains, &self.sources, segments)])
        };
        let factors = asked.map_or(Ok(Vec::new()), read)?;
        Ok(Separated { masks: read_masks(engine, &masks)?, costs, iterations, factors })
    }
}

/// Plain separation: gains under fixed bases.
pub(crate) struct Plain<E: Products> {
    /// The bases.
    pub(crate) bases: FixedBases<E>,
    /// How gains are found.
    pub(crate) settings: Settings,
}

impl<E: Products + Momentum + Glue> OnEngine<E> for Plain<E> {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        let panel = engine.panel(data)?;
        let gains = self.bases.gains(engine, data, &panel, segments, &self.settings)?;
        self.bases.masks(engine, &panel, gains, self.settings.mask, factors.then_some(segments))
    }
}

/// Masks (F, N) on the host. They sum to 1 in every cell. On a card, where reading is slow, the last is not brought down: it is
/// 1 minus the others.
pub(crate) fn read_masks<E: Glue>(engine: &E, masks: &[E::Panel]) -> Result<Vec<Array2<f32>>> {
    let read = if engine.reads_cheaply() { masks.len() } else { masks.len().saturating_sub(1).max(1) };
    let mut on_host = masks.iter().take(read).map(|mask| engine.read_panel(mask)).collect::<Result<Vec<_>>>()?;
    if read < masks.len() {
        let mut rest = Array2::zeros(on_host[0].raw_dim().f());
        rest.axis_chunks_iter_mut(Axis(1), STRETCH).into_par_iter().enumerate().for_each(|(stretch, mut rest)| {
            let columns = stretch * STRETCH..stretch * STRETCH + rest.ncols();
            rest.fill(1.0);
            for mask in &on_host {
                rest -= &mask.slice(s![.., columns.clone()]);
            }
            // Where the others have everything, rounding may leave less than nothing.
            rest.mapv_inplace(|share| if share < 0.0 { 0.0 } else { share });
        });
        on_host.push(rest);
    }
    Ok(on_host)
}
