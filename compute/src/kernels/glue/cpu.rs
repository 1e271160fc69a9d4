//! Normalization and masks on the CPU engine.

use std::ops::Range;

use ndarray::{Array2, s};
use pulp::Simd;
use rayon::prelude::*;

use super::{Glue, Mask, Norm, check_factors, check_masks, check_sums};
use crate::Result;
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP, Scratch, math, padded};
use crate::kernels::products::{ModelJob, shape_of};

impl Cpu {
    /// Normalizes the stacks of T bases in W. Each stack serves an equal group of the segments. The norm of a component
    /// is over its column in all T bases, and all its rows of the gains are scaled by it.
    pub(crate) fn normalize_stacks(&self, w: &mut [Array2<f32>], time: usize, h: Option<&mut CpuPanel>, norm: Norm) {
        self.install(|| {
            let sizes: Vec<Vec<f32>> = w.par_chunks_mut(time).map(|w| scale(w, norm)).collect();
            let Some(h) = h else { return };
            let (places, shared) = (h.places(), h.segments().len() / sizes.len());
            h.strips_mut().zip(&places).for_each(|(strip, place)| {
                let sizes = sizes[place.segment / shared].iter().cycle();
                for (gains, &size) in strip.chunks_exact_mut(STRIP).zip(sizes) {
                    gains.iter_mut().for_each(|gain| *gain *= size);
                }
            });
        });
    }
}

impl Glue for Cpu {
    fn normalize(&self, w: &mut CpuMatrix, h: Option<&mut CpuPanel>, norm: Norm) -> Result<()> {
        if let Some(h) = &h {
            check(w, h)?;
        }
        self.normalize_stacks(w, 1, h, norm);
        Ok(())
    }

    fn turn_bases(&self, w: &mut CpuMatrix, n: &CpuMatrix, d: &CpuMatrix) -> Result<()> {
        let [of_w, of_n, of_d] = [&*w, n, d].map(|stack| (stack.len(), shape_of(stack)));
        check_sums(of_w, of_n, of_d)?;
        self.install(|| {
            w.par_iter_mut().zip(&n[..]).zip(&d[..]).for_each(|((w, n), d)| turn(w, n, d));
        });
        Ok(())
    }

    fn masks(&self, w: &CpuMatrix, h: &CpuPanel, sources: &[Range<usize>], mask: Mask) -> Result<Vec<CpuPanel>> {
        check(w, h)?;
        let (rows, components) = shape_of(w);
        check_masks(components, sources, mask)?;
        let height = tile::shape().rows;
        let pack = |w: &Array2<f32>, range: &Range<usize>| {
            let mut packed = self.shelf().take(padded(rows) * range.len());
            tile::pack_rows(w.slice(s![.., range.clone()]), height, &mut packed);
            packed
        };
        let of_sources = |w: &Array2<f32>| sources.iter().map(|range| pack(w, range)).collect();
        let floor = (MODEL_FLOOR / sources.len() as f64) as f32;
        let any = |_| CpuPanel::any(self.shelf(), rows, h.segments().to_vec());
        let mut masks: Vec<CpuPanel> = sources.iter().map(any).collect();
        let places = h.places();
        let mut strips: Vec<Vec<&mut [f32]>> = places.iter().map(|_| Vec::with_capacity(sources.len())).collect();
        for mask in &mut masks {
            strips.iter_mut().zip(mask.strips_mut().collect::<Vec<_>>()).for_each(|(strip, mask)| strip.push(mask));
        }
        self.install(|| {
            let bases: Vec<Vec<Scratch>> = w.par_iter().map(of_sources).collect();
            strips.par_iter_mut().zip(h.strips()).zip(&places).for_each(|((masks, h), place)| {
                let bases = &bases[place.segment % bases.len()];
                for ((mask, bases), range) in masks.iter_mut().zip(bases).zip(sources) {
                    let h = &h[range.start * STRIP..range.end * STRIP];
                    tile::dispatch(ModelJob { bases_rows: bases, h, lambda: mask });
                }
                tile::dispatch(ShareJob { models: masks, floor, mask });
            });
        });
        Ok(masks)
    }
}

fn check(w: &[Array2<f32>], h: &CpuPanel) -> Result<()> {
    check_factors((w.len(), shape_of(w)), (h.rows(), h.segments().len()))
}

/// Updates bases of norm 1, see [`Glue::turn_bases`]. The sums along the bases are in f64, in the order of the rows.
fn turn(w: &mut Array2<f32>, n: &Array2<f32>, d: &Array2<f32>) {
    let along = |sums: &Array2<f32>| {
        let mut along = vec![0.0; w.ncols()];
        for (w, sums) in w.rows().into_iter().zip(sums.rows()) {
            along
                .iter_mut()
                .zip(w.iter().zip(sums))
                .for_each(|(along, (&w, &sum))| *along += f64::from(w) * f64::from(sum));
        }
        along
    };
    let (of_n, of_d) = (along(n), along(d));
    for ((mut w, n), d) in w.rows_mut().into_iter().zip(n.rows()).zip(d.rows()) {
        for (((w, (n, d)), of_n), of_d) in w.iter_mut().zip(n.iter().zip(d)).zip(&of_n).zip(&of_d) {
            let up = f64::from(*n) + of_d * f64::from(*w);
            let down = f64::from(*d) + of_n * f64::from(*w);
            *w = (f64::from(*w) * (up / down.max(DENOMINATOR_FLOOR))) as f32;
        }
    }
}

/// Scales every column of the stack W to unit norm. Returns the previous norms.
fn scale(w: &mut [Array2<f32>], norm: Norm) -> Vec<f32> {
    let columns = shape_of(w).1;
    let one = |column: usize| {
        let size = norm.of(w.iter().flat_map(|w| w.column(column)).map(|&w| f64::from(w)));
        if size <= DENOMINATOR_FLOOR {
            return 1.0;
        }
        w.iter_mut().flat_map(|w| w.column_mut(column)).for_each(|w| *w = (f64::from(*w) / size) as f32);
        size as f32
    };
    (0..columns).map(one).collect()
}

/// Turns the models of a strip into masks, in place.
pub(crate) struct ShareJob<'a, 'm> {
    pub(crate) models: &'a mut [&'m mut [f32]],
    pub(crate) floor: f32,
    pub(crate) mask: Mask,
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
