//! Normalization and masks in f64, straight from the equations.

use std::ops::Range;

use ndarray::{Array2, Axis, Zip, s};

use super::{Glue, Mask, Norm, check_factors, check_masks, check_sums};
use crate::Result;
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::Reference;

type Stack = Vec<Array2<f64>>;

impl Glue for Reference {
    fn normalize(&self, w: &mut Stack, mut h: Option<&mut Stack>, norm: Norm) -> Result<()> {
        if let Some(h) = &h {
            check(w, h)?;
        }
        let matrices = w.len();
        for (matrix, w) in w.iter_mut().enumerate() {
            for (k, mut column) in w.columns_mut().into_iter().enumerate() {
                let size = norm.of(column.iter().copied());
                if size > DENOMINATOR_FLOOR {
                    column /= size;
                    for h in h.iter_mut().flat_map(|h| h.iter_mut().skip(matrix).step_by(matrices)) {
                        h.row_mut(k).mapv_inplace(|gain| gain * size);
                    }
                }
            }
        }
        Ok(())
    }

    fn turn_bases(&self, w: &mut Stack, n: &Stack, d: &Stack) -> Result<()> {
        let [of_w, of_n, of_d] = [&*w, n, d].map(|stack| (stack.len(), stack.first().map_or((0, 0), Array2::dim)));
        check_sums(of_w, of_n, of_d)?;
        for ((w, n), d) in w.iter_mut().zip(n).zip(d) {
            let along = |sums: &Array2<f64>| &*w * (sums * &*w).sum_axis(Axis(0));
            let (up, down) = (n + along(d), d + along(n));
            Zip::from(w).and(&up).and(&down).for_each(|w, &up, &down| *w *= up / down.max(DENOMINATOR_FLOOR));
        }
        Ok(())
    }

    fn masks(&self, w: &Stack, h: &Stack, sources: &[Range<usize>], mask: Mask) -> Result<Vec<Stack>> {
        check(w, h)?;
        check_masks(w.first().map_or(0, Array2::ncols), sources, mask)?;
        let mut masks = vec![Vec::new(); sources.len()];
        for (w, h) in w.iter().cycle().zip(h) {
            masks.iter_mut().zip(of_segment(w, h, sources, mask)).for_each(|(masks, mask)| masks.push(mask));
        }
        Ok(masks)
    }
}

fn check(w: &Stack, h: &Stack) -> Result<()> {
    let shape = w.first().map_or((0, 0), Array2::dim);
    check_factors((w.len(), shape), (h.first().map_or(0, Array2::nrows), h.len()))
}

fn of_segment(w: &Array2<f64>, h: &Array2<f64>, sources: &[Range<usize>], mask: Mask) -> Vec<Array2<f64>> {
    let model = |range: &Range<usize>| w.slice(s![.., range.clone()]).dot(&h.slice(s![range.clone(), ..]));
    let floor = MODEL_FLOOR / sources.len() as f64;
    share(sources.iter().map(model).collect(), floor, mask)
}

/// Turns the sources' models into masks, after flooring them.
pub fn share(models: Vec<Array2<f64>>, floor: f64, mask: Mask) -> Vec<Array2<f64>> {
    let mut masks: Vec<Array2<f64>> =
        models.into_iter().map(|model| model.mapv_into(|lambda| lambda.max(floor))).collect();
    let (rows, columns) = masks.first().map_or((0, 0), Array2::dim);
    for f in 0..rows {
        for n in 0..columns {
            let models: Vec<f64> = masks.iter().map(|lambda| lambda[(f, n)]).collect();
            // Powers are taken of the quotient by the largest model, which is in (0, 1] at any level.
            let peak = models.iter().copied().fold(0.0, f64::max);
            match mask {
                Mask::Ratio(p) => {
                    let total: f64 = models.iter().map(|lambda| (lambda / peak).powf(p)).sum();
                    for (mask, lambda) in masks.iter_mut().zip(models) {
                        mask[(f, n)] = (lambda / peak).powf(p) / total;
                    }
                }
                Mask::Hard => {
                    let winner = models.iter().position(|&lambda| lambda == peak);
                    for (j, mask) in masks.iter_mut().enumerate() {
                        mask[(f, n)] = if Some(j) == winner { 1.0 } else { 0.0 };
                    }
                }
            }
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn normalization_equals_hand_computed_values() {
        let (w0, h0) = (vec![array![[3.0, 0.0, 1.0], [4.0, 0.0, 1.0]]], vec![array![[1.0], [5.0], [2.0]]]);
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
        assert_eq!(w[0].column(0).to_vec(), [0.6, 0.8]);
        assert_eq!(h[0].column(0).to_vec(), [5.0, 5.0, 2.0 * 2f64.sqrt()]);
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L1).unwrap();
        assert_eq!(w[0], array![[3.0 / 7.0, 0.0, 0.5], [4.0 / 7.0, 0.0, 0.5]]);
        assert_eq!(h[0], array![[7.0], [5.0], [4.0]]);
        assert!((w[0].dot(&h[0]) - w0[0].dot(&h0[0])).iter().all(|difference: &f64| difference.abs() < 1e-15));
        let mut w = w0.clone();
        Reference.normalize(&mut w, None, Norm::L1).unwrap();
        assert_eq!(w[0].column(2).to_vec(), [0.5, 0.5]);
        assert!(Reference.normalize(&mut w, Some(&mut vec![array![[1.0]]]), Norm::L1).is_err());
    }

    #[test]
    fn turned_bases_equal_hand_computed_ones() {
        let (n, d) = (vec![array![[1.0, 0.0], [2.0, 0.0]]], vec![array![[3.0, 0.0], [1.0, 0.0]]]);
        let mut w = vec![array![[0.6, 0.0], [0.8, 1.0]]];
        Reference.turn_bases(&mut w, &n, &d).unwrap();
        // Σ D∘W = 2.6, Σ N∘W = 2.2: 0.6 (1 + 1.56) / (3 + 1.32) and 0.8 (2 + 2.08) / (1 + 1.76).
        let expected = [0.6 * 2.56 / 4.32, 0.8 * 4.08 / 2.76];
        assert!(w[0].column(0).iter().zip(expected).all(|(w, expected)| (w - expected).abs() < 1e-15), "{:?}", w[0]);
        assert_eq!(w[0].column(1).to_vec(), [0.0, 0.0]);
        assert!(Reference.turn_bases(&mut w, &n, &vec![Array2::ones((2, 1))]).is_err());
        assert!(Reference.turn_bases(&mut w, &[n[0].clone(), n[0].clone()].into(), &d).is_err());
    }

    #[test]
    fn each_segment_is_scaled_by_its_own_bases() {
        let (w0, h0) = (vec![array![[3.0], [4.0]], array![[0.0], [2.0]]], vec![array![[1.0]], array![[5.0, 6.0]]]);
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
        assert_eq!(w, [array![[0.6], [0.8]], array![[0.0], [1.0]]]);
        assert_eq!(h, [array![[5.0]], array![[10.0, 12.0]]]);
        // One matrix for both segments.
        let (mut w, mut h) = (w0[..1].to_vec(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
        assert_eq!(h, [array![[5.0]], array![[25.0, 30.0]]]);
        let mut three = [w0.as_slice(), &w0[..1]].concat();
        assert!(Reference.normalize(&mut three, Some(&mut h), Norm::L2).is_err());
    }

    #[test]
    fn each_segment_is_masked_with_its_own_bases() {
        let (w, h) =
            (vec![array![[3.0, 1.0]], array![[1.0, 1.0]]], vec![array![[1.0], [1.0]], array![[1.0, 4.0], [1.0, 1.0]]]);
        let masks = Reference.masks(&w, &h, &[0..1, 1..2], Mask::Ratio(1.0)).unwrap();
        assert_eq!(masks, [[array![[0.75]], array![[0.5, 0.8]]], [array![[0.25]], array![[0.5, 0.2]]]]);
    }

    #[test]
    fn masks_equal_hand_computed_values() {
        // The models of the two sources are [3 0] and [1 0].
        let (w, h) = (vec![array![[1.0, 2.0, 1.0]]], vec![array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]]);
        let sources = [0..2, 2..3];
        let values = |mask| -> Vec<Vec<f64>> {
            let masks = Reference.masks(&w, &h, &sources, mask).unwrap();
            masks.iter().map(|mask| mask[0].row(0).to_vec()).collect()
        };
        let near = |a: Vec<Vec<f64>>, b: [[f64; 2]; 2]| {
            assert!(
                a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-15),
                "{a:?} is not {b:?}"
            );
        };
        near(values(Mask::Ratio(1.0)), [[0.75, 0.5], [0.25, 0.5]]);
        near(values(Mask::Ratio(2.0)), [[0.9, 0.5], [0.1, 0.5]]);
        assert_eq!(values(Mask::Hard), [[1.0, 1.0], [0.0, 0.0]]);
    }

    #[test]
    fn masks_refuse_invalid_sources_and_exponents() {
        let (w, h) = (vec![Array2::ones((2, 3))], vec![Array2::ones((3, 2))]);
        let refused = |w: &Stack, sources: &[Range<usize>], mask| Reference.masks(w, &h, sources, mask).is_err();
        assert!(!refused(&w, &[0..1, 1..3], Mask::Hard));
        assert!(refused(&w, &[], Mask::Hard));
        assert!(refused(&w, &[0..1, 1..1], Mask::Hard));
        assert!(refused(&w, &[0..1, 1..4], Mask::Hard));
        assert!(refused(&vec![Array2::ones((2, 2))], &[0..1, 1..2], Mask::Hard));
        for p in [0.0, -1.0, f64::NAN, 17.0] {
            assert!(refused(&w, &[0..1, 1..3], Mask::Ratio(p)));
        }
    }
}
