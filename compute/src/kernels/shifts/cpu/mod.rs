//! Shifted factors on the CPU engine. Nothing is copied for a lag: a factor is stored in rows, with leading zeros for
//! the shifts, and a lag only changes where a row is read from.
//!
//! The problem is its own mirror image: Λᵀ has W and H exchanged. So one function computes N and D of a moving factor
//! with the other one fixed, and updates of bases use it with Vᵀ. Λ and N are the same product too, with other offsets.

mod factors;
mod products;
mod sums;

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use self::factors::{Data, Factor, padded};
use self::products::{Model, ROWS};
use self::sums::{CostJob, Sums};
use super::{Lags, ShiftRule, Shifts, check_edges, check_factors, check_shapes, check_sources};
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP, Scratch, Shelf, tile};
use crate::kernels::glue::{Mask, Norm, ShareJob};
use crate::kernels::products::{Fields, fields, shape_of, with_fields};

/// The segments of gains, one per task: the places of their strips, their columns and numbers.
fn segments_of(h: &CpuPanel) -> Vec<(Range<usize>, usize, &[f32])> {
    let len = h.strip_len();
    let of = |(strips, &columns): (Range<usize>, &usize)| {
        let values = &h.values()[strips.start * len..strips.end * len];
        (strips, columns, values)
    };
    h.strips_of_segments().zip(h.segments()).map(of).collect()
}

/// The factors of all stacks of bases.
fn bases_of(shelf: &Shelf, w: &[Array2<f32>], lags: Lags) -> Vec<Factor> {
    w.par_chunks(lags.time).map(|w| Factor::of_bases(shelf, w, lags)).collect()
}

fn update_gains<F: Fields>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &[Array2<f32>],
    h: &mut CpuPanel,
    rule: &ShiftRule,
) {
    let (shelf, lags, components) = (engine.shelf(), rule.lags, shape_of(w).1);
    let bases = bases_of(shelf, w, lags);
    let places: Vec<_> = h.strips_of_segments().zip(h.segments().to_vec()).collect();
    let strip_len = h.strip_len();
    let mut rest = h.values_mut();
    let shared = places.len().div_ceil(bases.len());
    let mut tasks = Vec::with_capacity(places.len());
    for (segment, (strips, columns)) in places.into_iter().enumerate() {
        let bases = &bases[segment / shared];
        let h = rest.split_off_mut(..strips.len() * strip_len).unwrap_or_default();
        tasks.push((strips, columns, bases, h));
    }
    tasks.into_par_iter().for_each(|(strips, columns, bases, h)| {
        let mut gains = Factor::of_gains(shelf, h, components, columns, lags);
        let data = Data::rows(shelf, v, strips, columns);
        Sums::of(shelf, fields, &data, bases, &gains, rule.edges).apply_to_gains(&rule.rule, &mut gains);
        gains.write_gains(h);
    });
}

fn update_bases<F: Fields>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &mut [Array2<f32>],
    h: &CpuPanel,
    rule: &ShiftRule,
) {
    let (shelf, lags, components) = (engine.shelf(), rule.lags, shape_of(w).1);
    let mut bases = bases_of(shelf, w, lags);
    let shared = h.segments().len().div_ceil(bases.len());
    let of_segment = |(segment, (strips, columns, h)): (usize, (Range<usize>, usize, &[f32]))| {
        let gains = Factor::of_gains(shelf, h, components, columns, lags);
        let data = Data::columns(shelf, v, strips, columns);
        (Sums::of(shelf, fields, &data, &gains, &bases[segment / shared], rule.edges), gains.totals())
    };
    let mut sums: Vec<(Sums, Vec<f64>)> = segments_of(h).into_par_iter().enumerate().map(of_segment).collect();
    let stacks = bases.par_iter_mut().zip(w.par_chunks_mut(lags.time)).zip(sums.par_chunks_mut(shared));
    stacks.for_each(|((bases, w), sums)| {
        if let [(total, gains), others @ ..] = sums {
            for (one, of_one) in others {
                total.add(one);
                gains.iter_mut().zip(of_one).for_each(|(to, from)| *to += *from);
            }
            total.apply_to_bases(&rule.rule, bases, gains);
            bases.write_bases(w);
        }
    });
}

/// The costs of a segment's columns.
fn costs_of<F: Fields>(shelf: &Shelf, fields: F, data: &Data, w: &Factor, h: &Factor) -> Vec<f64> {
    let model = Model::new(w, h, 0..w.components);
    let of_block = |(block, v): (usize, &[f32])| {
        let (mut lambda, mut costs) = (shelf.take(v.len()), shelf.take(data.pitch));
        model.form(block * ROWS, &mut lambda, data.pitch);
        tile::dispatch(CostJob { fields, v, lambda: &lambda, costs: &mut costs });
        costs
    };
    let blocks: Vec<Scratch> = data.values.par_chunks(ROWS * data.pitch).enumerate().map(of_block).collect();
    (0..h.len).map(|column| blocks.iter().map(|costs| f64::from(costs[column])).sum()).collect()
}

fn check(v: &CpuPanel, w: &[Array2<f32>], h: &CpuPanel, lags: Lags) -> Result<()> {
    check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent(), lags)
}

impl Shifts for Cpu {
    fn update_shifted_gains(&self, v: &CpuPanel, w: &CpuMatrix, h: &mut CpuPanel, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        with_fields!(&rule.rule.divergence, |fields| self.install(|| update_gains(self, fields, v, w, h, rule)));
        Ok(())
    }

    fn update_shifted_bases(&self, v: &CpuPanel, w: &mut CpuMatrix, h: &CpuPanel, rule: &ShiftRule) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        with_fields!(&rule.rule.divergence, |fields| self.install(|| update_bases(self, fields, v, w, h, rule)));
        Ok(())
    }

    fn shifted_costs(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        h: &CpuPanel,
        lags: Lags,
        divergence: &Divergence,
    ) -> Result<Vec<f64>> {
        check(v, w, h, lags)?;
        let (shelf, components) = (self.shelf(), shape_of(w).1);
        let costs: Vec<Vec<f64>> = self.install(|| {
            let bases = bases_of(shelf, w, lags);
            let shared = h.segments().len().div_ceil(bases.len());
            let of_segment = |(segment, (strips, columns, h)): (usize, (Range<usize>, usize, &[f32]))| {
                let gains = Factor::of_gains(shelf, h, components, columns, lags);
                let data = Data::rows(shelf, v, strips, columns);
                let bases = &bases[segment / shared];
                with_fields!(divergence, |fields| costs_of(shelf, fields, &data, bases, &gains))
            };
            segments_of(h).into_par_iter().enumerate().map(of_segment).collect()
        });
        Ok(costs.concat())
    }

    fn normalize_patterns(&self, w: &mut CpuMatrix, h: &mut CpuPanel, lags: Lags, norm: Norm) -> Result<()> {
        check_factors((w.len(), shape_of(w)), h.extent(), lags)?;
        self.normalize_stacks(w, lags.time, Some(h), norm);
        Ok(())
    }

    fn shifted_models(
        &self,
        w: &CpuMatrix,
        h: &CpuPanel,
        sources: &[Range<usize>],
        lags: Lags,
    ) -> Result<Vec<CpuPanel>> {
        let (rows, components) = shape_of(w);
        check_sources((w.len(), (rows, components)), h.extent(), lags, sources, Mask::Hard)?;
        let shelf = self.shelf();
        let zeros = |_| CpuPanel::zeros(shelf, rows, h.segments().to_vec());
        let mut models: Vec<CpuPanel> = sources.iter().map(zeros).collect();
        self.install(|| {
            let bases = bases_of(shelf, w, lags);
            let shared = h.segments().len().div_ceil(bases.len());
            let of_segment = |(_, columns, h): &(Range<usize>, usize, &[f32])| {
                Factor::of_gains(shelf, h, components, *columns, lags)
            };
            let segments = segments_of(h);
            let gains: Vec<Factor> = segments.par_iter().map(of_segment).collect();
            models.par_iter_mut().zip(sources).for_each(|(model, source)| {
                let strip_len = model.strip_len();
                for (segment, (strips, columns, _)) in segments.iter().enumerate() {
                    let pitch = padded(*columns);
                    let mut lambda = shelf.take(rows * pitch);
                    let product = Model::new(&bases[segment / shared], &gains[segment], source.clone());
                    let blocks = lambda.par_chunks_mut(ROWS * pitch).enumerate();
                    blocks.for_each(|(block, lambda)| product.form(block * ROWS, lambda, pitch));
                    let to = &mut model.values_mut()[strips.start * strip_len..strips.end * strip_len];
                    for (row, lambda) in lambda.chunks_exact(pitch).enumerate() {
                        for (from, strip) in lambda[..*columns].chunks(STRIP).zip(to.chunks_exact_mut(strip_len)) {
                            strip[row * STRIP..][..from.len()].copy_from_slice(from);
                        }
                    }
                }
            });
        });
        Ok(models)
    }

    fn shifted_masks(
        &self,
        w: &CpuMatrix,
        h: &CpuPanel,
        sources: &[Range<usize>],
        lags: Lags,
        mask: Mask,
    ) -> Result<Vec<CpuPanel>> {
        check_sources((w.len(), shape_of(w)), h.extent(), lags, sources, mask)?;
        let mut masks = self.shifted_models(w, h, sources, lags)?;
        // The smallest number whose reciprocal is finite in f32.
        let floor = f32::MIN_POSITIVE;
        let mut strips: Vec<Vec<&mut [f32]>> = (0..h.strip_count()).map(|_| Vec::with_capacity(masks.len())).collect();
        for mask in &mut masks {
            strips.iter_mut().zip(mask.strips_mut().collect::<Vec<_>>()).for_each(|(strip, mask)| strip.push(mask));
        }
        self.install(|| strips.par_iter_mut().for_each(|models| tile::dispatch(ShareJob { models, floor, mask })));
        Ok(masks)
    }
}
