//! From the data of a recording to masks, under the orders of a model.

use std::ops::Range;
use std::sync::OnceLock;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::fusion::{self, fuse};
use super::options::{Choice, Separation};
use super::start::{Recording, SHAPE};
use super::{Learned, Options, Source, infer, variances};
use crate::kernels::Products;
use crate::kernels::variational::{Bases, Gig, Order, Variational};
use crate::methods::separator::{Factors, Held, Request, Separated, Separator, TrainedBases, Watch, side_by_side};
use crate::{Error, Result};

/// The power that a source explains with gains of 1, if there is no background. The paper's background has as many
/// components.
const SHARE: usize = 16;

/// How a recording is separated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How the orders are made one.
    choice: Choice,
    /// The variance of the noise, as a share of the mean power.
    noise: f64,
    /// β.
    temperature: f64,
    /// Iterations over all factors.
    iterations: usize,
    /// The components of the background.
    background: usize,
    /// The seed of its start.
    seed: u64,
}

impl Settings {
    /// Completes what a user said for a model of so many sources and rows.
    ///
    /// # Errors
    /// [`Error::Option`] for an order that the model does not have, and for a single source without a background.
    pub(crate) fn new(
        own: &Separation,
        iterations: usize,
        learned: &Learned,
        (sources, rows): (usize, usize),
    ) -> Result<Self> {
        let own = own.in_force(sources, rows);
        if let Choice::Fixed(order) = own.orders_by
            && !learned.orders.contains(&order)
        {
            let known: Vec<String> = learned.orders.iter().map(usize::to_string).collect();
            let known = known.join(", ");
            return Err(Error::option("orders_by", format!("{order}: the model has the orders {known}")));
        }
        let background = own.background_rank.unwrap_or_default();
        if sources + background.min(1) < 2 {
            return Err(Error::option(
                "background_rank",
                "0: the model has one source, and nothing to separate it from",
            ));
        }
        Ok(Self {
            choice: own.orders_by,
            noise: own.noise_variance,
            // Without several orders at once, it has no effect.
            temperature: own.temperature.unwrap_or(1.0),
            iterations,
            background,
            seed: own.seed,
        })
    }

    /// The numbers that the engine holds for each column besides the data: so many per row, and so many more.
    pub(crate) fn held(&self, learned: &Learned, sources: usize) -> (usize, usize) {
        let factors = sources * learned.orders.iter().sum::<usize>() + self.background;
        // Variances and masks of all sources, a source's power and that of the background, and the fields of an order. Two
        // moments of every gain, and the update of an order's.
        (2 * (sources + usize::from(self.has_background())) + 4, 4 * factors)
    }

    /// Whether there is a background.
    pub(crate) fn has_background(&self) -> bool {
        self.background > 0
    }
}

/// An engine that separates recordings under the orders of a model. A panel is one recording. Its segments are the
/// channels, which share the background.
pub(crate) struct Averaging<'a, E: Variational> {
    engine: Held<'a, E>,
    bases: TrainedBases,
    learned: &'a Learned,
    settings: &'a Settings,
    /// The prior of all factors. Its tables take a while, so they are made once.
    prior: OnceLock<Gig<E>>,
}

impl<'a, E: Variational + Products> Averaging<'a, E> {
    /// A separator on this engine.
    pub(crate) fn new(engine: Held<'a, E>, bases: TrainedBases, learned: &'a Learned, settings: &'a Settings) -> Self {
        Self { engine, bases, learned, settings, prior: OnceLock::new() }
    }

    fn prior(&self) -> Result<&Gig<E>> {
        if let Some(prior) = self.prior.get() {
            return Ok(prior);
        }
        let prior = Gig::new(&*self.engine, SHAPE)?;
        Ok(self.prior.get_or_init(|| prior))
    }

    /// The sources with the background, and the power that each explains with gains of 1.
    fn level(&self) -> (usize, f64) {
        let share = if self.settings.has_background() { self.settings.background } else { SHARE };
        (self.bases.sources.len() + usize::from(self.settings.has_background()), share as f64)
    }

    /// σ² at the scale of the priors.
    fn noise(&self) -> f64 {
        let (sources, share) = self.level();
        self.settings.noise * sources as f64 * share
    }

    /// Brings a recording up: data (N, F), frame by frame, its segments one after the other.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn recording(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Recording<E>> {
        Recording::new(&self.engine, data, segments, self.level())
    }

    /// The bases (F, K) of a source at an order, in the lowest so many rows.
    fn bases_of(&self, source: &Range<usize>, columns: Range<usize>, rows: usize) -> ArrayView2<'_, f32> {
        self.bases.bases.slice(s![..rows, source.start + columns.start..source.start + columns.end])
    }

    /// Every source at an order, as it starts.
    fn order(&self, recording: &Recording<E>, order: usize) -> Result<Vec<Order<E>>> {
        let (engine, rows) = (&*self.engine, self.engine.shape(&recording.power).0);
        let columns = self.learned.columns_of(order);
        let of_source = |source: &Range<usize>| {
            let w = recording.scaled(self.bases_of(source, columns.clone(), rows));
            recording.order(engine, Bases::Fixed(engine.matrix(w.view())?), order)
        };
        self.bases.sources.iter().map(of_source).collect()
    }

    /// The masks by fusion of some of the orders.
    ///
    /// # Errors
    /// Those of [`fuse`], and of `watch`.
    pub(crate) fn fused(
        &self,
        recording: &Recording<E>,
        orders: &[usize],
        factors: bool,
        watch: &mut Watch,
    ) -> Result<Attempt> {
        let (engine, settings) = (&*self.engine, self.settings);
        let mut posteriors = fusion::Factors {
            orders: orders.iter().map(|&order| self.order(recording, order)).collect::<Result<_>>()?,
            background: None,
        };
        if settings.has_background() {
            // The background is found beside the middle order of the model, whatever the orders are.
            let known = &self.learned.orders;
            let rows = engine.shape(&recording.power).0;
            let columns = self.learned.columns_of(known[known.len() / 2]);
            let of_source = |source| recording.scaled(self.bases_of(source, columns.clone(), rows));
            let others: Vec<Array2<f32>> = self.bases.sources.iter().map(of_source).collect();
            let others: Vec<ArrayView2<f32>> = others.iter().map(|bases| bases.view()).collect();
            let (others, _) = side_by_side(&others);
            posteriors.background =
                Some(recording.found_background(engine, others.view(), settings.background, settings.seed)?);
        }
        let &Settings { temperature, iterations, .. } = settings;
        let options = fusion::Options { noise: self.noise(), temperature, iterations };
        let of = iterations.max(1) as f64;
        let fused = fuse(engine, &recording.power, &mut posteriors, self.prior()?, &options, |iteration| {
            watch(iteration as f64 / of)
        })?;
        let sets = posteriors.orders.iter().filter(|_| factors);
        let sets = sets.map(|order| self.factors(recording, order.iter().chain(&posteriors.background)));
        Ok(Attempt {
            factors: sets.collect::<Result<_>>()?,
            masks: fused.masks,
            posterior: fused.posterior.rows().into_iter().map(|q| q.sum() / q.len() as f64).collect(),
            trace: Vec::new(),
            costs: fused.likelihood.mapv(|likelihood| -likelihood),
        })
    }

    /// The masks by the paper's inference over some of the orders. The posterior is that of the first source.
    ///
    /// # Errors
    /// Those of [`infer`], and of `watch`.
    pub(crate) fn joint(
        &self,
        recording: &Recording<E>,
        orders: &[usize],
        (trace_every, factors): (usize, bool),
        watch: &mut Watch,
    ) -> Result<Attempt> {
        let (engine, settings) = (&*self.engine, self.settings);
        let mut sources: Vec<Vec<Order<E>>> = self.bases.sources.iter().map(|_| Vec::new()).collect();
        for &order in orders {
            sources.iter_mut().zip(self.order(recording, order)?).for_each(|(source, order)| source.push(order));
        }
        let mut sources: Vec<Source<E>> = sources.into_iter().map(Source::new).collect();
        if settings.has_background() {
            let background = recording.drawn_background(engine, settings.background, settings.seed)?;
            sources.push(Source::new(vec![background]));
        }
        let options = Options {
            noise: self.noise(),
            temperature: settings.temperature,
            iterations: settings.iterations,
            trace_every,
        };
        let (x, of) = (&recording.power, settings.iterations.max(1) as f64);
        let trace =
            infer(engine, x, &mut sources, [self.prior()?; 2], &options, |iteration| watch(iteration as f64 / of))?;
        let variances = variances(engine, x, &sources)?;
        let mask = |index| engine.read_panel::<f32>(&engine.fraction(&variances, index)?);
        let masks = (0..sources.len()).map(mask).collect::<Result<Vec<_>>>()?;
        let costs = engine.likelihood(x, &variances, options.noise)?.into_iter().map(|likelihood| -likelihood);
        // A background has one order, beside all of the others.
        let set = |m: usize| {
            self.factors(
                recording,
                sources.iter().filter_map(move |source| source.orders.get(m).or(source.orders.last())),
            )
        };
        let factors = (0..orders.len()).filter(|_| factors).map(set).collect::<Result<_>>()?;
        Ok(Attempt { masks, posterior: sources.swap_remove(0).posterior, trace, costs: costs.collect(), factors })
    }

    /// One order of every source at the level of the data, by the means that variances are formed of.
    fn factors<'o>(&self, recording: &Recording<E>, sources: impl Iterator<Item = &'o Order<E>>) -> Result<Factors>
    where
        E: 'o,
    {
        let engine = &*self.engine;
        let (mut bases, mut gains) = (Vec::new(), Vec::new());
        for Order { bases: of_source, harmonic, .. } in sources {
            let (Bases::Fixed(w) | Bases::Learned { harmonic: w, .. }) = of_source;
            bases.push(recording.at_level_of_data(engine.read_matrix(w)?));
            gains.push(engine.read_panel::<f32>(harmonic)?);
        }
        let (bases, components) = side_by_side(&bases.iter().map(|bases| bases.view()).collect::<Vec<_>>());
        let gains = gains.iter().map(|gains| gains.view()).collect::<Vec<_>>();
        let gains = concatenate(Axis(0), &gains).map_err(|cause| Error::input(format!("gains: {cause}")))?;
        Ok(Factors::plain(bases, &gains, &components, &engine.segments(&recording.power).1))
    }

    /// Tries every order alone.
    fn each(
        &self,
        watch: &mut Watch,
        mut attempt: impl FnMut(&[usize], &mut Watch) -> Result<Attempt>,
    ) -> Result<Vec<Attempt>> {
        let count = self.learned.orders.len() as f64;
        let of_order = |(index, order): (usize, &usize)| {
            attempt(std::slice::from_ref(order), &mut |share| watch((index as f64 + share) / count))
        };
        self.learned.orders.iter().enumerate().map(of_order).collect()
    }
}

/// What an inference found.
pub(crate) struct Attempt {
    /// A mask (F, N) for every source, the background last.
    pub(crate) masks: Vec<Array2<f32>>,
    /// The posterior of the orders, on average over the frames.
    pub(crate) posterior: Vec<f64>,
    /// The free energies that were traced.
    pub(crate) trace: Vec<f64>,
    /// The cost of every column: its negative log likelihood.
    costs: Array1<f64>,
    /// Those of every order, if they are asked for.
    factors: Vec<Factors>,
}

/// The attempt with the highest free energy.
pub(crate) fn selected(attempts: &[Attempt]) -> Option<usize> {
    let energy = |index: &usize| attempts[*index].trace.last().copied().unwrap_or(f64::NEG_INFINITY);
    (0..attempts.len()).max_by(|a, b| energy(a).total_cmp(&energy(b)))
}

/// The mean of the masks of attempts.
pub(crate) fn mean(attempts: Vec<Attempt>) -> Option<Attempt> {
    let share = 1.0 / attempts.len() as f32;
    let mut mean = attempts.into_iter().reduce(|mut sum, attempt| {
        sum.masks.iter_mut().zip(&attempt.masks).for_each(|(sum, mask)| *sum += mask);
        sum.factors.extend(attempt.factors);
        sum
    })?;
    mean.masks.iter_mut().for_each(|mask| *mask *= share);
    Some(mean)
}

impl<E: Variational + Products> Separator for Averaging<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate_as(&self, data: ArrayView2<f32>, segments: &[usize], request: &mut Request) -> Result<Separated> {
        let Settings { choice, background, iterations, .. } = *self.settings;
        if data.nrows() < background {
            let frames = data.nrows();
            return Err(Error::input(format!(
                "the recording has {frames} frames, fewer than the {background} components of the background; use a lower \
                 --background-rank"
            )));
        }
        let recording = self.recording(data, segments)?;
        let none = || Error::input("the model has no orders");
        let keep = request.factors;
        let watch: &mut Watch = &mut |share| request.done(share);
        let Attempt { masks, costs, factors, .. } = match choice {
            Choice::Fusion => self.fused(&recording, &self.learned.orders, keep, watch)?,
            Choice::Joint => self.joint(&recording, &self.learned.orders, (0, keep), watch)?,
            Choice::Fixed(order) => self.fused(&recording, &[order], keep, watch)?,
            Choice::Selection => {
                let attempt =
                    |order: &[usize], watch: &mut Watch| self.joint(&recording, order, (iterations, keep), watch);
                let mut all = self.each(watch, attempt)?;
                let best = selected(&all).ok_or_else(none)?;
                all.swap_remove(best)
            }
            Choice::Mean => {
                let attempt = |order: &[usize], watch: &mut Watch| self.fused(&recording, order, keep, watch);
                mean(self.each(watch, attempt)?).ok_or_else(none)?
            }
        };
        Ok(Separated { masks, costs: costs.to_vec(), iterations: vec![iterations; segments.len()], factors })
    }

    fn by_segment(&self) -> bool {
        false
    }
}
