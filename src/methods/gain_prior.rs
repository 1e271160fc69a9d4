//! Gains under priors: mixtures learned from the gains of each source alone say which gains belong together, and gains of a
//! recording are found under bases and mixtures at once.
//!
//! Grais & Erdogan, "Gaussian mixture gain priors for regularized nonnegative matrix factorization in single-channel source
//! separation" (2012). Gains minimise Σ d(v|λ) − Σ_j α_j L_j under any divergence; see [`crate::kernels::prior`].

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

use crate::kernels::prior::{Moments, WEIGHT_FLOOR};
use crate::kernels::{Density, GainPrior, Mixture, Prior, Rule};
use crate::random::Stream;
use crate::{Error, Result};

/// Gains below this share of their column's norm count as that, in training and in separation: 60 dB below in a power spectrum,
/// 120 dB in a magnitude. Below it a multiplicative update leaves what depends on how long it ran, not on the source.
pub const FLOOR: f64 = 1e-6;
/// The least variance of a log-gain: components sharper than a factor of e would hold gains where a few frames had them.
pub const VARIANCE_FLOOR: f64 = 1.0;
/// Columns that starting means are drawn from, at most: to draw C of them takes C passes over these.
const SAMPLE: usize = 8192;
/// A component that is responsible for less than so many columns is dead.
const DEAD: f64 = 1.0;

/// How a mixture is learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitting {
    /// C.
    pub components: usize,
    /// Steps at most.
    pub iterations: usize,
    /// Steps end where one raises the log-likelihood of a column by no more than this, in the mean; 0: never.
    pub tolerance: f64,
    /// Starts, of which the one that ends best is kept.
    pub starts: usize,
    /// The least variance.
    pub variance_floor: f64,
    /// Of the starts.
    pub seed: u64,
}

impl Fitting {
    /// C components, the other options as `train` has them.
    pub fn of(components: usize, seed: u64) -> Self {
        Self { components, iterations: 100, tolerance: 1e-3, starts: 3, variance_floor: VARIANCE_FLOOR, seed }
    }
}

/// A mixture that was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The best.
    pub mixture: Mixture,
    /// Its log-likelihood before every step and after the last. It can fall where a variance reached its floor and where a
    /// component was seeded anew, nowhere else.
    pub log_likelihood: Vec<f64>,
    /// Components that died on the way and were seeded anew.
    pub reseeded: usize,
}

/// A step of expectation-maximization: the log-likelihood of X (K x N) under a mixture, and the mixture that maximises what is
/// expected under it. A component that is responsible for nothing keeps its mean and variance.
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

/// Learns a mixture of the columns of X (K x N) by expectation-maximization from a k-means++ start. Random numbers are those of
/// the seed, on every engine.
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

/// Steps from one start. Dead components are seeded anew in the first half of the steps, so that all have time to settle.
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

/// Means drawn by k-means++ from a sample of the columns, and the variances given.
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
        // The first column is drawn evenly, each further one by its squared distance to the nearest that was drawn.
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

/// The variance of every row, floored. It goes column by column, as the values stand in memory.
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

/// Puts dead components to the columns that the mixture explains worst.
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

/// Finds gains under fixed bases and priors from those given: one plain update, and all others under the priors, with α of every
/// prior and column from `weights` (priors x N). Columns are independent of each other.
///
/// # Errors
/// [`Error::Input`] where shapes do not fit, [`Error::Engine`].
#[expect(clippy::too_many_arguments, reason = "those of the plain update, and the priors with their weights")]
pub fn update_gains<E: GainPrior>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    mut h: E::Panel,
    rule: &Rule,
    priors: &[Prior<E::Matrix>],
    weights: &E::Panel,
    iterations: usize,
) -> Result<E::Panel> {
    engine.within(|| {
        for iteration in 0..iterations {
            match iteration {
                0 => engine.update_gains(v, w, &mut h, rule)?,
                _ => engine.update_gains_under(v, w, &mut h, rule, priors, weights)?,
            }
        }
        Ok(h)
    })
}

/// Σ_n L of a source's gains, the rows of H that a prior names.
///
/// # Errors
/// As above.
pub fn log_likelihood<E: GainPrior>(engine: &E, h: &E::Panel, prior: &Prior<E::Matrix>) -> Result<f64> {
    let x = engine.log_normalized(h, prior.rows.clone(), prior.floor)?;
    let (_, likelihoods) = engine.responsibilities(&x, &prior.density)?;
    Ok(engine.read_panel::<f64>(&likelihoods)?.sum_axis(Axis(1)).sum())
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::gpu::tests::{gpu, numbers};
    use crate::engine::{Cpu, Engine, Reference};
    use crate::kernels::{Gradient, Momentum};
    use crate::methods::nmf::{self, Until, Updates};

    const GRADIENTS: [Gradient; 2] = [Gradient::Exact, Gradient::Paper];

    fn values(seed: u32, rows: usize, columns: usize) -> Array2<f64> {
        numbers(seed, rows, columns).mapv(f64::from)
    }

    fn mixture(seed: u32, components: usize, dimensions: usize) -> Mixture {
        let weights = values(seed, components, 1).column(0).to_owned();
        Mixture {
            weights: &weights / weights.sum(),
            means: values(seed + 1, components, dimensions).mapv(|mean| -3.0 * mean),
            variances: values(seed + 2, components, dimensions),
        }
    }

    fn prior<E: Engine>(engine: &E, rows: std::ops::Range<usize>, gradient: Gradient) -> Prior<E::Matrix> {
        let density = Density::new(engine, &mixture(rows.start as u32, 3, rows.len())).unwrap();
        Prior { rows, density, gradient, floor: FLOOR }
    }

    /// One weight for all columns of each prior.
    fn even<E: Engine>(engine: &E, weights: &[f64], columns: usize) -> E::Panel {
        let of_prior = |(prior, _)| weights[prior];
        engine.panel(Array2::from_shape_fn((weights.len(), columns), of_prior).view()).unwrap()
    }

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
        // Three places of ten columns each: one that was drawn is at no distance, and is not drawn again.
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
    fn the_first_update_is_plain() {
        let (v, w, start) = (vec![values(1, 9, 12)], vec![values(2, 9, 6)], vec![values(3, 6, 12)]);
        let (rule, priors) = (Rule::of(Divergence::ItakuraSaito), [prior(&Reference, 0..4, Gradient::Exact)]);
        let weights = even(&Reference, &[0.5], 12);
        let mut expected = start.clone();
        crate::kernels::Products::update_gains(&Reference, &v, &w, &mut expected, &rule).unwrap();
        assert_eq!(update_gains(&Reference, &v, &w, start.clone(), &rule, &priors, &weights, 1).unwrap(), expected);
        Reference.update_gains_under(&v, &w, &mut expected, &rule, &priors, &weights).unwrap();
        assert_eq!(update_gains(&Reference, &v, &w, start, &rule, &priors, &weights, 2).unwrap(), expected);
    }

    #[test]
    fn dead_components_are_seeded_anew() {
        let x = clouds(30);
        let values = x.mapv(|x| x as f32);
        let fitting = Fitting { iterations: 20, ..Fitting::of(2, 0) };
        // One component where nothing is, the other in the middle.
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
        // Too wide to win a column: dead again at every step.
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

    #[test]
    fn the_exact_gradient_is_that_of_the_likelihood() {
        let h = values(3, 5, 2);
        let gradient = |kind| {
            let zeros = || vec![Array2::zeros(h.dim())];
            let (mut raised, mut n, mut d) = (vec![h.clone()], zeros(), zeros());
            let priors = [prior(&Reference, 0..5, kind)];
            Reference.add_priors(&mut raised, &priors, &even(&Reference, &[1.0], 2), &mut n, &mut d).unwrap();
            assert!(n[0].iter().chain(&d[0]).all(|&part| part >= 0.0));
            &n[0] - &d[0]
        };
        let prior = prior(&Reference, 0..5, Gradient::Exact);
        let mut finite = Array2::zeros(h.dim());
        for (at, slope) in finite.indexed_iter_mut() {
            let likelihood = |step: f64| {
                let mut h = h.clone();
                h[at] += step;
                log_likelihood(&Reference, &vec![h], &prior).unwrap()
            };
            *slope = (likelihood(1e-6) - likelihood(-1e-6)) / 2e-6;
        }
        let scale = finite.iter().fold(0.0f64, |scale, slope| scale.max(slope.abs()));
        let off = |kind| (gradient(kind) - &finite).iter().fold(0.0f64, |worst, error| worst.max(error.abs())) / scale;
        assert!(off(Gradient::Exact) < 1e-7, "{}", off(Gradient::Exact));
        assert!(off(Gradient::Paper) > 1e-2, "{}", off(Gradient::Paper));
    }

    #[test]
    fn the_cost_falls_by_the_exact_gradient() {
        for divergence in [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
            let (v, w) = (vec![values(1, 9, 12)], vec![values(2, 9, 6)]);
            let priors = [0..4, 4..6].map(|rows| prior(&Reference, rows, Gradient::Exact));
            let alphas = [0.5, 0.1];
            let weights = even(&Reference, &alphas, 12);
            let cost = |updates| {
                let rule = Rule::of(divergence);
                let start = vec![values(3, 6, 12)];
                let h = update_gains(&Reference, &v, &w, start, &rule, &priors, &weights, updates).unwrap();
                let data: f64 =
                    crate::kernels::Products::costs(&Reference, &v, &w, &h, divergence).unwrap().iter().sum();
                let likelihood = |prior| log_likelihood(&Reference, &h, prior).unwrap();
                data - priors.iter().zip(alphas).map(|(prior, alpha)| alpha * likelihood(prior)).sum::<f64>()
            };
            let costs: Vec<f64> = (1..40).map(cost).collect();
            assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{divergence}: {costs:?}");
            assert!(costs[38] < costs[0] - 0.01, "{divergence}");
        }
    }

    /// Whether priors of weight 0 change no bit: all of them, one, or where a column has none.
    fn assert_weightless<E: GainPrior + Momentum>(engine: &E) {
        let (v, w) =
            (engine.panel(numbers(1, 37, 70).view()).unwrap(), engine.matrix(numbers(2, 37, 9).view()).unwrap());
        // Zeros stay zeros where no prior raises them.
        let mut start = numbers(3, 9, 70);
        start.slice_mut(s![.., 5]).fill(0.0);
        let start = || engine.panel(start.view()).unwrap();
        let read = |h: &E::Panel| engine.read_panel::<f32>(h).unwrap();
        for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito, Divergence::Beta(0.5)] {
            for gradient in GRADIENTS {
                let rule = Rule::of(divergence);
                let priors = [0..4, 4..9].map(|rows| prior(engine, rows, gradient));
                let until = Until { iterations: 7, tolerance: 0.0, segments: &[70] };
                let plain = nmf::update_gains(engine, &v, &w, start(), &rule, Updates::Alternating, &until).unwrap().0;
                let none = even(engine, &[0.0, 0.0], 70);
                let under = update_gains(engine, &v, &w, start(), &rule, &priors, &none, 7).unwrap();
                assert!(read(&plain) == read(&under), "{divergence}");
                let (mut plain, mut under) = (start(), start());
                engine.update_gains(&v, &w, &mut plain, &rule).unwrap();
                let some = |(prior, column)| if prior == 0 && column >= 35 { 0.2 } else { 0.0 };
                let some = engine.panel(Array2::from_shape_fn((2, 70), some).view()).unwrap();
                engine.update_gains_under(&v, &w, &mut under, &rule, &priors, &some).unwrap();
                let (plain, under) = (read(&plain), read(&under));
                assert!(plain.slice(s![4.., ..]) == under.slice(s![4.., ..]), "{divergence}");
                assert!(plain.slice(s![..4, ..35]) == under.slice(s![..4, ..35]), "{divergence}");
                for column in 35..70 {
                    assert!(plain.slice(s![..4, column]) != under.slice(s![..4, column]), "{divergence}");
                }
            }
        }
    }

    #[test]
    fn a_prior_without_weight_changes_no_bit() {
        assert_weightless(&Reference);
        assert_weightless(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_weightless(&gpu);
        }
    }

    fn assert_refused<E: GainPrior>(engine: &E) {
        let panel = |seed, rows| engine.panel(numbers(seed, rows, 6).view()).unwrap();
        let (v, w, mut h) = (panel(1, 5), engine.matrix(numbers(2, 5, 4).view()).unwrap(), panel(3, 4));
        let rule = Rule::of(Divergence::KullbackLeibler);
        let weights = even(engine, &[0.1, 0.1], 6);
        let mut refused = |spoil: fn(&mut [Prior<E::Matrix>])| {
            let mut priors = [0..2, 2..4].map(|rows| prior(engine, rows, Gradient::Exact));
            spoil(&mut priors);
            let [mut raised, mut n, mut d] = [panel(3, 4), panel(3, 4), panel(3, 4)];
            let added = engine.add_priors(&mut raised, &priors, &weights, &mut n, &mut d);
            let updated = engine.update_gains_under(&v, &w, &mut h, &rule, &priors, &weights);
            assert_eq!(added.is_err(), updated.is_err());
            added.is_err()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|priors| priors[1].rows = 1..3));
        assert!(refused(|priors| priors[1].rows = 3..5));
        assert!(refused(|priors| priors[1].rows = 2..3));
        assert!(refused(|priors| priors[0].floor = 1.0));
        assert!(refused(|priors| priors[0].floor = -0.1));
        let prior = prior(engine, 0..2, Gradient::Exact);
        let priors = std::slice::from_ref(&prior);
        for (n, d, alphas, columns) in [(3, 4, 1, 6), (4, 3, 1, 6), (4, 4, 2, 6), (4, 4, 1, 5)] {
            let weights = even(engine, &[0.1, 0.1][..alphas], columns);
            let [mut n, mut d] = [panel(3, n), panel(3, d)];
            assert!(engine.add_priors(&mut panel(3, 4), priors, &weights, &mut n, &mut d).is_err());
        }
        assert!(engine.log_normalized(&panel(3, 4), 2..2, 0.0).is_err());
        assert!(engine.log_normalized(&panel(3, 4), 3..5, 0.0).is_err());
        assert!(engine.log_normalized(&panel(3, 4), 0..2, 1.0).is_err());
        assert!(engine.responsibilities(&panel(3, 4), &prior.density).is_err());
        assert!(engine.moments(&panel(3, 4), &prior.density).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_refused(&Reference);
        assert_refused(&Cpu::new(Some(1)).unwrap());
        if let Some(gpu) = gpu() {
            assert_refused(&gpu);
        }
        let none = Mixture { variances: Array2::zeros((3, 4)), ..mixture(0, 3, 4) };
        assert!(Density::new(&Reference, &none).is_err());
        let weightless = Mixture { weights: Array1::from_vec(vec![0.0, 0.5, 0.5]), ..mixture(0, 3, 4) };
        assert!(Density::new(&Reference, &weightless).is_err());
    }
}
