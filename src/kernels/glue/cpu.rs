//! Normalisation and masks on the native engine.

use std::ops::Range;

use ndarray::{Array2, s};
use pulp::Simd;
use rayon::prelude::*;

use super::{Glue, Mask, Norm, check_masks};
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, CpuPanel, STRIP, Scratch, math, padded};
use crate::kernels::products::ModelJob;
use crate::{Error, Result};

impl Glue for Cpu {
    fn normalize(&self, w: &mut Array2<f32>, h: Option<&mut CpuPanel>, norm: Norm) -> Result<()> {
        if let Some(h) = h.as_ref().filter(|h| h.rows() != w.ncols()) {
            return Err(Error::input(format!("{} bases and {} rows of gains do not fit", w.ncols(), h.rows())));
        }
        let sizes: Vec<f32> = w
            .columns_mut()
            .into_iter()
            .map(|mut column| {
                let entries = column.iter().map(|&w| f64::from(w));
                let size = match norm {
                    Norm::L1 => entries.sum::<f64>(),
                    Norm::L2 => entries.map(|w| w * w).sum::<f64>().sqrt(),
                };
                if size <= DENOMINATOR_FLOOR {
                    return 1.0;
                }
                column.mapv_inplace(|w| (f64::from(w) / size) as f32);
                size as f32
            })
            .collect();
        if let Some(h) = h {
            self.install(|| {
                h.strips_mut().for_each(|strip| {
                    for (gains, &size) in strip.chunks_exact_mut(STRIP).zip(&sizes) {
                        gains.iter_mut().for_each(|gain| *gain *= size);
                    }
                });
            });
        }
        Ok(())
    }

    fn masks(&self, w: &Array2<f32>, h: &CpuPanel, sources: &[Range<usize>], mask: Mask) -> Result<Vec<CpuPanel>> {
        check_masks(w.dim(), (h.rows(), h.columns()), sources, mask)?;
        let height = tile::shape().rows;
        let pack = |range: &Range<usize>| {
            let mut packed = self.shelf().take(padded(w.nrows()) * range.len());
            tile::pack_rows(w.slice(s![.., range.clone()]), height, &mut packed);
            packed
        };
        let bases: Vec<Scratch> = sources.iter().map(pack).collect();
        let floor = (MODEL_FLOOR / sources.len() as f64) as f32;
        let mut masks: Vec<CpuPanel> = sources.iter().map(|_| CpuPanel::zeros(w.nrows(), h.columns())).collect();
        let mut strips: Vec<Vec<&mut [f32]>> =
            (0..h.strip_count()).map(|_| Vec::with_capacity(sources.len())).collect();
        for mask in &mut masks {
            strips.iter_mut().zip(mask.strips_mut().collect::<Vec<_>>()).for_each(|(strip, mask)| strip.push(mask));
        }
        self.install(|| {
            strips.par_iter_mut().enumerate().for_each(|(index, masks)| {
                let h = h.strip(index);
                for ((mask, bases), range) in masks.iter_mut().zip(&bases).zip(sources) {
                    let h = &h[range.start * STRIP..range.end * STRIP];
                    tile::dispatch(ModelJob { bases_rows: bases, h, lambda: mask });
                }
                tile::dispatch(ShareJob { models: masks, floor, mask });
            });
        });
        Ok(masks)
    }
}

/// Turns the models of one strip into masks, in place.
struct ShareJob<'a, 'm> {
    models: &'a mut [&'m mut [f32]],
    floor: f32,
    mask: Mask,
}

impl StripJob for ShareJob<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let mut models: Vec<&mut [S::f32s]> =
            self.models.iter_mut().map(|model| bytemuck::cast_slice_mut(model)).collect();
        let (floor, zero, one) = (simd.splat_f32s(self.floor), simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        for cell in 0..models.first().map_or(0, |model| model.len()) {
            let mut peak = floor;
            for model in &models {
                peak = simd.max_f32s(peak, model[cell]);
            }
            match self.mask {
                Mask::Ratio(p) => {
                    let (inverse, mut total) = (simd.div_f32s(one, peak), zero);
                    for model in &mut models {
                        let quotient = simd.mul_f32s(simd.max_f32s(model[cell], floor), inverse);
                        model[cell] = if p == 1.0 {
                            quotient
                        } else if p == 2.0 {
                            simd.mul_f32s(quotient, quotient)
                        } else {
                            math::pow(simd, quotient, simd.splat_f32s(p as f32))
                        };
                        total = simd.add_f32s(total, model[cell]);
                    }
                    let inverse = simd.div_f32s(one, total);
                    for model in &mut models {
                        model[cell] = simd.mul_f32s(model[cell], inverse);
                    }
                }
                Mask::Hard => {
                    let mut open = one;
                    for model in &mut models {
                        let largest = simd.equal_f32s(simd.max_f32s(model[cell], floor), peak);
                        model[cell] = simd.select_f32s(largest, open, zero);
                        open = simd.sub_f32s(open, model[cell]);
                    }
                }
            }
        }
    }
}
