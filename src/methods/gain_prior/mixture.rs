//! Mixtures of gains by expectation-maximization.

use ndarray::{Array1, Array2, ArrayView2, Zip};

use crate::kernels::prior::{Moments, WEIGHT_FLOOR};
use crate::kernels::{Density, GainPrior, Mixture};
use crate::random::Stream;
use crate::{Error, Result};

/// The least variance of a log-gain. Components narrower than a factor of e would tie gains to the values of a few frames.
pub const VARIANCE_FLOOR: f64 = 1.0;

/// The most columns from which the first means are drawn. Drawing C means takes C passes over them.
const SAMPLE: usize = 8192;

/// A component that is responsible for fewer columns than this is dead.
const DEAD: f64 = 1.0;

/// The options of learning a mixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitting {
    /// C.
    pub components: usize,
    /// The most steps.
    pub iterations: usize,
    /// Stop when a step raises the mean log-likelihood of a column by no more than this; 0: never.
    pub tolerance: f64,
    /// The number of starts. The best result is kept.
    pub starts: usize,
    /// The least variance.
    pub variance_floor: f64,
    /// The seed of the starts.
    pub seed: u64,
}

impl Fitting {
    /// C components, with the other options of `train`.
    pub fn of(components: usize, seed: u64) -> Self {
        Self { components, iterations: 100, tolerance: 1e-3, starts: 3, variance_floor: VARIANCE_FLOOR, seed }
    }
}

/// A learned mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The best mixture.
    pub mixture: Mixture,
    /// Its log-likelihood before every step and after the last. It falls only if a variance reaches its floor, or if a component
    /// is seeded again.
    pub log_likelihood: Vec<f64>,
    /// Components that died and were seeded again.
    pub reseeded: usize,
}

/// One step of expectation-maximization. Returns the log-likelihood of X (K x N) under `mixture`, and the mixture that maximises
/// the expected log-likelihood. A component that is responsible for no column keeps its mean and variance.
///
/// # Errors
/// [`Error::Input`] where shapes do not fit, [`Error::Engine`].
pub fn step<E: GainPrior>(engine: &E, x: &E::Panel, mixture: &Mixture, variance_floor: f64) -> Result<(f64, Mixture)> {
    let moments = engine.moments(x, &Density::new(engine, mixture)?)?;
    Ok((moments.log_likelihood, maximize(&moments, mixture, engine.shape(x).1, variance_floor)))
}

fn maximize(moments: &Moments, mixture: &Mixture, columns: usize, variance_floor: f64) -> Mixture {
    let weights = moments.counts.mapv(|count| (count / columns as f64).max(WEIGHT_FLOOR));
    let mut next = Mixture { weights, ..mixture.clone() };
    for (component, variances) in moments.variances.iter().enumerate() {
        if let Some(variances) = variances {
            next.means.row_mut(component).assign(&moments.means.row(component));
            next.variances.row_mut(component).assign(variances);
        }
    }
    next.variances.mapv_inplace(|variance| variance.max(variance_floor));
    next
}

/// Learns a mixture of the columns of X (K x N) by expectation-maximization, from a k-means++ start. The seed gives the same
/// random numbers on every engine.
///
/// # Errors
/// [`Error::Input`] where there are fewer columns than components, [`Error::Diverged`] where the log-likelihood is not finite,
/// [`Error::Engine`].
pub fn fit<E: GainPrior>(engine: &E, x: &E::Panel, fitting: &Fitting) -> Result<Fitted> {
    let columns = engine.shape(x).1;
    if fitting.components == 0 || fitting.components > columns {
        return Err(Error::input(format!(
            "{} mixtures of the gains of {columns} frames: must be between 1 and as many as there are frames",
            fitting.components
        )));
    }
    let values: Array2<f32> = engine.read_panel(x)?;
    let variances = spread(values.view(), fitting.variance_floor);
    engine.within(|| {
        let mut best: Option<Fitted> = None;
        for start in 0..fitting.starts.max(1) {
            let stream = Stream::new(fitting.seed, &format!("mixture {start}"));
            let start = seeded(values.view(), &variances, fitting.components, stream);
            let fitted = climb(engine, x, values.view(), &variances, start, fitting)?;
            if best.as_ref().is_none_or(|best| fitted.log_likelihood.last() > best.log_likelihood.last()) {
                best = Some(fitted);
            }
        }
        best.ok_or_else(|| Error::input("no start of a mixture"))
    })
}

/// Takes steps from one start. Dead components are seeded again in the first half of the steps, so that all have time to settle.
fn climb<E: GainPrior>(
    engine: &E,
    x: &E::Panel,
    values: ArrayView2<f32>,
    variances: &Array1<f64>,
    mut mixture: Mixture,
    fitting: &Fitting,
) -> Result<Fitted> {
    let columns = values.ncols();
    let (mut log_likelihood, mut reseeded, mut settled) = (Vec::new(), 0, false);
    loop {
        let done = log_likelihood.len();
        let density = Density::new(engine, &mixture)?;
        let moments = engine.moments(x, &density)?;
        let now = moments.log_likelihood;
        if !now.is_finite() {
            return Err(Error::Diverged { what: "mixture of the gains".into(), iteration: done });
        }
        let rise = log_likelihood.last().map_or(f64::INFINITY, |before| now - before);
        log_likelihood.push(now);
        if done == fitting.iterations || (settled && rise <= fitting.tolerance * columns as f64) {
            return Ok(Fitted { mixture, log_likelihood, reseeded });
        }
        mixture = maximize(&moments, &mixture, columns, fitting.variance_floor);
        let dead: Vec<usize> = (0..fitting.components).filter(|&component| moments.counts[component] < DEAD).collect();
        settled = fitting.tolerance > 0.0;
        if !dead.is_empty() && 2 * done < fitting.iterations {
            let (_, likelihoods) = engine.responsibilities(x, &density)?;
            reseed(&mut mixture, &dead, values, &engine.read_panel(&likelihoods)?, variances);
            reseeded += dead.len();
            settled = false;
        }
    }
}

/// A mixture with means drawn by k-means++ from a sample of the columns, and these variances.
fn seeded(values: ArrayView2<f32>, variances: &Array1<f64>, components: usize, stream: Stream) -> Mixture {
    let columns = values.ncols();
    let mut counter = 0..;
    let mut uniform = || stream.uniform(counter.next().unwrap_or_default());
    let sample: Vec<usize> = if columns <= SAMPLE {
        (0..columns).collect()
    } else {
        (0..SAMPLE).map(|_| (uniform() * columns as f64) as usize).collect()
    };
    let mut distances = vec![1.0; sample.len()];
    let mut means = Array2::zeros((components, values.nrows()));
    for (component, mut mean) in means.outer_iter_mut().enumerate() {
        // The first column is drawn uniformly, each further one by its squared distance to the nearest drawn column.
        let mut left = uniform() * distances.iter().sum::<f64>();
        let drawn = distances.iter().position(|&distance| {
            left -= distance;
            left < 0.0
        });
        let drawn = values.column(sample[drawn.unwrap_or(sample.len() - 1)]);
        mean.assign(&drawn.mapv(f64::from));
        for (distance, &column) in distances.iter_mut().zip(&sample) {
            let to_drawn: f64 = values.column(column).iter().zip(drawn).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            *distance = if component == 0 { to_drawn } else { to_drawn.min(*distance) };
        }
    }
    Mixture {
        weights: Array1::from_elem(components, 1.0 / components as f64),
        variances: Array2::from_shape_fn(means.dim(), |(_, k)| variances[k]),
        means,
    }
}

/// The variance of every row, floored. The loop runs column by column, in the order of memory.
fn spread(values: ArrayView2<f32>, floor: f64) -> Array1<f64> {
    let count = values.ncols() as f64;
    let mut mean = Array1::<f64>::zeros(values.nrows());
    for column in values.columns() {
        mean.zip_mut_with(&column, |sum, &x| *sum += f64::from(x));
    }
    mean /= count;
    let mut squares = Array1::<f64>::zeros(values.nrows());
    for column in values.columns() {
        Zip::from(&mut squares).and(column).and(&mean).for_each(|sum, &x, mean| *sum += (f64::from(x) - mean).powi(2));
    }
    squares.mapv_into(|sum| (sum / count).max(floor))
}

/// Moves dead components to the columns that the mixture explains worst.
fn reseed(
    mixture: &mut Mixture,
    dead: &[usize],
    values: ArrayView2<f32>,
    likelihoods: &Array2<f64>,
    variances: &Array1<f64>,
) {
    let mut columns: Vec<usize> = (0..values.ncols()).collect();
    columns.sort_by(|&a, &b| likelihoods[(0, a)].total_cmp(&likelihoods[(0, b)]));
    for (&component, column) in dead.iter().zip(columns) {
        mixture.means.row_mut(component).assign(&values.column(column).mapv(f64::from));
        mixture.variances.row_mut(component).assign(variances);
        mixture.weights[component] = 1.0 / mixture.means.nrows() as f64;
    }
    let sum = mixture.weights.sum();
    mixture.weights /= sum;
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, s};

    use super::super::tests::{mixture, values};
    use super::*;
    use crate::engine::testing::gpu;
    use crate::engine::{Cpu, Reference};

    /// Columns around two places far apart.
    fn clouds(columns: usize) -> Array2<f64> {
        let mut x = values(4, 5, columns).mapv(|x| -2.0 - x);
        x.slice_mut(s![.., columns / 3..]).mapv_inplace(|x| x - 6.0);
        x
    }

    #[test]
    fn steps_never_lower_the_likelihood() {
        let x = vec![values(1, 6, 80).mapv(|x| (0.3 * x).ln())];
        let (mut mixture, mut last) = (mixture(7, 4, 6), f64::NEG_INFINITY);
        for _ in 0..60 {
            let (likelihood, next) = step(&Reference, &x, &mixture, 1e-9).unwrap();
            assert!(likelihood >= last - 1e-9 * last.abs(), "{likelihood} after {last}");
            assert!(mixture.variances.iter().all(|&variance| variance > 1e-6), "the floor has been reached");
            (mixture, last) = (next, likelihood);
        }
    }

    fn assert_finds_clouds<E: GainPrior>(engine: &E) {
        let x = clouds(90);
        let panel = engine.panel(x.view()).unwrap();
        let fitting = Fitting { variance_floor: 1e-3, ..Fitting::of(2, 3) };
        let fitted = fit(engine, &panel, &fitting).unwrap();
        assert_eq!(fitted, fit(engine, &panel, &fitting).unwrap());
        let Mixture { weights, means, variances } = &fitted.mixture;
        let near = usize::from(weights[0] > weights[1]);
        assert!((weights[near] - 1.0 / 3.0).abs() < 1e-5 && (weights.sum() - 1.0).abs() < 1e-5);
        for (component, columns) in [(near, 0..30), (1 - near, 30..90)] {
            let part = x.slice(s![.., columns]);
            let (mean, variance) = (part.mean_axis(Axis(1)).unwrap(), part.var_axis(Axis(1), 0.0));
            assert!((&means.row(component) - &mean).iter().all(|error| error.abs() < 1e-4));
            assert!((&variances.row(component) - &variance).iter().all(|error| error.abs() < 1e-4));
        }
        assert!(fitted.log_likelihood.windows(2).all(|pair| pair[1] >= pair[0] - 1e-4 * pair[0].abs()));
        assert!(fit(engine, &panel, &Fitting::of(91, 0)).is_err() && fit(engine, &panel, &Fitting::of(0, 0)).is_err());
    }

    #[test]
    fn a_fit_finds_what_is_there() {
        assert_finds_clouds(&Reference);
        assert_finds_clouds(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_finds_clouds(&gpu);
        }
    }

    #[test]
    fn starting_means_are_far_from_each_other() {
        // Three places of ten columns each. A drawn column has distance 0, so its place is not drawn again.
        let values = Array2::from_shape_fn((2, 30), |(_, column)| -5.0 * (column / 10) as f32);
        for seed in 0..8 {
            let variances = Array1::from_vec(vec![1.0, 2.0]);
            let start = seeded(values.view(), &variances, 3, Stream::new(seed, "mixture"));
            let mut drawn = start.means.column(0).to_vec();
            drawn.sort_by(f64::total_cmp);
            assert_eq!(drawn, [-10.0, -5.0, 0.0]);
            assert!(start.variances.outer_iter().all(|row| row == variances));
        }
    }

    #[test]
    fn the_dead_go_where_least_is_explained() {
        let values = clouds(6).mapv(|x| x as f32);
        let likelihoods = Array2::from_shape_vec((1, 6), vec![-1.0, -2.0, -7.0, -3.0, -9.0, -4.0]).unwrap();
        let mut mixture = mixture(7, 4, 5);
        let kept = mixture.clone();
        let variances = Array1::from_iter((1..6).map(f64::from));
        reseed(&mut mixture, &[1, 3], values.view(), &likelihoods, &variances);
        for (component, column) in [(1, 4), (3, 2)] {
            assert_eq!(mixture.means.row(component), values.column(column).mapv(f64::from));
            assert_eq!(mixture.variances.row(component), variances);
        }
        assert_eq!(mixture.means.row(2), kept.means.row(2));
        assert!((mixture.weights.sum() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_spread_is_the_variance_of_every_row() {
        let values = clouds(31).mapv(|x| x as f32);
        let expected = values.mapv(f64::from).var_axis(Axis(1), 0.0);
        assert!((spread(values.view(), 0.1) - expected).iter().all(|error| error.abs() < 1e-12));
    }

    #[test]
    fn no_variance_is_below_its_floor() {
        let x = Array2::from_elem((2, 12), -1.0);
        assert_eq!(spread(x.mapv(|x| x as f32).view(), 0.25).to_vec(), [0.25, 0.25]);
        let fitted = fit(&Reference, &vec![x], &Fitting { variance_floor: 0.25, ..Fitting::of(1, 0) }).unwrap();
        assert_eq!(fitted.mixture.variances, Array2::from_elem((1, 2), 0.25));
    }

    #[test]
    fn of_more_starts_none_ends_worse() {
        let x = vec![values(1, 4, 60).mapv(|x| (0.3 * x).ln())];
        for seed in 0..3 {
            let end = |starts| {
                let fitting = Fitting { iterations: 6, starts, variance_floor: 1e-2, ..Fitting::of(5, seed) };
                fit(&Reference, &x, &fitting).unwrap().log_likelihood.last().copied().unwrap()
            };
            let ends: Vec<f64> = (1..6).map(end).collect();
            assert!(ends.windows(2).all(|pair| pair[1] >= pair[0]), "{ends:?}");
        }
    }

    #[test]
    fn dead_components_are_seeded_anew() {
        let x = clouds(30);
        let values = x.mapv(|x| x as f32);
        let fitting = Fitting { iterations: 20, ..Fitting::of(2, 0) };
        // One component where no column is, the other in the middle.
        let means = Array2::from_shape_fn((2, 5), |(component, _)| [-5.0, 1e4][component]);
        let start = Mixture { weights: Array1::from_elem(2, 0.5), variances: Array2::ones((2, 5)), means };
        let fitted = climb(&Reference, &vec![x], values.view(), &Array1::ones(5), start, &fitting).unwrap();
        assert!(fitted.reseeded >= 1);
        assert!(fitted.mixture.weights.iter().all(|&weight| weight > 0.3), "{}", fitted.mixture.weights);
    }

    #[test]
    fn the_dead_are_left_alone_in_the_second_half() {
        let x = Array2::from_elem((2, 12), -1.0);
        let values = x.mapv(|x| x as f32);
        let means = Array2::from_shape_fn((2, 2), |(component, _)| [-1.0, 1e4][component]);
        let start = Mixture { weights: Array1::from_elem(2, 0.5), variances: Array2::ones((2, 2)), means };
        // Too wide to win a column, so it dies at every step.
        let variances = Array1::from_elem(2, 1e9);
        let fitting = Fitting { iterations: 20, ..Fitting::of(2, 0) };
        let fitted = climb(&Reference, &vec![x], values.view(), &variances, start, &fitting).unwrap();
        assert_eq!(fitted.reseeded, 10);
    }

    #[test]
    fn a_component_of_no_column_stays_what_it_is() {
        let means = Array2::from_shape_fn((2, 5), |(component, _)| [-5.0, 1e4][component]);
        let start = Mixture { weights: Array1::from_elem(2, 0.5), variances: Array2::ones((2, 5)), means };
        let (_, next) = step(&Reference, &vec![clouds(30)], &start, 0.1).unwrap();
        next.check().unwrap();
        assert_eq!((next.means.row(1), next.variances.row(1)), (start.means.row(1), start.variances.row(1)));
    }

    #[test]
    fn steps_end_where_a_column_gains_no_more_than_the_tolerance() {
        let x = vec![values(1, 4, 60).mapv(|x| (0.3 * x).ln())];
        let fitting = Fitting { variance_floor: 1e-2, starts: 1, ..Fitting::of(3, 0) };
        let fitted = fit(&Reference, &x, &fitting).unwrap();
        let rises: Vec<f64> = fitted.log_likelihood.windows(2).map(|pair| (pair[1] - pair[0]) / 60.0).collect();
        let (last, others) = rises.split_last().unwrap();
        assert!(rises.len() < fitting.iterations && *last <= fitting.tolerance, "{rises:?}");
        assert!(others.iter().all(|&rise| rise > fitting.tolerance), "{rises:?}");
    }
}
