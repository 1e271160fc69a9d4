//! Gains under priors. For each source, a mixture of Gaussians is learned from the gains of the source alone: it knows which gains
//! occur together. The gains of a recording are then found under the bases and these priors.
//!
//! Grais & Erdogan, "Gaussian mixture gain priors for regularized nonnegative matrix factorization in single-channel source
//! separation" (2012). Gains minimise Σ d(v|λ) − Σ_j α_j L_j under any divergence; see [`crate::kernels::prior`].

mod file;
mod leakage;
mod mixture;
mod options;
pub(crate) mod separate;
pub(crate) mod train;

use ndarray::Axis;

use crate::Result;
use crate::kernels::{GainPrior, Prior, Rule};
pub use file::Learned;
pub use leakage::{Leakage, claims};
pub use mixture::{Fitted, Fitting, VARIANCE_FLOOR, fit, step};
pub use options::{Separation, Training, Weight};

/// Gains below this share of their column's norm count as this share, in training and in separation: 60 dB below in a power
/// spectrum, 120 dB in a magnitude spectrum. Smaller gains depend on the number of updates, not on the source.
pub const FLOOR: f64 = 1e-6;

/// Updates gains under fixed bases and priors, from the given gains. The first update is plain, all others are under the priors.
/// `weights` (priors x N) has α of every prior and column. Columns are independent of each other.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) where shapes do not fit, [`Error::Engine`](crate::Error::Engine).
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

/// Σ_n L of the gains of one source: the rows of H that the prior names.
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
    use ndarray::{Array1, Array2, s};

    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::testing::{gpu, numbers};
    use crate::engine::{Cpu, Engine, Reference};
    use crate::kernels::{Density, Gradient, Mixture, Momentum};
    use crate::methods::nmf::{self, Until, Updates};

    const GRADIENTS: [Gradient; 2] = [Gradient::Exact, Gradient::Paper];

    pub(super) fn values(seed: u32, rows: usize, columns: usize) -> Array2<f64> {
        numbers(seed, rows, columns).mapv(f64::from)
    }

    pub(super) fn mixture(seed: u32, components: usize, dimensions: usize) -> Mixture {
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
                let rule = Rule::of(divergence.clone());
                let start = vec![values(3, 6, 12)];
                let h = update_gains(&Reference, &v, &w, start, &rule, &priors, &weights, updates).unwrap();
                let data: f64 =
                    crate::kernels::Products::costs(&Reference, &v, &w, &h, &divergence).unwrap().iter().sum();
                let likelihood = |prior| log_likelihood(&Reference, &h, prior).unwrap();
                data - priors.iter().zip(alphas).map(|(prior, alpha)| alpha * likelihood(prior)).sum::<f64>()
            };
            let costs: Vec<f64> = (1..40).map(cost).collect();
            assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{divergence}: {costs:?}");
            assert!(costs[38] < costs[0] - 0.01, "{divergence}");
        }
    }

    /// Priors of weight 0 change no bit: all priors, one of them, or in some columns.
    fn assert_weightless<E: GainPrior + Momentum>(engine: &E) {
        let (v, w) =
            (engine.panel(numbers(1, 37, 70).view()).unwrap(), engine.matrix(numbers(2, 37, 9).view()).unwrap());
        // Zeros stay zeros if no prior raises them.
        let mut start = numbers(3, 9, 70);
        start.slice_mut(s![.., 5]).fill(0.0);
        let start = || engine.panel(start.view()).unwrap();
        let read = |h: &E::Panel| engine.read_panel::<f32>(h).unwrap();
        for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito, Divergence::Beta(0.5)] {
            for gradient in GRADIENTS {
                let rule = Rule::of(divergence.clone());
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
