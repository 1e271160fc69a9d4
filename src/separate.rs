//! The way of one panel: data → gains → masks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};

use crate::Result;
use crate::divergence::Divergence;
use crate::kernels::{Glue, Mask, Momentum, Products, Rule};
pub use crate::methods::nmf::Updates;
use crate::methods::nmf::{self, Until};
use crate::model::Model;

/// How gains are found and cells shared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How the gains are updated: extrapolated or alternating.
    pub updates: Updates,
    /// Updates of a segment's gains at most.
    pub iterations: usize,
    /// When a segment's updates stop early, see [`Until::tolerance`]; 0: never. 1e-3 took half of 40 extrapolated updates off
    /// mixtures of speech and piano, under KL and under IS, for less than 0.005 dB of SI-SDR; 1e-2 took two thirds, for 0.03.
    pub tolerance: f64,
    /// How cells are shared.
    pub mask: Mask,
}

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
    /// The objective of every column (N) after the last update.
    pub costs: Vec<f64>,
    /// The updates that each segment took.
    pub iterations: Vec<usize>,
}

/// Turns panels of data into masks: a model's bases on an engine of whatever kind.
pub trait Separator: Send + Sync {
    /// Which engine, as [`crate::engine::Engine::describe`].
    fn describe(&self) -> String;

    /// Separates `data` (N, F), frame by frame, F at most the model's bins: its segments one after the other, `segments` the
    /// columns of each. See [`separate`].
    ///
    /// # Errors
    /// [`crate::Error::Input`] where shapes do not fit, and those of the engine.
    fn separate(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated>;
}

/// An engine with a model's bases on it, one set for every number of bins that was asked for.
pub struct OnEngine<'a, E: Products> {
    engine: E,
    model: &'a Model,
    settings: Settings,
    bases: Mutex<HashMap<usize, Arc<Bases<E>>>>,
}

impl<'a, E: Products> OnEngine<'a, E> {
    /// Bases are brought up when they are first needed, and kept.
    pub fn new(engine: E, model: &'a Model, settings: Settings) -> Self {
        Self { engine, model, settings, bases: Mutex::default() }
    }

    fn bases(&self, bins: usize) -> Result<Arc<Bases<E>>> {
        let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match bases.entry(bins) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::new(Bases::new(&self.engine, self.model, bins)?))),
        })
    }
}

impl<E: Products + Momentum + Glue> Separator for OnEngine<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated> {
        separate(&self.engine, data.t(), segments, &*self.bases(data.ncols())?, &self.settings)
    }
}

/// Finds the gains of every column of `data` (F, N) under fixed bases, and the share of every source in every cell. `segments`:
/// the columns of each segment, N in all.
///
/// A segment's result depends on that segment alone, to the bit: not on the others, nor on its place among them. Where nothing
/// stops early, a column's depends on that column alone.
///
/// # Errors
/// [`crate::Error::Input`] where shapes do not fit, and those of the engine. A column whose numbers stopped being finite is no
/// error here: its cost says so.
pub fn separate<E: Products + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    segments: &[usize],
    bases: &Bases<E>,
    settings: &Settings,
) -> Result<Separated> {
    let panel = engine.panel(data)?;
    let start = engine.panel(nmf::flat_gains(data, bases.on_host.view()).view())?;
    let rule = Rule::of(bases.divergence);
    let Settings { updates, iterations, tolerance, mask } = *settings;
    let until = Until { iterations, tolerance, segments };
    let (gains, iterations) = nmf::update_gains(engine, &panel, &bases.on_engine, start, &rule, updates, &until)?;
    let costs = engine.costs(&panel, &bases.on_engine, &gains, bases.divergence)?;
    let masks = engine.masks(&bases.on_engine, &gains, &bases.sources, mask)?;
    let masks = masks.iter().map(|mask| engine.read_panel(mask)).collect::<Result<_>>()?;
    Ok(Separated { masks, costs, iterations })
}
