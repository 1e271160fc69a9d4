//! Gain priors on the CPU engine. An update of gains adds the priors to a strip's N and D while these are in L2, so
//! only the gains move to and from memory.

use std::ops::Range;

use ndarray::{Array1, Array2};
use pulp::Simd;
use rayon::prelude::*;

use super::{
    Density, GAIN_FLOOR, GainPrior, Gradient, Moments, Prior, check_density, check_priors, check_rows, check_sums,
};
use crate::Result;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Place, STRIP, Scratch, Shelf, math, padded};
use crate::kernels::products::{Rule, StoreSink, Terms, update_with};

/// Rows whose squares are summed separately.
const SUMMED: usize = 64;
/// Strips whose moments are summed in f32 before they are added to the f64 sums.
const RUN: usize = 8;
/// The most parts in which the columns of a panel are summed. The parts depend only on the number of columns, so the
/// order of the sums does too.
const PARTS: usize = 64;

/// A mixture in the kernels' layout.
struct Packed {
    dimensions: usize,
    components: usize,
    /// μ and 1/σ², see [`tile::pack_components`]: blocks of components, each row by row.
    means: Scratch,
    precisions: Scratch,
    /// 1/σ² and −μ/σ², see [`tile::pack_rows`]: blocks of rows, each component by component.
    precisions_by_rows: Scratch,
    pulls_by_rows: Scratch,
    /// See [`Density`]: one level per component, then zeros.
    levels: Scratch,
    highest: f32,
}

impl Packed {
    fn new(shelf: &Shelf, density: &Density<CpuMatrix>) -> Self {
        let (shape, dimensions, components) = (tile::shape(), density.dimensions, density.components);
        let by_components = |matrix: &CpuMatrix| {
            let mut packed = shelf.take(dimensions * components.next_multiple_of(shape.components));
            tile::pack_components(matrix[0].view(), dimensions, shape.components, &mut packed);
            packed
        };
        let by_rows = |matrix: &CpuMatrix| {
            let mut packed = shelf.take(padded(dimensions) * components);
            tile::pack_rows(matrix[0].view(), shape.rows, &mut packed);
            packed
        };
        let mut levels = shelf.zeros(padded(components));
        levels.iter_mut().zip(density.levels[0].row(0)).for_each(|(level, &value)| *level = value);
        Self {
            dimensions,
            components,
            means: by_components(&density.means),
            precisions: by_components(&density.precisions),
            precisions_by_rows: by_rows(&density.precisions),
            pulls_by_rows: by_rows(&density.pulls),
            levels,
            highest: density.levels[0][(1, 0)],
        }
    }

    /// The length of the scratch space for a strip's responsibilities.
    fn strip_len(&self) -> usize {
        padded(self.components) * STRIP
    }

    /// Computes r of a strip from x (K rows). Returns L.
    #[inline(always)]
    fn responsibilities<S: Simd, const V: usize, const MB: usize, const NB: usize>(
        &self,
        simd: S,
        x: &[[S::f32s; V]],
        r: &mut [[S::f32s; V]],
    ) -> [S::f32s; V] {
        let block = self.dimensions * MB;
        for (first, (means, precisions)) in
            self.means.chunks_exact(block).zip(self.precisions.chunks_exact(block)).enumerate()
        {
            let (means, precisions) = (means.as_chunks::<MB>().0, precisions.as_chunks::<MB>().0);
            for vector in (0..V).step_by(NB) {
                let mut sum = [[simd.splat_f32s(0.0); NB]; MB];
                for ((x, means), precisions) in x.iter().zip(means).zip(precisions) {
                    for i in 0..MB {
                        let (mean, precision) = (simd.splat_f32s(means[i]), simd.splat_f32s(precisions[i]));
                        for j in 0..NB {
                            // x² − 2xμ + μ² would subtract nearly equal numbers near a mean of −10.
                            let away = simd.sub_f32s(x[vector + j], mean);
                            sum[i][j] = tile::multiply_add(simd, simd.mul_f32s(away, precision), away, sum[i][j]);
                        }
                    }
                }
                for i in 0..MB {
                    let level = simd.splat_f32s(self.levels[first * MB + i]);
                    for j in 0..NB {
                        r[first * MB + i][vector + j] =
                            tile::multiply_add(simd, sum[i][j], simd.splat_f32s(-0.5), level);
                    }
                }
            }
        }
        let r = &mut r[..self.components];
        let mut likelihoods = [simd.splat_f32s(0.0); V];
        for i in 0..V {
            let mut most = r[0][i];
            for r in &*r {
                most = simd.max_f32s(most, r[i]);
            }
            let mut sum = simd.splat_f32s(0.0);
            for r in &mut *r {
                r[i] = math::exp(simd, simd.sub_f32s(r[i], most));
                sum = simd.add_f32s(sum, r[i]);
            }
            let share = simd.div_f32s(simd.splat_f32s(1.0), sum);
            for r in &mut *r {
                r[i] = simd.mul_f32s(r[i], share);
            }
            let likelihood = simd.add_f32s(most, math::ln(simd, sum));
            likelihoods[i] = simd.add_f32s(likelihood, simd.splat_f32s(self.highest));
        }
        likelihoods
    }
}

/// Computes x of gains. Returns 1/n and the smallest g'.
#[inline(always)]
fn log_normalize<S: Simd, const V: usize>(
    simd: S,
    gains: &[[S::f32s; V]],
    x: &mut [[S::f32s; V]],
    floor: f32,
) -> ([S::f32s; V], [S::f32s; V]) {
    let (zero, one, least) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0), simd.splat_f32s(GAIN_FLOOR as f32));
    let mut squares = [zero; V];
    for gains in gains.chunks(SUMMED) {
        let mut some = [zero; V];
        for gains in gains {
            for i in 0..V {
                let gain = simd.max_f32s(gains[i], least);
                some[i] = tile::multiply_add(simd, gain, gain, some[i]);
            }
        }
        for i in 0..V {
            squares[i] = simd.add_f32s(squares[i], some[i]);
        }
    }
    let (mut shares, mut leasts) = ([one; V], [least; V]);
    for i in 0..V {
        let norm = simd.sqrt_f32s(squares[i]);
        shares[i] = simd.div_f32s(one, norm);
        leasts[i] = simd.max_f32s(least, simd.mul_f32s(norm, simd.splat_f32s(floor)));
    }
    for (gains, x) in gains.iter().zip(x) {
        for i in 0..V {
            x[i] = math::ln(simd, simd.mul_f32s(simd.max_f32s(gains[i], leasts[i]), shares[i]));
        }
    }
    (shares, leasts)
}

/// A prior in the layout of an update of gains.
struct PackedPrior<'a> {
    mixture: Packed,
    prior: &'a Prior<CpuMatrix>,
}

/// A thread's scratch space: x, a and Σ_c r/σ² (padded K, STRIP), and r (padded C, STRIP).
struct Space {
    x: Scratch,
    a: Scratch,
    b: Scratch,
    r: Scratch,
}

/// The priors, and their weights α (priors, N).
struct Priors<'a> {
    priors: Vec<PackedPrior<'a>>,
    weights: &'a CpuPanel,
}

impl<'a> Priors<'a> {
    fn new(shelf: &Shelf, priors: &'a [Prior<CpuMatrix>], weights: &'a CpuPanel) -> Self {
        let pack = |prior: &'a Prior<CpuMatrix>| PackedPrior { mixture: Packed::new(shelf, &prior.density), prior };
        Self { priors: priors.iter().map(pack).collect(), weights }
    }
}

impl Terms for Priors<'_> {
    const ANY: bool = true;
    type Space = Space;

    fn space(&self, shelf: &Shelf) -> Space {
        let rows = self.priors.iter().map(|one| padded(one.mixture.dimensions) * STRIP).max().unwrap_or_default();
        let r = self.priors.iter().map(|one| one.mixture.strip_len()).max().unwrap_or_default();
        Space { x: shelf.take(rows), a: shelf.take(rows), b: shelf.take(rows), r: shelf.take(r) }
    }

    fn add(&self, space: &mut Space, index: usize, h: &mut [f32], n: &mut [f32], d: &mut [f32]) {
        tile::dispatch(AddJob { priors: self, space, index, h, n, d });
    }
}

/// Adds the priors to a strip's N and D.
struct AddJob<'a> {
    priors: &'a Priors<'a>,
    space: &'a mut Space,
    index: usize,
    h: &'a mut [f32],
    n: &'a mut [f32],
    d: &'a mut [f32],
}

impl StripJob for AddJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { priors, space, index, h, n, d } = self;
        let zero = simd.splat_f32s(0.0);
        let (strip, one) = (priors.weights.strip(index), simd.splat_f32s(1.0));
        for ((PackedPrior { mixture, prior }, of_strip), weights) in
            priors.priors.iter().zip(strip.chunks_exact(STRIP)).zip(rows::<S, V>(strip))
        {
            if of_strip.iter().all(|&weight| weight == 0.0) {
                continue;
            }
            let at = |panel| &mut rows_mut::<S, V>(panel)[prior.rows.clone()];
            let (gains, n, d) = (at(&mut *h), at(&mut *n), at(&mut *d));
            let (x, r) = (rows_mut::<S, V>(&mut space.x), rows_mut::<S, V>(&mut space.r));
            let (a, b) = (rows_mut::<S, V>(&mut space.a), rows_mut::<S, V>(&mut space.b));
            let x = &mut x[..mixture.dimensions];
            let (shares, leasts) = log_normalize(simd, gains, x, prior.floor as f32);
            mixture.responsibilities::<S, V, MB, NB>(simd, x, r);
            let r = &r[..mixture.components];
            tile::model::<S, V, MR>(simd, &mixture.pulls_by_rows, r, &mut StoreSink(a));
            tile::model::<S, V, MR>(simd, &mixture.precisions_by_rows, r, &mut StoreSink(b));
            let mut sums = [[zero; V]; 2];
            for ((x, a), b) in x.iter().zip(&*a).zip(&mut *b) {
                for i in 0..V {
                    b[i] = simd.mul_f32s(tile::negate(simd, x[i]), b[i]);
                    sums[0][i] = simd.add_f32s(sums[0][i], a[i]);
                    sums[1][i] = simd.add_f32s(sums[1][i], b[i]);
                }
            }
            for ((((gains, a), b), n), d) in gains.iter_mut().zip(&*a).zip(&*b).zip(n).zip(d) {
                for i in 0..V {
                    let gain = simd.max_f32s(gains[i], leasts[i]);
                    let inverse = simd.div_f32s(one, gain);
                    let share = simd.mul_f32s(simd.mul_f32s(gain, shares[i]), shares[i]);
                    let (all_a, all_b) = match prior.gradient {
                        Gradient::Exact => (sums[0][i], sums[1][i]),
                        Gradient::Paper => (a[i], b[i]),
                    };
                    let up = tile::multiply_add(simd, share, all_a, simd.mul_f32s(b[i], inverse));
                    let down = tile::multiply_add(simd, share, all_b, simd.mul_f32s(a[i], inverse));
                    n[i] = tile::multiply_add(simd, weights[i], up, n[i]);
                    d[i] = tile::multiply_add(simd, weights[i], down, d[i]);
                    gains[i] = simd.select_f32s(simd.greater_than_f32s(weights[i], zero), gain, gains[i]);
                }
            }
        }
    }
}

/// Computes x of a strip.
struct NormalizeJob<'a> {
    gains: &'a [f32],
    x: &'a mut [f32],
    floor: f32,
}

impl StripJob for NormalizeJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        log_normalize::<S, V>(simd, rows::<S, V>(self.gains), rows_mut::<S, V>(self.x), self.floor);
    }
}

/// Computes r and L (STRIP) of a strip.
struct WeighJob<'a> {
    mixture: &'a Packed,
    x: &'a [f32],
    r: &'a mut [f32],
    likelihoods: &'a mut [f32],
}

impl StripJob for WeighJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let x = &rows::<S, V>(self.x)[..self.mixture.dimensions];
        rows_mut::<S, V>(self.likelihoods)[0] =
            self.mixture.responsibilities::<S, V, MB, NB>(simd, x, rows_mut::<S, V>(self.r));
    }
}

/// Sums over strips: Σ L, Σ r (C), and Σ r (x − μ) and Σ r (x − μ)² (C, K).
struct Sums {
    log_likelihood: f64,
    counts: Array1<f64>,
    firsts: Array2<f64>,
    seconds: Array2<f64>,
}

/// Adds a run of strips to the sums, from their r (strips, padded C, STRIP).
struct SumJob<'a> {
    mixture: &'a Packed,
    /// μ (K, C).
    means: &'a Array2<f32>,
    x: &'a [f32],
    r: &'a [f32],
    sums: &'a mut Sums,
}

impl StripJob for SumJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (height, width) = (padded(self.mixture.dimensions), padded(self.mixture.components));
        let (x, r) = (rows::<S, V>(self.x), rows::<S, V>(self.r));
        let zero = simd.splat_f32s(0.0);
        for component in 0..self.mixture.components {
            let mut count = zero;
            // Sums within a strip, then over the strips: with one sum over all columns, equal columns would add up their
            // rounding errors.
            for r in r.chunks_exact(width) {
                let mut some = zero;
                for &r in &r[component] {
                    some = simd.add_f32s(some, r);
                }
                count = simd.add_f32s(count, some);
            }
            self.sums.counts[component] += f64::from(simd.reduce_sum_f32s(count));
            for row in 0..self.mixture.dimensions {
                let mean = simd.splat_f32s(self.means[(row, component)]);
                let (mut first, mut second) = (zero, zero);
                for (x, r) in x.chunks_exact(height).zip(r.chunks_exact(width)) {
                    let (mut some_first, mut some_second) = (zero, zero);
                    for i in 0..V {
                        let away = simd.sub_f32s(x[row][i], mean);
                        let part = simd.mul_f32s(r[component][i], away);
                        some_first = simd.add_f32s(some_first, part);
                        some_second = tile::multiply_add(simd, part, away, some_second);
                    }
                    first = simd.add_f32s(first, some_first);
                    second = simd.add_f32s(second, some_second);
                }
                self.sums.firsts[(component, row)] += f64::from(simd.reduce_sum_f32s(first));
                self.sums.seconds[(component, row)] += f64::from(simd.reduce_sum_f32s(second));
            }
        }
    }
}

/// The sums over a part of a panel's strips.
fn sum_part(
    mixture: &Packed,
    means: &Array2<f32>,
    x: &CpuPanel,
    strips: Range<usize>,
    places: &[Place],
    shelf: &Shelf,
) -> Sums {
    let shape = (mixture.components, mixture.dimensions);
    let mut sums = Sums {
        log_likelihood: 0.0,
        counts: Array1::zeros(shape.0),
        firsts: Array2::zeros(shape),
        seconds: Array2::zeros(shape),
    };
    let (len, x_len) = (mixture.strip_len(), x.strip_len());
    let mut r = shelf.take(RUN * len);
    let mut likelihoods = shelf.take(STRIP);
    for first in strips.clone().step_by(RUN) {
        let run = first..strips.end.min(first + RUN);
        for (strip, r) in run.clone().zip(r.chunks_exact_mut(len)) {
            let likelihoods = &mut likelihoods[..STRIP];
            tile::dispatch(WeighJob { mixture, x: x.strip(strip), r, likelihoods });
            let columns = places[strip].columns;
            tile::clear_after(columns, r);
            sums.log_likelihood += likelihoods[..columns].iter().map(|&likelihood| f64::from(likelihood)).sum::<f64>();
        }
        let x = &x.values()[run.start * x_len..run.end * x_len];
        tile::dispatch(SumJob { mixture, means, x, r: &r[..run.len() * len], sums: &mut sums });
    }
    sums
}

impl GainPrior for Cpu {
    fn log_normalized(&self, h: &CpuPanel, rows: Range<usize>, floor: f64) -> Result<CpuPanel> {
        check_rows(&rows, floor, h.rows())?;
        let mut x = CpuPanel::zeros(self.shelf(), rows.len(), h.segments().to_vec());
        let len = rows.len() * STRIP;
        self.install(|| {
            x.strips_mut().zip(h.strips()).for_each(|(x, h)| {
                let gains = &h[rows.start * STRIP..rows.end * STRIP];
                tile::dispatch(NormalizeJob { gains, x: &mut x[..len], floor: floor as f32 });
            });
        });
        Ok(x)
    }

    fn responsibilities(&self, x: &CpuPanel, density: &Density<CpuMatrix>) -> Result<(CpuPanel, CpuPanel)> {
        check_density(x.rows(), density)?;
        let mixture = Packed::new(self.shelf(), density);
        let panel = |rows| CpuPanel::zeros(self.shelf(), rows, x.segments().to_vec());
        let (mut r, mut likelihoods) = (panel(density.components), panel(1));
        self.install(|| {
            r.strips_mut().zip(likelihoods.strips_mut()).zip(x.strips()).for_each(|((r, likelihoods), x)| {
                tile::dispatch(WeighJob { mixture: &mixture, x, r, likelihoods: &mut likelihoods[..STRIP] });
            });
        });
        Ok((r, likelihoods))
    }

    fn moments(&self, x: &CpuPanel, density: &Density<CpuMatrix>) -> Result<Moments> {
        check_density(x.rows(), density)?;
        let mixture = Packed::new(self.shelf(), density);
        let (places, strips) = (x.places(), x.strip_count());
        let each = strips.div_ceil(PARTS).next_multiple_of(RUN);
        let parts: Vec<Range<usize>> = (0..strips).step_by(each).map(|first| first..strips.min(first + each)).collect();
        let sum = |part: Range<usize>| sum_part(&mixture, &density.means[0], x, part, &places, self.shelf());
        let parts: Vec<Sums> = self.install(|| parts.into_par_iter().map(sum).collect());
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else {
            return Err(crate::Error::input("moments need at least one column"));
        };
        for part in parts {
            all.log_likelihood += part.log_likelihood;
            all.counts += &part.counts;
            all.firsts += &part.firsts;
            all.seconds += &part.seconds;
        }
        Ok(Moments::around(density, all.log_likelihood, all.counts, &all.firsts, &all.seconds))
    }

    fn add_priors(
        &self,
        h: &mut CpuPanel,
        priors: &[Prior<CpuMatrix>],
        weights: &CpuPanel,
        n: &mut CpuPanel,
        d: &mut CpuPanel,
    ) -> Result<()> {
        check_priors(priors, h.extent(), weights.extent())?;
        check_sums(h.extent(), n.extent(), d.extent())?;
        let priors = Priors::new(self.shelf(), priors, weights);
        self.install(|| {
            let strips = h.strips_mut().zip(n.strips_mut().zip(d.strips_mut())).enumerate();
            strips.for_each_init(
                || priors.space(self.shelf()),
                |space, (index, (h, (n, d)))| priors.add(space, index, h, n, d),
            );
        });
        Ok(())
    }

    fn update_gains_under(
        &self,
        v: &CpuPanel,
        w: &CpuMatrix,
        h: &mut CpuPanel,
        rule: &Rule,
        priors: &[Prior<CpuMatrix>],
        weights: &CpuPanel,
    ) -> Result<()> {
        check_priors(priors, h.extent(), weights.extent())?;
        update_with(self, v, w, h, rule, &Priors::new(self.shelf(), priors, weights))
    }
}
