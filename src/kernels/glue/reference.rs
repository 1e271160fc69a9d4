//! Normalisation and masks as the equations have them.

use std::ops::Range;

use ndarray::{Array2, s};

use super::{Glue, Mask, Norm, check_masks};
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::Reference;
use crate::{Error, Result};

impl Glue for Reference {
    fn normalize(&self, w: &mut Array2<f64>, mut h: Option<&mut Array2<f64>>, norm: Norm) -> Result<()> {
        if let Some(h) = h.as_ref().filter(|h| h.nrows() != w.ncols()) {
            return Err(Error::input(format!("{} bases and {} rows of gains do not fit", w.ncols(), h.nrows())));
        }
        for (k, mut column) in w.columns_mut().into_iter().enumerate() {
            let size = match norm {
                Norm::L1 => column.sum(),
                Norm::L2 => column.dot(&column).sqrt(),
            };
            if size > DENOMINATOR_FLOOR {
                column /= size;
                if let Some(h) = &mut h {
                    h.row_mut(k).mapv_inplace(|gain| gain * size);
                }
            }
        }
        Ok(())
    }

    fn masks(
        &self,
        w: &Array2<f64>,
        h: &Array2<f64>,
        sources: &[Range<usize>],
        mask: Mask,
    ) -> Result<Vec<Array2<f64>>> {
        check_masks(w.dim(), h.dim(), sources, mask)?;
        let floor = MODEL_FLOOR / sources.len() as f64;
        let model = |range: &Range<usize>| {
            w.slice(s![.., range.clone()]).dot(&h.slice(s![range.clone(), ..])).mapv_into(|lambda| lambda.max(floor))
        };
        let mut masks: Vec<Array2<f64>> = sources.iter().map(model).collect();
        for f in 0..w.nrows() {
            for n in 0..h.ncols() {
                let models: Vec<f64> = masks.iter().map(|lambda| lambda[(f, n)]).collect();
                // Powers are taken of the quotient by the largest model: it is in (0, 1], whatever the level.
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
        Ok(masks)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn normalised_by_hand() {
        let (w0, h0) = (array![[3.0, 0.0, 1.0], [4.0, 0.0, 1.0]], array![[1.0], [5.0], [2.0]]);
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
        assert_eq!(w.column(0).to_vec(), [0.6, 0.8]);
        assert_eq!(h.column(0).to_vec(), [5.0, 5.0, 2.0 * 2f64.sqrt()]);
        let (mut w, mut h) = (w0.clone(), h0.clone());
        Reference.normalize(&mut w, Some(&mut h), Norm::L1).unwrap();
        assert_eq!(w, array![[3.0 / 7.0, 0.0, 0.5], [4.0 / 7.0, 0.0, 0.5]]);
        assert_eq!(h, array![[7.0], [5.0], [4.0]]);
        assert!((w.dot(&h) - w0.dot(&h0)).iter().all(|difference: &f64| difference.abs() < 1e-15));
        let mut w = w0.clone();
        Reference.normalize(&mut w, None, Norm::L1).unwrap();
        assert_eq!(w.column(2).to_vec(), [0.5, 0.5]);
        assert!(Reference.normalize(&mut w, Some(&mut array![[1.0]]), Norm::L1).is_err());
    }

    #[test]
    fn masks_by_hand() {
        // Models of the two sources: [3 0] and [1 0].
        let (w, h) = (array![[1.0, 2.0, 1.0]], array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]);
        let sources = [0..2, 2..3];
        let values = |mask| -> Vec<Vec<f64>> {
            let masks = Reference.masks(&w, &h, &sources, mask).unwrap();
            masks.iter().map(|mask| mask.row(0).to_vec()).collect()
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
    fn masks_refuse_what_does_not_fit() {
        let (w, h) = (Array2::<f64>::ones((2, 3)), Array2::<f64>::ones((3, 2)));
        let refused = |w: &Array2<f64>, sources: &[Range<usize>], mask| Reference.masks(w, &h, sources, mask).is_err();
        assert!(!refused(&w, &[0..1, 1..3], Mask::Hard));
        assert!(refused(&w, &[], Mask::Hard));
        assert!(refused(&w, &[0..1, 1..1], Mask::Hard));
        assert!(refused(&w, &[0..1, 1..4], Mask::Hard));
        assert!(refused(&Array2::ones((2, 2)), &[0..1, 1..2], Mask::Hard));
        for p in [0.0, -1.0, f64::NAN, 17.0] {
            assert!(refused(&w, &[0..1, 1..3], Mask::Ratio(p)));
        }
    }
}
