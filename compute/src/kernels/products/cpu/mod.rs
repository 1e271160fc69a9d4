//! The products on the CPU engine. They go strip by strip: P and Q of a block of rows stay in L1, N and D of a strip in
//! L2.

mod bases;
mod blocks;
pub(crate) mod fields;
mod gains;
mod joint;
mod model;
mod strip;

use pulp::Simd;
use rayon::prelude::*;

pub(crate) use self::bases::{GROUP, RANGE, SPAN, Sums as BasisSums, groups_of, split, sums as basis_sums};
pub(crate) use self::fields::{Fields, with_fields};

pub(crate) use self::model::{ModelJob, StoreSink, shape_of};
pub(crate) use self::strip::{FieldSink, Terms, VectorRule};
use super::{Products, Rule, check_shapes, check_trial};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::tile::{self, ModelSink, StripJob, rows};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP, padded};

/// Sums the costs of a strip: within a block of rows in f32, over the blocks in f64.
struct CostJob<'a, F> {
    fields: F,
    rows: usize,
    bases_rows: &'a [f32],
    v: &'a [f32],
    h: &'a [f32],
    components: usize,
    costs: &'a mut [f64; STRIP],
}

struct CostSink<'a, S: Simd, const V: usize, F> {
    fields: F,
    v: &'a [[S::f32s; V]],
    costs: [S::f32s; V],
}

impl<S: Simd, const V: usize, F: Fields> ModelSink<S> for CostSink<'_, S, V, F> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        // Skip the rows that pad the tile.
        if row < self.v.len() {
            let lambda = simd.max_f32s(lambda, simd.splat_f32s(MODEL_FLOOR as f32));
            let cost = self.fields.cost(simd, self.v[row][vector], lambda);
            self.costs[vector] = simd.add_f32s(self.costs[vector], cost);
        }
    }
}

impl<F: Fields> StripJob for CostJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (v, h) = (&rows::<S, V>(self.v)[..self.rows], &rows::<S, V>(self.h)[..self.components]);
        for (bases, v) in self.bases_rows.chunks_exact(MR * self.components).zip(v.chunks(MR)) {
            let mut sink = CostSink::<S, V, F> { fields: self.fields, v, costs: [simd.splat_f32s(0.0); V] };
            tile::model::<S, V, MR>(simd, bases, h, &mut sink);
            let costs: &[f32] = bytemuck::cast_slice(&sink.costs);
            self.costs.iter_mut().zip(costs).for_each(|(sum, &cost)| *sum += f64::from(cost));
        }
    }
}

/// Updates gains, with terms added to N and D.
pub(crate) fn update_with<T: Terms>(
    engine: &Cpu,
    v: &CpuPanel,
    w: &CpuMatrix,
    h: &mut CpuPanel,
    rule: &Rule,
    terms: &T,
) -> Result<()> {
    check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent())?;
    with_fields!(&rule.divergence, |fields| gains::update(engine, fields, v, w, h, rule, terms));
    Ok(())
}

impl Products for Cpu {
    fn update_gains(&self, v: &CpuPanel, w: &CpuMatrix, h: &mut CpuPanel, rule: &Rule) -> Result<()> {
        update_with(self, v, w, h, rule, &())
    }

    fn update_bases(&self, v: &CpuPanel, w: &mut CpuMatrix, h: &CpuPanel, rule: &Rule) -> Result<()> {
        check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent())?;
        with_fields!(&rule.divergence, |fields| bases::update(self, fields, v, w, h, rule));
        Ok(())
    }

    fn base_sums(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        h: &CpuPanel,
        divergence: &Divergence,
    ) -> Result<(CpuMatrix, CpuMatrix)> {
        check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent())?;
        Ok(with_fields!(divergence, |fields| bases::sums(self, fields, v, w, h)))
    }

    fn try_gains(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        trial: &CpuPanel,
        next: &mut CpuPanel,
        costs: &mut CpuPanel,
        rule: &Rule,
    ) -> Result<()> {
        check_shapes(v.extent(), (w.len(), shape_of(w)), trial.extent())?;
        check_trial(trial.extent(), next.extent(), costs.extent())?;
        with_fields!(&rule.divergence, |fields| gains::attempt(self, fields, v, w, trial, next, costs, rule));
        Ok(())
    }

    fn update_both(&self, v: &CpuPanel, w: &mut CpuMatrix, h: &mut CpuPanel, rule: &Rule) -> Result<()> {
        check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent())?;
        with_fields!(&rule.divergence, |fields| joint::update(self, fields, v, w, h, rule));
        Ok(())
    }

    fn costs(&self, v: &CpuPanel, w: &CpuMatrix, h: &CpuPanel, divergence: &Divergence) -> Result<Vec<f64>> {
        check_shapes(v.extent(), (w.len(), shape_of(w)), h.extent())?;
        let (rows, components) = shape_of(w);
        let len = padded(rows) * components;
        let places = v.places();
        let mut sums = vec![[0.0; STRIP]; places.len()];
        self.install(|| {
            let packed = w.by_rows(self.shelf());
            sums.par_iter_mut().zip(v.strips().zip(h.strips())).zip(&places).for_each(|((costs, (v, h)), place)| {
                let first = place.segment % w.len() * len;
                let bases_rows = &packed[first..first + len];
                with_fields!(divergence, |fields| tile::dispatch(CostJob {
                    fields,
                    rows,
                    bases_rows,
                    v,
                    h,
                    components,
                    costs,
                }));
            });
        });
        Ok(sums.iter().zip(&places).flat_map(|(sums, place)| &sums[..place.columns]).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::engine::Engine;

    #[test]
    fn entries_that_vanish_become_zero_and_lost_ones_stay_lost() {
        let cpu = Cpu::new(Some(1)).unwrap();
        let v = cpu.panel(array![[1.0f32, f32::NAN]].view()).unwrap();
        let mut w = cpu.matrix(array![[1.0f32, 1.0]].view()).unwrap();
        // Λ = 4: gains shrink to a quarter, and 2e-38 would leave the normal numbers.
        let mut h = cpu.panel(array![[4.0f32, 1.0], [2e-38, 1.0]].view()).unwrap();
        let rule = Rule::of(Divergence::Euclidean);
        cpu.update_gains(&v, &w, &mut h, &rule).unwrap();
        let gains = cpu.read_panel::<f32>(&h).unwrap();
        assert_eq!((gains[[0, 0]], gains[[1, 0]]), (1.0, 0.0));
        assert!(gains[[0, 1]].is_nan() && gains[[1, 1]].is_nan());
        // Bases follow the same rule: with H = (4, 2e-38) a basis of 2e-38 is lost.
        w = cpu.matrix(array![[1.0f32, 2e-38]].view()).unwrap();
        let v = cpu.panel(array![[1.0f32, 1.0]].view()).unwrap();
        let h = cpu.panel(array![[4.0f32, 4.0], [1.0, 1.0]].view()).unwrap();
        cpu.update_bases(&v, &mut w, &h, &rule).unwrap();
        assert_eq!(cpu.read_matrix::<f32>(&w).unwrap(), array![[0.25f32, 0.0]]);
    }
}
