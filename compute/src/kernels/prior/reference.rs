//! Gain priors in f64, straight from the equations.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip, s};

use super::{
    Density, GAIN_FLOOR, GainPrior, Gradient, Moments, Prior, check_density, check_priors, check_rows, check_shapes,
    check_sums,
};
use crate::Result;
use crate::engine::{Engine, Reference};
use crate::kernels::products::{Rule, gain_sums};

type Stack = Vec<Array2<f64>>;

/// g' and the norms n of one source's gains.
fn raised(gains: ArrayView2<f64>, floor: f64) -> (Array2<f64>, Array1<f64>) {
    let gains = gains.mapv(|gain| gain.max(GAIN_FLOOR));
    let norms = (&gains * &gains).sum_axis(Axis(0)).mapv_into(f64::sqrt);
    let least = floor * &norms;
    (Zip::from(&gains).and_broadcast(&least).map_collect(|&gain, &least| gain.max(least)), norms)
}

/// r (C, N) and L (N).
fn responsibilities(x: &Array2<f64>, density: &Density<Stack>) -> (Array2<f64>, Array1<f64>) {
    let mut r = Array2::zeros((density.components, x.ncols()));
    for ((component, n), value) in r.indexed_iter_mut() {
        let (means, precisions) = (density.means[0].column(component), density.precisions[0].column(component));
        let away = &x.column(n) - &means;
        *value = density.levels[0][(0, component)] - 0.5 * (&away * &away).dot(&precisions);
    }
    let mut likelihoods = Array1::zeros(x.ncols());
    for (mut column, likelihood) in r.columns_mut().into_iter().zip(&mut likelihoods) {
        let most = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        column.mapv_inplace(|value| (value - most).exp());
        let sum = column.sum();
        column /= sum;
        *likelihood = most + sum.ln() + density.levels[0][(1, 0)];
    }
    (r, likelihoods)
}

/// Adds a prior to N and D of a segment.
fn add_prior(
    h: &mut Array2<f64>,
    prior: &Prior<Stack>,
    weights: ArrayView1<f64>,
    n: &mut Array2<f64>,
    d: &mut Array2<f64>,
) {
    let Prior { rows, density, gradient, floor } = prior;
    let (gains, norms) = raised(h.slice(s![rows.clone(), ..]), *floor);
    let x = (&gains / &norms).mapv_into(f64::ln);
    let (r, _) = responsibilities(&x, density);
    let a = density.pulls[0].dot(&r);
    let b = -x * density.precisions[0].dot(&r);
    let (sum_a, sum_b) = (a.sum_axis(Axis(0)), b.sum_axis(Axis(0)));
    for ((row, column), &gain) in gains.indexed_iter() {
        if weights[column] > 0.0 {
            let (a, b, share) = (a[(row, column)], b[(row, column)], gain / norms[column] / norms[column]);
            let (all_a, all_b) = match gradient {
                Gradient::Exact => (sum_a[column], sum_b[column]),
                Gradient::Paper => (a, b),
            };
            let at = (rows.start + row, column);
            n[at] += weights[column] * (b / gain + share * all_a);
            d[at] += weights[column] * (a / gain + share * all_b);
            h[at] = gain;
        }
    }
}

impl GainPrior for Reference {
    fn log_normalized(&self, h: &Stack, rows: Range<usize>, floor: f64) -> Result<Stack> {
        check_rows(&rows, floor, self.shape(h).0)?;
        let of_segment = |h: &Array2<f64>| {
            let (gains, norms) = raised(h.slice(s![rows.clone(), ..]), floor);
            (gains / norms).mapv_into(f64::ln)
        };
        Ok(h.iter().map(of_segment).collect())
    }

    fn responsibilities(&self, x: &Stack, density: &Density<Stack>) -> Result<(Stack, Stack)> {
        check_density(self.shape(x).0, density)?;
        let of_segment = |x: &Array2<f64>| {
            let (r, likelihoods) = responsibilities(x, density);
            (r, likelihoods.insert_axis(Axis(0)))
        };
        Ok(x.iter().map(of_segment).unzip())
    }

    fn moments(&self, x: &Stack, density: &Density<Stack>) -> Result<Moments> {
        check_density(self.shape(x).0, density)?;
        let (mut log_likelihood, mut counts) = (0.0, Array1::zeros(density.components));
        let mut firsts = Array2::zeros((density.components, density.dimensions));
        let mut seconds = firsts.clone();
        for x in x {
            let (r, likelihoods) = responsibilities(x, density);
            log_likelihood += likelihoods.sum();
            counts += &r.sum_axis(Axis(1));
            for (component, r) in r.outer_iter().enumerate() {
                let away = x - &density.center.column(component).insert_axis(Axis(1));
                firsts.row_mut(component).zip_mut_with(&away.dot(&r), |sum, part| *sum += part);
                seconds.row_mut(component).zip_mut_with(&(&away * &away).dot(&r), |sum, part| *sum += part);
            }
        }
        Ok(Moments::around(density, log_likelihood, counts, &firsts, &seconds))
    }

    fn add_priors(
        &self,
        h: &mut Stack,
        priors: &[Prior<Stack>],
        weights: &Stack,
        n: &mut Stack,
        d: &mut Stack,
    ) -> Result<()> {
        let [of_h, of_weights, of_n, of_d] = [&*h, weights, &*n, &*d].map(|panel| self.segments(panel));
        check_priors(priors, (of_h.0, &of_h.1), (of_weights.0, &of_weights.1))?;
        check_sums((of_h.0, &of_h.1), (of_n.0, &of_n.1), (of_d.0, &of_d.1))?;
        for (((h, weights), n), d) in h.iter_mut().zip(weights).zip(n).zip(d) {
            for (prior, weights) in priors.iter().zip(weights.outer_iter()) {
                add_prior(h, prior, weights, n, d);
            }
        }
        Ok(())
    }
    fn update_gains_under(
        &self,
        v: &Stack,
        w: &Stack,
        h: &mut Stack,
        rule: &Rule,
        priors: &[Prior<Stack>],
        weights: &Stack,
    ) -> Result<()> {
        let [of_v, of_h] = [v, &*h].map(|panel| self.segments(panel));
        let of_w = w.first().map_or((0, 0), Array2::dim);
        check_shapes((of_v.0, &of_v.1), (w.len(), of_w), (of_h.0, &of_h.1))?;
        let sums = v.iter().zip(w.iter().cycle()).zip(&*h).map(|((v, w), h)| gain_sums(v, w, h, &rule.divergence));
        let (mut n, mut d): (Stack, Stack) = sums.unzip();
        self.add_priors(h, priors, weights, &mut n, &mut d)?;
        for ((h, n), d) in h.iter_mut().zip(&n).zip(&d) {
            Zip::from(h).and(n).and(d).for_each(|h, &n, &d| *h = rule.of_gain(*h, n, d));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{LN_2, TAU};

    use ndarray::{array, concatenate};

    use super::*;
    use crate::divergence::Divergence;
    use crate::engine::Cpu;
    use crate::engine::gpu::tests::{gpu, numbers};
    use crate::kernels::Mixture;

    /// A hand-computed case. Gains (1, 0) above a floor of ½: n = 1, g' = (1, ½), x = (0, −ln 2). Both means have
    /// distance 1 from x, so r = w = (¼, ¾) and L = −log 2π − ½.
    ///
    /// a = Σ r (−μ) = (¼·1 + ¾·0, ¼·ln 2 + ¾·(1 + ln 2)) = (¼, ¾ + ln 2) and b = −x = (0, ln 2); A = 1 + ln 2 and B =
    /// ln 2.
    fn assert_by_hand<E: GainPrior>(engine: &E, bound: f64) {
        let means = array![[-1.0, -LN_2], [0.0, -LN_2 - 1.0]];
        let mixture = Mixture { weights: array![0.25, 0.75], means, variances: Array2::ones((2, 2)) };
        let near = |panel: &E::Panel, expected: Array2<f64>| {
            let found: Array2<f64> = engine.read_panel(panel).unwrap();
            assert!((&found - &expected).iter().all(|error| error.abs() < bound), "{found} for {expected}");
        };
        let panel = |column: [f64; 2]| engine.panel(array![[column[0]], [column[1]]].view()).unwrap();
        let density = || Density::new(engine, &mixture).unwrap();
        let x = engine.log_normalized(&panel([1.0, 0.0]), 0..2, 0.5).unwrap();
        near(&x, array![[0.0], [-LN_2]]);
        let (r, likelihoods) = engine.responsibilities(&x, &density()).unwrap();
        near(&r, array![[0.25], [0.75]]);
        near(&likelihoods, array![[-TAU.ln() - 0.5]]);
        // With α = 2: 2 (b/g' + g' A) and 2 (a/g' + g' B), then the same with a for A and b for B.
        let exact = ([2.0 + 2.0 * LN_2, 1.0 + 5.0 * LN_2], [0.5 + 2.0 * LN_2, 3.0 + 5.0 * LN_2]);
        let paper = ([0.5, 0.75 + 5.0 * LN_2], [0.5, 3.0 + 5.0 * LN_2]);
        for (gradient, (up, down)) in [(Gradient::Exact, exact), (Gradient::Paper, paper)] {
            let (mut h, mut n, mut d) = (panel([1.0, 0.0]), panel([0.0, 0.0]), panel([0.0, 0.0]));
            let prior = [Prior { rows: 0..2, density: density(), gradient, floor: 0.5 }];
            let weights = engine.panel(array![[2.0]].view()).unwrap();
            engine.add_priors(&mut h, &prior, &weights, &mut n, &mut d).unwrap();
            near(&h, array![[1.0], [0.5]]);
            near(&n, array![[up[0]], [up[1]]]);
            near(&d, array![[down[0]], [down[1]]]);
        }
    }

    #[test]
    fn every_engine_gives_the_hand_computed_values() {
        assert_by_hand(&Reference, 1e-12);
        assert_by_hand(&Cpu::new(Some(1)).unwrap(), 1e-5);
        if let Some(gpu) = gpu() {
            assert_by_hand(&gpu, 1e-5);
        }
    }

    /// Every column equals the mean of its own component. All other components have densities smaller by a factor of
    /// e¹⁰⁰ or more, so r = 1 and L = log w − log 2πσ².
    fn assert_far_apart<E: GainPrior>(engine: &E) {
        let means = Array2::from_shape_fn((37, 2), |(component, _)| -(component as f64));
        let x = engine.panel(means.t()).unwrap();
        let mixture =
            Mixture { weights: Array1::from_elem(37, 1.0 / 37.0), variances: Array2::from_elem((37, 2), 0.01), means };
        let (r, likelihoods) = engine.responsibilities(&x, &Density::new(engine, &mixture).unwrap()).unwrap();
        let r: Array2<f64> = engine.read_panel(&r).unwrap();
        assert!((r - Array2::<f64>::eye(37)).iter().all(|error| error.abs() < 1e-6));
        let expected = -(37.0 * 0.01 * TAU).ln();
        let likelihoods: Array2<f64> = engine.read_panel(&likelihoods).unwrap();
        assert!(likelihoods.iter().all(|likelihood| (likelihood - expected).abs() < 1e-5), "{likelihoods}");
    }

    #[test]
    fn distant_components_do_not_share_columns() {
        assert_far_apart(&Reference);
        assert_far_apart(&Cpu::new(Some(1)).unwrap());
        if let Some(gpu) = gpu() {
            assert_far_apart(&gpu);
        }
    }

    /// The bases of two segments, updated once after a prior was added and once after an update of gains under it.
    /// Under KL, D sums all gains of a segment, including any in padding columns. One segment has zeros and the gains
    /// have a floor, so an error in the padding would show.
    fn bases_after<E: GainPrior>(engine: &E) -> [Array2<f64>; 2] {
        let pack = |seed, rows| {
            let mut segments = [5, 35].map(|columns| numbers(seed, rows, columns));
            segments.iter_mut().for_each(|segment| segment.row_mut(0).fill(0.0));
            engine.packed(&[segments[0].view(), segments[1].view()]).unwrap()
        };
        let (v, w, mut h) = (pack(1, 6), || engine.matrix(numbers(3, 6, 3).view()).unwrap(), pack(2, 3));
        let mixture = Mixture { weights: array![1.0], means: -Array2::ones((1, 3)), variances: Array2::ones((1, 3)) };
        let density = Density::new(engine, &mixture).unwrap();
        let weights = engine.panel_like(&h, Array2::from_elem((1, 40), 0.1).view()).unwrap();
        let priors = [Prior { rows: 0..3, density, gradient: Gradient::Exact, floor: 0.0 }];
        let rule = Rule { floor: 0.1, ..Rule::of(Divergence::KullbackLeibler) };
        let mut bases = [w(), w()];
        engine.add_priors(&mut h, &priors, &weights, &mut pack(2, 3), &mut pack(2, 3)).unwrap();
        engine.update_bases(&v, &mut bases[0], &h, &rule).unwrap();
        engine.update_gains_under(&v, &w(), &mut h, &rule, &priors, &weights).unwrap();
        engine.update_bases(&v, &mut bases[1], &h, &rule).unwrap();
        bases.map(|bases| engine.read_matrix(&bases).unwrap())
    }

    #[test]
    fn padding_columns_do_not_affect_bases_under_a_prior() {
        let near = |bases: [Array2<f64>; 2]| {
            for (bases, expected) in bases.iter().zip(bases_after(&Reference)) {
                assert!((bases - &expected).iter().all(|error| error.abs() < 1e-5), "{bases} for {expected}");
            }
        };
        near(bases_after(&Cpu::new(Some(1)).unwrap()));
        if let Some(gpu) = gpu() {
            near(bases_after(&gpu));
        }
    }

    /// Each column adds 1 to the counts, for any number of columns, in one segment or several. The moments of a single
    /// component are the rows' mean and variance.
    fn assert_counts<E: GainPrior>(engine: &E) {
        for segments in [&[1][..], &[31], &[300], &[1300], &[31, 300, 5, 970]] {
            let parts: Vec<Array2<f64>> =
                (1..).zip(segments).map(|(seed, &columns)| numbers(seed, 3, columns).mapv(|x| -f64::from(x))).collect();
            let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let (panel, x) = (engine.packed(&parts).unwrap(), concatenate(Axis(1), &parts).unwrap());
            let columns = x.ncols() as f64;
            let mixture =
                Mixture { weights: array![1.0], means: -Array2::ones((1, 3)), variances: Array2::ones((1, 3)) };
            let density = Density::new(engine, &mixture).unwrap();
            let moments = engine.moments(&panel, &density).unwrap();
            assert!((moments.counts[0] / columns - 1.0).abs() < 1e-6, "{} of {columns}", moments.counts);
            let (mean, variance) = (x.mean_axis(Axis(1)).unwrap(), x.var_axis(Axis(1), 0.0));
            assert!((&moments.means.row(0) - &mean).iter().all(|error| error.abs() < 1e-5));
            let found = moments.variances[0].as_ref().unwrap();
            assert!((found - &variance).iter().all(|error| error.abs() < 1e-5), "{found} for {variance}");
            let expected = -0.5 * (3.0 * TAU.ln() * columns + x.mapv(|x| (x + 1.0).powi(2)).sum());
            let found = moments.log_likelihood;
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn moments_include_every_column() {
        assert_counts(&Reference);
        assert_counts(&Cpu::new(Some(2)).unwrap());
        if let Some(gpu) = gpu() {
            assert_counts(&gpu);
        }
    }

    /// The mean of equal columns is the column itself, to the last digit of its distance from the mixture's mean, and
    /// their variance is not negative.
    fn assert_no_spread<E: GainPrior>(engine: &E) {
        for value in (1..20).map(|step| -0.7 * step as f32) {
            let x = engine.panel(Array2::from_elem((1, 7), value).view()).unwrap();
            for away in [0.0, 1.7] {
                let means = Array2::from_elem((1, 1), -0.7 * f64::from(value / -0.7).round() - away);
                let mixture = Mixture { weights: array![1.0], variances: Array2::ones((1, 1)), means };
                let moments = engine.moments(&x, &Density::new(engine, &mixture).unwrap()).unwrap();
                let error = moments.means[(0, 0)] - f64::from(value);
                assert!(error.abs() < 1e-10 + 1e-6 * away, "{error} of {value}");
                let variance = moments.variances[0].as_ref().unwrap()[0];
                assert!((0.0..1e-5).contains(&variance), "{variance} around {value}");
            }
        }
    }

    #[test]
    fn equal_columns_have_no_variance() {
        assert_no_spread(&Reference);
        assert_no_spread(&Cpu::new(Some(1)).unwrap());
        if let Some(gpu) = gpu() {
            assert_no_spread(&gpu);
        }
    }
}
