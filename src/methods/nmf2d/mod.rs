//! Nonnegative matrix factor 2-D deconvolution: each source is a pattern in time and log-frequency, which moves to wherever it
//! sounds. Each component of the model is a source. With one lag of pitch this is NMFD.
//!
//! Schmidt & Mørup, "Nonnegative matrix factor 2-D deconvolution for blind single channel source separation" (2006): the updates
//! (14), (15) for least squares and (22), (23) for KL.

mod factorize;
mod options;
pub(crate) mod patterns;
mod search;
pub(crate) mod separate;

pub use factorize::{Fit, Options, factorize};
pub use options::Separation;
pub use search::{Factors, Found, Start, random_start, search};

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::Error;
    use crate::divergence::Divergence;
    use crate::engine::{Cpu, Engine, Reference};
    use crate::kernels::Edges;
    use crate::kernels::{Lags, Norm, Shifts};
    use crate::methods::nmf::{self, Learn};
    use crate::random::Stream;

    const LAGS: Lags = Lags { time: 3, pitch: 2 };

    fn data() -> Array2<f32> {
        let stream = Stream::new(7, "data");
        Array2::from_shape_fn((9, 14), |(f, n)| (stream.uniform((f * 14 + n) as u64) + 0.05) as f32)
    }

    /// Several starts from one seed, each with bases of its own.
    fn run(options: &Options, starts: usize, seed: u64) -> Found {
        let start = Start::Random { components: 2, starts, seed };
        search(&Reference, &[data().view()], start, options, |_| Ok(())).unwrap()
    }

    #[test]
    fn the_objective_never_rises() {
        for divergence in [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::Beta(1.5)] {
            for sparsity in [0.0, 0.3] {
                let mut options = Options::of(divergence.clone(), LAGS, 40);
                options.rule.rule.sparsity = sparsity;
                let fit = run(&options, 2, 0).fit;
                assert_eq!(fit.objective.dim(), (2, 41));
                for trace in fit.objective.rows() {
                    let falls = trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12));
                    assert!(falls && trace[40] < 0.9 * trace[0], "{divergence}, {sparsity}: {trace}");
                }
            }
        }
        let mut options = Options::of(Divergence::KullbackLeibler, LAGS, 40);
        let exact = run(&options, 1, 0).fit;
        options.rule.edges = Edges::Printed;
        assert!(run(&options, 1, 0).fit.objective[(0, 40)] > exact.objective[(0, 40)]);
    }

    fn check_sparse<E: Shifts>(engine: &E, slack: f64, seeds: u64, divergences: &[Divergence]) {
        // Matrices that share their bases, and several starts with bases of their own.
        let (stream, v) = (Stream::new(3, "zeros"), data());
        let v = Array2::from_shape_fn(v.dim(), |at| v[at] * stream.uniform((at.0 * 14 + at.1) as u64).powi(3) as f32);
        let matrices = [v.slice(s![.., ..5]), v.slice(s![.., 5..])];
        for (seed, divergence) in (0..seeds).flat_map(|seed| divergences.iter().map(move |d| (seed, d))) {
            for (norm, sparsity) in [(Norm::L1, 0.3), (Norm::L2, 0.03), (Norm::L2, 0.3), (Norm::L2, 10.0)] {
                let mut options = Options { normalize: Some(norm), ..Options::of(divergence.clone(), LAGS, 30) };
                options.rule.rule.sparsity = sparsity;
                let start = Start::Random { components: 2, starts: 2, seed };
                let found = search(engine, &matrices, start, &options, |_| Ok(()));
                if (divergence.clone(), norm) == (Divergence::KullbackLeibler, Norm::L1) {
                    assert!(found.unwrap_err().to_string().contains("l2"));
                    continue;
                }
                for trace in found.unwrap().fit.objective.rows() {
                    let falls = trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0] * (1.0 + slack));
                    assert!(falls && trace[30] < trace[0], "{divergence}, {norm}, λ {sparsity}, seed {seed}: {trace}");
                }
            }
        }
    }

    #[test]
    fn a_sparse_objective_never_rises() {
        check_sparse(&Reference, 1e-12, 5, &crate::divergence::all());
        check_sparse(&Cpu::new(Some(1)).unwrap(), 1e-5, 2, &crate::divergence::all());
        if let Some(gpu) = crate::engine::testing::gpu() {
            let some = [Divergence::KullbackLeibler, Divergence::Euclidean, Divergence::ItakuraSaito];
            check_sparse(&gpu, 1e-5, 1, &some);
        }
    }

    #[test]
    fn with_one_lag_it_is_plain_nmf() {
        for divergence in [Divergence::Euclidean, Divergence::KullbackLeibler] {
            let lags = Lags { time: 1, pitch: 1 };
            let Found { fit, bases, gains, .. } = run(&Options::of(divergence.clone(), lags, 10), 1, 3);
            let (mut plain_w, mut plain_h) = random_start(&[data().view()], 2, lags, 3);
            let v = Reference.panel(data().view()).unwrap();
            let options = nmf::Options {
                order: nmf::Order::BasesFirst,
                ..nmf::Options::of(divergence, fit.objective.ncols() - 1)
            };
            let plain = nmf::factorize(&Reference, &v, &mut plain_w, &mut plain_h, &options, |_| Ok(())).unwrap();
            let near = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().all(|error| error.abs() < 1e-12);
            assert!(near(&bases[0], &plain_w[0]) && near(&gains[0], &plain_h[0]));
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
            let start = Start::Random { components: 1, starts: 1, seed: 0 };
            search(&Reference, &[v.view()], start, &options, |_| Ok(())).unwrap().fit.objective[(0, 300)]
        };
        assert!(objective(2) < 1e-3 && objective(1) > 1.0, "{} and {}", objective(2), objective(1));
    }

    #[test]
    fn the_trace_is_as_asked_and_the_best_start_is_found() {
        let options = Options { trace_every: 3, ..Options::of(Divergence::KullbackLeibler, LAGS, 7) };
        let Found { fit, bases, gains, start, .. } = run(&options, 3, 5);
        assert_eq!(fit.objective.dim(), (3, 4));
        let least = fit.objective.column(3).fold(f64::INFINITY, |least, &objective| least.min(objective));
        assert_eq!((fit.objective[(start, 3)], start > 0), (least, true));
        let alone = run(&options, 1, 5 + start as u64);
        assert_eq!((&alone.bases, &alone.gains, alone.start), (&bases, &gains, 0));
        assert_eq!(alone.fit.objective.row(0), fit.objective.row(start));
        let last = run(&Options { trace_every: 0, ..options }, 3, 5).fit;
        assert_eq!(last.objective.column(0), fit.objective.column(3));
        assert_eq!(Fit { objective: ndarray::array![[1.0, 3.0], [9.0, 2.0], [0.0, 2.0]] }.best(), 1);
    }

    #[test]
    fn matrices_with_bases_in_common_keep_to_their_start() {
        fn check<E: Shifts>(engine: &E) {
            let v = data();
            let matrices = [v.slice(s![.., ..6]), v.slice(s![.., 6..])];
            let options = Options::of(Divergence::KullbackLeibler, LAGS, 9);
            let from = |starts, seed| Start::Random { components: 2, starts, seed };
            let found = search(engine, &matrices, from(3, 1), &options, |_| Ok(())).unwrap();
            assert_eq!((found.fit.objective.nrows(), found.gains[0].dim(), found.gains[1].dim()), (3, (4, 6), (4, 8)));
            for start in 0..3 {
                let alone = search(engine, &matrices, from(1, 1 + start), &options, |_| Ok(())).unwrap();
                assert_eq!(alone.fit.objective.row(0), found.fit.objective.row(start as usize));
                let kept = (&alone.bases, &alone.gains) == (&found.bases, &found.gains);
                assert_eq!(kept, start as usize == found.start);
            }
            let one = search(engine, &matrices[1..], from(1, 1 + found.start as u64), &options, |_| Ok(())).unwrap();
            assert_ne!(one.bases, found.bases, "of both matrices");
        }
        check(&Reference);
        check(&Cpu::new(None).unwrap());
        if let Some(gpu) = crate::engine::testing::gpu() {
            check(&gpu);
        }
    }

    #[test]
    fn bases_that_are_given_stay_where_gains_alone_are_learned() {
        let v = data();
        let (bases, _) = random_start(&[v.view()], 2, LAGS, 4);
        let given = Start::Given { bases: &bases, gains: None };
        let mut options = Options { learn: Learn::Gains, ..Options::of(Divergence::KullbackLeibler, LAGS, 20) };
        let fixed = search(&Reference, &[v.view()], given, &options, |_| Ok(())).unwrap();
        assert_eq!(fixed.bases, bases);
        let trace = fixed.fit.objective.row(0);
        assert!(trace[20] < 0.9 * trace[0] && trace.windows(2).into_iter().all(|pair| pair[1] <= pair[0]));
        // Gains that are all alike begin where the model has the mean of the data.
        let none = Options { iterations: 0, ..options.clone() };
        let found = search(&Reference, &[v.view()], given, &none, |_| Ok(())).unwrap();
        let w = found.bases.iter().map(|w| w.sum()).sum::<f64>() * LAGS.pitch as f64 / 9.0;
        let mean = v.iter().map(|&v| f64::from(v)).sum::<f64>() / v.len() as f64;
        assert!(found.gains[0].iter().all(|&h| (h * w / mean - 1.0).abs() < 1e-12));
        // The objective counts the gains by their penalty.
        let mut sparse = none.clone();
        sparse.rule.rule.sparsity = 0.7;
        let [plain, sparse] = [none, sparse]
            .map(|options| search(&Reference, &[v.view()], given, &options, |_| Ok(())).unwrap().fit.objective[(0, 0)]);
        assert!((sparse - plain - 0.7 * found.gains[0].sum()).abs() < 1e-12 * sparse);
        options.learn = Learn::Bases;
        let learned = search(&Reference, &[v.view()], given, &options, |_| Ok(())).unwrap();
        assert_eq!((&learned.gains, learned.bases == bases), (&found.gains, false));
    }

    /// The share of gains below a thousandth of the largest.
    fn idle(gains: &Array2<f64>) -> f64 {
        let largest = gains.fold(0.0f64, |largest, &h| largest.max(h));
        gains.iter().filter(|&&h| h < 1e-3 * largest).count() as f64 / gains.len() as f64
    }

    #[test]
    fn a_sparsity_makes_gains_sparse_where_patterns_are_normalised() {
        let found = |sparsity: f64, normalize: Option<Norm>| {
            let mut options = Options { normalize, ..Options::of(Divergence::KullbackLeibler, LAGS, 200) };
            options.rule.rule.sparsity = sparsity;
            run(&options, 1, 0)
        };
        let (plain, sparse) = (found(0.0, Some(Norm::L2)), found(4.0, Some(Norm::L2)));
        for found in [&plain, &sparse, &found(0.0, Some(Norm::L1))] {
            let norm = if found.fit == plain.fit || found.fit == sparse.fit { Norm::L2 } else { Norm::L1 };
            for d in 0..2 {
                let size = norm.of(found.bases.iter().flat_map(|w| w.column(d)).copied());
                assert!((size - 1.0).abs() < 1e-12, "{norm}: {size}");
            }
        }
        let shares = [&plain, &sparse].map(|found| idle(&found.gains[0]));
        assert!(shares[1] > shares[0] + 0.1, "{shares:?}");
        // Without a norm it says nothing.
        let [plain, sparse] = [0.0, 4.0].map(|sparsity| idle(&found(sparsity, None).gains[0]));
        assert!((sparse - plain).abs() < 0.05, "{sparse} after {plain}");
        // Where nothing is learned of the bases they stay as they are.
        let (bases, _) = random_start(&[data().view()], 2, LAGS, 4);
        let given = Start::Given { bases: &bases, gains: None };
        let options = Options {
            learn: Learn::Gains,
            normalize: Some(Norm::L2),
            ..Options::of(Divergence::KullbackLeibler, LAGS, 3)
        };
        assert_eq!(search(&Reference, &[data().view()], given, &options, |_| Ok(())).unwrap().bases, bases);
    }

    #[test]
    fn numbers_that_explode_are_an_error() {
        let v = vec![Array2::from_elem((2, 2), f64::MAX)];
        let (mut w, mut h) = (vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        let options = Options::of(Divergence::Euclidean, Lags { time: 1, pitch: 1 }, 3);
        let error = factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Diverged { iteration: 0, .. }), "{error}");
    }
}
