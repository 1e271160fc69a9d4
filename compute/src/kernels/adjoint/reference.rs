//! The reverse pass in f64, straight from the equations.

use ndarray::{Array2, Axis, Zip};

use super::{Adjoint, check_adjoints, check_knots};
use crate::Result;
use crate::cubics::{TERMS, cell_of};
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::{Engine, Reference};
use crate::kernels::glue::check_factors;
use crate::kernels::products::check_shapes;
use crate::weight::{RATIO_FLOOR, Weight};

type Stack = Vec<Array2<f64>>;

/// What an update makes of the cells of a segment.
struct Cells<'a> {
    weight: &'a Weight,
    /// W H, without a floor.
    product: Array2<f64>,
    /// v/λ, without a floor.
    ratio: Array2<f64>,
    /// A and B
    a: Array2<f64>,
    b: Array2<f64>,
}

impl<'a> Cells<'a> {
    fn new(v: &Array2<f64>, w: &Array2<f64>, h: &Array2<f64>, weight: &'a Weight) -> Self {
        let product = w.dot(h);
        let b = product.mapv(|lambda| 1.0 / lambda.max(MODEL_FLOOR));
        let ratio = v * &b;
        let a = ratio.mapv(|r| weight.zeta(r) * r) * &b;
        Self { weight, product, ratio, a, b }
    }

    /// g(WH), from gA and gB. Adds to the knots.
    fn reverse(&self, of_a: &Array2<f64>, of_b: &Array2<f64>, knots: &mut Array2<f64>) -> Array2<f64> {
        let of_phi = of_a * &self.a;
        Zip::from(&of_phi).and(&self.ratio).for_each(|of_phi, &r| {
            let (cell, t) = cell_of(r.max(RATIO_FLOOR));
            (0..TERMS).for_each(|i| knots[(cell, i)] += of_phi * t.powi(i as i32));
        });
        let slope = |r: f64| if r > RATIO_FLOOR { self.weight.slope_at(r) } else { 0.0 };
        let of_lambda = -(of_b * &self.b + of_phi * (2.0 + self.ratio.mapv(slope))) * &self.b;
        unfloored(&self.product, &of_lambda)
    }
}

/// The adjoint of WH from that of max(WH, 1e-12).
fn unfloored(product: &Array2<f64>, of_lambda: &Array2<f64>) -> Array2<f64> {
    Zip::from(product).and(of_lambda).map_collect(|&product, &of| if product > MODEL_FLOOR { of } else { 0.0 })
}

/// gN, gD and g ∘ N / D of X' = X ∘ N / D.
fn of_ratio(x: &Array2<f64>, n: &Array2<f64>, d: &Array2<f64>, of: &Array2<f64>) -> [Array2<f64>; 3] {
    let of_n =
        Zip::from(x).and(d).and(of).map_collect(|x, &d, of| if d > DENOMINATOR_FLOOR { of * x / d } else { 0.0 });
    let ratio = n / d.mapv(|d| d.max(DENOMINATOR_FLOOR));
    let of_d = -(&of_n * &ratio);
    [of_n, of_d, of * ratio]
}

fn matrices(stack: &Stack) -> (usize, (usize, usize)) {
    (stack.len(), stack.first().map_or((0, 0), Array2::dim))
}

fn check(data: &Stack, w: &Stack, h: &Stack, of_w: &Stack, of_h: &Stack) -> Result<()> {
    let [data, of_gains] = [data, h].map(|panel| Reference.segments(panel));
    check_shapes((data.0, &data.1), matrices(w), (of_gains.0, &of_gains.1))?;
    check_adjoints_of(w, h, of_w, of_h)
}

fn check_adjoints_of(w: &Stack, h: &Stack, of_w: &Stack, of_h: &Stack) -> Result<()> {
    let [h, of_h] = [h, of_h].map(|panel| Reference.segments(panel));
    check_adjoints((matrices(w), matrices(of_w)), ((h.0, &h.1), (of_h.0, &of_h.1)))
}

// Segment s uses the matrix s of a stack, or the only one.
impl Adjoint for Reference {
    fn adjoint_of_gains(
        &self,
        v: &Stack,
        w: &Stack,
        h: &Stack,
        weight: &Weight,
        of_w: &mut Stack,
        of_h: &mut Stack,
        knots: &mut Stack,
    ) -> Result<()> {
        check(v, w, h, of_w, of_h)?;
        check_knots(matrices(knots))?;
        for (segment, ((v, h), of_h)) in v.iter().zip(h).zip(of_h).enumerate() {
            let (w, of_w) = (&w[segment % w.len()], &mut of_w[segment % w.len()]);
            let cells = Cells::new(v, w, h, weight);
            let [of_n, of_d, direct] = of_ratio(h, &w.t().dot(&cells.a), &w.t().dot(&cells.b), of_h);
            let of_product = cells.reverse(&w.dot(&of_n), &w.dot(&of_d), &mut knots[0]);
            *of_w += &(cells.a.dot(&of_n.t()) + cells.b.dot(&of_d.t()) + of_product.dot(&h.t()));
            *of_h = direct + w.t().dot(&of_product);
        }
        Ok(())
    }

    fn adjoint_of_bases(
        &self,
        v: &Stack,
        w: &Stack,
        h: &Stack,
        weight: &Weight,
        of_w: &mut Stack,
        of_h: &mut Stack,
        knots: &mut Stack,
    ) -> Result<()> {
        check(v, w, h, of_w, of_h)?;
        check_knots(matrices(knots))?;
        let count = w.len();
        for (matrix, (w, of_w)) in w.iter().zip(of_w).enumerate() {
            let segments = || v.iter().zip(h).skip(matrix).step_by(count);
            let cells: Vec<Cells> = segments().map(|(v, h)| Cells::new(v, w, h, weight)).collect();
            let (mut n, mut d) = (Array2::zeros(w.dim()), Array2::zeros(w.dim()));
            for (cells, (_, h)) in cells.iter().zip(segments()) {
                n += &cells.a.dot(&h.t());
                d += &cells.b.dot(&h.t());
            }
            let [of_n, of_d, direct] = of_ratio(w, &n, &d, of_w);
            *of_w = direct;
            let of_segments = of_h.iter_mut().skip(matrix).step_by(count);
            for ((cells, (_, h)), of_h) in cells.iter().zip(segments()).zip(of_segments) {
                let of_product = cells.reverse(&of_n.dot(h), &of_d.dot(h), &mut knots[0]);
                *of_w += &of_product.dot(&h.t());
                *of_h += &(of_n.t().dot(&cells.a) + of_d.t().dot(&cells.b) + w.t().dot(&of_product));
            }
        }
        Ok(())
    }

    fn adjoint_of_norm(
        &self,
        w: &Stack,
        h: &Stack,
        of_w: &mut Stack,
        of_h: &mut Stack,
        compensated: bool,
    ) -> Result<()> {
        check_factors(matrices(w), (h.first().map_or(0, Array2::nrows), h.len()))?;
        check_adjoints_of(w, h, of_w, of_h)?;
        let count = w.len();
        for (matrix, (w, of_w)) in w.iter().zip(of_w).enumerate() {
            let norms = w.sum_axis(Axis(0));
            for (k, &norm) in norms.iter().enumerate().filter(|(_, norm)| **norm > DENOMINATOR_FLOOR) {
                let mut of_norm = -of_w.column(k).dot(&w.column(k)) / (norm * norm);
                if compensated {
                    for (h, of_h) in h.iter().zip(of_h.iter_mut()).skip(matrix).step_by(count) {
                        of_norm += of_h.row(k).dot(&h.row(k));
                        of_h.row_mut(k).mapv_inplace(|of| of * norm);
                    }
                }
                of_w.column_mut(k).mapv_inplace(|of| of / norm + of_norm);
            }
        }
        Ok(())
    }

    fn floored_model(&self, w: &Stack, h: &Stack) -> Result<Stack> {
        check_factors(matrices(w), (h.first().map_or(0, Array2::nrows), h.len()))?;
        Ok(h.iter().zip(w.iter().cycle()).map(|(h, w)| w.dot(h).mapv(|lambda| lambda.max(MODEL_FLOOR))).collect())
    }

    fn adjoint_of_model(
        &self,
        w: &Stack,
        h: &Stack,
        of_model: &Stack,
        of_w: &mut Stack,
        of_h: &mut Stack,
    ) -> Result<()> {
        check(of_model, w, h, of_w, of_h)?;
        for (segment, ((of_model, h), of_h)) in of_model.iter().zip(h).zip(of_h).enumerate() {
            let (w, of_w) = (&w[segment % w.len()], &mut of_w[segment % w.len()]);
            let of_product = unfloored(&w.dot(h), of_model);
            *of_w += &of_product.dot(&h.t());
            *of_h += &w.t().dot(&of_product);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::array;

    use super::*;
    use crate::cubics::{at_nodes, no_sums};
    use crate::divergence::Divergence;
    use crate::engine::gpu::tests::numbers;
    use crate::kernels::products::gain_sums;
    use crate::kernels::{Glue, Norm, Products};

    /// A weight with a parameter θ, which is 0, and ∂Φ/∂θ.
    struct Family {
        name: &'static str,
        at: fn(f64) -> Arc<Weight>,
        derivative: fn(f64) -> f64,
    }

    const FAMILIES: [Family; 3] = [
        Family {
            name: "t",
            at: |theta| Arc::new(Weight::student(0.73 * f64::exp(theta)).unwrap()),
            derivative: |r| 0.73 / 2.73 - 0.73 / (0.73 + 2.0 * r),
        },
        Family {
            name: "ggd",
            at: |theta| Arc::new(Weight::generalized_gaussian(0.5 * f64::exp(theta)).unwrap()),
            derivative: |r| 0.25 * r.ln(),
        },
        Family { name: "bent", at: bent_by, derivative: |r| (0.7 * r.ln()).cos() },
    ];

    /// The curve of [`crate::divergence::bent`], with θ cos(0.7 log r) added.
    fn bent_by(theta: f64) -> Arc<Weight> {
        let curve = move |r: f64| {
            let u = r.ln();
            let [phi, slope] = [0.3 - 0.3 * (0.5 * u).sin() - 0.3 * u, -0.15 * (0.5 * u).cos() - 0.3];
            [phi + theta * (0.7 * u).cos(), slope - 0.7 * theta * (0.7 * u).sin()]
        };
        Arc::new(Weight::new(curve).unwrap())
    }

    #[derive(Clone)]
    struct Case {
        v: Stack,
        w: Stack,
        h: Stack,
    }

    const LENGTHS: [usize; 2] = [4, 3];

    /// Two segments with silent data. Component 2 of the first matrix is 0, and so are the gains of component 3 in the
    /// second segment.
    fn case(own: bool) -> Case {
        let panel = |seed: u32, rows: usize| -> Stack {
            (seed..).zip(LENGTHS).map(|(seed, columns)| numbers(seed, rows, columns).mapv(f64::from)).collect()
        };
        let (mut v, mut h) = (panel(1, 5), panel(11, 4));
        v[0][(1, 2)] = 0.0;
        v[1].row_mut(3).fill(0.0);
        v[1][(0, 1)] = 1e-14;
        v[1][(4, 0)] = 50.0;
        h[1].row_mut(3).fill(0.0);
        let mut w: Stack = (0..if own { 2 } else { 1 }).map(|seed| numbers(21 + seed, 5, 4).mapv(f64::from)).collect();
        w[0].column_mut(2).fill(0.0);
        w[0][(1, 1)] = 0.0;
        Case { v, w, h }
    }

    /// Numbers of both signs in the shape of some matrices.
    fn signed(seed: u32, like: &Stack) -> Stack {
        let one =
            |(seed, like): (u32, &Array2<f64>)| numbers(seed, like.nrows(), like.ncols()).mapv(|x| f64::from(x) - 0.6);
        (seed..).step_by(7).zip(like).map(one).collect()
    }

    /// ⟨gW, W'⟩ + ⟨gH, H'⟩ + ⟨gΛ, Λ⟩ of the results of a function.
    fn loss(results: &[Stack], adjoints: &[Stack]) -> f64 {
        let pairs = results.iter().flatten().zip(adjoints.iter().flatten());
        pairs.map(|(result, adjoint)| (result * adjoint).sum()).sum()
    }

    /// Largest entry.
    fn largest(stack: &Stack) -> f64 {
        stack.iter().flatten().fold(0.0, |largest: f64, x| largest.max(x.abs()))
    }

    /// A function that reverses: θ's weight, the case, the adjoints of all results, and those of W, of H and the knots.
    type Reverse<'a> = dyn Fn(&Arc<Weight>, &Case, &[Stack], [&mut Stack; 3]) + 'a;

    /// Compares adjoints of both factors with finite differences, and Σ gΦ ∂Φ/∂θ with that of θ. `forward` returns all results
    /// for θ, W and H; `skips` says which entries of a factor have none (0: W, 1: H; matrix, row, column).
    fn assert_adjoints(
        what: &str,
        family: &Family,
        case: &Case,
        forward: &dyn Fn(&Arc<Weight>, &Case) -> Vec<Stack>,
        reverse: &Reverse,
        skips: &dyn Fn(usize, usize, (usize, usize)) -> bool,
    ) {
        let weight = (family.at)(0.0);
        let adjoints: Vec<Stack> =
            (61..).step_by(20).zip(forward(&weight, case)).map(|(seed, result)| signed(seed, &result)).collect();
        let mut knots = vec![no_sums()];
        let (mut of_w, mut of_h) = (adjoints[0].clone(), adjoints[1].clone());
        reverse(&weight, case, &adjoints, [&mut of_w, &mut of_h, &mut knots]);
        let at = |case: &Case, weight: &Arc<Weight>| loss(&forward(weight, case), &adjoints);
        for (factor, got) in [&of_w, &of_h].into_iter().enumerate() {
            let mut live = 0;
            for (index, matrix) in got.iter().enumerate() {
                for (entry, &got) in matrix.indexed_iter() {
                    assert!(got.is_finite(), "{what}, {}: {got}", family.name);
                    if skips(factor, index, entry) {
                        continue;
                    }
                    let moved = |by: f64| {
                        let mut case = case.clone();
                        let stack = if factor == 0 { &mut case.w } else { &mut case.h };
                        stack[index][entry] += by;
                        at(&case, &weight)
                    };
                    let step = 1e-5;
                    // Of fourth order.
                    let difference =
                        (8.0 * (moved(step) - moved(-step)) - (moved(2.0 * step) - moved(-2.0 * step))) / (12.0 * step);
                    let error = (got - difference).abs() / largest(if factor == 0 { &of_w } else { &of_h });
                    assert!(
                        error < 1e-8,
                        "{what}, {}: factor {factor}, {index} {entry:?}: {got}, {difference}",
                        family.name
                    );
                    live += 1;
                }
            }
            assert!(live > 10, "{what}");
        }
        let moved = |theta: f64| at(case, &(family.at)(theta));
        let step = 1e-4;
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        let nodes = at_nodes(knots[0].view());
        let got: f64 = nodes.iter().map(|&(r, of_phi)| of_phi * (family.derivative)(r)).sum();
        let size: f64 = nodes.iter().map(|&(r, of_phi)| (of_phi * (family.derivative)(r)).abs()).sum();
        assert!((got - difference).abs() <= 2e-7 * size, "{what}, {}: θ: {got}, {difference} of {size}", family.name);
    }

    /// X ∘ N / D. The rule of the products would clip an entry of 0 that is moved below 0.
    fn updated(x: &Array2<f64>, n: &Array2<f64>, d: &Array2<f64>) -> Array2<f64> {
        x * n / d.mapv(|d| d.max(DENOMINATOR_FLOOR))
    }

    fn is_zero<'a>(mut numbers: impl Iterator<Item = &'a f64>) -> bool {
        numbers.all(|&x| x == 0.0)
    }

    #[test]
    fn adjoints_of_gains_equal_finite_differences() {
        for (family, own) in FAMILIES.iter().flat_map(|family| [(family, true), (family, false)]) {
            let case = case(own);
            let forward = |weight: &Arc<Weight>, Case { v, w, h }: &Case| {
                let gains = v.iter().zip(w.iter().cycle()).zip(h).map(|((v, w), h)| {
                    let (n, d) = gain_sums(v, w, h, &Divergence::Density(Arc::clone(weight)));
                    updated(h, &n, &d)
                });
                vec![w.clone(), gains.collect()]
            };
            let reverse =
                |weight: &Arc<Weight>, Case { v, w, h }: &Case, _: &[Stack], [of_w, of_h, knots]: [&mut Stack; 3]| {
                    Reference.adjoint_of_gains(v, w, h, weight, of_w, of_h, knots).unwrap();
                };
            // A basis of zeros makes N/D a constant, and any other basis does not.
            let skips = |factor: usize, index: usize, (_, k): (usize, usize)| {
                factor == 0 && is_zero(case.w[index].column(k).iter())
            };
            assert_adjoints("gains", family, &case, &forward, &reverse, &skips);
        }
    }

    #[test]
    fn adjoints_of_bases_equal_finite_differences() {
        for (family, own) in FAMILIES.iter().flat_map(|family| [(family, true), (family, false)]) {
            let case = case(own);
            let forward = |weight: &Arc<Weight>, Case { v, w, h }: &Case| {
                let (n, d) = Reference.base_sums(v, w, h, &Divergence::Density(Arc::clone(weight))).unwrap();
                let bases = w.iter().zip(n.iter().zip(&d)).map(|(w, (n, d))| updated(w, n, d));
                vec![bases.collect(), h.clone()]
            };
            let reverse =
                |weight: &Arc<Weight>, Case { v, w, h }: &Case, _: &[Stack], [of_w, of_h, knots]: [&mut Stack; 3]| {
                    Reference.adjoint_of_bases(v, w, h, weight, of_w, of_h, knots).unwrap();
                };
            let skips = |factor: usize, index: usize, (k, _): (usize, usize)| {
                factor == 1 && own && is_zero(case.h[index].row(k).iter())
            };
            assert_adjoints("bases", family, &case, &forward, &reverse, &skips);
        }
    }

    #[test]
    fn adjoints_of_norms_equal_finite_differences() {
        for (own, compensated) in [(true, true), (true, false), (false, true), (false, false)] {
            let case = case(own);
            let forward = |_: &Arc<Weight>, Case { w, h, .. }: &Case| {
                let (mut w, mut h) = (w.clone(), h.clone());
                Reference.normalize(&mut w, compensated.then_some(&mut h), Norm::L1).unwrap();
                vec![w, h]
            };
            let reverse = |_: &Arc<Weight>, Case { w, h, .. }: &Case, _: &[Stack], [of_w, of_h, _]: [&mut Stack; 3]| {
                Reference.adjoint_of_norm(w, h, of_w, of_h, compensated).unwrap();
            };
            let skips = |factor: usize, index: usize, (_, k): (usize, usize)| {
                factor == 0 && is_zero(case.w[index].column(k).iter())
            };
            assert_adjoints("norm", &FAMILIES[0], &case, &forward, &reverse, &skips);
        }
    }

    #[test]
    fn adjoints_of_the_model_equal_finite_differences() {
        for own in [true, false] {
            let forward = |_: &Arc<Weight>, Case { w, h, .. }: &Case| {
                vec![w.clone(), h.clone(), Reference.floored_model(w, h).unwrap()]
            };
            let reverse =
                |_: &Arc<Weight>, Case { w, h, .. }: &Case, adjoints: &[Stack], [of_w, of_h, _]: [&mut Stack; 3]| {
                    Reference.adjoint_of_model(w, h, &adjoints[2], of_w, of_h).unwrap();
                };
            assert_adjoints("model", &FAMILIES[0], &case(own), &forward, &reverse, &|_, _, _| false);
        }
    }

    #[test]
    fn floors_pass_nothing_on() {
        // W = [1; 0], H = [2 0]: λ is floored but for the first cell, and D of the second gain is 1e12.
        let (w, h) = (vec![array![[1.0], [0.0]]], vec![array![[2.0, 0.0]]]);
        let zeros = || (vec![Array2::zeros((2, 1))], vec![Array2::zeros((1, 2))]);
        let (mut of_w, mut of_h) = zeros();
        Reference.adjoint_of_model(&w, &h, &vec![array![[3.0, 5.0], [7.0, 11.0]]], &mut of_w, &mut of_h).unwrap();
        assert_eq!((of_w, of_h), (vec![array![[6.0], [0.0]]], vec![array![[3.0, 0.0]]]));
        let weight = Weight::student(1.0).unwrap();
        // ν = 1: ζ = 3/(1 + 2r). In the first cell r = 1/2, A = 3/8 and B = 1/2, so H' = 2 · 3/4, gN = 4 g, gD = −3 g.
        let (mut of_w, mut of_h) = (zeros().0, vec![array![[1.0, 0.0]]]);
        let (v, mut knots) = (vec![array![[1.0, 0.0], [0.0, 0.0]]], vec![no_sums()]);
        Reference.adjoint_of_gains(&v, &w, &h, &weight, &mut of_w, &mut of_h, &mut knots).unwrap();
        // gΦ = 3/2, s = −2r/(1 + 2r) = −1/2: g(WH) = −(−3/2 + 3/2 · 3/2)/2 = −3/8.
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        near(of_h[0][(0, 0)], 0.75 - 0.375);
        // A gN + B gD + g(WH) H, where the second row has B = 1e12 and no A.
        near(of_w[0][(0, 0)], 1.5 - 1.5 - 0.75);
        assert!((of_w[0][(1, 0)] / -3e12 - 1.0).abs() < 1e-12);
        near(knots[0].column(0).sum(), 1.5);
        let (cell, t) = cell_of(0.5);
        (0..TERMS).for_each(|i| near(knots[0][(cell, i)], 1.5 * t.powi(i as i32)));
    }

    #[test]
    fn dead_components_pass_nothing_on() {
        let Case { v, w, h } = case(true);
        let weight = Weight::student(2.0).unwrap();
        let (mut of_w, mut of_h, mut knots) =
            (signed(1, &w), vec![Array2::zeros((4, 4)), Array2::zeros((4, 3))], vec![no_sums()]);
        // Only the dead basis has an adjoint.
        let of_dead = of_w[0].column(2).to_owned();
        of_w.iter_mut().for_each(|of| of.fill(0.0));
        of_w[0].column_mut(2).assign(&of_dead);
        Reference.adjoint_of_bases(&v, &w, &h, &weight, &mut of_w, &mut of_h, &mut knots).unwrap();
        assert!(of_w[0].columns().into_iter().enumerate().all(|(k, of)| k == 2 || is_zero(of.iter())));
        assert!(of_w[0].column(2).iter().all(|&of| of != 0.0));
        // N/D of its gains is a constant, and has not the slope 1e30 of a floored quotient.
        let (mut of_w, mut of_h) = (signed(1, &w), signed(2, &h));
        Reference.adjoint_of_gains(&v, &w, &h, &weight, &mut of_w, &mut of_h, &mut knots).unwrap();
        assert!(of_w[0].iter().all(|of| of.abs() < 1e3));
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let (Case { v, w, h }, weight) = (case(true), Weight::student(2.0).unwrap());
        let shared = w[..1].to_vec();
        let refused = |of_w: &Stack, of_h: &Stack, knots: &Stack| {
            let (mut of_w, mut of_h, mut knots) = (of_w.clone(), of_h.clone(), knots.clone());
            let gains = Reference.adjoint_of_gains(&v, &w, &h, &weight, &mut of_w, &mut of_h, &mut knots).is_err();
            let bases = Reference.adjoint_of_bases(&v, &w, &h, &weight, &mut of_w, &mut of_h, &mut knots).is_err();
            let norm = Reference.adjoint_of_norm(&w, &h, &mut of_w, &mut of_h, true).is_err();
            let model = Reference.adjoint_of_model(&w, &h, &v, &mut of_w, &mut of_h).is_err();
            (gains, bases, norm, model)
        };
        let sums = vec![no_sums()];
        assert_eq!(refused(&w, &h, &sums), (false, false, false, false));
        assert_eq!(refused(&shared, &h, &sums), (true, true, true, true));
        assert_eq!(refused(&w, &v, &sums), (true, true, true, true));
        assert_eq!(refused(&w, &h, &w), (true, true, false, false));
        assert!(
            Reference.floored_model(&w, &v).is_err() && Reference.floored_model(&[w.clone(), w].concat(), &h).is_err()
        );
    }
}
