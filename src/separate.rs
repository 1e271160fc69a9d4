//! The way of one panel: data → gains → masks.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use crate::Result;
use crate::divergence::Divergence;
use crate::kernels::{Glue, Mask, Momentum, Products, Rule};
use crate::methods::nmf;
pub use crate::methods::nmf::Updates;
use crate::model::Model;

/// A model's bases on an engine, for data of a certain number of bins.
pub struct Bases<E: Products> {
    on_host: Array2<f32>,
    on_engine: E::Matrix,
    sources: Vec<Range<usize>>,
    divergence: Divergence,
}

impl<E: Products> Bases<E> {
    /// Brings up the lowest `bins` bins of a model's bases. A recording whose sample rate is below the model's has no
    /// others: above its Nyquist frequency is nothing to explain.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(engine: &E, model: &Model, bins: usize) -> Result<Self> {
        let (bases, sources) = model.bases();
        let on_host = bases.slice(s![..bins.min(bases.nrows()), ..]).to_owned();
        Ok(Self { on_engine: engine.matrix(on_host.view())?, on_host, sources, divergence: model.divergence })
    }

    /// F, the bins of the data that these bases explain.
    pub fn bins(&self) -> usize {
        self.on_host.nrows()
    }
}

/// The masks of a panel, and how well the model explains it.
pub struct Separated {
    /// A mask (F, N) for every source, stored frame by frame.
    pub masks: Vec<Array2<f32>>,
    /// The objective of every column (N) after the last iteration.
    pub costs: Vec<f64>,
}

/// Finds the gains of every column of `data` (F, N) under fixed bases, and the share of every source in every cell.
/// A column's result depends on that column alone, to the bit.
///
/// # Errors
/// Those of the engine. A column whose numbers stopped being finite is no error here: its cost says so.
pub fn separate<E: Products + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    bases: &Bases<E>,
    updates: Updates,
    iterations: usize,
    mask: Mask,
) -> Result<Separated> {
    let panel = engine.panel(data)?;
    let mut gains = engine.panel(nmf::flat_gains(data, bases.on_host.view()).view())?;
    let rule = Rule::of(bases.divergence);
    nmf::update_gains(engine, &panel, &bases.on_engine, &mut gains, &rule, updates, iterations)?;
    let costs = engine.costs(&panel, &bases.on_engine, &gains, bases.divergence)?;
    let masks = engine.masks(&bases.on_engine, &gains, &bases.sources, mask)?;
    Ok(Separated { masks: masks.iter().map(|mask| engine.read_panel(mask)).collect::<Result<_>>()?, costs })
}
