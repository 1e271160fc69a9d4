//! The way of one panel: data → gains → masks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};

use crate::divergence::Divergence;
use crate::kernels::{Density, GainPrior, Glue, Gradient, Mask, Momentum, Prior, Products, Rule};
use crate::methods::gain_prior;
pub use crate::methods::nmf::Updates;
use crate::methods::nmf::{self, Until};
use crate::model::Model;
use crate::{Error, Result};

/// The weight of a model's priors unless told otherwise.
pub const PRIOR_WEIGHT: f64 = 0.1;

/// How much the mixtures of a model's gains count for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriorSettings {
    /// α of every source in order, finite and not negative; none at all: no priors.
    pub weights: Vec<f64>,
    /// Which gradient of the priors the updates follow.
    pub gradient: Gradient,
}

impl PriorSettings {
    /// Whether any source has a prior.
    pub fn any(&self) -> bool {
        self.weights.iter().any(|&weight| weight > 0.0)
    }
}

/// How gains are found and cells shared.
#[derive(Debug, Clone, PartialEq)]
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
    /// Priors of the gains: with any, updates must be alternating and the tolerance 0.
    pub priors: PriorSettings,
}

impl Settings {
    /// Checks that they fit each other and a model.
    ///
    /// # Errors
    /// [`Error::Input`] names what does not fit.
    pub fn check(&self, model: &Model) -> Result<()> {
        let weights = &self.priors.weights;
        if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return Err(Error::input(format!("prior weight {weight}: must be finite and not negative")));
        }
        if !weights.is_empty() && weights.len() != model.sources.len() {
            return Err(Error::input(format!("{} prior weights for {} sources", weights.len(), model.sources.len())));
        }
        if !self.priors.any() {
            return Ok(());
        }
        if model.sources.iter().any(|source| source.mixture.is_none()) {
            return Err(Error::input("this model has no gain priors; train it with --method gain-prior"));
        }
        if self.updates != Updates::Alternating {
            return Err(Error::input(format!(
                "{} updates do not go with a gain prior; use alternating ones",
                self.updates
            )));
        }
        if self.tolerance > 0.0 {
            return Err(Error::input("a tolerance does not go with a gain prior; use a tolerance of 0"));
        }
        Ok(())
    }
}

/// A model's bases and priors on an engine, for data of a certain number of bins.
pub struct Bases<E: Products> {
    on_host: Array2<f32>,
    on_engine: E::Matrix,
    sources: Vec<Range<usize>>,
    divergence: Divergence,
    priors: Vec<Prior<E::Matrix>>,
}

impl<E: Products> Bases<E> {
    /// Brings up the lowest `bins` bins of a model's bases, and its priors where the settings want any. A recording whose sample
    /// rate is below the model's has no others: above its Nyquist frequency is nothing to explain.
    ///
    /// # Errors
    /// Those of [`Settings::check`] and of the engine.
    pub fn new(engine: &E, model: &Model, bins: usize, settings: &Settings) -> Result<Self> {
        settings.check(model)?;
        let (bases, sources) = model.bases();
        let on_host = bases.slice(s![..bins.min(bases.nrows()), ..]).to_owned();
        let PriorSettings { weights, gradient } = &settings.priors;
        let mut priors = Vec::new();
        for ((source, rows), &weight) in model.sources.iter().zip(&sources).zip(weights) {
            if let Some(mixture) = source.mixture.as_ref().filter(|_| weight > 0.0) {
                let (density, gradient) = (Density::new(engine, mixture)?, *gradient);
                priors.push(Prior { rows: rows.clone(), density, gradient, floor: gain_prior::FLOOR });
            }
        }
        Ok(Self { on_engine: engine.matrix(on_host.view())?, on_host, sources, divergence: model.divergence, priors })
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
    /// [`Error::Input`] where shapes do not fit, and those of the engine.
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
            Entry::Vacant(new) => {
                Arc::clone(new.insert(Arc::new(Bases::new(&self.engine, self.model, bins, &self.settings)?)))
            }
        })
    }
}

impl<E: GainPrior + Momentum + Glue> Separator for OnEngine<'_, E> {
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
/// stops early, a column's depends on that column alone. `settings` are those that the bases were brought up with.
///
/// # Errors
/// [`Error::Input`] where shapes do not fit, and those of the engine. A column whose numbers stopped being finite is no
/// error here: its cost says so.
pub fn separate<E: GainPrior + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    segments: &[usize],
    bases: &Bases<E>,
    settings: &Settings,
) -> Result<Separated> {
    let panel = engine.panel(data)?;
    let start = engine.panel(nmf::flat_gains(data, bases.on_host.view()).view())?;
    let rule = Rule::of(bases.divergence);
    let Settings { updates, iterations, tolerance, mask, .. } = *settings;
    let (gains, iterations) = if bases.priors.is_empty() {
        let until = Until { iterations, tolerance, segments };
        nmf::update_gains(engine, &panel, &bases.on_engine, start, &rule, updates, &until)?
    } else {
        let (w, priors) = (&bases.on_engine, &bases.priors);
        let given: Vec<f64> = settings.priors.weights.iter().copied().filter(|&weight| weight > 0.0).collect();
        let weights = Array2::from_shape_fn((priors.len(), data.ncols()), |(prior, _)| given[prior]);
        let weights = engine.panel(weights.view())?;
        let gains = gain_prior::update_gains(engine, &panel, w, start, &rule, priors, &weights, iterations)?;
        (gains, vec![iterations; segments.len()])
    };
    let costs = engine.costs(&panel, &bases.on_engine, &gains, bases.divergence)?;
    let masks = engine.masks(&bases.on_engine, &gains, &bases.sources, mask)?;
    let masks = masks.iter().map(|mask| engine.read_panel(mask)).collect::<Result<_>>()?;
    Ok(Separated { masks, costs, iterations })
}
