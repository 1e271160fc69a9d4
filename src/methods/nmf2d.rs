//! Nonnegative matrix factor 2-D deconvolution: sources whose spectra are a pattern in time and log-frequency, moved to wherever
//! they sound. Each component of the model is a source. With one lag of pitch this is NMFD.
//!
//! Schmidt & Mørup, "Nonnegative matrix factor 2-D deconvolution for blind single channel source separation" (2006): the updates
//! (14), (15) for least squares and (22), (23) for KL.

use ndarray::{Array2, ArrayView2, Axis};

use crate::divergence::Divergence;
use crate::engine::Real;
use crate::kernels::{Lags, Rule, ShiftRule, Shifts};
use crate::random::Stream;
use crate::{Error, Result};

/// What to do, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Divergence, exponent, floor, lags and edges of the updates. `rule.rule.sparsity` penalises the gains alone.
    pub rule: ShiftRule,
    /// How many iterations.
    pub iterations: usize,
    /// The objective is looked at before the first iteration, after every so many, and after the last; 0: after the last alone.
    pub trace_every: usize,
}

impl Options {
    /// `iterations` of a divergence's plain update.
    pub fn of(divergence: Divergence, lags: Lags, iterations: usize) -> Self {
        Self { rule: ShiftRule::of(divergence, lags), iterations, trace_every: 1 }
    }
}

/// What a factorization did.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The objective Σ d(v|λ) + λ Σ h of every segment, wherever it was looked at: (segments, looks), the last after the last
    /// iteration.
    pub objective: Array2<f64>,
}

impl Fit {
    /// The segment of the least objective at the end, the first of them: of several starts from the same data, the one to keep.
    pub fn best(&self) -> usize {
        let last = self.objective.columns().into_iter().next_back();
        let ranked = last.into_iter().flatten().enumerate();
        ranked.min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(segment, _)| segment)
    }
}

/// Factorizes V (F x N) from the given W (a stack of T bases F x D, for all segments or for each) and H (ΦD x N), in place: every
/// iteration updates all W^τ, then, with the new Λ, all H^φ. `watch` is told the number of each iteration done.
///
/// Several starts are segments of the same data with bases of their own: each goes its way as if it were alone, to the bit.
///
/// # Errors
/// [`Error::Input`] where shapes or options do not fit, [`Error::Diverged`] where an objective is not finite, [`Error::Engine`].
pub fn factorize<E: Shifts>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    mut watch: impl FnMut(usize) + Send,
) -> Result<Fit> {
    let gains_rule = options.rule;
    let bases_rule = ShiftRule { rule: Rule { sparsity: 0.0, ..gains_rule.rule }, ..gains_rule };
    let due = |done: usize| {
        done == options.iterations || (options.trace_every > 0 && done.is_multiple_of(options.trace_every))
    };
    engine.within(|| {
        let mut objective = Array2::zeros((engine.segments(v).1.len(), 0));
        for done in 0..=options.iterations {
            if done > 0 {
                engine.update_shifted_bases(v, w, h, &bases_rule)?;
                engine.update_shifted_gains(v, w, h, &gains_rule)?;
                watch(done);
            }
            if due(done) {
                let now = look(engine, v, w, h, &gains_rule)?;
                if now.iter().any(|objective| !objective.is_finite()) {
                    let what = format!("factorization ({})", gains_rule.rule.divergence);
                    return Err(Error::Diverged { what, iteration: done });
                }
                objective.push_column(ndarray::aview1(&now)).map_err(|cause| Error::input(cause.to_string()))?;
            }
        }
        Ok(Fit { objective })
    })
}

/// The objective of every segment.
fn look<E: Shifts>(engine: &E, v: &E::Panel, w: &E::Matrix, h: &E::Panel, rule: &ShiftRule) -> Result<Vec<f64>> {
    let mut columns = engine.shifted_costs(v, w, h, rule.lags, rule.rule.divergence)?;
    if rule.rule.sparsity != 0.0 {
        let gains = engine.read_panel::<f64>(h)?.sum_axis(Axis(0));
        columns.iter_mut().zip(gains).for_each(|(cost, gains)| *cost += rule.rule.sparsity * gains);
    }
    let mut rest = columns.as_slice();
    let of_segment = |columns: usize| rest.split_off(..columns).into_iter().flatten().sum();
    Ok(engine.segments(v).1.into_iter().map(of_segment).collect())
}

/// Random bases (T of F x D) and gains (ΦD x N) for data V (F x N), the same for every engine: uniform in (0.1, 1.1), scaled so
/// that Λ has about the mean of V.
pub fn random_start<T: Real>(
    v: ArrayView2<T>,
    components: usize,
    lags: Lags,
    seed: u64,
) -> (Vec<Array2<f32>>, Array2<f32>) {
    let mean = v.fold(0.0, |sum, &v| sum + v.to_f64()) / v.len().max(1) as f64;
    let terms = (components * lags.time * lags.pitch).max(1) as f64;
    let scale = (mean / (terms * 0.36)).sqrt();
    let fill = |name: &str, rows: usize, columns: usize| {
        let stream = Stream::new(seed, name);
        let at = |(row, column)| ((0.1 + stream.uniform((row * columns + column) as u64)) * scale) as f32;
        Array2::from_shape_fn((rows, columns), at)
    };
    let bases = (0..lags.time).map(|time| fill(&format!("bases {time}"), v.nrows(), components));
    (bases.collect(), fill("gains", lags.pitch * components, v.ncols()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Reference};
    use crate::kernels::Edges;
    use crate::methods::nmf;

    const LAGS: Lags = Lags { time: 3, pitch: 2 };

    fn data() -> Array2<f32> {
        let stream = Stream::new(7, "data");
        Array2::from_shape_fn((9, 14), |(f, n)| (stream.uniform((f * 14 + n) as u64) + 0.05) as f32)
    }

    /// From some seeds, each start a segment.
    fn run<E: Shifts>(engine: &E, options: &Options, seeds: &[u64]) -> (Fit, Array2<f64>, Array2<f64>) {
        let v = data();
        let starts: Vec<_> = seeds.iter().map(|&seed| random_start(v.view(), 2, options.rule.lags, seed)).collect();
        let bases: Vec<_> = starts.iter().flat_map(|(w, _)| w).map(|w| w.view()).collect();
        let gains: Vec<_> = starts.iter().map(|(_, h)| h.view()).collect();
        let panel = engine.packed(&vec![v.view(); seeds.len()]).unwrap();
        let (mut w, mut h) = (engine.stack(&bases).unwrap(), engine.packed(&gains).unwrap());
        let fit = factorize(engine, &panel, &mut w, &mut h, options, |_| ()).unwrap();
        (fit, engine.read_matrix(&w).unwrap(), engine.read_panel(&h).unwrap())
    }

    #[test]
    fn the_objective_never_rises() {
        for divergence in [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::Beta(1.5)] {
            for sparsity in [0.0, 0.3] {
                let mut options = Options::of(divergence, LAGS, 40);
                options.rule.rule.sparsity = sparsity;
                let (fit, ..) = run(&Reference, &options, &[0, 1]);
                assert_eq!(fit.objective.dim(), (2, 41));
                for trace in fit.objective.rows() {
                    let falls = trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12));
                    assert!(falls && trace[40] < 0.9 * trace[0], "{divergence}, {sparsity}: {trace}");
                }
            }
        }
        let mut options = Options::of(Divergence::KullbackLeibler, LAGS, 40);
        let exact = run(&Reference, &options, &[0]).0;
        options.rule.edges = Edges::Printed;
        assert!(run(&Reference, &options, &[0]).0.objective[(0, 40)] > exact.objective[(0, 40)]);
    }

    #[test]
    fn with_one_lag_it_is_plain_nmf() {
        for divergence in [Divergence::Euclidean, Divergence::KullbackLeibler] {
            let lags = Lags { time: 1, pitch: 1 };
            let (fit, w, h) = run(&Reference, &Options::of(divergence, lags, 10), &[3]);
            let (bases, gains) = random_start(data().view(), 2, lags, 3);
            let v = Reference.panel(data().view()).unwrap();
            let (mut plain_w, mut plain_h) = (vec![bases[0].mapv(f64::from)], vec![gains.mapv(f64::from)]);
            let options = nmf::Options {
                order: nmf::Order::BasesFirst,
                ..nmf::Options::of(divergence, fit.objective.ncols() - 1)
            };
            let plain = nmf::factorize(&Reference, &v, &mut plain_w, &mut plain_h, &options, |_| ()).unwrap();
            let near = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().all(|error| error.abs() < 1e-12);
            assert!(near(&w, &plain_w[0]) && near(&h, &plain_h[0]));
            let objective = Array2::from_shape_vec((1, plain.objective.len()), plain.objective).unwrap();
            assert!((&fit.objective / &objective).iter().all(|ratio| (ratio - 1.0).abs() < 1e-12));
        }
    }

    #[test]
    fn one_lag_of_pitch_finds_a_pattern_that_recurs() {
        // Two frames that sound three times: with two lags of time one component explains them.
        let v = ndarray::array![[1.0f32, 0.0, 0.0, 2.0, 0.0, 1.0, 0.0], [0.0, 3.0, 0.0, 0.0, 6.0, 0.0, 3.0]];
        let objective = |time: usize| {
            let options = Options::of(Divergence::KullbackLeibler, Lags { time, pitch: 1 }, 300);
            let (w, h) = random_start(v.view(), 1, options.rule.lags, 0);
            let panel = Reference.panel(v.view()).unwrap();
            let (mut w, mut h) = (w.iter().map(|w| w.mapv(f64::from)).collect(), Reference.panel(h.view()).unwrap());
            factorize(&Reference, &panel, &mut w, &mut h, &options, |_| ()).unwrap().objective[(0, 300)]
        };
        assert!(objective(2) < 1e-3 && objective(1) > 1.0, "{} and {}", objective(2), objective(1));
    }

    #[test]
    fn the_trace_is_as_asked_and_the_best_start_is_found() {
        let options = Options { trace_every: 3, ..Options::of(Divergence::KullbackLeibler, LAGS, 7) };
        let (fit, ..) = run(&Reference, &options, &[0, 1, 2]);
        assert_eq!(fit.objective.dim(), (3, 4));
        let least = fit.objective.column(3).fold(f64::INFINITY, |least, &objective| least.min(objective));
        assert_eq!(fit.objective[(fit.best(), 3)], least);
        let (last, ..) = run(&Reference, &Options { trace_every: 0, ..options }, &[0, 1, 2]);
        assert_eq!(last.objective.column(0), fit.objective.column(3));
        assert_eq!(Fit { objective: ndarray::array![[1.0, 3.0], [9.0, 2.0], [0.0, 2.0]] }.best(), 1);
    }

    #[test]
    fn numbers_that_explode_are_an_error() {
        let v = vec![Array2::from_elem((2, 2), f64::MAX)];
        let (mut w, mut h) = (vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        let options = Options::of(Divergence::Euclidean, Lags { time: 1, pitch: 1 }, 3);
        let error = factorize(&Reference, &v, &mut w, &mut h, &options, |_| ()).unwrap_err();
        assert!(matches!(error, Error::Diverged { iteration: 0, .. }), "{error}");
    }
}
