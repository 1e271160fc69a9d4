//! The products as the equations have them.

use ndarray::{Array1, Array2, Axis, Zip};

use super::{Products, Rule, check_shapes, check_trial, joint_weight};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::Reference;

/// Λ = max(WH, 1e-12)
fn model(w: &Array2<f64>, h: &Array2<f64>) -> Array2<f64> {
    w.dot(h).mapv_into(|lambda| lambda.max(MODEL_FLOOR))
}

/// P and Q
fn fields(v: &Array2<f64>, lambda: &Array2<f64>, divergence: Divergence) -> (Array2<f64>, Array2<f64>) {
    let p = Zip::from(v).and(lambda).map_collect(|&v, &lambda| divergence.numerator(v, lambda));
    let q = Zip::from(v).and(lambda).map_collect(|&v, &lambda| divergence.denominator(v, lambda));
    (p, q)
}

impl Products for Reference {
    fn update_gains(&self, v: &Array2<f64>, w: &Array2<f64>, h: &mut Array2<f64>, rule: &Rule) -> Result<()> {
        check_shapes(v.dim(), w.dim(), h.dim())?;
        let (p, q) = fields(v, &model(w, h), rule.divergence);
        let (n, d) = (w.t().dot(&p), w.t().dot(&q));
        Zip::from(h).and(&n).and(&d).for_each(|h, &n, &d| *h = rule.apply(*h, n, d));
        Ok(())
    }

    fn update_bases(&self, v: &Array2<f64>, w: &mut Array2<f64>, h: &Array2<f64>, rule: &Rule) -> Result<()> {
        check_shapes(v.dim(), w.dim(), h.dim())?;
        let (p, q) = fields(v, &model(w, h), rule.divergence);
        let (n, d) = (p.dot(&h.t()), q.dot(&h.t()));
        Zip::from(w).and(&n).and(&d).for_each(|w, &n, &d| *w = rule.apply(*w, n, d));
        Ok(())
    }

    fn try_gains(
        &self,
        v: &Array2<f64>,
        w: &Array2<f64>,
        trial: &Array2<f64>,
        next: &mut Array2<f64>,
        costs: &mut Array2<f64>,
        rule: &Rule,
    ) -> Result<()> {
        let cost = self.costs(v, w, trial, rule.divergence)?;
        check_trial(trial.dim(), next.dim(), costs.dim())?;
        costs.row_mut(0).assign(&(Array1::from(cost) + rule.sparsity * trial.sum_axis(Axis(0))));
        next.assign(trial);
        self.update_gains(v, w, next, rule)
    }

    fn update_both(&self, v: &Array2<f64>, w: &mut Array2<f64>, h: &mut Array2<f64>, rule: &Rule) -> Result<()> {
        check_shapes(v.dim(), w.dim(), h.dim())?;
        let (p, q) = fields(v, &model(w, h), rule.divergence);
        let before = h.clone();
        self.update_gains(v, w, h, rule)?;
        let (a, b) = rule.divergence.joint_exponents();
        let between = |exponent: f64| {
            Zip::from(&before).and(&*h).map_collect(|&before, &after| joint_weight(before, after, exponent))
        };
        let (n, d) = (p.dot(&between(a).t()), q.dot(&between(b).t()));
        let rule = Rule { sparsity: 0.0, ..*rule };
        Zip::from(w).and(&n).and(&d).for_each(|w, &n, &d| *w = rule.apply(*w, n, d));
        Ok(())
    }

    fn costs(&self, v: &Array2<f64>, w: &Array2<f64>, h: &Array2<f64>, divergence: Divergence) -> Result<Vec<f64>> {
        check_shapes(v.dim(), w.dim(), h.dim())?;
        let lambda = model(w, h);
        let column = |n: usize| (0..v.nrows()).map(|f| divergence.cost(v[(f, n)], lambda[(f, n)])).sum();
        Ok((0..v.ncols()).map(column).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    // V = [2 1; 1 4], W = [1 0; 1 1], H = [1 2; 1 0]: Λ = [1 2; 2 2].
    fn case() -> (Array2<f64>, Array2<f64>, Array2<f64>) {
        (array![[2.0, 1.0], [1.0, 4.0]], array![[1.0, 0.0], [1.0, 1.0]], array![[1.0, 2.0], [1.0, 0.0]])
    }

    fn gains(rule: Rule) -> Array2<f64> {
        let (v, w, mut h) = case();
        Reference.update_gains(&v, &w, &mut h, &rule).unwrap();
        h
    }

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(Zip::from(a).and(b).all(|a, b| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    #[test]
    fn gains_by_hand() {
        // EU: N = Wᵀ V = [3 5; 1 4], D = Wᵀ Λ = [3 4; 2 2].
        near(&gains(Rule::of(Divergence::Euclidean)), &array![[1.0, 2.5], [0.5, 0.0]]);
        // KL: P = V/Λ = [2 .5; .5 2], N = [2.5 2.5; .5 2], D = [2 2; 1 1].
        near(&gains(Rule::of(Divergence::KullbackLeibler)), &array![[1.25, 2.5], [0.5, 0.0]]);
        // IS: P = [2 .25; .25 1], N = [2.25 1.25; .25 1], Q = [1 .5; .5 .5], D = [1.5 1; .5 .5].
        near(&gains(Rule::of(Divergence::ItakuraSaito)), &array![[1.5, 2.5], [0.5, 0.0]]);
        // β = 3: P = VΛ = [2 2; 2 8], N = [4 10; 2 8], Q = Λ² = [1 4; 4 4], D = [5 8; 4 4].
        let rule = Rule { exponent: 1.0, ..Rule::of(Divergence::Beta(3.0)) };
        near(&gains(rule), &array![[0.8, 2.5], [0.5, 0.0]]);
    }

    #[test]
    fn exponent_sparsity_and_floor_by_hand() {
        let plain = Rule::of(Divergence::Euclidean);
        near(&gains(Rule { exponent: 2.0, ..plain }), &array![[1.0, 3.125], [0.25, 0.0]]);
        near(&gains(Rule { sparsity: 1.0, ..plain }), &array![[0.75, 2.0], [1.0 / 3.0, 0.0]]);
        near(&gains(Rule { floor: 0.1, ..plain }), &array![[1.0, 2.5], [0.5, 0.2]]);
    }

    #[test]
    fn bases_by_hand() {
        let (v, mut w, h) = case();
        Reference.update_bases(&v, &mut w, &h, &Rule::of(Divergence::Euclidean)).unwrap();
        // N = V Hᵀ = [4 2; 9 1], D = Λ Hᵀ = [5 1; 6 2].
        near(&w, &array![[0.8, 0.0], [1.5, 0.5]]);
    }

    #[test]
    fn costs_by_hand() {
        let (v, w, h) = case();
        let costs = Reference.costs(&v, &w, &h, Divergence::Euclidean).unwrap();
        assert_eq!(costs, [1.0, 2.5]);
    }

    #[test]
    fn a_dead_component_stays_dead_and_finite() {
        let (v, _, mut h) = case();
        let mut w = array![[1.0, 0.0], [1.0, 0.0]];
        let rule = Rule::of(Divergence::ItakuraSaito);
        Reference.update_gains(&v, &w, &mut h, &rule).unwrap();
        Reference.update_bases(&v, &mut w, &h, &rule).unwrap();
        assert_eq!(h.row(1).to_vec(), [0.0, 0.0]);
        assert_eq!(w.column(1).to_vec(), [0.0, 0.0]);
        assert!(h.iter().chain(&w).all(|x| x.is_finite()));
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let (v, w, h) = case();
        let wide = Array2::ones((2, 3));
        assert!(Reference.costs(&wide, &w, &h, Divergence::Euclidean).is_err());
        assert!(Reference.costs(&v, &wide, &h, Divergence::Euclidean).is_err());
        assert!(Reference.costs(&v, &w, &wide, Divergence::Euclidean).is_err());
        let none = Array2::zeros((2, 0));
        assert!(Reference.costs(&none, &w, &none, Divergence::Euclidean).is_err());
    }
}
