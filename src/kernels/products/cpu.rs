//! The products on the native engine: strip by strip, P and Q of a block of rows in L1, N and D of a strip in L2.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::{Products, Rule, check_shapes};
use crate::Result;
use crate::divergence::{DENOMINATOR_FLOOR, Divergence, MODEL_FLOOR};
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuPanel, STRIP, padded};

/// Rows of P and Q kept at once: 2 x 64 x 48 numbers, 24 KiB. Between 32 and 128 the speed is the same within 10 %.
const BLOCK: usize = 64;
/// A panel's columns are summed for the bases in at most so many parts, so that the order of the sum is the panel's alone.
const PARTS: usize = 32;
/// Strips in a part, at least: a part costs 2FK numbers of memory and of reduction.
const PART_STRIPS: usize = 4;

/// P and Q of a divergence on vectors. λ is floored already.
trait Fields: Copy + Send + Sync {
    /// Whether Q is 1 everywhere, so that D is a plain sum of the other factor and its product is not formed.
    const UNIT_Q: bool;
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s);
}

#[derive(Clone, Copy)]
struct Euclidean;
impl Fields for Euclidean {
    const UNIT_Q: bool = false;
    #[inline(always)]
    fn fields<S: Simd>(self, _: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        (v, lambda)
    }
}

#[derive(Clone, Copy)]
struct KullbackLeibler;
impl Fields for KullbackLeibler {
    const UNIT_Q: bool = true;
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        (simd.div_f32s(v, lambda), simd.splat_f32s(1.0))
    }
}

#[derive(Clone, Copy)]
struct ItakuraSaito;
impl Fields for ItakuraSaito {
    const UNIT_Q: bool = false;
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        let v = simd.max_f32s(v, simd.splat_f32s(MODEL_FLOOR as f32));
        let r = simd.div_f32s(simd.splat_f32s(1.0), lambda);
        // (v r) r: r² of an ordinary λ overflows f32 long before the product does.
        (simd.mul_f32s(simd.mul_f32s(v, r), r), r)
    }
}

#[derive(Clone, Copy)]
struct Beta(f32);
impl Fields for Beta {
    const UNIT_Q: bool = false;
    #[inline(always)]
    fn fields<S: Simd>(self, simd: S, v: S::f32s, lambda: S::f32s) -> (S::f32s, S::f32s) {
        let v = if self.0 <= 0.0 { simd.max_f32s(v, simd.splat_f32s(MODEL_FLOOR as f32)) } else { v };
        let q = tile::each(simd, lambda, |lambda| lambda.powf(self.0 - 1.0));
        (simd.mul_f32s(v, simd.div_f32s(q, lambda)), q)
    }
}

/// Calls `$call` with `$fields` bound to the [`Fields`] of a divergence.
macro_rules! with_fields {
    ($divergence:expr, |$fields:ident| $call:expr) => {
        match $divergence {
            Divergence::Euclidean => {
                let $fields = Euclidean;
                $call
            }
            Divergence::KullbackLeibler => {
                let $fields = KullbackLeibler;
                $call
            }
            Divergence::ItakuraSaito => {
                let $fields = ItakuraSaito;
                $call
            }
            Divergence::Beta(beta) => {
                let $fields = Beta(beta as f32);
                $call
            }
        }
    };
}

/// Turns Λ into P and Q of a block of rows, in place of storing it.
struct FieldSink<'a, S: Simd, const V: usize, F> {
    fields: F,
    v: &'a [[S::f32s; V]],
    p: &'a mut [[S::f32s; V]],
    q: &'a mut [[S::f32s; V]],
}

impl<S: Simd, const V: usize, F: Fields> ModelSink<S> for FieldSink<'_, S, V, F> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        let lambda = simd.max_f32s(lambda, simd.splat_f32s(MODEL_FLOOR as f32));
        let (p, q) = self.fields.fields(simd, self.v[row][vector], lambda);
        self.p[row][vector] = p;
        self.q[row][vector] = q;
    }
}

/// Updates one strip of gains.
struct GainsJob<'a, F> {
    fields: F,
    rule: &'a Rule,
    bins: usize,
    bases_rows: &'a [f32],
    bases_components: &'a [f32],
    /// Σ_f W, used where Q is 1.
    bases_sums: &'a [f32],
    v: &'a [f32],
    h: &'a mut [f32],
    components: usize,
    scratch: &'a mut GainsScratch,
}

/// A thread's work space: P, Q (BLOCK, STRIP) and N, D (padded K, STRIP).
struct GainsScratch {
    p: Vec<f32>,
    q: Vec<f32>,
    n: Vec<f32>,
    d: Vec<f32>,
}

impl<F: Fields> StripJob for GainsJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let GainsScratch { p, q, n, d } = self.scratch;
        n.fill(0.0);
        d.fill(0.0);
        let (v, h) = (rows::<S, V>(self.v), rows_mut::<S, V>(self.h));
        let (p, q) = (rows_mut::<S, V>(p), rows_mut::<S, V>(q));
        let (n, d) = (rows_mut::<S, V>(n), rows_mut::<S, V>(d));
        for start in (0..self.bins).step_by(BLOCK) {
            let block = start..self.bins.min(start + BLOCK);
            let bases = &self.bases_rows[block.start * self.components..block.end * self.components];
            let mut sink = FieldSink::<S, V, F> { fields: self.fields, v: &v[block.clone()], p, q };
            tile::model::<S, V, MR>(simd, bases, &h[..self.components], &mut sink);
            if F::UNIT_Q {
                tile::project::<S, V, MB, NB, false>(simd, self.bases_components, self.bins, block, p, q, n, d);
            } else {
                tile::project::<S, V, MB, NB, true>(simd, self.bases_components, self.bins, block, p, q, n, d);
            }
        }
        let (sparsity, floor) = (simd.splat_f32s(self.rule.sparsity as f32), simd.splat_f32s(self.rule.floor as f32));
        let smallest = simd.splat_f32s(DENOMINATOR_FLOOR as f32);
        for (component, h) in h[..self.components].iter_mut().enumerate() {
            for (vector, h) in h.iter_mut().enumerate() {
                let d = if F::UNIT_Q { simd.splat_f32s(self.bases_sums[component]) } else { d[component][vector] };
                let d = simd.max_f32s(simd.add_f32s(d, sparsity), smallest);
                let ratio = power(simd, simd.div_f32s(n[component][vector], d), self.rule.exponent as f32);
                *h = simd.mul_f32s(simd.max_f32s(*h, floor), ratio);
            }
        }
    }
}

/// x^γ
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::f32s, exponent: f32) -> S::f32s {
    if exponent == 1.0 {
        x
    } else if exponent == 0.5 {
        simd.sqrt_f32s(x)
    } else {
        tile::each(simd, x, |x| x.powf(exponent))
    }
}

/// Adds one strip's share to the sums N = P Hᵀ and D = Q Hᵀ of the bases.
struct BasesJob<'a, F> {
    fields: F,
    bins: usize,
    bases_rows: &'a [f32],
    v: &'a [f32],
    h: &'a [f32],
    components: usize,
    /// Hᵀ of the strip, (STRIP, padded K).
    transposed: &'a mut [f32],
    p: &'a mut [f32],
    q: &'a mut [f32],
    n: &'a mut [f32],
    d: &'a mut [f32],
}

impl<F: Fields> StripJob for BasesJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let width = self.transposed.len() / STRIP;
        for (component, gains) in self.h.chunks_exact(STRIP).take(self.components).enumerate() {
            for (column, &gain) in gains.iter().enumerate() {
                self.transposed[column * width + component] = gain;
            }
        }
        let gains: &[S::f32s] = bytemuck::cast_slice(self.transposed);
        let h = &rows::<S, V>(self.h)[..self.components];
        for start in (0..self.bins).step_by(BLOCK) {
            let block = start..self.bins.min(start + BLOCK);
            let bases = &self.bases_rows[block.start * self.components..block.end * self.components];
            let v = &rows::<S, V>(self.v)[block.clone()];
            let (p, q) = (rows_mut::<S, V>(self.p), rows_mut::<S, V>(self.q));
            tile::model::<S, V, MR>(simd, bases, h, &mut FieldSink::<S, V, F> { fields: self.fields, v, p, q });
            let (p, q) = (&self.p[..block.len() * STRIP], &self.q[..block.len() * STRIP]);
            let n: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut self.n[block.start * width..block.end * width]);
            if F::UNIT_Q {
                tile::correlate::<S, NW, false>(simd, p, q, gains, n, &mut []);
            } else {
                let d: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut self.d[block.start * width..block.end * width]);
                tile::correlate::<S, NW, true>(simd, p, q, gains, n, d);
            }
        }
    }
}

fn update_gains<F: Fields>(engine: &Cpu, fields: F, v: &CpuPanel, w: &Array2<f32>, h: &mut CpuPanel, rule: &Rule) {
    let shape = tile::shape();
    let (bins, components) = (padded(w.nrows()), w.ncols());
    let padded_components = padded(components);
    let bases_rows = tile::pack_rows(w.view(), bins, shape.rows);
    let bases_components = tile::pack_components(w.view(), bins, padded_components, shape.components);
    let bases_sums: Vec<f32> =
        w.columns().into_iter().map(|c| c.iter().map(|&w| f64::from(w)).sum::<f64>() as f32).collect();
    let scratch = || GainsScratch {
        p: vec![0.0; BLOCK * STRIP],
        q: vec![0.0; BLOCK * STRIP],
        n: vec![0.0; padded_components * STRIP],
        d: vec![0.0; padded_components * STRIP],
    };
    engine.install(|| {
        h.strips_mut().zip(v.strips()).for_each_init(scratch, |scratch, (h, v)| {
            tile::dispatch(GainsJob {
                fields,
                rule,
                bins,
                bases_rows: &bases_rows,
                bases_components: &bases_components,
                bases_sums: &bases_sums,
                v,
                h,
                components,
                scratch,
            });
        });
    });
}

fn update_bases<F: Fields>(engine: &Cpu, fields: F, v: &CpuPanel, w: &mut Array2<f32>, h: &CpuPanel, rule: &Rule) {
    let shape = tile::shape();
    let (bins, components) = (padded(w.nrows()), w.ncols());
    let width = components.next_multiple_of(shape.gains);
    let bases_rows = tile::pack_rows(w.view(), bins, shape.rows);
    let strips = v.strip_count();
    let parts = strips.div_ceil(PART_STRIPS).clamp(1, PARTS);
    let part = |part: usize| {
        let (mut n, mut d) = (vec![0.0; bins * width], vec![0.0; if F::UNIT_Q { 0 } else { bins * width }]);
        let (mut p, mut q) = (vec![0.0; BLOCK * STRIP], vec![0.0; BLOCK * STRIP]);
        let mut transposed = vec![0.0; STRIP * width];
        let mut gain_sums = vec![0.0f64; components];
        for strip in part * strips / parts..(part + 1) * strips / parts {
            let h = h.strip(strip);
            for (sum, gains) in gain_sums.iter_mut().zip(h.chunks_exact(STRIP)) {
                *sum += gains.iter().map(|&gain| f64::from(gain)).sum::<f64>();
            }
            tile::dispatch(BasesJob {
                fields,
                bins,
                bases_rows: &bases_rows,
                v: v.strip(strip),
                h,
                components,
                transposed: &mut transposed,
                p: &mut p,
                q: &mut q,
                n: &mut n,
                d: &mut d,
            });
        }
        (n, d, gain_sums)
    };
    engine.install(|| {
        let parts: Vec<_> = (0..parts).into_par_iter().map(part).collect();
        let rows = w.rows_mut().into_iter().collect::<Vec<_>>();
        rows.into_par_iter().enumerate().for_each(|(bin, mut row)| {
            for (component, w) in row.iter_mut().enumerate() {
                let at = bin * width + component;
                let n = parts.iter().map(|(n, _, _)| f64::from(n[at])).sum();
                let d =
                    parts.iter().map(|(_, d, sums)| if F::UNIT_Q { sums[component] } else { f64::from(d[at]) }).sum();
                *w = rule.apply(f64::from(*w), n, d) as f32;
            }
        });
    });
}

/// Keeps Λ of a block of rows.
struct StoreSink<'a, S: Simd, const V: usize>(&'a mut [[S::f32s; V]]);

impl<S: Simd, const V: usize> ModelSink<S> for StoreSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, _: S, row: usize, vector: usize, lambda: S::f32s) {
        self.0[row][vector] = lambda;
    }
}

/// Λ = W H of one strip, unfloored: `lambda` (padded F, STRIP). `bases_rows` as [`tile::pack_rows`] makes it; `h`: K rows.
pub(crate) struct ModelJob<'a> {
    pub(crate) bases_rows: &'a [f32],
    pub(crate) h: &'a [f32],
    pub(crate) lambda: &'a mut [f32],
}

impl StripJob for ModelJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        tile::model::<S, V, MR>(
            simd,
            self.bases_rows,
            rows::<S, V>(self.h),
            &mut StoreSink(rows_mut::<S, V>(self.lambda)),
        );
    }
}

impl Products for Cpu {
    fn update_gains(&self, v: &CpuPanel, w: &Array2<f32>, h: &mut CpuPanel, rule: &Rule) -> Result<()> {
        check_shapes((v.rows(), v.columns()), w.dim(), (h.rows(), h.columns()))?;
        with_fields!(rule.divergence, |fields| update_gains(self, fields, v, w, h, rule));
        Ok(())
    }

    fn update_bases(&self, v: &CpuPanel, w: &mut Array2<f32>, h: &CpuPanel, rule: &Rule) -> Result<()> {
        check_shapes((v.rows(), v.columns()), w.dim(), (h.rows(), h.columns()))?;
        with_fields!(rule.divergence, |fields| update_bases(self, fields, v, w, h, rule));
        Ok(())
    }

    fn try_gains(
        &self,
        _v: &CpuPanel,
        _w: &Array2<f32>,
        _trial: &CpuPanel,
        _next: &mut CpuPanel,
        _costs: &mut CpuPanel,
        _rule: &Rule,
    ) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }

    fn update_both(&self, _v: &CpuPanel, _w: &mut Array2<f32>, _h: &mut CpuPanel, _rule: &Rule) -> Result<()> {
        Err(crate::Error::input("not there yet"))
    }

    fn costs(&self, v: &CpuPanel, w: &Array2<f32>, h: &CpuPanel, divergence: Divergence) -> Result<Vec<f64>> {
        check_shapes((v.rows(), v.columns()), w.dim(), (h.rows(), h.columns()))?;
        let bins = padded(w.nrows());
        let bases_rows = tile::pack_rows(w.view(), bins, tile::shape().rows);
        let costs = |lambda: &mut Vec<f32>, (v, h): (&[f32], &[f32])| {
            tile::dispatch(ModelJob { bases_rows: &bases_rows, h: &h[..w.ncols() * STRIP], lambda });
            // The costs themselves are taken in f64: no cancellation near a perfect fit, no rounding in the sum.
            let mut sums = [0.0; STRIP];
            for (v, lambda) in v.chunks_exact(STRIP).zip(lambda.chunks_exact(STRIP)).take(w.nrows()) {
                for ((sum, &v), &lambda) in sums.iter_mut().zip(v).zip(lambda) {
                    *sum += divergence.cost(f64::from(v), f64::from(lambda).max(MODEL_FLOOR));
                }
            }
            sums
        };
        let sums: Vec<[f64; STRIP]> =
            self.install(|| v.strips().zip(h.strips()).map_init(|| vec![0.0; bins * STRIP], costs).collect());
        let mut sums = sums.concat();
        sums.truncate(v.columns());
        Ok(sums)
    }
}
