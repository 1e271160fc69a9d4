//! The reverse pass on the CPU engine, strip by strip with the tiles of the products.

mod bases;
mod gains;
mod model;
mod parts;
mod reverse;

use ndarray::Array2;
use rayon::prelude::*;

use super::{Adjoint, check_adjoints, check_knots};
use crate::Result;
use crate::divergence::DENOMINATOR_FLOOR;
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP};
use crate::kernels::glue::check_factors;
use crate::kernels::products::{check_shapes, shape_of};
use crate::weight::Weight;

fn matrices(stack: &[Array2<f32>]) -> (usize, (usize, usize)) {
    (stack.len(), shape_of(stack))
}

/// Checks factors, their adjoints, and a panel F x N.
fn check(
    data: &CpuPanel,
    (w, of_w): (&[Array2<f32>], &[Array2<f32>]),
    (h, of_h): (&CpuPanel, &CpuPanel),
) -> Result<()> {
    check_shapes(data.extent(), matrices(w), h.extent())?;
    check_adjoints((matrices(w), matrices(of_w)), (h.extent(), of_h.extent()))
}

/// Σ_n gH' ∘ H of every component of a strip.
fn products_of_rows(h: &[f32], of_h: &[f32], components: usize) -> Vec<f64> {
    let rows = h.chunks_exact(STRIP).zip(of_h.chunks_exact(STRIP)).take(components);
    rows.map(|(h, of_h)| h.iter().zip(of_h).map(|(&h, &of)| f64::from(h) * f64::from(of)).sum()).collect()
}

/// Turns the adjoint of normalized bases into that of W. `of_norms`: what the gains add to the adjoints of the norms. Returns
/// the norms, 1 for a basis of zeros.
fn of_norms(w: &Array2<f32>, of_w: &mut Array2<f32>, of_norms: &[f64]) -> Vec<f32> {
    let of_column = |k: usize| {
        let norm: f64 = w.column(k).iter().map(|&w| f64::from(w)).sum();
        if norm <= DENOMINATOR_FLOOR {
            return 1.0;
        }
        let along: f64 = w.column(k).iter().zip(of_w.column(k)).map(|(&w, &of)| f64::from(w) * f64::from(of)).sum();
        let of_norm = of_norms.get(k).copied().unwrap_or(0.0) - along / norm / norm;
        of_w.column_mut(k).mapv_inplace(|of| (f64::from(of) / norm + of_norm) as f32);
        norm as f32
    };
    (0..w.ncols()).map(of_column).collect()
}

impl Adjoint for Cpu {
    fn adjoint_of_gains(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        h: &CpuPanel,
        weight: &Weight,
        of_w: &mut CpuMatrix,
        of_h: &mut CpuPanel,
        knots: &mut CpuMatrix,
    ) -> Result<()> {
        check(v, (w, of_w), (h, of_h))?;
        check_knots(matrices(knots))?;
        gains::reverse(self, v, w, h, weight, of_w, of_h, &mut knots[0]);
        Ok(())
    }

    fn adjoint_of_bases(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        h: &CpuPanel,
        weight: &Weight,
        of_w: &mut CpuMatrix,
        of_h: &mut CpuPanel,
        knots: &mut CpuMatrix,
    ) -> Result<()> {
        check(v, (w, of_w), (h, of_h))?;
        check_knots(matrices(knots))?;
        bases::reverse(self, v, w, h, weight, of_w, of_h, &mut knots[0]);
        Ok(())
    }

    fn adjoint_of_norm(
        &self,
        w: &CpuMatrix,
        h: &CpuPanel,
        of_w: &mut CpuMatrix,
        of_h: &mut CpuPanel,
        compensated: bool,
    ) -> Result<()> {
        check_factors(matrices(w), (h.rows(), h.segments().len()))?;
        check_adjoints((matrices(w), matrices(of_w)), (h.extent(), of_h.extent()))?;
        let (places, count, components) = (h.places(), w.len(), h.rows());
        self.install(|| {
            let mut of_gains = vec![vec![0.0; components]; count];
            if compensated {
                let strips = h.strips().zip(of_h.strips());
                let products: Vec<_> = strips.map(|(h, of_h)| products_of_rows(h, of_h, components)).collect();
                for (products, place) in products.iter().zip(&places) {
                    let sums = &mut of_gains[place.segment % count];
                    sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
                }
            }
            let factors = w.par_iter().zip(&mut of_w[..]).zip(&of_gains);
            let norms: Vec<Vec<f32>> = factors.map(|((w, of_w), of_gains)| of_norms(w, of_w, of_gains)).collect();
            if compensated {
                of_h.strips_mut().zip(&places).for_each(|(of_h, place)| {
                    for (of_h, &norm) in of_h.chunks_exact_mut(STRIP).zip(&norms[place.segment % count]) {
                        of_h.iter_mut().for_each(|of| *of *= norm);
                    }
                });
            }
        });
        Ok(())
    }

    fn floored_model(&self, w: &CpuMatrix, h: &CpuPanel) -> Result<CpuPanel> {
        check_factors(matrices(w), (h.rows(), h.segments().len()))?;
        Ok(model::form(self, w, h))
    }

    fn adjoint_of_model(
        &self,
        w: &CpuMatrix,
        h: &CpuPanel,
        of_model: &CpuPanel,
        of_w: &mut CpuMatrix,
        of_h: &mut CpuPanel,
    ) -> Result<()> {
        check(of_model, (w, of_w), (h, of_h))?;
        model::reverse(self, w, h, of_model, of_w, of_h);
        Ok(())
    }
}
