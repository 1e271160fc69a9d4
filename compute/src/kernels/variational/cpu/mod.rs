//! Variational Bayes on the CPU engine, strip by strip.

mod bases;
mod gains;
mod moments;
mod strips;

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use self::gains::Factor;
use self::strips::{ROWS, add_to, ceiling, floor, of_columns};
use super::{Bases, Gig, Order, Variational, check_order, check_sources, check_weighed, check_weights, fixed_bases};
use crate::Result;
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuPanel, STRIP, math};
use crate::kernels::products::shape_of;

impl Order<Cpu> {
    fn check(&self, data: &CpuPanel) -> Result<()> {
        let shapes = self.bases.means().map(|w| (w.len(), shape_of(w)));
        check_order(shapes, [self.mean.extent(), self.harmonic.extent()], data.extent())
    }
}

/// What a strip of Σ q/C is to become by an order.
#[derive(Clone, Copy)]
enum Sum {
    /// q/C of the first order.
    First,
    /// The sum with q/C of one more.
    More,
    /// c = C/q of the only order.
    Only,
}

/// Adds q/C of an order to a strip, or begins it: Σ q/C.
struct AddOrderJob<'a> {
    sum: Sum,
    /// I_W, see [`tile::pack_rows`].
    bases: &'a [f32],
    /// I_H, K rows.
    gains: &'a [f32],
    /// One row.
    q: &'a [f32],
    sums: &'a mut [f32],
}

struct AddOrderSink<'a, S: Simd, const V: usize> {
    sum: Sum,
    q: [S::f32s; V],
    sums: &'a mut [[S::f32s; V]],
}

impl<S: Simd, const V: usize> ModelSink<S> for AddOrderSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        let (q, lambda, sum) = (self.q[vector], simd.max_f32s(lambda, floor(simd)), &mut self.sums[row][vector]);
        *sum = match self.sum {
            Sum::First => simd.div_f32s(q, lambda),
            Sum::More => simd.add_f32s(*sum, simd.div_f32s(q, lambda)),
            Sum::Only => simd.div_f32s(lambda, simd.max_f32s(q, floor(simd))),
        };
    }
}

impl StripJob for AddOrderJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (q, sums) = (rows::<S, V>(self.q)[0], rows_mut::<S, V>(self.sums));
        let mut sink = AddOrderSink::<S, V> { sum: self.sum, q, sums };
        tile::model::<S, V, MR>(simd, self.bases, rows::<S, V>(self.gains), &mut sink);
    }
}

/// c = 1 / Σ q/C, in place.
struct InvertJob<'a>(&'a mut [f32]);

impl StripJob for InvertJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        for sum in bytemuck::cast_slice_mut::<f32, S::f32s>(self.0) {
            *sum = simd.div_f32s(simd.splat_f32s(1.0), simd.max_f32s(*sum, floor(simd)));
        }
    }
}

/// P of a source from x, or its fraction of all variances without x.
struct SourceJob<'a> {
    x: Option<&'a [f32]>,
    variances: &'a [&'a [f32]],
    source: usize,
    noise: f32,
    /// If it is added to a sum: one row of q, and whether the sum begins with it.
    weighed: Option<(&'a [f32], bool)>,
    to: &'a mut [f32],
}

impl StripJob for SourceJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let lanes = S::F32_LANES;
        for (cell, to) in bytemuck::cast_slice_mut::<f32, S::f32s>(self.to).iter_mut().enumerate() {
            let at = cell * lanes..(cell + 1) * lanes;
            let (mut others, mut own) = (simd.splat_f32s(self.noise), simd.splat_f32s(0.0));
            for (source, variance) in self.variances.iter().enumerate() {
                let c = simd.max_f32s(bytemuck::cast_slice::<f32, S::f32s>(&variance[at.clone()])[0], floor(simd));
                if source == self.source {
                    own = c;
                } else {
                    others = simd.add_f32s(others, c);
                }
            }
            let share = simd.div_f32s(own, simd.add_f32s(own, others));
            let value = match self.x {
                None => share,
                Some(x) => {
                    let x = bytemuck::cast_slice::<f32, S::f32s>(&x[at])[0];
                    tile::multiply_add(simd, simd.mul_f32s(x, share), share, simd.mul_f32s(share, others))
                }
            };
            *to = match self.weighed {
                None => value,
                Some((q, first)) => {
                    let before = if first { simd.splat_f32s(0.0) } else { *to };
                    tile::multiply_add(simd, rows::<S, V>(q)[0][cell % V], value, before)
                }
            };
        }
    }
}

/// Σ_f of −log ω − P/C of a strip.
struct EvidenceJob<'a> {
    /// F, without padding.
    rows: usize,
    components: usize,
    /// E_W and I_W, see [`tile::pack_rows`].
    bases: [&'a [f32]; 2],
    /// E_H and I_H.
    gains: [&'a [f32]; 2],
    p: &'a [f32],
    sums: &'a mut [f64; STRIP],
}

/// −log ω of a few rows.
struct LogSink<S: Simd, const V: usize> {
    rows: usize,
    sums: [S::f32s; V],
}

impl<S: Simd, const V: usize> ModelSink<S> for LogSink<S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        if row < self.rows {
            let log = math::ln(simd, simd.max_f32s(lambda, floor(simd)));
            self.sums[vector] = simd.sub_f32s(self.sums[vector], log);
        }
    }
}

/// −P/C of a few rows.
struct QuotientSink<'a, S: Simd, const V: usize> {
    p: &'a [[S::f32s; V]],
    sums: [S::f32s; V],
}

impl<S: Simd, const V: usize> ModelSink<S> for QuotientSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        if row < self.p.len() {
            let quotient = simd.div_f32s(self.p[row][vector], simd.max_f32s(lambda, floor(simd)));
            self.sums[vector] = simd.sub_f32s(self.sums[vector], simd.min_f32s(quotient, ceiling(simd)));
        }
    }
}

impl StripJob for EvidenceJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let zero = [simd.splat_f32s(0.0); V];
        let [mean, harmonic] = self.gains.map(|gains| &rows::<S, V>(gains)[..self.components]);
        let [means, harmonics] = self.bases.map(|bases| bases.chunks_exact(MR * self.components));
        for ((w_mean, w_harmonic), p) in means.zip(harmonics).zip(rows::<S, V>(self.p)[..self.rows].chunks(MR)) {
            let mut logs = LogSink::<S, V> { rows: p.len(), sums: zero };
            tile::model::<S, V, MR>(simd, w_mean, mean, &mut logs);
            let mut quotients = QuotientSink::<S, V> { p, sums: zero };
            tile::model::<S, V, MR>(simd, w_harmonic, harmonic, &mut quotients);
            add_to::<S, V>(self.sums, &logs.sums);
            add_to::<S, V>(self.sums, &quotients.sums);
        }
    }
}

/// Σ_f of Σ_j log c_j − log t − x σ²/t² − Σ c/t of a strip.
struct EnergyJob<'a> {
    /// F rows, without padding.
    x: &'a [f32],
    variances: &'a [&'a [f32]],
    noise: f32,
    sums: &'a mut [f64; STRIP],
}

impl StripJob for EnergyJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let noise = simd.splat_f32s(self.noise);
        for (block, x) in rows::<S, V>(self.x).chunks(ROWS).enumerate() {
            let mut terms = [simd.splat_f32s(0.0); V];
            for (row, x) in x.iter().enumerate() {
                for v in 0..V {
                    let at = (block * ROWS + row) * STRIP + v * S::F32_LANES;
                    let (mut sum, mut logs) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
                    for variance in self.variances {
                        let c = bytemuck::cast_slice::<f32, S::f32s>(&variance[at..at + S::F32_LANES])[0];
                        let c = simd.max_f32s(c, floor(simd));
                        sum = simd.add_f32s(sum, c);
                        logs = simd.add_f32s(logs, math::ln(simd, c));
                    }
                    let t = simd.add_f32s(noise, sum);
                    // x (σ²/t) is at most x, also where σ² is 0.
                    let rest = simd.div_f32s(simd.mul_f32s(x[v], simd.div_f32s(noise, t)), t);
                    let rest = simd.add_f32s(simd.min_f32s(rest, ceiling(simd)), simd.div_f32s(sum, t));
                    let term = simd.sub_f32s(simd.sub_f32s(logs, math::ln(simd, t)), rest);
                    terms[v] = simd.add_f32s(terms[v], term);
                }
            }
            add_to::<S, V>(self.sums, &terms);
        }
    }
}

/// Σ_f of −log t − x/t of a strip.
struct FitJob<'a> {
    /// F rows, without padding.
    x: &'a [f32],
    variances: &'a [&'a [f32]],
    noise: f32,
    sums: &'a mut [f64; STRIP],
}

impl StripJob for FitJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        for (block, x) in rows::<S, V>(self.x).chunks(ROWS).enumerate() {
            let mut terms = [simd.splat_f32s(0.0); V];
            for (row, x) in x.iter().enumerate() {
                for v in 0..V {
                    let at = (block * ROWS + row) * STRIP + v * S::F32_LANES;
                    let mut t = simd.splat_f32s(self.noise);
                    for variance in self.variances {
                        let c = bytemuck::cast_slice::<f32, S::f32s>(&variance[at..at + S::F32_LANES])[0];
                        t = simd.add_f32s(t, simd.max_f32s(c, floor(simd)));
                    }
                    let quotient = simd.min_f32s(simd.div_f32s(x[v], t), ceiling(simd));
                    terms[v] = simd.sub_f32s(terms[v], simd.add_f32s(math::ln(simd, t), quotient));
                }
            }
            add_to::<S, V>(self.sums, &terms);
        }
    }
}

/// Adds q P to a strip, or begins it.
struct WeighJob<'a> {
    first: bool,
    panel: &'a [f32],
    /// One row.
    q: &'a [f32],
    sum: &'a mut [f32],
}

impl StripJob for WeighJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let q = rows::<S, V>(self.q)[0];
        for (sum, panel) in rows_mut::<S, V>(self.sum).iter_mut().zip(rows::<S, V>(self.panel)) {
            for v in 0..V {
                let before = if self.first { simd.splat_f32s(0.0) } else { sum[v] };
                sum[v] = tile::multiply_add(simd, q[v], panel[v], before);
            }
        }
    }
}

/// The same strip of all variances.
fn strips_at(variances: &[CpuPanel], index: usize) -> Vec<&[f32]> {
    variances.iter().map(|variance| variance.strip(index)).collect()
}

impl Cpu {
    fn check(variances: &[CpuPanel], source: usize, data: Option<&CpuPanel>, noise: f64) -> Result<()> {
        let all: Vec<_> = variances.iter().map(CpuPanel::extent).collect();
        check_sources(&all, source, data.map(CpuPanel::extent), noise)
    }

    /// P of a source from x, or its fraction of all variances without x.
    fn of_source(&self, x: Option<&CpuPanel>, variances: &[CpuPanel], source: usize, noise: f64) -> CpuPanel {
        let (rows, segments) = variances[source].extent();
        let mut result = CpuPanel::any(self.shelf(), rows, segments.to_vec());
        let places = result.places();
        self.install(|| {
            result.strips_mut().enumerate().zip(&places).for_each(|((index, to), place)| {
                let (variances, x) = (strips_at(variances, index), x.map(|x| x.strip(index)));
                let noise = noise as f32;
                tile::dispatch(SourceJob { x, variances: &variances, source, noise, weighed: None, to });
                tile::clear_after(place.columns, to);
            });
        });
        result
    }
}

impl Variational for Cpu {
    fn variance(&self, orders: &[Order<Self>], q: &CpuPanel) -> Result<CpuPanel> {
        check_weights(orders.len(), q.extent())?;
        let rows = shape_of(orders[0].bases.means()[1]).0;
        let mut c = CpuPanel::any(self.shelf(), rows, q.segments().to_vec());
        orders.iter().try_for_each(|order| order.check(&c))?;
        let places = c.places();
        self.install(|| {
            let factors: Vec<Vec<Factor>> =
                orders.iter().map(|order| Factor::of_rows(self, order.bases.means()[1])).collect();
            c.strips_mut().enumerate().zip(&places).for_each(|((index, c), place)| {
                for (m, (order, factors)) in orders.iter().zip(&factors).enumerate() {
                    let factor = &factors[place.segment % factors.len()];
                    let gains = &order.harmonic.strip(index)[..factor.components * STRIP];
                    let q = &q.strip(index)[m * STRIP..(m + 1) * STRIP];
                    let sum = match (m, orders.len()) {
                        (0, 1) => Sum::Only,
                        (0, _) => Sum::First,
                        _ => Sum::More,
                    };
                    tile::dispatch(AddOrderJob { sum, bases: &factor.by_rows, gains, q, sums: &mut *c });
                }
                if orders.len() > 1 {
                    tile::dispatch(InvertJob(&mut *c));
                }
                tile::clear_after(place.columns, c);
            });
        });
        Ok(c)
    }

    fn power(&self, x: &CpuPanel, variances: &[CpuPanel], source: usize, noise: f64) -> Result<CpuPanel> {
        Self::check(variances, source, Some(x), noise)?;
        Ok(self.of_source(Some(x), variances, source, noise))
    }

    fn fraction(&self, variances: &[CpuPanel], source: usize) -> Result<CpuPanel> {
        Self::check(variances, source, None, 0.0)?;
        Ok(self.of_source(None, variances, source, 0.0))
    }

    fn update_gain_posteriors(&self, p: &CpuPanel, orders: &mut [Order<Self>], gig: &Gig<Self>) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p))?;
        Ok(gains::update(self, p, orders, gig))
    }

    fn update_basis_posteriors(&self, p: &CpuPanel, order: &mut Order<Self>, gig: &Gig<Self>) -> Result<Vec<f64>> {
        order.check(p)?;
        let Order { bases: Bases::Learned { mean, harmonic }, mean: mean_h, harmonic: harmonic_h } = order else {
            return Err(fixed_bases());
        };
        Ok(bases::update(self, p, [mean, harmonic], [mean_h, harmonic_h], gig))
    }

    fn evidence(&self, p: &CpuPanel, orders: &[Order<Self>]) -> Result<Array2<f64>> {
        orders.iter().try_for_each(|order| order.check(p))?;
        let constant = p.rows() as f64 * std::f64::consts::PI.ln();
        let places = p.places();
        let mut evidence = Array2::zeros((orders.len(), p.segments().iter().sum()));
        for (order, mut evidence) in orders.iter().zip(evidence.rows_mut()) {
            let mut sums = vec![[-constant; STRIP]; places.len()];
            self.install(|| {
                let factors = order.bases.means().map(|w| Factor::of_rows(self, w));
                sums.par_iter_mut().enumerate().zip(&places).for_each(|((index, sums), place)| {
                    let [mean, harmonic] = factors.each_ref().map(|factors| &factors[place.segment % factors.len()]);
                    tile::dispatch(EvidenceJob {
                        rows: p.rows(),
                        components: mean.components,
                        bases: [&mean.by_rows, &harmonic.by_rows],
                        gains: [order.mean.strip(index), order.harmonic.strip(index)],
                        p: p.strip(index),
                        sums,
                    });
                });
            });
            evidence.iter_mut().zip(of_columns(sums, p)).for_each(|(to, sum)| *to = sum);
        }
        Ok(evidence)
    }

    fn energy(&self, x: &CpuPanel, variances: &[CpuPanel], noise: f64) -> Result<Vec<f64>> {
        Self::check(variances, 0, Some(x), noise)?;
        let log_pi = std::f64::consts::PI.ln();
        let constant = x.rows() as f64 * (variances.len() as f64 * (log_pi + 1.0) - log_pi);
        let mut sums = vec![[constant; STRIP]; x.strip_count()];
        self.install(|| {
            sums.par_iter_mut().enumerate().for_each(|(index, sums)| {
                let (variances, noise) = (strips_at(variances, index), noise as f32);
                let x = &x.strip(index)[..x.rows() * STRIP];
                tile::dispatch(EnergyJob { x, variances: &variances, noise, sums });
            });
        });
        Ok(of_columns(sums, x))
    }

    fn likelihood(&self, x: &CpuPanel, variances: &[CpuPanel], noise: f64) -> Result<Vec<f64>> {
        Self::check(variances, 0, Some(x), noise)?;
        let constant = x.rows() as f64 * std::f64::consts::PI.ln();
        let mut sums = vec![[-constant; STRIP]; x.strip_count()];
        self.install(|| {
            sums.par_iter_mut().enumerate().for_each(|(index, sums)| {
                let (variances, noise) = (strips_at(variances, index), noise as f32);
                let x = &x.strip(index)[..x.rows() * STRIP];
                tile::dispatch(FitJob { x, variances: &variances, noise, sums });
            });
        });
        Ok(of_columns(sums, x))
    }

    fn weigh(&self, sum: Option<CpuPanel>, panel: &CpuPanel, q: &CpuPanel, order: usize) -> Result<CpuPanel> {
        check_weighed(sum.as_ref().map(CpuPanel::extent), panel.extent(), q.extent(), order)?;
        let first = sum.is_none();
        let any = || CpuPanel::any(self.shelf(), panel.rows(), panel.segments().to_vec());
        let mut sum = sum.unwrap_or_else(any);
        self.install(|| {
            sum.strips_mut().enumerate().for_each(|(index, sum)| {
                let q = &q.strip(index)[order * STRIP..(order + 1) * STRIP];
                tile::dispatch(WeighJob { first, panel: panel.strip(index), q, sum });
            });
        });
        Ok(sum)
    }

    fn weigh_power(
        &self,
        sum: Option<CpuPanel>,
        x: &CpuPanel,
        variances: &[CpuPanel],
        (source, noise): (usize, f64),
        (q, order): (&CpuPanel, usize),
    ) -> Result<CpuPanel> {
        Self::check(variances, source, Some(x), noise)?;
        check_weighed(sum.as_ref().map(CpuPanel::extent), x.extent(), q.extent(), order)?;
        let (first, noise) = (sum.is_none(), noise as f32);
        let mut sum = sum.unwrap_or_else(|| CpuPanel::any(self.shelf(), x.rows(), x.segments().to_vec()));
        let places = x.places();
        self.install(|| {
            sum.strips_mut().enumerate().zip(&places).for_each(|((index, to), place)| {
                let (variances, x) = (strips_at(variances, index), Some(x.strip(index)));
                let weighed = Some((&q.strip(index)[order * STRIP..(order + 1) * STRIP], first));
                tile::dispatch(SourceJob { x, variances: &variances, source, noise, weighed, to });
                tile::clear_after(place.columns, to);
            });
        });
        Ok(sum)
    }
}
