//! The products of shifted factors in f64, straight from the equations.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use super::{Edges, Lags, ShiftRule, Shifts, check_edges, check_factors, check_shapes, check_sources};
use crate::Result;
use crate::divergence::{DENOMINATOR_FLOOR, Divergence, MODEL_FLOOR};
use crate::engine::{Engine, Reference};
use crate::kernels::glue::{Mask, Norm, share};

type Stack = Vec<Array2<f64>>;

fn down(a: ArrayView2<f64>, lag: usize) -> Array2<f64> {
    let (rows, lag) = (a.nrows(), lag.min(a.nrows()));
    let mut shifted = Array2::zeros(a.dim());
    shifted.slice_mut(s![lag.., ..]).assign(&a.slice(s![..rows - lag, ..]));
    shifted
}

fn up(a: ArrayView2<f64>, lag: usize) -> Array2<f64> {
    let (rows, lag) = (a.nrows(), lag.min(a.nrows()));
    let mut shifted = Array2::zeros(a.dim());
    shifted.slice_mut(s![..rows - lag, ..]).assign(&a.slice(s![lag.., ..]));
    shifted
}

fn right(a: ArrayView2<f64>, lag: usize) -> Array2<f64> {
    down(a.t(), lag).reversed_axes()
}

fn left(a: ArrayView2<f64>, lag: usize) -> Array2<f64> {
    up(a.t(), lag).reversed_axes()
}

/// The rows of H^φ in H.
fn rows(pitch: usize, components: usize) -> Range<usize> {
    pitch * components..(pitch + 1) * components
}

/// H^φ
fn at_pitch(h: &Array2<f64>, pitch: usize, components: usize) -> ArrayView2<'_, f64> {
    h.slice(s![rows(pitch, components), ..])
}

/// Σ_{τ,φ} (↓φ W^τ) (→τ H^φ) of some components.
fn model(w: &[Array2<f64>], h: &Array2<f64>, lags: Lags, components: Range<usize>) -> Array2<f64> {
    let mut lambda = Array2::zeros((w[0].nrows(), h.ncols()));
    for (time, basis) in w.iter().enumerate() {
        for pitch in 0..lags.pitch {
            let gains = at_pitch(h, pitch, basis.ncols());
            let [w, h] = [down(basis.view(), pitch), right(gains, time)];
            lambda += &w.slice(s![.., components.clone()]).dot(&h.slice(s![components.clone(), ..]));
        }
    }
    lambda
}

/// Λ
fn floored(w: &[Array2<f64>], h: &Array2<f64>, lags: Lags) -> Array2<f64> {
    model(w, h, lags, 0..w[0].ncols()).mapv_into(|lambda| lambda.max(MODEL_FLOOR))
}

/// P and Q
fn fields(v: &Array2<f64>, w: &[Array2<f64>], h: &Array2<f64>, rule: &ShiftRule) -> (Array2<f64>, Array2<f64>) {
    let (lambda, divergence) = (floored(w, h, rule.lags), &rule.rule.divergence);
    let p = Zip::from(v).and(&lambda).map_collect(|&v, &lambda| divergence.numerator(v, lambda));
    let q = Zip::from(v).and(&lambda).map_collect(|&v, &lambda| divergence.denominator(v, lambda));
    (p, q)
}

fn update_gains(v: &Array2<f64>, w: &[Array2<f64>], h: &mut Array2<f64>, rule: &ShiftRule) {
    let (p, q) = fields(v, w, h, rule);
    let (mut n, mut d) = (Array2::zeros(h.dim()), Array2::zeros(h.dim()));
    for pitch in 0..rule.lags.pitch {
        let rows = rows(pitch, w[0].ncols());
        let (mut n, mut d) = (n.slice_mut(s![rows.clone(), ..]), d.slice_mut(s![rows, ..]));
        for (time, w) in w.iter().enumerate() {
            let w = down(w.view(), pitch);
            let q = if rule.edges == Edges::Printed { q.clone() } else { left(q.view(), time) };
            n += &w.t().dot(&left(p.view(), time));
            d += &w.t().dot(&q);
        }
    }
    Zip::from(h).and(&n).and(&d).for_each(|h, &n, &d| *h = rule.rule.of_gain(*h, n, d));
}

/// N and D of every W^τ.
fn base_sums(v: &Array2<f64>, w: &[Array2<f64>], h: &Array2<f64>, rule: &ShiftRule) -> Vec<[Array2<f64>; 2]> {
    let (p, q) = fields(v, w, h, rule);
    let of_lag = |(time, w): (usize, &Array2<f64>)| {
        let [mut n, mut d] = [Array2::zeros(w.dim()), Array2::zeros(w.dim())];
        for pitch in 0..rule.lags.pitch {
            let h = right(at_pitch(h, pitch, w.ncols()), time);
            let q = if rule.edges == Edges::Printed { q.clone() } else { up(q.view(), pitch) };
            n += &up(p.view(), pitch).dot(&h.t());
            d += &q.dot(&h.t());
        }
        [n, d]
    };
    w.iter().enumerate().map(of_lag).collect()
}

/// The number and shape of the matrices.
fn extent(w: &Stack) -> (usize, (usize, usize)) {
    (w.len(), w.first().map_or((0, 0), Array2::dim))
}

fn check(v: &Stack, w: &Stack, h: &Stack, lags: Lags) -> Result<()> {
    let (v, h) = (Reference.segments(v), Reference.segments(h));
    check_shapes((v.0, &v.1), extent(w), (h.0, &h.1), lags)
}

/// The stack of every segment.
fn stacks(w: &Stack, time: usize, segments: usize) -> impl Iterator<Item = &[Array2<f64>]> {
    let shared = segments * time / w.len();
    w.chunks(time).flat_map(move |stack| std::iter::repeat_n(stack, shared))
}

impl Shifts for Reference {
    fn update_shifted_gains(&self, v: &Stack, w: &Stack, h: &mut Stack, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        for ((v, w), h) in v.iter().zip(stacks(w, rule.lags.time, v.len())).zip(h) {
            update_gains(v, w, h, rule);
        }
        Ok(())
    }

    fn update_shifted_bases(&self, v: &Stack, w: &mut Stack, h: &Stack, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        let shared = v.len() * rule.lags.time / w.len();
        for (stack, w) in w.chunks_mut(rule.lags.time).enumerate() {
            let segments = v.iter().zip(h).skip(stack * shared).take(shared);
            let sums: Vec<_> = segments.clone().map(|(v, h)| base_sums(v, w, h, rule)).collect();
            let gains = |d: usize, components: usize| -> f64 {
                segments.clone().map(|(_, h)| h.slice(s![d..; components, ..]).sum()).sum()
            };
            let gains: Vec<f64> = (0..w[0].ncols()).map(|d| gains(d, w[0].ncols())).collect();
            for (time, w) in w.iter_mut().enumerate() {
                let total = |part: usize| sums.iter().fold(Array2::zeros(w.dim()), |sum, one| sum + &one[time][part]);
                let (n, d) = (total(0), total(1));
                let update = |(_, d): (usize, usize), w: &mut f64, &of_n: &f64, &of_d: &f64| {
                    *w = rule.rule.of_basis(*w, of_n, of_d, gains[d]);
                };
                Zip::indexed(w).and(&n).and(&d).for_each(update);
            }
        }
        Ok(())
    }

    fn shifted_costs(&self, v: &Stack, w: &Stack, h: &Stack, lags: Lags, divergence: &Divergence) -> Result<Vec<f64>> {
        check(v, w, h, lags)?;
        let mut columns = Vec::new();
        for ((v, w), h) in v.iter().zip(stacks(w, lags.time, v.len())).zip(h) {
            let costs = Zip::from(v).and(&floored(w, h, lags)).map_collect(|&v, &lambda| divergence.cost(v, lambda));
            columns.extend(costs.sum_axis(Axis(0)));
        }
        Ok(columns)
    }

    fn normalize_patterns(&self, w: &mut Stack, h: &mut Stack, lags: Lags, norm: Norm) -> Result<()> {
        let (gain_rows, segments) = self.segments(h);
        check_factors(extent(w), (gain_rows, &segments), lags)?;
        let shared = h.len() * lags.time / w.len();
        for (w, h) in w.chunks_mut(lags.time).zip(h.chunks_mut(shared)) {
            let components = w[0].ncols();
            for d in 0..components {
                let size = norm.of(w.iter().flat_map(|w| w.column(d)).copied());
                if size > DENOMINATOR_FLOOR {
                    w.iter_mut().for_each(|w| w.column_mut(d).mapv_inplace(|w| w / size));
                    h.iter_mut().for_each(|h| h.slice_mut(s![d..; components, ..]).mapv_inplace(|h| h * size));
                }
            }
        }
        Ok(())
    }

    fn shifted_models(&self, w: &Stack, h: &Stack, sources: &[Range<usize>], lags: Lags) -> Result<Vec<Stack>> {
        let (rows, segments) = self.segments(h);
        check_sources(extent(w), (rows, &segments), lags, sources, Mask::Hard)?;
        let of_segments = || stacks(w, lags.time, h.len()).zip(h);
        let of = |source: &Range<usize>| of_segments().map(|(w, h)| model(w, h, lags, source.clone())).collect();
        Ok(sources.iter().map(of).collect())
    }

    fn shifted_masks(
        &self,
        w: &Stack,
        h: &Stack,
        sources: &[Range<usize>],
        lags: Lags,
        mask: Mask,
    ) -> Result<Vec<Stack>> {
        let (rows, segments) = self.segments(h);
        check_sources(extent(w), (rows, &segments), lags, sources, mask)?;
        let models = self.shifted_models(w, h, sources, lags)?;
        let mut masks = vec![Vec::new(); models.len()];
        for segment in 0..h.len() {
            let models = models.iter().map(|model| model[segment].clone()).collect();
            masks.iter_mut().zip(share(models, f64::MIN_POSITIVE, mask)).for_each(|(masks, mask)| masks.push(mask));
        }
        Ok(masks)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, concatenate};

    use super::*;
    use crate::divergence::all;
    use crate::engine::gpu::tests::numbers;
    use crate::kernels::{Glue, Products, Rule};

    const LAGS: Lags = Lags { time: 2, pitch: 2 };

    /// V, W^0 and W^1, H^0 over H^1, with Λ = W^0 H^0 + (↓ W^0) H^1 + W^1 (→ H^0) + (↓ W^1) (→ H^1) =
    /// [1 0; 2 0] + [0 0; 2 1] + [0 3; 0 0] + [0 0; 0 6] = [1 3; 4 7].
    fn case() -> (Stack, Stack, Stack) {
        let (v, h) = (array![[2.0, 3.0], [2.0, 14.0]], array![[1.0, 0.0], [2.0, 1.0]]);
        (vec![v], vec![array![[1.0], [2.0]], array![[3.0], [0.0]]], vec![h])
    }

    fn near(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(Zip::from(a).and(b).all(|a, b| (a - b).abs() < 1e-12), "{a} is not {b}");
    }

    #[test]
    fn shifts_equal_hand_computed_ones() {
        let a = array![[1.0, 2.0], [3.0, 4.0]];
        let all = |lag| [down(a.view(), lag), up(a.view(), lag), right(a.view(), lag), left(a.view(), lag)];
        assert_eq!(all(0), [&a, &a, &a, &a]);
        let by_one =
            [[[0.0, 0.0], [1.0, 2.0]], [[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]], [[2.0, 0.0], [4.0, 0.0]]];
        assert_eq!(all(1), by_one.map(|rows| Array2::from(rows.to_vec())));
        assert!(all(2).iter().chain(&all(9)).all(|shifted| shifted == Array2::<f64>::zeros((2, 2))));
    }

    #[test]
    fn models_and_costs_equal_hand_computed_ones() {
        let (v, w, h) = case();
        let whole = |range: Range<usize>| Reference.shifted_models(&w, &h, &[range], LAGS);
        assert_eq!(whole(0..1).unwrap(), [[array![[1.0, 3.0], [4.0, 7.0]]]]);
        assert!(whole(0..2).is_err() && whole(1..1).is_err());
        assert_eq!(Reference.shifted_costs(&v, &w, &h, LAGS, &Divergence::Euclidean).unwrap(), [2.5, 24.5]);
    }

    #[test]
    fn gains_equal_hand_computed_ones() {
        let gains = |rule: &ShiftRule| {
            let (v, w, mut h) = case();
            Reference.update_shifted_gains(&v, &w, &mut h, rule).unwrap();
            h.remove(0)
        };
        // KL: P = [2 1; .5 2]. N^0 = [3 5] + [3 0], D^0 = [3 3] + [3 0]; N^1 = [.5 2] + [6 0], D^1 = [1 1] + [3 0].
        let kl = ShiftRule::of(Divergence::KullbackLeibler, LAGS);
        near(&gains(&kl), &array![[1.0, 0.0], [3.25, 2.0]]);
        // D^1 = [1 1] + [3 3].
        near(&gains(&ShiftRule { edges: Edges::Printed, ..kl }), &array![[1.0, 0.0], [3.25, 0.5]]);
        // EU: N^0 = [6 31] + [9 0], D^0 = [9 17] + [9 0]; N^1 = [2 14] + [42 0], D^1 = [4 7] + [21 0].
        near(&gains(&ShiftRule::of(Divergence::Euclidean, LAGS)), &array![[15.0 / 18.0, 0.0], [3.52, 2.0]]);
    }

    #[test]
    fn bases_equal_hand_computed_ones() {
        let bases = |rule: &ShiftRule| {
            let (v, mut w, h) = case();
            Reference.update_shifted_bases(&v, &mut w, &h, rule).unwrap();
            concatenate(Axis(1), &[w[0].view(), w[1].view()]).unwrap()
        };
        // KL: N^0 = [2; .5] + [3; 0], D^0 = [1; 1] + [3; 0]; N^1 = [1; 2] + [4; 0], D^1 = [1; 1] + [2; 0].
        let kl = ShiftRule::of(Divergence::KullbackLeibler, LAGS);
        near(&bases(&kl), &array![[1.25, 5.0], [1.0, 0.0]]);
        // D^0 = [1; 1] + [3; 3].
        near(&bases(&ShiftRule { edges: Edges::Printed, ..kl }), &array![[1.25, 5.0], [0.25, 0.0]]);
        // EU: ↑V = [2 14; 0 0], ↑Λ = [4 7; 0 0]. N^0 = [2; 2] + [18; 0], D^0 = [1; 4] + [15; 0];
        // N^1 = [3; 14] + [28; 0], D^1 = [3; 7] + [14; 0].
        let eu = array![[20.0 / 16.0, 3.0 * 31.0 / 17.0], [1.0, 0.0]];
        near(&bases(&ShiftRule::of(Divergence::Euclidean, LAGS)), &eu);
    }

    #[test]
    fn shared_bases_sum_over_all_segments() {
        // 2N / (2D + 2λ) = N / (D + λ)
        let (v, w, h) = case();
        let rule = |sparsity: f64| ShiftRule {
            rule: Rule { sparsity, ..Rule::of(Divergence::KullbackLeibler) },
            ..ShiftRule::of(Divergence::KullbackLeibler, LAGS)
        };
        let (twice, mut shared, mut alone) = (|one: &Stack| [one.as_slice(), one].concat(), w.clone(), w.clone());
        Reference.update_shifted_bases(&twice(&v), &mut shared, &twice(&h), &rule(2.0)).unwrap();
        Reference.update_shifted_bases(&v, &mut alone, &h, &rule(1.0)).unwrap();
        near(&shared[0], &alone[0]);
        let mut own = twice(&w);
        Reference.update_shifted_bases(&twice(&v), &mut own, &twice(&h), &rule(1.0)).unwrap();
        assert_eq!(own, twice(&alone));
    }

    #[test]
    fn normalized_patterns_equal_hand_computed_ones() {
        // Two components: patterns [1 2; 0 2] and zero in the first stack, [0 3; 4 0] and [0 0; 0 2] in the second.
        let w0 = vec![
            array![[1.0, 0.0], [0.0, 0.0]],
            array![[2.0, 0.0], [2.0, 0.0]],
            array![[0.0, 0.0], [4.0, 0.0]],
            array![[3.0, 0.0], [0.0, 2.0]],
        ];
        let h0 = vec![array![[1.0], [2.0], [3.0], [4.0]]; 3];
        let h0 = [&h0[..], &[array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 5.0]]]].concat();
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize_patterns(&mut w, &mut h, LAGS, Norm::L2).unwrap();
        let third = 1.0 / 3.0;
        near(&w[0], &array![[third, 0.0], [0.0, 0.0]]);
        near(&w[1], &array![[2.0 * third, 0.0], [2.0 * third, 0.0]]);
        assert_eq!(w[2..], [array![[0.0, 0.0], [0.8, 0.0]], array![[0.6, 0.0], [0.0, 1.0]]]);
        assert_eq!(h[..2], [array![[3.0], [2.0], [9.0], [4.0]], array![[3.0], [2.0], [9.0], [4.0]]]);
        assert_eq!(h[2], array![[5.0], [4.0], [15.0], [8.0]]);
        assert_eq!(h[3], array![[5.0, 0.0], [0.0, 2.0], [5.0, 5.0], [0.0, 10.0]]);
        let (mut w, mut h) = (w0, h0);
        Reference.normalize_patterns(&mut w, &mut h, LAGS, Norm::L1).unwrap();
        near(&w[3], &array![[3.0 / 7.0, 0.0], [0.0, 1.0]]);
        assert_eq!(h[2], array![[7.0], [4.0], [21.0], [8.0]]);
        assert!(Reference.normalize_patterns(&mut w, &mut h, Lags { time: 3, pitch: 2 }, Norm::L1).is_err());
    }

    #[test]
    fn one_lag_gives_the_plain_products() {
        let data = |seed, rows, columns| vec![numbers(seed, rows, columns).mapv(f64::from)];
        let (v, mut w, mut h) = (data(1, 5, 7), data(2, 5, 3), data(3, 3, 7));
        let lags = Lags { time: 1, pitch: 1 };
        for divergence in all() {
            let (mut plain_w, mut plain_h) = (w.clone(), h.clone());
            let rule = ShiftRule::of(divergence.clone(), lags);
            Reference.update_shifted_gains(&v, &w, &mut h, &rule).unwrap();
            Reference.update_gains(&v, &plain_w, &mut plain_h, &rule.rule).unwrap();
            Reference.update_shifted_bases(&v, &mut w, &h, &rule).unwrap();
            Reference.update_bases(&v, &mut plain_w, &plain_h, &rule.rule).unwrap();
            near(&h[0], &plain_h[0]);
            near(&w[0], &plain_w[0]);
            let costs = [
                Reference.shifted_costs(&v, &w, &h, lags, &divergence).unwrap(),
                Reference.costs(&v, &w, &h, &divergence).unwrap(),
            ];
            assert!(costs[0].iter().zip(&costs[1]).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs()), "{costs:?}");
        }
        for mask in [Mask::Ratio(2.0), Mask::Hard] {
            let sources = [0..2, 2..3];
            let masks = Reference.shifted_masks(&w, &h, &sources, lags, mask).unwrap();
            let plain = Reference.masks(&w, &h, &sources, mask).unwrap();
            masks.iter().zip(&plain).for_each(|(mask, plain)| near(&mask[0], &plain[0]));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (v, w, h) = case();
        let kl = ShiftRule::of(Divergence::KullbackLeibler, LAGS);
        let refused = |v: &Stack, w: &Stack, h: &Stack, rule: &ShiftRule| {
            let lags = rule.lags;
            let gains = Reference.update_shifted_gains(v, w, &mut h.clone(), rule).is_err();
            assert_eq!(gains, Reference.update_shifted_bases(v, &mut w.clone(), h, rule).is_err());
            if rule.edges == Edges::Exact {
                assert_eq!(gains, Reference.shifted_costs(v, w, h, lags, &rule.rule.divergence).is_err());
            }
            gains
        };
        assert!(!refused(&v, &w, &h, &kl));
        for (time, pitch) in [(0, 2), (2, 0), (1, 2), (2, 1), (3, 2), (usize::MAX, usize::MAX)] {
            assert!(refused(&v, &w, &h, &ShiftRule { lags: Lags { time, pitch }, ..kl.clone() }), "{time} x {pitch}");
        }
        let twice = [v[0].clone(), v[0].clone()].to_vec();
        assert!(refused(&twice, &w, &h, &kl));
        assert!(refused(&vec![array![[1.0, 2.0]]], &w, &h, &kl));
        assert!(refused(&v, &w[..1].to_vec(), &h, &kl));
        let printed = ShiftRule { edges: Edges::Printed, ..ShiftRule::of(Divergence::Euclidean, LAGS) };
        assert!(refused(&v, &w, &h, &printed));
        assert!(Reference.shifted_masks(&w, &h, std::slice::from_ref(&(0..1)), LAGS, Mask::Ratio(0.0)).is_err());
        assert!(
            Reference
                .shifted_masks(&w, &v, std::slice::from_ref(&(0..1)), Lags { time: 2, pitch: 3 }, Mask::Hard)
                .is_err()
        );
    }
}
