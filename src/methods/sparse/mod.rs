//! Sparse nonnegative factorization under KL: bases of norm 1 in the objective, and a penalty on the gains.
//!
//! J = D(V | W̄H) + λ Σ H, with w̄_k = w_k / ‖w_k‖₂ (Wang & Sha, "Discriminative non-negative matrix factorization for
//! single-channel speech separation", 2014, eqs. (3), (4)). With P = V/Λ, Λ = W̄H, one iteration is eq. (5), gains first:
//!
//! - H ← H ∘ (Wᵀ P) / (Wᵀ 1 + λ);
//! - W ← W ∘ (P Hᵀ + (1 (1Hᵀ ∘ W)) ∘ W) / (1Hᵀ + (1 (P Hᵀ ∘ W)) ∘ W), with P formed again, then each w_k is scaled to norm 1.
//!   J depends on w̄_k alone, so the gains are not rescaled.
//!
//! The update of H cannot raise J. That of W can: of 300 random starts, 6 had an iteration that raised J, by 5.5 % at most.
//! `nmf` with a sparsity has the same objective and an update of W that cannot raise it (`kernels::products::rule`). This
//! method is the paper's, and where discriminative training starts.

mod file;
mod options;
pub(crate) mod train;

pub use file::Learned;
pub use options::Separation;
pub(crate) use options::{SPARSITY, check};

use crate::divergence::Divergence;
use crate::kernels::{Glue, Norm, Products};
use crate::methods::nmf::{self, Fit, Learn, Trace};
use crate::{Error, Result};

/// Factorizes V (F x N) from the given W (F x K) and H (K x N), in place. The columns of W are first scaled to norm 1 (L2), and
/// H stays as it is. `watch` gets the number of each finished iteration. If it returns an error, the factorization ends with it.
///
/// `options`: λ is its sparsity; it has the rule of KL, and says how many iterations there are, when they stop and whether W is
/// updated. With a stack of one W per segment, each segment is factorized as if it were alone.
///
/// # Errors
/// [`Error::Input`] where shapes do not fit, or the options are of another divergence or keep the gains; [`Error::Diverged`]
/// where the objective is not finite; [`Error::Engine`].
pub fn factorize<E: Products + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &mut E::Panel,
    options: &nmf::Options,
    mut watch: impl FnMut(usize) -> Result<()> + Send,
) -> Result<Fit> {
    if options.rule.divergence != Divergence::KullbackLeibler || options.learn == Learn::Bases {
        return Err(Error::input("sparse factorization is under kl, and updates the gains"));
    }
    engine.within(|| {
        engine.normalize(w, None, Norm::L2)?;
        let mut trace = Trace::new(options);
        let mut done = 0;
        if trace.due(0) {
            trace.push(0, nmf::objective(engine, v, w, h, &options.rule)?)?;
        }
        while done < options.iterations && !trace.converged {
            engine.update_gains(v, w, h, &options.rule)?;
            if options.learn == Learn::Both {
                update_bases(engine, v, w, h)?;
            }
            done += 1;
            watch(done)?;
            if trace.due(done) {
                trace.push(done, nmf::objective(engine, v, w, h, &options.rule)?)?;
            }
        }
        if !trace.due(done) {
            trace.push(done, nmf::objective(engine, v, w, h, &options.rule)?)?;
        }
        Ok(trace.fit(done))
    })
}

/// Updates bases of norm 1 by eq. (5), and scales them to norm 1 again.
///
/// # Errors
/// Those of the engine.
pub(crate) fn update_bases<E: Products + Glue>(
    engine: &E,
    v: &E::Panel,
    w: &mut E::Matrix,
    h: &E::Panel,
) -> Result<()> {
    let (n, d) = engine.base_sums(v, w, h, &Divergence::KullbackLeibler)?;
    engine.turn_bases(w, &n, &d)?;
    engine.normalize(w, None, Norm::L2)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::engine::Reference;
    use crate::kernels::Rule;
    use crate::methods::nmf::random_start;
    use crate::random::Stream;

    fn data(seed: u64) -> Array2<f64> {
        let stream = Stream::new(seed, "data");
        Array2::from_shape_fn((9, 14), |(f, n)| stream.uniform((f * 14 + n) as u64) + 0.05)
    }

    fn options(sparsity: f64, iterations: usize) -> nmf::Options {
        let mut options = nmf::Options::of(Divergence::KullbackLeibler, iterations);
        options.rule.sparsity = sparsity;
        options
    }

    /// J from its definition, for bases of any norm.
    fn objective(v: &Array2<f64>, w: &Array2<f64>, h: &Array2<f64>, sparsity: f64) -> f64 {
        let norms = w.map_axis(Axis(0), |w| w.dot(&w).sqrt());
        let lambda = (w / &norms).dot(h);
        let costs = v.iter().zip(&lambda).map(|(&v, &lambda)| Divergence::KullbackLeibler.cost(v, lambda));
        costs.sum::<f64>() + sparsity * h.sum()
    }

    #[test]
    fn updates_of_the_gains_never_raise_the_objective() {
        for seed in 0..20 {
            for sparsity in [0.0, 0.1, 10.0] {
                let v = data(seed);
                let (w, h) = random_start(v.view(), 4, seed);
                let (panel, mut w, mut h) = (vec![v], vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
                let options = nmf::Options { learn: Learn::Gains, ..options(sparsity, 40) };
                let trace = factorize(&Reference, &panel, &mut w, &mut h, &options, |_| Ok(())).unwrap().objective;
                assert_eq!(trace.len(), 41);
                for pair in trace.windows(2) {
                    assert!(pair[1] <= pair[0] * (1.0 + 1e-12), "seed {seed}, λ {sparsity}: {pair:?}");
                }
            }
        }
    }

    #[test]
    fn the_update_of_the_bases_goes_down_the_gradient() {
        let v = data(3);
        let (w, h) = random_start(v.view(), 3, 1);
        let (panel, mut w, h) = (vec![v.clone()], vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
        Reference.normalize(&mut w, None, Norm::L2).unwrap();
        let (n, d) = Reference.base_sums(&panel, &w, &h, &Divergence::KullbackLeibler).unwrap();
        let mut turned = w.clone();
        Reference.turn_bases(&mut turned, &n, &d).unwrap();
        let along = |sums: &Array2<f64>| &w[0] * (sums * &w[0]).sum_axis(Axis(0));
        let gradient = (&d[0] + &along(&n[0])) - (&n[0] + &along(&d[0]));
        for ((at, &slope), (turned, before)) in gradient.indexed_iter().zip(turned[0].iter().zip(&w[0])) {
            let step = 1e-6;
            let moved = |by: f64| {
                let mut w = w[0].clone();
                w[at] += by;
                objective(&v, &w, &h[0], 0.1)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            assert!(
                (difference - slope).abs() < 1e-6 * gradient.iter().fold(1.0, |a: f64, b| a.max(b.abs())),
                "{at:?}"
            );
            assert!((turned - before) * slope <= 0.0, "{at:?}");
        }
    }

    #[test]
    fn bases_keep_norm_1_and_the_objective_is_that_of_the_factors() {
        let v = data(5);
        let (w, h) = random_start(v.view(), 4, 2);
        let (panel, mut w, mut h) = (vec![v.clone()], vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
        let trace = factorize(&Reference, &panel, &mut w, &mut h, &options(0.1, 60), |_| Ok(())).unwrap().objective;
        assert!(w[0].columns().into_iter().all(|w| (w.dot(&w) - 1.0).abs() < 1e-12));
        let expected = objective(&v, &w[0], &h[0], 0.1);
        assert!((trace[60] - expected).abs() < 1e-9 * expected && trace[60] < 0.5 * trace[0], "{trace:?}");
    }

    #[test]
    fn a_penalty_makes_the_gains_sparser() {
        let idle = |sparsity: f64| {
            let v = data(7);
            let (w, h) = random_start(v.view(), 6, 2);
            let (panel, mut w, mut h) = (vec![v], vec![w.mapv(f64::from)], vec![h.mapv(f64::from)]);
            factorize(&Reference, &panel, &mut w, &mut h, &options(sparsity, 500), |_| Ok(())).unwrap();
            h[0].iter().filter(|&&h| h < 1e-3).count()
        };
        assert!(idle(1.0) > idle(0.0), "{} and {}", idle(1.0), idle(0.0));
    }

    #[test]
    fn another_divergence_is_refused() {
        let (v, mut w, mut h) = (vec![Array2::ones((2, 2))], vec![Array2::ones((2, 1))], vec![Array2::ones((1, 2))]);
        let mut run = |options| factorize(&Reference, &v, &mut w, &mut h, &options, |_| Ok(()));
        assert!(run(options(0.1, 1)).is_ok());
        assert!(run(nmf::Options { rule: Rule::of(Divergence::Euclidean), ..options(0.1, 1) }).is_err());
        assert!(run(nmf::Options { learn: Learn::Bases, ..options(0.1, 1) }).is_err());
    }
}
