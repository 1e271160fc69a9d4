//! Plain nonnegative factorization by multiplicative updates: V ≈ WH under any [`Divergence`](crate::Divergence).
//!
//! Févotte & Idier, "Algorithms for nonnegative matrix factorization with the β-divergence" (2011). With W fixed it is
//! supervised separation as in Grais & Erdogan, eqs. (7), (8).

mod alternating;
pub(crate) mod beside;
pub(crate) mod context;
mod extrapolation;
mod options;
pub(crate) mod separate;
mod start;
mod stopping;
mod trace;
pub(crate) mod train;

use alternating::Alternating;
pub use options::{Learn, Normalization, Options, Order, Updates, check_options};
pub(crate) use options::{check_norm, kept_norm};
pub use start::{flat_gains, level, random_start};
pub use stopping::{LOOK, Until};
pub use trace::Fit;
pub(crate) use trace::{Trace, objective};

use crate::kernels::{Glue, Momentum, Products, Rule};
use crate::{Error, Result};

/// Factorizes V (F x N) from the given W (F x K) and H (K x N), in place. `watch` gets the number of each finished iteration. If
/// it returns an error, the factorization ends with it.
///
/// With one W, a panel of several segments is factorized as a whole. With a stack of one W per segment, all segments are
/// factorized at once, each as if it were alone. That holds to the bit, except for [`Updates::Extrapolated`], whose steps have one
/// length for all segments. The objective is the sum over all segments, and so are the decisions that follow from it: the
/// tolerance, and whether the job has failed.
///
/// # Errors
/// [`Error::Input`] where shapes or options do not fit, [`Error::Diverged`] where the objective is not finite,
/// [`Error::Engine`].
pub fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Fit> {
    let norm = kept_norm(options)?;
    let options = &Options { rule: Rule { norm, ..options.rule.clone() }, ..options.clone() };
    engine.within(|| {
        if let Some(norm) = options.rule.basis_norm() {
            engine.normalize(w, Some(h), norm)?;
        }
        match options.updates {
            Updates::Extrapolated => extrapolation::factorize(engine, v, w, h, options, &mut watch),
            Updates::Alternating | Updates::Joint => alternating::factorize(engine, v, w, h, options, &mut watch),
        }
    })
}

/// Updates gains under fixed bases, from the given gains. Returns the gains, and the number of updates of each segment. Columns
/// are independent of each other, and so are segments: a segment's gains and updates are those that it has alone.
///
/// # Errors
/// [`Error::Input`] for joint updates, for segments that are not of N columns and for a tolerance with a packed panel; and those
/// of the engine.
pub fn update_gains<E: Products + Momentum>(
    engine: &E,
    v: &E::Panel,
    w: &E::Matrix,
    h: E::Panel,
    rule: &Rule,
    updates: Updates,
    until: &Until,
) -> Result<(E::Panel, Vec<usize>)> {
    engine.within(|| match updates {
        Updates::Alternating => stopping::follow(engine, v, w, Alternating { h, rule }, until),
        Updates::Joint => Err(Error::input("joint updates are of both factors; the bases are fixed here")),
        Updates::Extrapolated => stopping::follow(engine, v, w, extrapolation::Path::from(engine, &h, rule)?, until),
    })
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use ndarray::{Array1, Array2, Axis, s};

    use super::*;
    use crate::divergence::Divergence;
    use crate::divergence::all;
    use crate::engine::{Engine, Reference};
    use crate::kernels::Norm;
    use crate::kernels::momentum::SLACK;
    use crate::random::Stream;

    fn data() -> Array2<f32> {
        let stream = Stream::new(7, "data");
        Array2::from_shape_fn((9, 14), |(f, n)| (stream.uniform((f * 14 + n) as u64) + 0.05) as f32)
    }

    fn run(options: &Options) -> Fit {
        let (w, h) = random_start(data().view(), 3, 0);
        let (v, mut w, mut h) =
            (Reference.panel(data().view()).unwrap(), vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
        factorize(&Reference, &v, &mut w, &mut h, options, |_| Ok(())).unwrap()
    }

    #[test]
    fn the_objective_never_rises() {
        let plain = |learn| (Updates::Alternating, learn);
        let mut ways = [Learn::Both, Learn::Gains, Learn::Bases].map(plain).to_vec();
        ways.extend([Updates::Joint, Updates::Extrapolated].map(|updates| (updates, Learn::Both)));
        ways.push((Updates::Extrapolated, Learn::Gains));
        for divergence in all() {
            for &(updates, learn) in &ways {
                for normalization in [None, Some(Normalization { norm: Norm::L1, compensate: true })] {
                    let fit = run(&Options { updates, learn, normalization, ..Options::of(divergence.clone(), 30) });
                    assert_eq!(fit.objective.len(), 31);
                    for pair in fit.objective.windows(2) {
                        assert!(pair[1] <= pair[0] * (1.0 + 1e-12), "{divergence}, {updates}, {learn:?}: {pair:?}");
                    }
                    assert!(fit.objective[30] < fit.objective[0]);
                }
            }
        }
    }

    #[test]
    fn recordings_in_one_batch_are_factorized_as_if_alone() {
        let recordings = [data().slice(s![.., ..5]).mapv(f64::from), data().slice(s![.., 5..]).mapv(f64::from)];
        let starts = recordings.each_ref().map(|v| random_start(v.view(), 3, 1));
        let normalization = Some(Normalization { norm: Norm::L2, compensate: true });
        for updates in [Updates::Alternating, Updates::Joint] {
            let options = Options { updates, normalization, ..Options::of(Divergence::ItakuraSaito, 10) };
            let run = |which: Range<usize>| {
                let v = recordings[which.clone()].to_vec();
                let mut w: Vec<_> = starts[which.clone()].iter().map(|start| start.0.mapv(f64::from)).collect();
                let mut h: Vec<_> = starts[which].iter().map(|start| start.1.mapv(f64::from)).collect();
                let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap();
                (w, h, fit.objective)
            };
            let (both, first, second) = (run(0..2), run(0..1), run(1..2));
            assert_eq!(both.0, [first.0, second.0].concat(), "{updates}");
            assert_eq!(both.1, [first.1, second.1].concat(), "{updates}");
            for (both, (first, second)) in both.2.iter().zip(first.2.iter().zip(&second.2)) {
                assert!((both - first - second).abs() <= 1e-12 * both, "{updates}");
            }
        }
    }

    #[test]
    fn extrapolated_updates_take_a_batch_too() {
        let recordings = vec![data().slice(s![.., ..5]).mapv(f64::from), data().slice(s![.., 5..]).mapv(f64::from)];
        let starts: Vec<_> = recordings.iter().map(|v| random_start(v.view(), 3, 1)).collect();
        for learn in [Learn::Both, Learn::Gains] {
            let options =
                Options { updates: Updates::Extrapolated, learn, ..Options::of(Divergence::KullbackLeibler, 30) };
            let mut w: Vec<_> = starts.iter().map(|start| start.0.mapv(f64::from)).collect();
            let mut h: Vec<_> = starts.iter().map(|start| start.1.mapv(f64::from)).collect();
            let fit = factorize(&Reference, &recordings, &mut w, &mut h, &options, |_| Ok(())).unwrap();
            assert!(fit.objective.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-6)), "{learn:?}");
            let alone = |at: usize| {
                let (mut w, mut h) = (vec![starts[at].0.mapv(f64::from)], vec![starts[at].1.mapv(f64::from)]);
                factorize(&Reference, &recordings[at..=at].to_vec(), &mut w, &mut h, &options, |_| Ok(())).unwrap();
                h.remove(0)
            };
            // With fixed bases every column takes steps of its own. Otherwise all take one.
            assert_eq!(h == [alone(0), alone(1)], learn == Learn::Gains);
        }
    }

    /// The norm of every column.
    fn norms(w: &Array2<f64>, norm: Norm) -> Vec<f64> {
        w.columns().into_iter().map(|column| norm.of(column.iter().copied())).collect()
    }

    fn check_sparse<E: Products + Momentum + Glue>(
        engine: &E,
        slack: f64,
        seeds: Range<u64>,
        divergences: &[Divergence],
        sparsities: &[f64],
    ) {
        for (seed, divergence, &sparsity) in
            seeds.flat_map(|seed| divergences.iter().flat_map(move |d| sparsities.iter().map(move |s| (seed, d, s))))
        {
            // Uneven data, with exact zeros.
            let stream = Stream::new(seed, "data");
            let at = |(f, n)| (stream.uniform((f * 14 + n) as u64).powi(4) * 8.0 - 0.01).max(0.0) as f32;
            let data = Array2::from_shape_fn((9, 14), at);
            let (w, h) = random_start(data.view(), 3, seed);
            for norm in [Norm::L1, Norm::L2] {
                for updates in [Updates::Alternating, Updates::Joint, Updates::Extrapolated] {
                    let normalization = Some(Normalization { norm, compensate: true });
                    let mut options = Options { updates, normalization, ..Options::of(divergence.clone(), 40) };
                    options.rule.sparsity = sparsity;
                    let (v, mut w, mut h) = (
                        engine.panel(data.view()).unwrap(),
                        engine.matrix(w.view()).unwrap(),
                        engine.panel(h.view()).unwrap(),
                    );
                    let fit = factorize(engine, &v, &mut w, &mut h, &options, |_| Ok(()));
                    let case = format!("{divergence}, {norm}, {updates}, λ {sparsity}, seed {seed}");
                    if (divergence.clone(), norm) == (Divergence::KullbackLeibler, Norm::L1) {
                        let refused = fit.unwrap_err().to_string();
                        assert!(refused.contains("kl") && refused.contains("l2"), "{refused}");
                        continue;
                    }
                    let trace = fit.unwrap().objective;
                    // Extrapolation allows its slack for rounding in f64 too.
                    let slack = if updates == Updates::Extrapolated { slack.max(SLACK) } else { slack };
                    for (at, pair) in trace.windows(2).enumerate() {
                        assert!(pair[1] <= pair[0] + slack * pair[0], "{case}: {pair:?} at {at}");
                    }
                    // The reported objective is the cost of the factors, under bases of norm 1.
                    let (w, h): (Array2<f64>, Array2<f64>) =
                        (engine.read_matrix(&w).unwrap(), engine.read_panel(&h).unwrap());
                    // Components that the penalty removed are no longer normalised.
                    assert!(norms(&w, norm).iter().all(|norm| *norm < 1e-20 || (norm - 1.0).abs() < 1e-5), "{case}");
                    let lambda = w.dot(&h).mapv(|lambda| lambda.max(crate::divergence::MODEL_FLOOR));
                    let costs = data.iter().zip(&lambda).map(|(&v, &lambda)| divergence.cost(f64::from(v), lambda));
                    let cost = costs.sum::<f64>() + sparsity * h.sum();
                    assert!((cost - trace[40]).abs() <= 1e-4 * cost.abs().max(1.0), "{case}: {cost} for {}", trace[40]);
                    assert!(trace[40] < trace[0], "{case}: {trace:?}");
                }
            }
        }
    }

    #[test]
    fn a_sparse_objective_never_rises() {
        check_sparse(&Reference, 1e-12, 0..20, &all(), &[0.03, 1.0, 30.0]);
        let some = [0.5, 1.0, 1.5, 2.0, 0.0].map(|beta| Divergence::beta(beta).unwrap());
        check_sparse(&crate::engine::Cpu::new(Some(1)).unwrap(), 1e-5, 0..6, &all(), &[0.03, 1.0, 30.0]);
        if let Some(gpu) = crate::engine::testing::gpu() {
            check_sparse(&gpu, 1e-5, 0..1, &some, &[1.0]);
        }
    }

    /// The update of bases by Le Roux, Weninger & Hershey, which is not proven to lower the objective.
    fn half_baked_or_well_done(v: &Array2<f64>, w: &mut Array2<f64>, h: &mut Array2<f64>, sparsity: f64) -> f64 {
        let normalize = |w: &mut Array2<f64>| {
            let norms = Array1::from(norms(w, Norm::L2));
            *w /= &norms;
            norms.insert_axis(Axis(1))
        };
        *h *= &normalize(w);
        let ratio = |w: &Array2<f64>, h: &Array2<f64>| v / &w.dot(h);
        for _ in 0..3000 {
            let n = w.t().dot(&ratio(w, h));
            *h *= &(n / (w.sum_axis(Axis(0)) + sparsity).insert_axis(Axis(1)));
            let (n, d) = (ratio(w, h).dot(&h.t()), Array2::<f64>::ones(v.dim()).dot(&h.t()));
            let of = |field: &Array2<f64>| (&*w * field).sum_axis(Axis(0));
            *w = &*w * (&n + &*w * of(&d)) / (&d + &*w * of(&n));
            normalize(w);
        }
        let lambda = w.dot(h);
        let costs = v.iter().zip(&lambda).map(|(&v, &lambda)| Divergence::KullbackLeibler.cost(v, lambda));
        costs.sum::<f64>() + sparsity * h.sum()
    }

    #[test]
    fn a_sparsity_reaches_what_the_paper_s_update_reaches_and_makes_gains_sparser() {
        let idle = |h: &Array2<f64>| h.iter().filter(|&&h| h < 1e-3).count();
        let data = data().mapv(f64::from);
        let (w0, h0) = random_start(data.view(), 3, 0);
        let (w0, h0) = (w0.mapv(f64::from), h0.mapv(f64::from));
        let mut shares = Vec::new();
        for sparsity in [0.0, 0.1, 0.5] {
            let (v, mut w, mut h) = (vec![data.clone()], vec![w0.clone()], vec![h0.clone()]);
            let mut options = Options::of(Divergence::KullbackLeibler, 3000);
            options.normalization = Some(Normalization { norm: Norm::L2, compensate: true });
            options.rule.sparsity = sparsity;
            let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap();
            let best = half_baked_or_well_done(&data, &mut w0.clone(), &mut h0.clone(), sparsity);
            assert!(fit.objective[3000] < 1.01 * best, "λ {sparsity}: {} above {best}", fit.objective[3000]);
            shares.push(idle(&h[0]));
        }
        assert!(shares[0] < shares[1] && shares[1] < shares[2], "{shares:?}");
    }

    #[test]
    fn a_sparsity_is_refused_where_a_normalisation_changes_the_model() {
        let mut options = Options::of(Divergence::Euclidean, 3);
        options.normalization = Some(Normalization { norm: Norm::L2, compensate: false });
        options.rule.sparsity = 0.1;
        let (v, mut w, mut h) = (vec![Array2::ones((2, 2))], vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        assert!(matches!(factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())), Err(Error::Input(_))));
        options.learn = Learn::Gains;
        factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap();
    }

    #[test]
    fn sparsity_is_part_of_the_objective_and_shrinks_the_gains() {
        let mut options = Options { learn: Learn::Gains, ..Options::of(Divergence::KullbackLeibler, 40) };
        let plain = run(&options);
        options.rule.sparsity = 0.5;
        let sparse = run(&options);
        assert!(sparse.objective[0] > plain.objective[0]);
        assert!(sparse.objective.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)));
    }

    #[test]
    fn the_tolerance_stops_and_the_trace_is_as_asked() {
        let mut options = Options { tolerance: 1e-3, trace_every: 5, ..Options::of(Divergence::KullbackLeibler, 1000) };
        let fit = run(&options);
        assert!(fit.converged && fit.iterations < 1000 && fit.iterations.is_multiple_of(5));
        assert_eq!(fit.objective.len(), fit.iterations / 5 + 1);
        options.trace_every = 0;
        options.iterations = 7;
        let fit = run(&options);
        assert_eq!((fit.objective.len(), fit.iterations, fit.converged), (1, 7, false));
        options.trace_every = 5;
        options.tolerance = 0.0;
        assert_eq!(run(&options).objective.len(), 3);
    }

    #[test]
    fn the_tolerance_does_not_depend_on_the_scale_of_the_start() {
        for updates in [Updates::Alternating, Updates::Joint, Updates::Extrapolated] {
            for divergence in all() {
                let ends = |scale: f64, tolerance: f64| {
                    let (w, h) = random_start(data().view(), 3, 0);
                    let options = Options { updates, tolerance, ..Options::of(divergence.clone(), 3000) };
                    let (v, mut w, mut h) = (
                        Reference.panel(data().view()).unwrap(),
                        vec![w.mapv(|w| f64::from(w) * scale)],
                        vec![h.mapv(f64::from)],
                    );
                    let fit = factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap();
                    assert!(fit.converged == (tolerance > 0.0), "{divergence}, {updates}, {scale}");
                    fit.objective.last().copied().unwrap()
                };
                let best = ends(1.0, 0.0);
                for scale in [1e-3, 1.0, 10.0, 1e3] {
                    let end = ends(scale, 1e-4);
                    // Learned costs may be below 0.
                    assert!(
                        end < best + 0.3 * best.abs(),
                        "{divergence}, {updates}, {scale}: ends at {end}, not {best}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_that_explode_are_an_error() {
        let v = vec![Array2::from_elem((2, 2), f64::MAX)];
        let (mut w, mut h) = (vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        let options = Options::of(Divergence::Euclidean, 3);
        let error = factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Diverged { iteration: 0, .. }), "{error}");
    }

    #[test]
    fn flat_gains_have_each_column_s_level() {
        let v = ndarray::array![[1.0f32, 0.0], [3.0, 0.0]];
        let w = ndarray::array![[0.5f32, 0.5, 0.0], [0.5, 0.0, 0.5]];
        let h = flat_gains(v.view(), w.view());
        assert_eq!(h, ndarray::array![[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]);
    }
}
