//! From the data of a recording to masks: a posterior over the orders of every source, and a background that is learned from
//! the recording.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::options::{Choice, Separation};
use super::{Learned, Options, Source, infer, variances};
use crate::kernels::variational::{Bases, Order, Variational};
use crate::methods::separator::{Held, Separated, Separator, TrainedBases};
use crate::random::Stream;
use crate::{Error, Result};

/// a and b, the shapes of the priors: the paper's.
const SHAPE: f64 = 0.2;

/// How a recording is separated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How the orders of a source are made one.
    choice: Choice,
    /// How the posterior is found.
    options: Options,
    /// The components of the background.
    background: usize,
    /// The seed of its start.
    seed: u64,
}

impl Settings {
    /// Completes what a user said for a model of so many sources.
    ///
    /// # Errors
    /// [`Error::Option`] for an order that the model does not have, and for a single source without a background.
    pub(crate) fn new(own: &Separation, iterations: usize, learned: &Learned, sources: usize) -> Result<Self> {
        let own = own.in_force(sources);
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
        let temperature = own.temperature.unwrap_or(1.0);
        let options = Options {
            bases_shape: SHAPE,
            gains_shape: SHAPE,
            noise: own.noise_variance,
            temperature: (temperature, temperature),
            by_frame: false,
            iterations,
            trace: false,
        };
        Ok(Self { choice: own.orders_by, options, background, seed: own.seed })
    }

    /// The numbers that the engine holds for each column besides the data: so many per row, and so many more.
    pub(crate) fn held(&self, learned: &Learned, sources: usize) -> (usize, usize) {
        let factors = sources * learned.orders.iter().sum::<usize>() + self.background;
        // Variances of all sources, a source's power, and the models of an order. Two moments of every gain, and its update.
        (sources + usize::from(self.has_background()) + 3, 4 * factors)
    }

    /// Whether there is a background.
    pub(crate) fn has_background(&self) -> bool {
        self.background > 0
    }
}

/// An engine that separates recordings under the orders of a model. A panel is one recording. Its segments are the
/// channels, which share the background and the posterior of the orders.
pub(crate) struct Averaging<'a, E> {
    engine: Held<'a, E>,
    bases: TrainedBases,
    learned: &'a Learned,
    settings: &'a Settings,
}

impl<'a, E: Variational> Averaging<'a, E> {
    /// A separator on this engine.
    pub(crate) fn new(engine: Held<'a, E>, bases: TrainedBases, learned: &'a Learned, settings: &'a Settings) -> Self {
        Self { engine, bases, learned, settings }
    }

    /// The sources at some of the orders, as they start.
    fn sources(&self, data: &Recording<E>, orders: &[usize]) -> Result<Vec<Source<E>>> {
        let engine = &*self.engine;
        let of_source = |columns: &std::ops::Range<usize>| {
            let bases = self.bases.bases.slice(s![..data.rows, columns.clone()]);
            let of_order = |(known, columns): (&usize, std::ops::Range<usize>)| {
                orders.contains(known).then(|| {
                    let w = scaled(bases.slice(s![.., columns]));
                    data.order(engine, Bases::Fixed(engine.matrix(w.view())?), *known)
                })
            };
            let orders = self.learned.orders.iter().zip(self.learned.columns()).filter_map(of_order);
            Ok(Source::new(orders.collect::<Result<Vec<_>>>()?))
        };
        let mut sources = self.bases.sources.iter().map(of_source).collect::<Result<Vec<_>>>()?;
        if self.settings.has_background() {
            sources.push(Source::new(vec![data.background(engine, self.settings)?]));
        }
        Ok(sources)
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &E {
        &self.engine
    }

    /// An inference over some of the orders. Its free energy is traced if `trace`.
    ///
    /// # Errors
    /// Those of [`infer`], and of `watch`.
    pub(crate) fn attempt(
        &self,
        data: &Recording<E>,
        orders: &[usize],
        trace: bool,
        watch: &mut (dyn FnMut(f64) -> Result<()> + Send),
    ) -> Result<Attempt> {
        let (engine, options) = (&*self.engine, Options { trace, ..self.settings.options });
        let mut sources = self.sources(data, orders)?;
        let of = options.iterations.max(1) as f64;
        let trace = infer(engine, &data.power, &mut sources, &options, |iteration| watch(iteration as f64 / of))?;
        let variances = variances(engine, &data.power, &sources)?;
        let mask = |index| engine.read_panel::<f32>(&engine.fraction(&variances, index)?);
        let masks = (0..sources.len()).map(mask).collect::<Result<Vec<_>>>()?;
        let costs = engine.energy(&data.power, &variances, options.noise)?.into_iter().map(|energy| -energy).collect();
        Ok(Attempt {
            masks,
            costs,
            trace,
            posteriors: sources
                .into_iter()
                .map(|source| source.posterior.mean_axis(Axis(1)).unwrap_or_default())
                .collect(),
        })
    }

    /// The masks by every order alone.
    fn alone(
        &self,
        data: &Recording<E>,
        trace: bool,
        watch: &mut (dyn FnMut(f64) -> Result<()> + Send),
    ) -> Result<Vec<Attempt>> {
        let count = self.learned.orders.len() as f64;
        let attempt = |(index, order): (usize, &usize)| {
            self.attempt(data, &[*order], trace, &mut |share| watch((index as f64 + share) / count))
        };
        self.learned.orders.iter().enumerate().map(attempt).collect()
    }
}

/// What an inference found.
pub(crate) struct Attempt {
    /// A mask (F, N) for every source, the background last.
    pub(crate) masks: Vec<Array2<f32>>,
    /// The posterior of the orders of every source, on average over the frames.
    pub(crate) posteriors: Vec<Array1<f64>>,
    /// The free energy after every iteration, if it was traced.
    pub(crate) trace: Vec<f64>,
    /// The cost of every column: its part of the free energy that depends on the data alone, with the sign changed.
    costs: Vec<f64>,
}

impl<E: Variational> Separator for Averaging<'_, E> {
    fn describe(&self) -> String {
        self.engine.describe()
    }

    fn separate(&self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated> {
        self.separate_watched(data, segments, &mut |_| Ok(()))
    }

    fn separate_watched(
        &self,
        data: ArrayView2<f32>,
        segments: &[usize],
        watch: &mut (dyn FnMut(f64) -> Result<()> + Send),
    ) -> Result<Separated> {
        let background = self.settings.background;
        if data.nrows() < background {
            let frames = data.nrows();
            return Err(Error::input(format!(
                "the recording has {frames} frames, fewer than the {background} components of the background; use a lower \
                 --background-rank"
            )));
        }
        let data = Recording::new(&*self.engine, data, segments)?;
        let Attempt { masks, costs, .. } = match self.settings.choice {
            Choice::Fusion => self.attempt(&data, &self.learned.orders, false, watch)?,
            Choice::Fixed(order) => self.attempt(&data, &[order], false, watch)?,
            Choice::Selection => {
                let energy = |attempt: &Attempt| attempt.trace.last().copied().unwrap_or(f64::NEG_INFINITY);
                let all = self.alone(&data, true, watch)?;
                let best = all.into_iter().max_by(|a, b| energy(a).total_cmp(&energy(b)));
                best.ok_or_else(|| Error::input("the model has no orders"))?
            }
            Choice::Mean => {
                let all = self.alone(&data, false, watch)?;
                let share = 1.0 / all.len() as f32;
                let sum = all.into_iter().reduce(|mut sum, attempt| {
                    sum.masks.iter_mut().zip(&attempt.masks).for_each(|(sum, mask)| *sum += mask);
                    sum
                });
                let mut mean = sum.ok_or_else(|| Error::input("the model has no orders"))?;
                mean.masks.iter_mut().for_each(|mask| *mask *= share);
                mean
            }
        };
        Ok(Separated { masks, costs, iterations: vec![self.settings.options.iterations; segments.len()] })
    }

    fn by_segment(&self) -> bool {
        false
    }
}

/// The data of a recording on an engine, at the scale of the priors.
pub(crate) struct Recording<E: Variational> {
    /// |X|² (F x N), with a mean of 1.
    power: E::Panel,
    rows: usize,
    columns: usize,
}

impl<E: Variational> Recording<E> {
    /// Brings up data (N, F), frame by frame: segments one after the other.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn new(engine: &E, data: ArrayView2<f32>, segments: &[usize]) -> Result<Self> {
        let (columns, rows) = data.dim();
        let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / (rows * columns).max(1) as f64;
        let scale = if mean > 0.0 { (1.0 / mean) as f32 } else { 1.0 };
        let data = data.mapv(|x| x * scale);
        let mut rest = data.t();
        let mut parts = Vec::with_capacity(segments.len());
        for &columns in segments {
            let (part, after) = rest.split_at(Axis(1), columns);
            parts.push(part);
            rest = after;
        }
        Ok(Self { power: engine.packed(&parts)?, rows, columns })
    }

    /// An order with these bases and gains at the mean of their prior.
    fn order(&self, engine: &E, bases: Bases<E>, order: usize) -> Result<Order<E>> {
        let ones = Array2::<f32>::ones((order, self.columns));
        let gains = || engine.panel_like(&self.power, ones.view());
        Ok(Order { bases, mean: gains()?, harmonic: gains()? })
    }

    /// The background as it starts: bases drawn from their prior.
    fn background(&self, engine: &E, settings: &Settings) -> Result<Order<E>> {
        let rank = settings.background;
        let stream = Stream::new(settings.seed, "background");
        let drawn = Array2::from_shape_fn((self.rows, rank), |(f, k)| {
            (stream.gamma((f * rank + k) as u64, SHAPE) / SHAPE) as f32
        });
        let bases = Bases::Learned { mean: engine.matrix(drawn.view())?, harmonic: engine.matrix(drawn.view())? };
        self.order(engine, bases, rank)
    }
}

/// Bases scaled so that gains of 1 explain data with a mean of 1.
fn scaled(bases: ArrayView2<f32>) -> Array2<f32> {
    let mean = bases.iter().map(|&w| f64::from(w)).sum::<f64>() / bases.nrows().max(1) as f64;
    if mean > 0.0 { bases.mapv(|w| (f64::from(w) / mean) as f32) } else { bases.to_owned() }
}
