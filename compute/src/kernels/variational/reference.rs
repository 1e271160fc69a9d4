//! Variational Bayes in f64, straight from the equations.

use std::f64::consts::{E, PI};

use ndarray::{Array1, Array2, Axis, Zip};

use super::gig::posterior;
use super::{
    Bases, FIELD_CEILING, Gig, Order, QUOTIENT_CEILING, VARIANCE_FLOOR, Variational, check_order, check_sources,
    check_weighed, check_weights, fixed_bases,
};
use crate::Result;
use crate::engine::{Engine, Reference};

type Stack = Vec<Array2<f64>>;

/// ω or C of every segment.
fn products(w: &Stack, h: &Stack) -> Stack {
    w.iter().cycle().zip(h).map(|(w, h)| w.dot(h).mapv(|model| model.max(VARIANCE_FLOOR))).collect()
}

impl Order<Reference> {
    fn check(&self, data: &Stack) -> Result<()> {
        let shape = |stack: &Stack| (stack.len(), stack.first().map_or((0, 0), Array2::dim));
        let [data, mean, harmonic] = [data, &self.mean, &self.harmonic].map(|panel| Reference.segments(panel));
        let extents = [(mean.0, mean.1.as_slice()), (harmonic.0, harmonic.1.as_slice())];
        check_order(self.bases.means().map(shape), extents, (data.0, &data.1))
    }

    /// ω of every segment.
    fn omega(&self) -> Stack {
        products(self.bases.means()[0], &self.mean)
    }

    /// C of every segment.
    fn c(&self) -> Stack {
        products(self.bases.means()[1], &self.harmonic)
    }

    /// P/C² and 1/ω of every segment.
    fn fields(&self, p: &Stack) -> (Stack, Stack) {
        let field = |(p, c): (&Array2<f64>, &Array2<f64>)| (p / c / c).mapv(|field| field.min(FIELD_CEILING));
        (
            p.iter().zip(&self.c()).map(field).collect(),
            self.omega().iter().map(|omega| omega.mapv(f64::recip)).collect(),
        )
    }
}

/// Replaces both means of a factor by those of GIG(I² ∘ n, p + d, p). Returns the terms.
fn update(mean: &mut Array2<f64>, harmonic: &mut Array2<f64>, n: &Array2<f64>, d: &Array2<f64>, p: f64) -> Array2<f64> {
    let mut terms = Array2::zeros(n.dim());
    Zip::from(mean).and(harmonic).and(&mut terms).and(n).and(d).for_each(|mean, harmonic, term, n, d| {
        let of = posterior(*harmonic * *harmonic * n, p + d, p);
        (*mean, *harmonic, *term) = (of.mean, of.harmonic, of.term);
    });
    terms
}

/// c of a source, floored.
fn floored(variance: &Array2<f64>) -> Array2<f64> {
    variance.mapv(|c| c.max(VARIANCE_FLOOR))
}

/// Σ c of some sources in a segment, floored.
fn sum<'a>(variances: impl Iterator<Item = &'a Stack>, segment: usize, dim: (usize, usize)) -> Array2<f64> {
    variances.fold(Array2::zeros(dim), |sum, c| sum + floored(&c[segment]))
}

fn sums_of_columns(segments: impl Iterator<Item = Array2<f64>>) -> Vec<f64> {
    segments.flat_map(|segment| segment.sum_axis(Axis(0))).collect()
}

fn extents(variances: &[Stack]) -> Vec<(usize, Vec<usize>)> {
    variances.iter().map(|variance| Reference.segments(variance)).collect()
}

fn check(variances: &[Stack], source: usize, data: Option<&Stack>, noise: f64) -> Result<()> {
    let (all, data) = (extents(variances), data.map(|data| Reference.segments(data)));
    let all: Vec<_> = all.iter().map(|(rows, segments)| (*rows, segments.as_slice())).collect();
    check_sources(&all, source, data.as_ref().map(|(rows, segments)| (*rows, segments.as_slice())), noise)
}

impl Variational for Reference {
    fn variance(&self, orders: &[Order<Self>], q: &Stack) -> Result<Stack> {
        check_weights(orders.len(), (self.segments(q).0, &[]))?;
        let rows = orders[0].bases.means()[0].first().map_or(0, Array2::nrows);
        let data: Stack = q.iter().map(|q| Array2::zeros((rows, q.ncols()))).collect();
        orders.iter().try_for_each(|order| order.check(&data))?;
        let mut inverse = data;
        for (order, weights) in orders.iter().enumerate() {
            for ((inverse, c), q) in inverse.iter_mut().zip(weights.c()).zip(q) {
                *inverse += &(&q.row(order) / &c);
            }
        }
        Ok(inverse.iter().map(|inverse| inverse.mapv(|inverse| inverse.max(VARIANCE_FLOOR).recip())).collect())
    }

    fn power(&self, x: &Stack, variances: &[Stack], source: usize, noise: f64) -> Result<Stack> {
        check(variances, source, Some(x), noise)?;
        let of_segment = |(segment, x): (usize, &Array2<f64>)| {
            let others = variances.iter().enumerate().filter(|(other, _)| *other != source).map(|(_, c)| c);
            let others = sum(others, segment, x.dim()) + noise;
            let c = floored(&variances[source][segment]);
            let share = &c / &(&c + &others);
            &share * &share * x + share * others
        };
        Ok(x.iter().enumerate().map(of_segment).collect())
    }

    fn fraction(&self, variances: &[Stack], source: usize) -> Result<Stack> {
        check(variances, source, None, 0.0)?;
        let of_segment = |(segment, c): (usize, &Array2<f64>)| floored(c) / sum(variances.iter(), segment, c.dim());
        Ok(variances[source].iter().enumerate().map(of_segment).collect())
    }

    fn update_gain_posteriors(&self, p: &Stack, orders: &mut [Order<Self>], gig: &Gig<Self>) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p))?;
        let columns = self.shape(p).1;
        let mut terms = Array2::zeros((orders.len(), columns));
        for (order, mut terms) in orders.iter_mut().zip(terms.rows_mut()) {
            let (for_n, for_d) = order.fields(p);
            let [means, harmonics] = order.bases.means();
            let mut of_columns = Vec::new();
            for (segment, (n, d)) in for_n.iter().zip(&for_d).enumerate() {
                let [mean, harmonic] = [means, harmonics].map(|w| w[segment % w.len()].t());
                let (n, d) = (harmonic.dot(n), mean.dot(d));
                let (mean, harmonic) = (&mut order.mean[segment], &mut order.harmonic[segment]);
                of_columns.extend(update(mean, harmonic, &n, &d, gig.shape).sum_axis(Axis(0)));
            }
            terms.assign(&Array1::from(of_columns));
        }
        Ok(terms)
    }

    fn update_basis_posteriors(&self, p: &Stack, order: &mut Order<Self>, gig: &Gig<Self>) -> Result<Vec<f64>> {
        order.check(p)?;
        let (for_n, for_d) = order.fields(p);
        let Order { bases: Bases::Learned { mean, harmonic }, mean: mean_h, harmonic: harmonic_h } = order else {
            return Err(fixed_bases());
        };
        let matrices = mean.len();
        let of_matrix = |(matrix, (mean, harmonic)): (usize, (&mut Array2<f64>, &mut Array2<f64>))| {
            let total = |fields: &Stack, gains: &Stack| {
                let segments = fields.iter().zip(gains).skip(matrix).step_by(matrices);
                segments.fold(Array2::zeros(mean.dim()), |sum, (field, gains)| sum + field.dot(&gains.t()))
            };
            let (n, d) = (total(&for_n, harmonic_h), total(&for_d, mean_h));
            update(mean, harmonic, &n, &d, gig.shape).sum()
        };
        Ok(mean.iter_mut().zip(harmonic).enumerate().map(of_matrix).collect())
    }

    fn evidence(&self, p: &Stack, orders: &[Order<Self>]) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p))?;
        let mut evidence = Array2::zeros((orders.len(), self.shape(p).1));
        for (order, mut evidence) in orders.iter().zip(evidence.rows_mut()) {
            let of_segment = |((omega, c), p): ((Array2<f64>, Array2<f64>), &Array2<f64>)| {
                -omega.mapv(|omega| (PI * omega).ln()) - (p / c).mapv(|quotient| quotient.min(QUOTIENT_CEILING))
            };
            let segments = order.omega().into_iter().zip(order.c()).zip(p).map(of_segment);
            evidence.assign(&Array1::from(sums_of_columns(segments)));
        }
        Ok(evidence)
    }

    fn energy(&self, x: &Stack, variances: &[Stack], noise: f64) -> Result<Vec<f64>> {
        check(variances, 0, Some(x), noise)?;
        let of_segment = |(segment, x): (usize, &Array2<f64>)| {
            let sum = sum(variances.iter(), segment, x.dim());
            let logs = |c: &Stack| floored(&c[segment]).mapv(|c| (PI * E * c).ln());
            let logs = variances.iter().fold(Array2::zeros(x.dim()), |all, c| all + logs(c));
            let of_cell = |x: &f64, sum: &f64, logs: &f64| {
                let t = noise + sum;
                logs - (PI * t).ln() - (x * (noise / t) / t).min(QUOTIENT_CEILING) - sum / t
            };
            Zip::from(x).and(&sum).and(&logs).map_collect(of_cell)
        };
        Ok(sums_of_columns(x.iter().enumerate().map(of_segment)))
    }

    fn likelihood(&self, x: &Stack, variances: &[Stack], noise: f64) -> Result<Vec<f64>> {
        check(variances, 0, Some(x), noise)?;
        let of_segment = |(segment, x): (usize, &Array2<f64>)| {
            let t = sum(variances.iter(), segment, x.dim()) + noise;
            Zip::from(x).and(&t).map_collect(|x, t| -(PI * t).ln() - (x / t).min(QUOTIENT_CEILING))
        };
        Ok(sums_of_columns(x.iter().enumerate().map(of_segment)))
    }

    fn weigh(&self, sum: Option<Stack>, panel: &Stack, q: &Stack, order: usize) -> Result<Stack> {
        let [(rows, segments), (orders, of_q)] = [panel, q].map(|panel| self.segments(panel));
        let of_sum = sum.as_ref().map(|sum| self.segments(sum));
        let of_sum = of_sum.as_ref().map(|(rows, segments)| (*rows, segments.as_slice()));
        check_weighed(of_sum, (rows, &segments), (orders, &of_q), order)?;
        let weighed = panel.iter().zip(q).map(|(panel, q)| panel * &q.row(order));
        Ok(match sum {
            None => weighed.collect(),
            Some(sum) => sum.into_iter().zip(weighed).map(|(sum, weighed)| sum + weighed).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-13 * b.abs(), "{a} is not {b}");
    }

    /// An order of one bin, one component and one frame. E_W, I_W, E_H and I_H.
    fn order(w: [f64; 2], h: [f64; 2], learned: bool) -> Order<Reference> {
        let one = |x: f64| vec![array![[x]]];
        let bases = match learned {
            true => Bases::Learned { mean: one(w[0]), harmonic: one(w[1]) },
            false => Bases::Fixed(one(w[0])),
        };
        Order { bases, mean: one(h[0]), harmonic: one(h[1]) }
    }

    #[test]
    fn variances_powers_and_masks_equal_hand_computed_ones() {
        // C is 6 and 2: 1/(0.25/6 + 0.75/2)
        let orders = [order([2.0; 2], [5.0, 3.0], false), order([9.0, 0.5], [7.0, 4.0], true)];
        let c = Reference.variance(&orders, &vec![array![[0.25], [0.75]]]).unwrap();
        near(c[0][[0, 0]], 2.4);
        // t = 1 + 1 + 2: 4/16 + 3/4, 4 (4/16) + 2 (2/4)
        let (x, variances) = (vec![array![[4.0]]], [vec![array![[1.0]]], vec![array![[2.0]]]]);
        near(Reference.power(&x, &variances, 0, 1.0).unwrap()[0][[0, 0]], 1.0);
        near(Reference.power(&x, &variances, 1, 1.0).unwrap()[0][[0, 0]], 2.0);
        near(Reference.fraction(&variances, 1).unwrap()[0][[0, 0]], 2.0 / 3.0);
        let energy = -f64::ln(4.0 * PI) - 0.25 - 0.75 + 2.0 * f64::ln(PI * E) + f64::ln(2.0);
        near(Reference.energy(&x, &variances, 1.0).unwrap()[0], energy);
        near(Reference.likelihood(&x, &variances, 1.0).unwrap()[0], -f64::ln(4.0 * PI) - 1.0);
        // 0.25 · 1 + 0.75 · 2
        let q = vec![array![[0.25], [0.75]]];
        let first = Reference.weigh(None, &variances[0], &q, 0).unwrap();
        near(Reference.weigh(Some(first), &variances[1], &q, 1).unwrap()[0][[0, 0]], 1.75);
        assert!(Reference.weigh(None, &variances[0], &q, 2).is_err());
    }

    #[test]
    fn silence_has_floors_and_equal_shares() {
        let dead = [order([2.0; 2], [0.0, 0.0], false)];
        let c = Reference.variance(&dead, &vec![array![[1.0]]]).unwrap();
        near(c[0][[0, 0]], 1e-30);
        let (x, silent) = (vec![array![[0.0]]], [vec![array![[0.0]]], vec![array![[0.0]]]]);
        near(Reference.fraction(&silent, 0).unwrap()[0][[0, 0]], 0.5);
        near(Reference.power(&x, &silent, 0, 0.0).unwrap()[0][[0, 0]], 0.5e-30);
        let energy = -f64::ln(2e-30 * PI) - 1.0 + 2.0 * f64::ln(1e-30 * PI * E);
        near(Reference.energy(&x, &silent, 0.0).unwrap()[0], energy);
    }

    #[test]
    fn posteriors_and_evidence_equal_hand_computed_ones() {
        let gig = Gig::new(&Reference, 0.5).unwrap();
        // ω = 2 and C = 1.5. n = 1.5 (9/1.5²) = 6, τ = 6, d = 2/2, ρ = 1.5, z = 6.
        let mut orders = [order([2.0, 1.5], [1.0, 1.0], true)];
        let p = vec![array![[9.0]]];
        near(Reference.evidence(&p, &orders).unwrap()[[0, 0]], -f64::ln(2.0 * PI) - 6.0);
        let terms = Reference.update_gain_posteriors(&p, &mut orders, &gig).unwrap();
        near(orders[0].mean[0][[0, 0]], 2.0 * (1.0 + 1.0 / 6.0));
        near(orders[0].harmonic[0][[0, 0]], 2.0);
        near(terms[[0, 0]], -0.5 * f64::ln(3.0) - 0.5 * (2.0 / 6.0 + 1.0));
        // A second frame like the first. ω = 14/3, C = 3: n = 2 (2 (9/9)) = 4, τ = 1.5² 4, d = 2 (7/3)/(14/3).
        let [Order { bases, mean, harmonic }] = orders;
        let twice = |panel: Stack| vec![array![[panel[0][[0, 0]], panel[0][[0, 0]]]]];
        let mut order = Order { bases, mean: twice(mean), harmonic: twice(harmonic) };
        let terms = Reference.update_basis_posteriors(&twice(p), &mut order, &gig).unwrap();
        let (tau, rho) = (9.0f64, 1.5f64);
        let (root, z) = ((tau / rho).sqrt(), 2.0 * (tau * rho).sqrt());
        let Bases::Learned { mean, harmonic } = &order.bases else { panic!("fixed") };
        near(mean[0][[0, 0]], root * (1.0 + 1.0 / z));
        near(harmonic[0][[0, 0]], root);
        near(terms[0], -0.5 * f64::ln(3.0) - 0.5 * (root * (1.0 + 1.0 / z) - 1.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let gig = Gig::new(&Reference, 1.0).unwrap();
        for shape in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-4] {
            assert!(Gig::new(&Reference, shape).is_err(), "{shape}");
        }
        let (one, two) = (vec![array![[1.0]]], vec![array![[1.0], [1.0]]]);
        let orders = [order([1.0; 2], [1.0; 2], false)];
        assert!(Reference.variance(&[], &one).is_err() && Reference.variance(&orders, &two).is_err());
        assert!(Reference.variance(&orders, &vec![array![[1.0, 1.0]]]).is_err());
        let variances = [one.clone(), one.clone()];
        assert!(
            Reference.power(&two, &variances, 0, 0.0).is_err() && Reference.power(&one, &variances, 2, 0.0).is_err()
        );
        for noise in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(
                Reference.power(&one, &variances, 0, noise).is_err()
                    && Reference.energy(&one, &variances, noise).is_err()
            );
        }
        assert!(Reference.fraction(&[], 0).is_err() && Reference.fraction(&[one.clone(), two.clone()], 0).is_err());
        assert!(Reference.energy(&one, &[], 0.0).is_err() && Reference.evidence(&two, &orders).is_err());
        let mut fixed = order([1.0; 2], [1.0; 2], false);
        assert!(Reference.update_basis_posteriors(&one, &mut fixed, &gig).is_err());
        fixed.harmonic = vec![array![[1.0, 1.0]]];
        assert!(Reference.update_gain_posteriors(&one, &mut [fixed], &gig).is_err());
    }

    /// The lower bound of log p(x | fixed bases), for two sources with one order each.
    fn bound(x: &Stack, variances: &[Stack], powers: &[Stack], orders: &[Order<Reference>], terms: &[f64]) -> f64 {
        let evidence: f64 = (0..2).map(|j| Reference.evidence(&powers[j], &orders[j..=j]).unwrap().sum()).sum();
        Reference.energy(x, variances, 0.01).unwrap().iter().sum::<f64>() + evidence + terms.iter().sum::<f64>()
    }

    #[test]
    fn every_update_raises_the_bound() {
        for p in [0.2, 1.0, 2.5] {
            let gig = Gig::new(&Reference, p).unwrap();
            let some = |seed: u32, rows: usize, columns: usize| {
                vec![crate::engine::gpu::tests::numbers(seed, rows, columns).mapv(f64::from)]
            };
            let learned = Bases::Learned { mean: some(1, 6, 3), harmonic: some(1, 6, 3) };
            let gains = |k: usize, seed: u32| (some(seed, k, 7), some(seed, k, 7));
            let ((mean, harmonic), (other_mean, other_harmonic)) = (gains(3, 2), gains(2, 3));
            let mut orders = [
                Order { bases: learned, mean, harmonic },
                Order { bases: Bases::Fixed(some(4, 6, 2)), mean: other_mean, harmonic: other_harmonic },
            ];
            let (x, q) = (some(5, 6, 7), vec![Array2::ones((1, 7))]);
            // Terms of W, of H of the first order, and of H of the second.
            let (mut terms, mut last) = ([0.0; 3], f64::NEG_INFINITY);
            for round in 0..6 {
                let variances = [0, 1].map(|j| Reference.variance(&orders[j..=j], &q).unwrap());
                let powers = [0, 1].map(|j| Reference.power(&x, &variances, j, 0.01).unwrap());
                let mut look = |orders: &[Order<Reference>], terms: &[f64], what: &str| {
                    let now = bound(&x, &variances, &powers, orders, terms);
                    // Before all factors are updated once, they are no posteriors, and there is no bound.
                    assert!(round == 0 || now >= last - 1e-9 * last.abs(), "{what} lowers {last} to {now}: p = {p}");
                    last = now;
                };
                look(&orders, &terms, "S");
                terms[0] = Reference.update_basis_posteriors(&powers[0], &mut orders[0], &gig).unwrap().iter().sum();
                look(&orders, &terms, "W");
                for j in [0, 1] {
                    let of_columns = Reference.update_gain_posteriors(&powers[j], &mut orders[j..=j], &gig);
                    terms[1 + j] = of_columns.unwrap().sum();
                    look(&orders, &terms, "H");
                }
            }
        }
    }
}
