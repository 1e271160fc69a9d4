//! Normalisation and masks on the native engine.

use std::ops::Range;

use ndarray::{Array2, s};
use rayon::prelude::*;

use super::{Glue, Mask, Norm, check_masks};
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::{Cpu, CpuPanel, STRIP, Scratch, padded, tile};
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
                share(masks, floor, mask);
            });
        });
        Ok(masks)
    }
}

/// Turns the models of one strip into masks, in place.
fn share(models: &mut [&mut [f32]], floor: f32, mask: Mask) {
    let cells = models.first().map_or(0, |model| model.len());
    for cell in 0..cells {
        let peak = models.iter().fold(floor, |peak, model| peak.max(model[cell]));
        match mask {
            Mask::Ratio(p) => {
                let p = p as f32;
                let mut total = 0.0;
                for model in models.iter_mut() {
                    let quotient = model[cell].max(floor) / peak;
                    model[cell] = if p == 1.0 { quotient } else { quotient.powf(p) };
                    total += model[cell];
                }
                models.iter_mut().for_each(|model| model[cell] /= total);
            }
            Mask::Hard => {
                let mut open = true;
                for model in models.iter_mut() {
                    let wins = open && model[cell].max(floor) == peak;
                    open &= !wins;
                    model[cell] = if wins { 1.0 } else { 0.0 };
                }
            }
        }
    }
}
