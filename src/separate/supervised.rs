//! The way of one panel under a trained model: data → gains → masks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, s};
use rayon::prelude::*;

use super::{STRETCH, Separated, Separator};
use crate::divergence::Divergence;
use crate::kernels::{Density, GainPrior, Glue, Gradient, Mask, Momentum, Prior, Products, Rule};
use crate::methods::gain_prior;
use crate::methods::leakage::{self, Leakage};
use crate::methods::nmf::Updates;
use crate::methods::nmf::{self, Until};
use crate::model::{Model, Source};
use crate::{Error, Result};

/// How much the prior of a source's gains counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// α from the data, stretch by stretch: see [`leakage`].
    Auto,
    /// α, finite and not negative; 0: no prior.
    Given(f64),
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Given(weight) => write!(f, "{weight}"),
        }
    }
}

impl FromStr for Weight {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Given)
                .map_err(|_| Error::input(format!("weight '{text}' of a prior is neither a number nor auto"))),
        }
    }
}

/// How much the mixtures of a model's gains count for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriorSettings {
    /// Of every source in order; none at all: no priors.
    pub weights: Vec<Weight>,
    /// Which gradient of the priors the updates follow.
    pub gradient: Gradient,
}

impl PriorSettings {
    /// Whether any source has a prior.
    pub fn any(&self) -> bool {
        self.weights.iter().any(|&weight| weight != Weight::Given(0.0))
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
        let unusable =
            |weight: &&Weight| matches!(weight, Weight::Given(weight) if !(weight.is_finite() && *weight >= 0.0));
        if let Some(weight) = weights.iter().find(unusable) {
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
        if weights.contains(&Weight::Auto) && model.leakage.is_none() {
            return Err(Error::input(
                "this model does not say what its sources leave to each other; train it again, or give a prior weight",
            ));
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
    power_exponent: f64,
    priors: Option<Priors<E::Matrix>>,
}

/// The priors of a model's sources, and where their weights come from.
struct Priors<M> {
    priors: Vec<Prior<M>>,
    weights: Vec<Weight>,
    leakage: Option<Leakage>,
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
        let of_source = |(source, rows): (&Source, &Range<usize>)| -> Result<Option<Prior<E::Matrix>>> {
            let Some(mixture) = &source.mixture else { return Ok(None) };
            let density = Density::new(engine, mixture)?;
            Ok(Some(Prior { rows: rows.clone(), density, gradient: *gradient, floor: gain_prior::FLOOR }))
        };
        let priors = if settings.priors.any() {
            let priors = model.sources.iter().zip(&sources).filter_map(|source| of_source(source).transpose());
            let leakage = model.leakage.as_ref().map(Leakage::new).transpose()?;
            Some(Priors { priors: priors.collect::<Result<_>>()?, weights: weights.clone(), leakage })
        } else {
            None
        };
        Ok(Self {
            on_engine: engine.matrix(on_host.view())?,
            on_host,
            sources,
            divergence: model.divergence,
            power_exponent: model.spectrum.power_exponent(),
            priors,
        })
    }

    /// α of every source and column of the data (J, N).
    fn weights(
        &self,
        engine: &E,
        priors: &Priors<E::Matrix>,
        data: ArrayView2<f32>,
        segments: &[usize],
    ) -> Result<Array2<f64>>
    where
        E: Momentum + Glue,
    {
        let auto = match &priors.leakage {
            Some(leakage) if priors.weights.contains(&Weight::Auto) => {
                let bases = (self.on_host.view(), &self.on_engine);
                let claims = leakage::claims(engine, data, bases, &self.sources, self.divergence, self.power_exponent)?;
                leakage.weights(claims.view(), segments)
            }
            _ => Array2::zeros((priors.weights.len(), data.ncols())),
        };
        Ok(Array2::from_shape_fn(auto.dim(), |at| match priors.weights[at.0] {
            Weight::Auto => auto[at],
            Weight::Given(weight) => weight,
        }))
    }

    /// F, the bins of the data that these bases explain.
    pub fn bins(&self) -> usize {
        self.on_host.nrows()
    }
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

    fn by_segment(&self) -> bool {
        true
    }
}

/// Finds the gains of every column of `data` (F, N) under fixed bases, and the share of every source in every cell. `segments`:
/// the columns of each segment, N in all.
///
/// A segment's result depends on that segment alone, to the bit: not on the others, nor on its place among them. Where nothing
/// stops early and no prior's weight is found from the data, a column's depends on that column alone. `settings` are those that
/// the bases were brought up with.
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
    let (gains, iterations) = find_gains(engine, data, &panel, segments, bases, settings)?;
    let costs = engine.costs(&panel, &bases.on_engine, &gains, bases.divergence)?;
    let masks = engine.masks(&bases.on_engine, &gains, &bases.sources, settings.mask)?;
    Ok(Separated { masks: read_masks(engine, &masks)?, costs, iterations })
}

/// Masks (F, N) on the host. They sum to 1 in every cell: of a card, from which they come slowly, the last is not brought down
/// but is what the others leave over.
fn read_masks<E: Glue>(engine: &E, masks: &[E::Panel]) -> Result<Vec<Array2<f32>>> {
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

/// The gains (K, N) of [`separate`], of all sources one below the other.
///
/// # Errors
/// As there.
pub fn gains<E: GainPrior + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    segments: &[usize],
    bases: &Bases<E>,
    settings: &Settings,
) -> Result<Array2<f32>> {
    engine.read_panel(&find_gains(engine, data, &engine.panel(data)?, segments, bases, settings)?.0)
}

/// Gains, and the updates that each segment took. `panel` is the data on the engine.
fn find_gains<E: GainPrior + Momentum + Glue>(
    engine: &E,
    data: ArrayView2<f32>,
    panel: &E::Panel,
    segments: &[usize],
    bases: &Bases<E>,
    settings: &Settings,
) -> Result<(E::Panel, Vec<usize>)> {
    let start = engine.panel(nmf::flat_gains(data, bases.on_host.view()).view())?;
    let (w, rule) = (&bases.on_engine, Rule::of(bases.divergence));
    let Settings { updates, iterations, tolerance, .. } = *settings;
    let Some(of_sources) = &bases.priors else {
        let until = Until { iterations, tolerance, segments };
        return nmf::update_gains(engine, panel, w, start, &rule, updates, &until);
    };
    let weights = engine.panel(bases.weights(engine, of_sources, data, segments)?.view())?;
    let gains = gain_prior::update_gains(engine, panel, w, start, &rule, &of_sources.priors, &weights, iterations)?;
    Ok((gains, vec![iterations; segments.len()]))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::engine::{Engine, Reference};
    use crate::kernels::Mixture;
    use crate::model::Training;
    use crate::spectrogram::{Pad, Shape, Spectrum, StftParams};

    /// Two sources of two components each, in 5 bins.
    fn model() -> Model {
        let source = |name: &str, bases: Array2<f32>| {
            let means = array![[-0.5, -3.0], [-3.0, -0.5]];
            let mixture = Mixture { weights: array![0.5, 0.5], variances: Array2::ones((2, 2)), means };
            Source { name: name.into(), bases, mixture: Some(mixture) }
        };
        Model {
            divergence: Divergence::ItakuraSaito,
            sample_rate: 8000,
            stft: StftParams { window: 8, hop: 4, fft: 8, shape: Shape::Hann, pad: Pad::Full },
            spectrum: Spectrum::Power,
            sources: vec![
                source("a", array![[1.0, 0.2], [0.5, 0.3], [0.1, 0.4], [0.2, 0.1], [0.3, 0.6]]),
                source("b", array![[0.1, 0.3], [0.2, 0.9], [0.8, 0.1], [0.5, 0.2], [0.1, 0.7]]),
            ],
            leakage: Some(array![[0.8, 0.3], [0.2, 0.7]]),
            normalize: None,
            training: Training { seed: 0, engine: String::new(), version: String::new(), sources: Vec::new() },
        }
    }

    fn settings(weights: &[Weight]) -> Settings {
        Settings {
            updates: Updates::Alternating,
            iterations: 12,
            tolerance: 0.0,
            mask: Mask::Ratio(1.0),
            priors: PriorSettings { weights: weights.to_vec(), gradient: Gradient::Paper },
        }
    }

    fn data(columns: usize) -> Array2<f32> {
        Array2::from_shape_fn((5, columns), |(f, n)| 0.1 + ((3 * f + 7 * n) % 11) as f32)
    }

    fn gains_of(model: &Model, weights: &[Weight], segments: &[usize]) -> Array2<f32> {
        let settings = settings(weights);
        let bases = Bases::new(&Reference, model, 5, &settings).unwrap();
        gains(&Reference, data(segments.iter().sum()).view(), segments, &bases, &settings).unwrap()
    }

    #[test]
    fn weights_from_the_data_are_those_of_the_leakage_and_the_claims() {
        let model = model();
        let (bases, sources) = model.bases();
        let w = Reference.matrix(bases.view()).unwrap();
        let data = data(9);
        let claims =
            leakage::claims(&Reference, data.view(), (bases.view(), &w), &sources, model.divergence, 1.0).unwrap();
        let leakage = Leakage::new(model.leakage.as_ref().unwrap()).unwrap();
        let auto = [Weight::Auto; 2];
        for segments in [&[9][..], &[4, 5]] {
            let expected = leakage.weights(claims.view(), segments);
            let found = gains_of(&model, &auto, segments);
            let mut first = 0;
            for &columns in segments {
                let given = [0, 1].map(|source| Weight::Given(expected[(source, first)]));
                assert!(given.iter().all(|&weight| weight != Weight::Given(0.0)));
                let of_segment = s![.., first..first + columns];
                assert_eq!(found.slice(of_segment), gains_of(&model, &given, &[9]).slice(of_segment));
                first += columns;
            }
        }
        // A weight that is given stands, beside one that is not.
        let whole = leakage.weights(claims.view(), &[9])[(0, 0)];
        let mixed = gains_of(&model, &[Weight::Auto, Weight::Given(0.7)], &[9]);
        assert_eq!(mixed, gains_of(&model, &[Weight::Given(whole), Weight::Given(0.7)], &[9]));
        assert_ne!(mixed, gains_of(&model, &[Weight::Given(whole), Weight::Given(0.6)], &[9]));
    }

    #[test]
    fn no_prior_is_the_plain_separation() {
        let plain =
            Model { sources: model().sources.into_iter().map(|s| Source { mixture: None, ..s }).collect(), ..model() };
        assert_eq!(gains_of(&model(), &[Weight::Given(0.0); 2], &[7]), gains_of(&plain, &[], &[7]));
    }

    #[test]
    fn what_does_not_fit_the_model_is_refused() {
        let refused = |model: &Model, weights: &[Weight], reason: &str| {
            let error = settings(weights).check(model).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        let apart = Model { leakage: None, ..model() };
        refused(&apart, &[Weight::Auto, Weight::Given(0.1)], "what its sources leave to each other");
        assert!(settings(&[Weight::Given(0.1); 2]).check(&apart).is_ok());
        refused(&model(), &[Weight::Auto], "1 prior weights for 2 sources");
        refused(&model(), &[Weight::Auto, Weight::Given(f64::NAN)], "finite and not negative");
        let mut plain = model();
        plain.sources.iter_mut().for_each(|source| source.mixture = None);
        refused(&plain, &[Weight::Auto; 2], "no gain priors");
    }

    #[test]
    fn weights_parse() {
        for (text, weight) in [("auto", Weight::Auto), ("0.1", Weight::Given(0.1)), ("0", Weight::Given(0.0))] {
            assert_eq!((text.parse::<Weight>().unwrap(), weight.to_string().as_str()), (weight, text));
        }
        assert!("much".parse::<Weight>().is_err());
    }
}
