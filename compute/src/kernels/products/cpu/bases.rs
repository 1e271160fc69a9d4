//! Updates of bases: parts of the panel are summed in parallel, then added in order.

use std::ops::Range;

use ndarray::{Array2, Axis, s};
use pulp::Simd;
use rayon::prelude::*;

use super::super::Rule;
use super::fields::Fields;
use super::model::shape_of;
use super::strip::{FieldSink, VectorRule};
use crate::divergence::Divergence;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, ROW_BLOCK, STRIP, Scratch, Shelf, padded};

/// The most rows of P and Q kept at once.
pub(crate) const GROUP: usize = 64;
/// The most rows that a task sums. N and D of 128 components then take 128 KiB and stay in L2 beside P and Q.
pub(crate) const RANGE: usize = 136;
/// Strips per part. Each part costs 2K numbers per row, in memory and in the reduction.
const PART_STRIPS: usize = 16;
/// The number of parts in which a problem's columns are summed, if it has enough strips. It depends only on the
/// problem, so the order of a sum does not depend on the threads.
const PARTS: Range<usize> = 4..64;
/// Strips that are summed while a tile's sums stay in registers.
pub(crate) const SPAN: usize = 2;

/// Sums N = P Hᵀ and D = Q Hᵀ for a range of rows over some strips.
struct BasesJob<'a, F> {
    fields: F,
    /// The bases in this range of rows, see [`tile::pack_rows`].
    bases: &'a [f32],
    components: usize,
    range: Range<usize>,
    v: &'a CpuPanel,
    h: &'a CpuPanel,
    strips: Range<usize>,
    /// P and Q, (SPAN, group, STRIP).
    p: &'a mut [f32],
    q: &'a mut [f32],
    /// Hᵀ, (SPAN, slices, STRIP, components of a slice).
    transposed: &'a mut [f32],
    /// N and D, for each group (slices, group, components of a slice).
    n: &'a mut [f32],
    d: &'a mut [f32],
    /// Σ_n H, (components). Empty if not needed.
    sums: &'a mut [f64],
}

impl<F: Fields> StripJob for BasesJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { fields, bases, components, range, v, h, p, q, transposed, n, d, sums, .. } = self;
        let (width, strip_len) = (n.len() / range.len(), transposed.len() / SPAN);
        n.fill(0.0);
        d.fill(0.0);
        let mut strips = self.strips;
        while !strips.is_empty() {
            let span = strips.start..strips.end.min(strips.start + SPAN);
            strips.start = span.end;
            for (strip, transposed) in span.clone().zip(transposed.chunks_exact_mut(strip_len)) {
                let h = &h.strip(strip)[..components * STRIP];
                tile::transpose(h, NW * S::F32_LANES, transposed);
                add_gains::<S, V>(simd, h, sums);
            }
            let gains: &[S::f32s] = bytemuck::cast_slice(&transposed[..span.len() * strip_len]);
            for group in split(range.clone(), GROUP) {
                let at = group.start - range.start..group.end - range.start;
                let bases = &bases[at.start * components..at.end * components];
                let size = group.len() * STRIP;
                for (strip, (p, q)) in span.clone().zip(p.chunks_exact_mut(size).zip(q.chunks_exact_mut(size))) {
                    let mut costs = [simd.splat_f32s(0.0); V];
                    let (p, q) = (rows_mut::<S, V>(p), rows_mut::<S, V>(q));
                    let v = &rows::<S, V>(v.strip(strip))[group.clone()];
                    let mut sink = FieldSink::<S, V, false, F> { fields, v, p, q, rows: 0, costs: &mut costs };
                    tile::model::<S, V, MR>(simd, bases, &rows::<S, V>(h.strip(strip))[..components], &mut sink);
                    fields.finish(simd, p.as_flattened_mut(), q.as_flattened());
                }
                let (p, q) = (&p[..span.len() * size], &q[..span.len() * size]);
                let at = at.start * width..at.end * width;
                let n: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut n[at.clone()]);
                if F::UNIT_Q {
                    tile::correlate::<S, NW, false>(simd, group.len(), p, q, gains, gains, n, &mut []);
                } else {
                    let d: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut d[at]);
                    tile::correlate::<S, NW, true>(simd, group.len(), p, q, gains, gains, n, d);
                }
            }
        }
    }
}

/// Adds a strip's Σ_n H to the sums. The sum within the strip is in f32.
#[inline(always)]
pub(super) fn add_gains<S: Simd, const V: usize>(simd: S, h: &[f32], sums: &mut [f64]) {
    for (sum, h) in sums.iter_mut().zip(rows::<S, V>(h)) {
        let mut gains = simd.splat_f32s(0.0);
        for &h in h {
            gains = simd.add_f32s(gains, h);
        }
        *sum += f64::from(simd.reduce_sum_f32s(gains));
    }
}

/// W ← rule(W, Σ N, Σ D) for a group of rows. The parts are added in order.
struct ReduceJob<'a> {
    rule: &'a Rule,
    /// Whether Q is 1, so that D of every row is Σ_n H.
    unit: bool,
    /// Σ_n H, (components), if Q is 1 or the rule needs it.
    gains: Option<&'a [f32]>,
    /// The group's N and D of the first part. Each further part follows at a distance of `stride`.
    n: &'a [f32],
    d: &'a [f32],
    parts: usize,
    stride: usize,
    /// (slices, group, components of a slice)
    w: &'a mut [f32],
    group: usize,
}

impl StripJob for ReduceJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let rule = VectorRule::<S>::new(simd, self.rule);
        let gains: Option<&[[S::f32s; NW]]> = self.gains.map(|gains| bytemuck::cast_slice(gains).as_chunks().0);
        let end = (self.parts - 1) * self.stride + self.w.len();
        let (all_n, all_d) = (&self.n[..end], self.d.get(..end).unwrap_or_default());
        let (all_n, all_d): (&[S::f32s], &[S::f32s]) = (bytemuck::cast_slice(all_n), bytemuck::cast_slice(all_d));
        let stride = self.stride / S::F32_LANES;
        for (at, w) in bytemuck::cast_slice_mut::<f32, S::f32s>(self.w).iter_mut().enumerate() {
            let (mut n, mut d) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for part in 0..self.parts {
                n = simd.add_f32s(n, all_n[part * stride + at]);
                if !self.unit {
                    d = simd.add_f32s(d, all_d[part * stride + at]);
                }
            }
            let gains = gains.map_or(simd.splat_f32s(0.0), |gains| gains[at / (NW * self.group)][at % NW]);
            if self.unit {
                d = gains;
            }
            *w = rule.of_bases(simd, *w, n, d, gains);
        }
    }
}

/// The sums of a stack of bases: N, and D unless Q is 1, each (parts, bins, width), for each group (slices, group,
/// components of a slice).
pub(crate) struct Sums {
    n: Scratch,
    d: Scratch,
    /// Whether Q is 1.
    unit: bool,
    /// Σ_n H of every part, (parts, width), if Q is 1 or the rule needs it.
    gains: Vec<f64>,
    /// The matrix and the strips of every part.
    pub(crate) parts: Vec<(usize, Range<usize>)>,
    pub(crate) bins: usize,
    pub(crate) width: usize,
}

impl Sums {
    /// The sums for one matrix over the whole panel, or for one matrix per segment.
    pub(crate) fn new(shelf: &Shelf, w: &[Array2<f32>], v: &CpuPanel, unit: bool, rule: &Rule) -> Self {
        let problems: Vec<(usize, Range<usize>)> = match w.len() {
            1 => vec![(0, 0..v.strip_count())],
            _ => v.strips_of_segments().enumerate().collect(),
        };
        let parts_of = |(matrix, strips)| parts_of(strips).map(move |part| (matrix, part));
        let parts: Vec<_> = problems.into_iter().flat_map(parts_of).collect();
        let (rows, components) = shape_of(w);
        let (bins, width) = (padded(rows), components.next_multiple_of(tile::shape().gains));
        let len = parts.len() * bins * width;
        let of_gains = if unit || rule.basis_norm().is_some() { parts.len() * width } else { 0 };
        let d = shelf.take(if unit { 0 } else { len });
        Self { n: shelf.take(len), d, unit, gains: vec![0.0; of_gains], parts, bins, width }
    }

    /// N, D and Σ_n H of every part. Sums that are not needed are empty.
    pub(crate) fn of_parts(&mut self) -> impl Iterator<Item = (&mut [f32], &mut [f32], &mut [f64])> {
        let len = self.bins * self.width;
        let (of_d, of_gains) = (if self.unit { 0 } else { len }, if self.gains.is_empty() { 0 } else { self.width });
        let (mut d, mut gains): (&mut [f32], &mut [f64]) = (&mut self.d, &mut self.gains);
        self.n.chunks_exact_mut(len).map(move |n| {
            let d = d.split_off_mut(..of_d).unwrap_or_default();
            (n, d, gains.split_off_mut(..of_gains).unwrap_or_default())
        })
    }

    /// W ← rule(W, Σ N, Σ D) for every matrix, with its parts added in order.
    pub(super) fn apply(&self, shelf: &Shelf, rule: &Rule, w: &mut [Array2<f32>]) {
        w.par_iter_mut().enumerate().for_each(|(matrix, w)| {
            self.apply_parts(shelf, rule, w, self.parts_of_matrix(matrix));
        });
    }

    /// N and D of every matrix (rows, components), with its parts added in order.
    pub(crate) fn totals(
        &self,
        shelf: &Shelf,
        (rows, components): (usize, usize),
        matrices: usize,
    ) -> (CpuMatrix, CpuMatrix) {
        let of_matrix = |matrix: usize| {
            let parts = self.parts_of_matrix(matrix);
            let n = self.total(shelf, &self.n, parts.clone(), (rows, components));
            let d = match self.gains_of(&parts) {
                Some(gains) if self.unit => Array2::from_shape_fn((rows, components), |(_, k)| gains[k]),
                _ => self.total(shelf, &self.d, parts, (rows, components)),
            };
            (n, d)
        };
        let (n, d): (Vec<_>, Vec<_>) = (0..matrices).into_par_iter().map(of_matrix).unzip();
        (n.into(), d.into())
    }

    /// Adds N to every matrix, with its parts added in order.
    pub(crate) fn add_to(&self, shelf: &Shelf, matrices: &mut [Array2<f32>]) {
        matrices.par_iter_mut().enumerate().for_each(|(matrix, to)| {
            *to += &self.total(shelf, &self.n, self.parts_of_matrix(matrix), to.dim());
        });
    }

    fn parts_of_matrix(&self, matrix: usize) -> Range<usize> {
        self.parts.partition_point(|part| part.0 < matrix)..self.parts.partition_point(|part| part.0 <= matrix)
    }

    /// One of the sums, N or D, of some parts.
    fn total(&self, shelf: &Shelf, sums: &[f32], parts: Range<usize>, shape: (usize, usize)) -> Array2<f32> {
        let len = self.bins * self.width;
        let mut wide = shelf.zeros(len);
        for part in sums[parts.start * len..parts.end * len].chunks_exact(len) {
            wide.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let mut total = Array2::zeros(shape);
        for group in groups_of(0..self.bins) {
            narrow(&wide[group.start * self.width..group.end * self.width], &group, &mut total);
        }
        total
    }

    /// Σ_n H over some parts, (width), if it was summed.
    fn gains_of(&self, parts: &Range<usize>) -> Option<Vec<f32>> {
        let gains =
            self.gains.get(parts.start * self.width..parts.end * self.width).filter(|gains| !gains.is_empty())?;
        let of_component = |k: usize| gains[k..].iter().step_by(self.width).sum::<f64>() as f32;
        Some((0..self.width).map(of_component).collect())
    }

    fn apply_parts(&self, shelf: &Shelf, rule: &Rule, w: &mut Array2<f32>, parts: Range<usize>) {
        let (width, len) = (self.width, self.bins * self.width);
        let gains = self.gains_of(&parts);
        let mut updated = shelf.zeros(len);
        let mut rest: &mut [f32] = &mut updated;
        let mut groups = Vec::new();
        for group in groups_of(0..self.bins) {
            let wide = rest.split_off_mut(..group.len() * width).unwrap_or_default();
            groups.push((group, wide));
        }
        groups.par_iter_mut().for_each(|(group, wide)| {
            widen(w, group.clone(), wide);
            let from = parts.start * len + group.start * width;
            let (n, d) = (&self.n[from..], self.d.get(from..).unwrap_or_default());
            let (unit, gains, group) = (self.unit, gains.as_deref(), group.len());
            tile::dispatch(ReduceJob { rule, unit, gains, n, d, parts: parts.len(), stride: len, w: wide, group });
        });
        groups.into_iter().for_each(|(group, wide)| narrow(wide, &group, w));
    }
}

/// Divides strips into parts.
fn parts_of(strips: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let count = (strips.len() / PART_STRIPS).clamp(PARTS.start, PARTS.end).min(strips.len());
    let bound = move |part: usize| strips.start + part * strips.len() / count;
    (0..count).map(move |part| bound(part)..bound(part + 1))
}

/// Updates W.
pub(super) fn update<F: Fields>(engine: &Cpu, fields: F, v: &CpuPanel, w: &mut CpuMatrix, h: &CpuPanel, rule: &Rule) {
    engine.install(|| sum(engine, fields, v, w, h, rule).apply(engine.shelf(), rule, w));
}

/// N = P Hᵀ and D = Q Hᵀ of every matrix of W.
pub(crate) fn sums<F: Fields>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &CpuMatrix,
    h: &CpuPanel,
) -> (CpuMatrix, CpuMatrix) {
    // The sums depend on nothing else of the rule.
    let rule = Rule::of(Divergence::Euclidean);
    engine.install(|| sum(engine, fields, v, w, h, &rule).totals(engine.shelf(), shape_of(w), w.len()))
}

/// The sums of an update of bases, in parts.
fn sum<F: Fields>(engine: &Cpu, fields: F, v: &CpuPanel, w: &CpuMatrix, h: &CpuPanel, rule: &Rule) -> Sums {
    let (shelf, components) = (engine.shelf(), shape_of(w).1);
    let mut sums = Sums::new(shelf, w, v, F::UNIT_Q, rule);
    let (bins, width) = (sums.bins, sums.width);
    let bases = w.by_rows(shelf);
    let parts = sums.parts.clone();
    let mut tasks = Vec::new();
    for ((mut n, mut d, mut gains), (matrix, strips)) in sums.of_parts().zip(parts) {
        for range in split(0..bins, RANGE) {
            let size = range.len() * width;
            let n = n.split_off_mut(..size).unwrap_or_default();
            let d = d.split_off_mut(..size).unwrap_or_default();
            // The first range of a part also sums its gains.
            tasks.push((matrix, strips.clone(), range, n, d, std::mem::take(&mut gains)));
        }
    }
    let space = || {
        let fields = SPAN * GROUP * STRIP;
        (shelf.take(fields), shelf.take(fields), shelf.take(SPAN * STRIP * width))
    };
    tasks.into_par_iter().for_each_init(space, |(p, q, transposed), (matrix, strips, range, n, d, sums)| {
        let first = matrix * bins;
        let bases = &bases[(first + range.start) * components..(first + range.end) * components];
        tile::dispatch(BasesJob { fields, bases, components, range, v, h, strips, p, q, transposed, n, d, sums });
    });
    sums
}

/// Converts a group's rows of W to the layout of the sums from [`tile::correlate`]: (slices, group, components of a
/// slice).
fn widen(w: &Array2<f32>, group: Range<usize>, wide: &mut [f32]) {
    let width = tile::shape().gains;
    let rows = w.slice(s![group.start..group.end.min(w.nrows()), ..]);
    for (wide, slice) in wide.chunks_exact_mut(width * group.len()).zip(rows.axis_chunks_iter(Axis(1), width)) {
        for (wide, row) in wide.chunks_exact_mut(width).zip(slice.rows()) {
            wide.iter_mut().zip(row).for_each(|(wide, &w)| *wide = w);
        }
    }
}

/// Inverts [`widen`].
fn narrow(wide: &[f32], group: &Range<usize>, w: &mut Array2<f32>) {
    let (width, last) = (tile::shape().gains, group.end.min(w.nrows()));
    let mut rows = w.slice_mut(s![group.start..last, ..]);
    for (wide, mut slice) in wide.chunks_exact(width * group.len()).zip(rows.axis_chunks_iter_mut(Axis(1), width)) {
        for (wide, mut row) in wide.chunks_exact(width).zip(slice.rows_mut()) {
            row.iter_mut().zip(wide).for_each(|(w, &wide)| *w = wide);
        }
    }
}

/// The groups of all ranges, in order.
pub(crate) fn groups_of(bins: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    split(bins, RANGE).flat_map(|range| split(range, GROUP))
}

/// Cuts a range of whole row blocks into the fewest pieces of at most `most` rows, all of about the same size.
pub(crate) fn split(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (blocks, count) = (range.len() / ROW_BLOCK, range.len().div_ceil(most));
    let bound = move |piece: usize| range.start + piece * blocks / count * ROW_BLOCK;
    (0..count).map(move |piece| bound(piece)..bound(piece + 1))
}
