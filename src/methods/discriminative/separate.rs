//! From data to masks, where masks have bases of their own.

use ndarray::{ArrayView2, s};

use super::file::Learned;
use crate::Result;
use crate::kernels::{Glue, Momentum, Products};
use crate::methods::nmf::separate::{FixedBases, Settings, read_masks};
use crate::methods::separator::{Factors, OnEngine, Separated, TrainedBases, side_by_side};

/// Gains under the bases of a model, and masks under its reconstruction bases.
pub(crate) struct Reconstructing<E: Products> {
    bases: FixedBases<E>,
    /// Ŵ (F, ΣK).
    reconstruction: E::Matrix,
    settings: Settings,
}

impl<E: Products> Reconstructing<E> {
    /// Brings bases up. They may be the lowest rows of those of the model.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new(engine: &E, bases: TrainedBases, learned: &Learned, settings: Settings) -> Result<Self> {
        let all: Vec<ArrayView2<f32>> = learned.reconstruction.iter().map(|bases| bases.view()).collect();
        let (reconstruction, _) = side_by_side(&all);
        let lowest = reconstruction.slice(s![..bases.bases.nrows(), ..]);
        Ok(Self { reconstruction: engine.matrix(lowest)?, bases: FixedBases::new(engine, bases)?, settings })
    }
}

impl<E: Products + Momentum + Glue> OnEngine<E> for Reconstructing<E> {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        let panel = engine.panel(data)?;
        let (gains, iterations) = self.bases.gains(engine, data, &panel, segments, &self.settings)?;
        let costs = engine.costs(&panel, &self.bases.on_engine, &gains, &self.bases.divergence)?;
        let masks = engine.masks(&self.reconstruction, &gains, &self.bases.sources, self.settings.mask)?;
        let mut found = Separated { masks: read_masks(engine, &masks)?, costs, iterations, factors: Vec::new() };
        if factors {
            let (bases, gains) = (engine.read_matrix(&self.reconstruction)?, engine.read_panel(&gains)?);
            found.factors.push(Factors::plain(bases, &gains, &self.bases.sources, segments));
        }
        Ok(found)
    }
}
