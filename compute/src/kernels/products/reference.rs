//! The products in f64, straight from the equations.

use ndarray::{Array1, Array2, Axis, Zip};

use super::{Products, Rule, check_shapes, check_trial, joint_weight};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::{Engine, Reference};

type Stack = Vec<Array2<f64>>;

/// Λ = max(WH, 1e-12)
fn model(w: &Array2<f64>, h: &Array2<f64>) -> Array2<f64> {
    w.dot(h).mapv_into(|lambda| lambda.max(MODEL_FLOOR))
}

/// P and Q
fn fields(v: &Array2<f64>, lambda: &Array2<f64>, divergence: &Divergence) -> (Array2<f64>, Array2<f64>) {
    let p = Zip::from(v).and(lambda).map_collect(|&v, &lambda| divergence.numerator(v, lambda));
    let q = Zip::from(v).and(lambda).map_collect(|&v, &lambda| divergence.denominator(v, lambda));
    (p, q)
}

/// The sums of an update of bases: P G and Q G', with G and G' the transposed gains or their joint weights.
struct Sums {
    n: Array2<f64>,
    d: Array2<f64>,
    /// Σ_n H, (K)
    gains: Array1<f64>,
}

impl Sums {
    fn zeros(w: &Array2<f64>) -> Self {
        Self { n: Array2::zeros(w.dim()), d: Array2::zeros(w.dim()), gains: Array1::zeros(w.ncols()) }
    }

    fn add(&mut self, (p, q): &(Array2<f64>, Array2<f64>), [beside_p, beside_q, h]: [&Array2<f64>; 3]) {
        self.n += &p.dot(&beside_p.t());
        self.d += &q.dot(&beside_q.t());
        self.gains += &h.sum_axis(Axis(1));
    }

    /// The sums for one of the `matrices` bases of a stack, over the segments that it serves.
    fn of_bases(
        v: &Stack,
        (matrix, matrices): (usize, usize),
        w: &Array2<f64>,
        h: &Stack,
        divergence: &Divergence,
    ) -> Self {
        let mut sums = Self::zeros(w);
        for (v, h) in v.iter().zip(h).skip(matrix).step_by(matrices) {
            sums.add(&fields(v, &model(w, h), divergence), [h, h, h]);
        }
        sums
    }

    fn apply(&self, w: &mut Array2<f64>, rule: &Rule) {
        let update =
            |(_, k): (usize, usize), w: &mut f64, &n: &f64, &d: &f64| *w = rule.of_basis(*w, n, d, self.gains[k]);
        Zip::indexed(w).and(&self.n).and(&self.d).for_each(update);
    }
}

/// N = Wᵀ P and D = Wᵀ Q of a segment.
pub(crate) fn gain_sums(
    v: &Array2<f64>,
    w: &Array2<f64>,
    h: &Array2<f64>,
    divergence: &Divergence,
) -> (Array2<f64>, Array2<f64>) {
    let (p, q) = fields(v, &model(w, h), divergence);
    (w.t().dot(&p), w.t().dot(&q))
}

fn update_segment(v: &Array2<f64>, w: &Array2<f64>, h: &mut Array2<f64>, rule: &Rule) {
    let (n, d) = gain_sums(v, w, h, &rule.divergence);
    Zip::from(h).and(&n).and(&d).for_each(|h, &n, &d| *h = rule.of_gain(*h, n, d));
}

fn check(v: &Stack, w: &Stack, h: &Stack) -> Result<()> {
    let (v, h) = (Reference.segments(v), Reference.segments(h));
    check_shapes((v.0, &v.1), (w.len(), w.first().map_or((0, 0), Array2::dim)), (h.0, &h.1))
}

// A single matrix is cycled over all segments. With a stack, each segment uses its own.
impl Products for Reference {
    fn update_gains(&self, v: &Stack, w: &Stack, h: &mut Stack, rule: &Rule) -> Result<()> {
        check(v, w, h)?;
        for ((v, w), h) in v.iter().zip(w.iter().cycle()).zip(h) {
            update_segment(v, w, h, rule);
        }
        Ok(())
    }

    fn update_bases(&self, v: &Stack, w: &mut Stack, h: &Stack, rule: &Rule) -> Result<()> {
        check(v, w, h)?;
        let matrices = w.len();
        for (matrix, w) in w.iter_mut().enumerate() {
            Sums::of_bases(v, (matrix, matrices), w, h, &rule.divergence).apply(w, rule);
        }
        Ok(())
    }

    fn base_sums(&self, v: &Stack, w: &Stack, h: &Stack, divergence: &Divergence) -> Result<(Stack, Stack)> {
        check(v, w, h)?;
        let of_matrix = |(matrix, of): (usize, &Array2<f64>)| {
            let Sums { n, d, .. } = Sums::of_bases(v, (matrix, w.len()), of, h, divergence);
            (n, d)
        };
        Ok(w.iter().enumerate().map(of_matrix).unzip())
    }

    fn try_gains(
        &self,
        v: &Stack,
        w: &Stack,
        trial: &Stack,
        next: &mut Stack,
        costs: &mut Stack,
        rule: &Rule,
    ) -> Result<()> {
        let cost = self.costs(v, w, trial, &rule.divergence)?;
        let [of_trial, of_next, of_costs] = [trial, next, costs].map(|panel| self.segments(panel));
        check_trial((of_trial.0, &of_trial.1), (of_next.0, &of_next.1), (of_costs.0, &of_costs.1))?;
        let mut cost = cost.into_iter();
        for (costs, trial) in costs.iter_mut().zip(trial) {
            let of_data: Array1<f64> = cost.by_ref().take(trial.ncols()).collect();
            costs.row_mut(0).assign(&(of_data + rule.sparsity * trial.sum_axis(Axis(0))));
        }
        next.clone_from(trial);
        self.update_gains(v, w, next, rule)
    }

    fn update_both(&self, v: &Stack, w: &mut Stack, h: &mut Stack, rule: &Rule) -> Result<()> {
        check(v, w, h)?;
        let (a, b) = rule.divergence.joint_exponents();
        let matrices = w.len();
        for (matrix, w) in w.iter_mut().enumerate() {
            let mut sums = Sums::zeros(w);
            for (v, h) in v.iter().zip(&mut *h).skip(matrix).step_by(matrices) {
                let (fields, before) = (fields(v, &model(w, h), &rule.divergence), h.clone());
                update_segment(v, w, h, rule);
                let between = |exponent: f64| {
                    Zip::from(&before).and(&*h).map_collect(|&before, &after| joint_weight(before, after, exponent))
                };
                sums.add(&fields, [&between(a), &between(b), &*h]);
            }
            sums.apply(w, rule);
        }
        Ok(())
    }

    fn costs(&self, v: &Stack, w: &Stack, h: &Stack, divergence: &Divergence) -> Result<Vec<f64>> {
        check(v, w, h)?;
        let mut costs = Vec::new();
        for ((v, w), h) in v.iter().zip(w.iter().cycle()).zip(h) {
            let lambda = model(w, h);
            let column = |n: usize| (0..v.nrows()).map(|f| divergence.cost(v[(f, n)], lambda[(f, n)])).sum::<f64>();
            costs.extend((0..v.ncols()).map(column));
        }
        Ok(costs)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    // V = [2 1; 1 4], W = [1 0; 1 1], H = [1 2; 1 0]: Λ = [1 2; 2 2].
    fn case() -> (Stack, Stack, Stack) {
        (
            vec![array![[2.0, 1.0], [1.0, 4.0]]],
            vec![array![[1.0, 0.0], [1.0, 1.0]]],
            vec![array![[1.0, 2.0], [1.0, 0.0]]],
        )
    }

    fn gains(rule: Rule) -> Array2<f64> {
        let (v, w, mut h) = case();
        Reference.update_gains(&v, &w, &mut h, &rule).unwrap();
        h.remove(0)
    }

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(Zip::from(a).and(b).all(|a, b| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    #[test]
    fn gains_equal_hand_computed_ones() {
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
    fn exponent_sparsity_and_floor_act_as_computed_by_hand() {
        let plain = Rule::of(Divergence::Euclidean);
        near(&gains(Rule { exponent: 2.0, ..plain.clone() }), &array![[1.0, 3.125], [0.25, 0.0]]);
        near(&gains(Rule { sparsity: 1.0, ..plain.clone() }), &array![[0.75, 2.0], [1.0 / 3.0, 0.0]]);
        near(&gains(Rule { floor: 0.1, ..plain.clone() }), &array![[1.0, 2.5], [0.5, 0.2]]);
    }

    #[test]
    fn bases_equal_hand_computed_ones() {
        let (v, mut w, h) = case();
        Reference.update_bases(&v, &mut w, &h, &Rule::of(Divergence::Euclidean)).unwrap();
        // N = V Hᵀ = [4 2; 9 1], D = Λ Hᵀ = [5 1; 6 2].
        near(&w[0], &array![[0.8, 0.0], [1.5, 0.5]]);
    }

    #[test]
    fn sums_of_bases_equal_hand_computed_ones() {
        let (v, w, h) = case();
        let (n, d) = Reference.base_sums(&v, &w, &h, &Divergence::Euclidean).unwrap();
        near(&n[0], &array![[4.0, 2.0], [9.0, 1.0]]);
        near(&d[0], &array![[5.0, 1.0], [6.0, 2.0]]);
        // KL: P = V/Λ = [2 .5; .5 2], and every row of D is Σ_n H.
        let (n, d) = Reference.base_sums(&v, &w, &h, &Divergence::KullbackLeibler).unwrap();
        near(&n[0], &array![[3.0, 2.0], [4.5, 0.5]]);
        near(&d[0], &array![[3.0, 1.0], [3.0, 1.0]]);
    }

    #[test]
    fn costs_equal_hand_computed_ones() {
        let (v, w, h) = case();
        let costs = Reference.costs(&v, &w, &h, &Divergence::Euclidean).unwrap();
        assert_eq!(costs, [1.0, 2.5]);
    }

    #[test]
    fn a_dead_component_stays_dead_and_finite() {
        let (v, _, mut h) = case();
        let mut w = vec![array![[1.0, 0.0], [1.0, 0.0]]];
        let rule = Rule::of(Divergence::ItakuraSaito);
        Reference.update_gains(&v, &w, &mut h, &rule).unwrap();
        Reference.update_bases(&v, &mut w, &h, &rule).unwrap();
        assert_eq!(h[0].row(1).to_vec(), [0.0, 0.0]);
        assert_eq!(w[0].column(1).to_vec(), [0.0, 0.0]);
        assert!(h[0].iter().chain(&w[0]).all(|x| x.is_finite()));
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let (v, w, h) = case();
        let wide = vec![Array2::ones((2, 3))];
        assert!(Reference.costs(&wide, &w, &h, &Divergence::Euclidean).is_err());
        assert!(Reference.costs(&v, &wide, &h, &Divergence::Euclidean).is_err());
        assert!(Reference.costs(&v, &w, &wide, &Divergence::Euclidean).is_err());
        assert!(Reference.stack::<f64>(&[]).is_err() && Reference.packed::<f64>(&[]).is_err());
        let none = Array2::<f64>::zeros((2, 0));
        assert!(Reference.matrix(none.view()).is_err() && Reference.panel(none.view()).is_err());
        let (two, three) = (Array2::<f64>::ones((2, 2)), Array2::<f64>::ones((3, 2)));
        assert!(Reference.packed(&[two.view(), none.view()]).is_err());
        assert!(Reference.packed(&[two.view(), three.view()]).is_err());
        assert!(Reference.stack(&[two.view(), three.view()]).is_err());
    }

    /// The case as one segment, and a second one with V = [3 6 0; 1 1 1], W = [1 0; 0 1], H = [3 2 1; 1 2 1], so Λ = H.
    fn batch() -> (Stack, Stack, Stack) {
        let (mut v, mut w, mut h) = case();
        v.push(array![[3.0, 6.0, 0.0], [1.0, 1.0, 1.0]]);
        w.push(array![[1.0, 0.0], [0.0, 1.0]]);
        h.push(array![[3.0, 2.0, 1.0], [1.0, 2.0, 1.0]]);
        (v, w, h)
    }

    #[test]
    fn segments_with_own_bases_equal_hand_computed_ones() {
        let ((v, w, h), rule) = (batch(), Rule::of(Divergence::Euclidean));
        let mut gains = h.clone();
        Reference.update_gains(&v, &w, &mut gains, &rule).unwrap();
        near(&gains[0], &array![[1.0, 2.5], [0.5, 0.0]]);
        // N = V, D = Λ.
        near(&gains[1], &v[1]);
        let mut bases = w.clone();
        Reference.update_bases(&v, &mut bases, &h, &rule).unwrap();
        near(&bases[0], &array![[0.8, 0.0], [1.5, 0.5]]);
        // N = V Hᵀ = [21 15; 6 4], D = H Hᵀ = [14 8; 8 6].
        near(&bases[1], &array![[1.5, 0.0], [0.0, 4.0 / 6.0]]);
        assert_eq!(Reference.costs(&v, &w, &h, &rule.divergence).unwrap(), [1.0, 2.5, 0.0, 8.5, 0.5]);
    }

    #[test]
    fn segments_with_shared_bases_equal_hand_computed_ones() {
        let ((v, w, h), rule) = (batch(), Rule::of(Divergence::Euclidean));
        let mut shared = vec![w[1].clone()];
        Reference.update_bases(&v, &mut shared, &h, &rule).unwrap();
        // N = [4 2; 9 1] + [21 15; 6 4], D = Σ H Hᵀ = [5 1; 1 1] + [14 8; 8 6].
        near(&shared[0], &array![[25.0 / 19.0, 0.0], [0.0, 5.0 / 7.0]]);
    }

    #[test]
    fn segments_that_do_not_fit_are_an_error() {
        let (v, w, h) = batch();
        let refused = |v: &Stack, w: &Stack, h: &Stack| Reference.costs(v, w, h, &Divergence::Euclidean).is_err();
        assert!(!refused(&v, &w, &h) && !refused(&v, &w[..1].to_vec(), &h));
        let three = [w.as_slice(), &w[..1]].concat();
        assert!(refused(&v, &three, &h) && refused(&v[..1].to_vec(), &w, &h[..1].to_vec()));
        // As many columns, but in other segments.
        let other = vec![h[1].clone(), h[0].clone()];
        assert!(refused(&v, &w, &other));
    }
}
