//! From data to masks under fixed bases and gain priors.

use ndarray::{Array2, ArrayView2};

use super::FLOOR;
use super::file::Learned;
use super::leakage::{Leakage, claims};
use super::options::{Separation, Weight};
use crate::kernels::{Density, GainPrior, Glue, Gradient, Momentum, Prior, Products, Rule};
use crate::methods::nmf::separate::FixedBases;
use crate::methods::nmf::{self, Updates};
use crate::methods::separator::{OnEngine, Separated, TrainedBases};
use crate::options::PerSource;
use crate::{Error, Result};

/// A job's options in force.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// How gains are found and cells shared; with any prior, by alternating updates that do not stop early.
    pub(crate) gains: nmf::separate::Settings,
    /// How much the prior of each source counts for, in the order of the sources.
    pub(crate) weights: Vec<Weight>,
    /// Which gradient of the priors the updates follow.
    pub(crate) gradient: Gradient,
}

impl Settings {
    /// Completes a method's options for the sources of a model: with any prior 100 alternating updates. `gains` completes what
    /// all methods share, from the updates that are usual here.
    ///
    /// # Errors
    /// [`Error::Option`] or [`Error::Input`] names what does not fit.
    pub(crate) fn new(
        own: &Separation,
        (sources, learned): (&[&str], &Learned),
        gains: impl FnOnce(Updates) -> Result<nmf::separate::Settings>,
    ) -> Result<Self> {
        let weights = own.prior_weight.of("prior_weight", sources, Weight::Auto)?;
        let unusable =
            |weight: &&Weight| matches!(weight, Weight::Given(weight) if !(weight.is_finite() && *weight >= 0.0));
        if let Some(weight) = weights.iter().find(unusable) {
            return Err(Error::option("prior_weight", format!("{weight}: must be finite and not negative")));
        }
        let auto = weights.contains(&Weight::Auto);
        let usual = if auto { Gradient::Paper } else { Gradient::Exact };
        let gradient = own.prior_gradient.unwrap_or(usual);
        let any = weights.iter().any(|&weight| weight != Weight::Given(0.0));
        let gains = gains(if any { Updates::Alternating } else { Updates::Extrapolated })?;
        let settings = Self { gains, weights, gradient };
        if !any {
            return Ok(settings);
        }
        if auto && learned.leakage.is_none() {
            return Err(Error::input(
                "this model does not say what its sources leave to each other; train it again, or give a prior weight",
            ));
        }
        let nmf::separate::Settings { updates, tolerance, .. } = settings.gains;
        if updates != Updates::Alternating {
            return Err(Error::input(format!("{updates} updates do not go with a gain prior; use alternating ones")));
        }
        if tolerance > 0.0 {
            return Err(Error::input("a tolerance does not go with a gain prior; use a tolerance of 0"));
        }
        Ok(settings)
    }

    /// The method's options that say the same, with nothing left to it.
    pub(crate) fn options(&self, sources: &[&str]) -> Separation {
        let prior_weight = match self.weights[..] {
            [first, ..] if self.weights.iter().all(|&weight| weight == first) => first.into(),
            _ => {
                let named = sources.iter().map(|source| source.to_string()).zip(self.weights.iter().copied());
                PerSource { others: None, named: named.collect() }
            }
        };
        Separation { prior_weight, prior_gradient: Some(self.gradient) }
    }
}

/// The bases and priors of a model on an engine.
pub(crate) struct UnderPriors<E: Products> {
    bases: FixedBases<E>,
    power_exponent: f64,
    /// None where no prior has any weight.
    priors: Vec<Prior<E::Matrix>>,
    leakage: Option<Leakage>,
    settings: Settings,
}

impl<E: GainPrior + Momentum + Glue> UnderPriors<E> {
    /// Brings bases up, and priors where any has a weight.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new(engine: &E, bases: TrainedBases, learned: &Learned, settings: &Settings) -> Result<Self> {
        let power_exponent = bases.power_exponent;
        let bases = FixedBases::new(engine, bases)?;
        let any = settings.weights.iter().any(|&weight| weight != Weight::Given(0.0));
        let prior = |(mixture, rows): (_, &std::ops::Range<usize>)| -> Result<Prior<E::Matrix>> {
            let density = Density::new(engine, mixture)?;
            Ok(Prior { rows: rows.clone(), density, gradient: settings.gradient, floor: FLOOR })
        };
        let mixtures = learned.mixtures.iter().zip(&bases.sources).filter(|_| any);
        Ok(Self {
            priors: mixtures.map(prior).collect::<Result<_>>()?,
            leakage: learned.leakage.as_ref().map(Leakage::new).transpose()?,
            settings: settings.clone(),
            power_exponent,
            bases,
        })
    }

    /// α of every source and column of the data (J, N).
    fn weights(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize]) -> Result<Array2<f64>> {
        let given = &self.settings.weights;
        let auto = match &self.leakage {
            Some(leakage) if given.contains(&Weight::Auto) => {
                let FixedBases { on_host, on_engine, sources, divergence } = &self.bases;
                let bases = (on_host.view(), on_engine);
                let claims = claims(engine, data, bases, sources, divergence, self.power_exponent)?;
                leakage.weights(claims.view(), segments)
            }
            _ => Array2::zeros((given.len(), data.ncols())),
        };
        Ok(Array2::from_shape_fn(auto.dim(), |at| match given[at.0] {
            Weight::Auto => auto[at],
            Weight::Given(weight) => weight,
        }))
    }

    /// The gains (ΣK, N) of data (F, N), of all sources one below the other.
    ///
    /// # Errors
    /// As [`OnEngine::separate`].
    pub(crate) fn gains(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize]) -> Result<Array2<f32>> {
        engine.read_panel(&self.find_gains(engine, data, &engine.panel(data)?, segments)?.0)
    }

    /// Gains, and the updates that each segment took. `panel` is the data on the engine.
    fn find_gains(
        &self,
        engine: &E,
        data: ArrayView2<f32>,
        panel: &E::Panel,
        segments: &[usize],
    ) -> Result<(E::Panel, Vec<usize>)> {
        let Self { bases, priors, settings, .. } = self;
        if priors.is_empty() {
            return bases.gains(engine, data, panel, segments, &settings.gains);
        }
        let start = bases.start(engine, data)?;
        let weights = engine.panel(self.weights(engine, data, segments)?.view())?;
        let (rule, iterations) = (Rule::of(bases.divergence.clone()), settings.gains.iterations);
        let gains = super::update_gains(engine, panel, &bases.on_engine, start, &rule, priors, &weights, iterations)?;
        Ok((gains, vec![iterations; segments.len()]))
    }
}

impl<E: GainPrior + Momentum + Glue> OnEngine<E> for UnderPriors<E> {
    fn separate(&self, engine: &E, data: ArrayView2<f32>, segments: &[usize], factors: bool) -> Result<Separated> {
        let panel = engine.panel(data)?;
        let gains = self.find_gains(engine, data, &panel, segments)?;
        self.bases.masks(engine, &panel, gains, self.settings.gains.mask, factors.then_some(segments))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::{Engine, Reference};
    use crate::kernels::{Mask, Mixture};
    use crate::methods::separator::side_by_side;

    const SOURCES: [&str; 2] = ["a", "b"];

    /// Two sources of two components each, in 5 bins.
    fn bases() -> TrainedBases {
        let [a, b] = [
            array![[1.0, 0.2], [0.5, 0.3], [0.1, 0.4], [0.2, 0.1], [0.3, 0.6]],
            array![[0.1, 0.3], [0.2, 0.9], [0.8, 0.1], [0.5, 0.2], [0.1, 0.7]],
        ];
        let (bases, sources) = side_by_side(&[a.view(), b.view()]);
        TrainedBases { bases, sources, divergence: Divergence::ItakuraSaito, power_exponent: 1.0 }
    }

    fn learned() -> Learned {
        let means = array![[-0.5, -3.0], [-3.0, -0.5]];
        let mixture = Mixture { weights: array![0.5, 0.5], variances: Array2::ones((2, 2)), means };
        Learned { mixtures: vec![mixture; 2], leakage: Some(array![[0.8, 0.3], [0.2, 0.7]]) }
    }

    /// Weights of both sources, in order.
    fn own(weights: [Weight; 2]) -> Separation {
        let named = SOURCES.map(String::from).into_iter().zip(weights).collect();
        Separation { prior_weight: PerSource { others: None, named }, prior_gradient: Some(Gradient::Paper) }
    }

    fn settings(own: &Separation, learned: &Learned) -> Result<Settings> {
        let gains = |updates| nmf::separate::Settings::new(Some(updates), Some(12), 0.0, Mask::Ratio(1.0));
        Settings::new(own, (&SOURCES, learned), gains)
    }

    fn data(columns: usize) -> Array2<f32> {
        Array2::from_shape_fn((5, columns), |(f, n)| 0.1 + ((3 * f + 7 * n) % 11) as f32)
    }

    fn gains_of(weights: [Weight; 2], segments: &[usize]) -> Array2<f32> {
        let settings = settings(&own(weights), &learned()).unwrap();
        let under = UnderPriors::new(&Reference, bases(), &learned(), &settings).unwrap();
        under.gains(&Reference, data(segments.iter().sum()).view(), segments).unwrap()
    }

    #[test]
    fn weights_from_the_data_are_those_of_the_leakage_and_the_claims() {
        let TrainedBases { bases, sources, divergence, .. } = bases();
        let w = Reference.matrix(bases.view()).unwrap();
        let data = data(9);
        let claims = claims(&Reference, data.view(), (bases.view(), &w), &sources, &divergence, 1.0).unwrap();
        let leakage = Leakage::new(learned().leakage.as_ref().unwrap()).unwrap();
        let auto = [Weight::Auto; 2];
        for segments in [&[9][..], &[4, 5]] {
            let expected = leakage.weights(claims.view(), segments);
            let found = gains_of(auto, segments);
            let mut first = 0;
            for &columns in segments {
                let given = [0, 1].map(|source| Weight::Given(expected[(source, first)]));
                assert!(given.iter().all(|&weight| weight != Weight::Given(0.0)));
                let of_segment = s![.., first..first + columns];
                assert_eq!(found.slice(of_segment), gains_of(given, &[9]).slice(of_segment));
                first += columns;
            }
        }
        // A weight that is given stands, beside one that is not.
        let whole = leakage.weights(claims.view(), &[9])[(0, 0)];
        let mixed = gains_of([Weight::Auto, Weight::Given(0.7)], &[9]);
        assert_eq!(mixed, gains_of([Weight::Given(whole), Weight::Given(0.7)], &[9]));
        assert_ne!(mixed, gains_of([Weight::Given(whole), Weight::Given(0.6)], &[9]));
    }

    #[test]
    fn without_any_weight_it_is_the_plain_separation() {
        let settings = settings(&own([Weight::Given(0.0); 2]), &learned()).unwrap();
        let plain = FixedBases::new(&Reference, bases()).unwrap();
        let data = data(7);
        let panel = Reference.panel(data.view()).unwrap();
        let gains = plain.gains(&Reference, data.view(), &panel, &[7], &settings.gains).unwrap().0;
        let gains: Array2<f32> = Reference.read_panel(&gains).unwrap();
        assert_eq!(gains_of([Weight::Given(0.0); 2], &[7]), gains);
    }

    #[test]
    fn options_that_do_not_fit_the_model_are_refused() {
        let refused = |learned: &Learned, own: &Separation, reason: &str| {
            let error = settings(own, learned).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        let apart = Learned { leakage: None, ..learned() };
        refused(&apart, &own([Weight::Auto, Weight::Given(0.1)]), "what its sources leave to each other");
        assert!(settings(&own([Weight::Given(0.1); 2]), &apart).is_ok());
        refused(&learned(), &own([Weight::Auto, Weight::Given(f64::NAN)]), "finite and not negative");
        let elsewhere = PerSource { others: None, named: [("c".to_string(), Weight::Auto)].into() };
        refused(&learned(), &Separation { prior_weight: elsewhere, prior_gradient: None }, "no such source");
    }

    #[test]
    fn options_in_force_say_the_same() {
        for weights in [[Weight::Auto; 2], [Weight::Auto, Weight::Given(0.1)], [Weight::Given(0.0); 2]] {
            let first = settings(&Separation { prior_gradient: None, ..own(weights) }, &learned()).unwrap();
            assert_eq!(settings(&first.options(&SOURCES), &learned()).unwrap(), first);
        }
        let auto = settings(&Separation::default(), &learned()).unwrap();
        assert_eq!((auto.weights, auto.gradient), (vec![Weight::Auto; 2], Gradient::Paper));
    }
}
