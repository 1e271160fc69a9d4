//! Shifted factors on the native engine. Nothing is copied for a lag: a factor lies in rows with the zeros that shifts bring in
//! before them, and a shift is where a row is read from.
//!
//! The problem is its own mirror image, Λᵀ with W and H in each other's place. So there is one way to N and D, of a factor that
//! moves while the other is fixed, and updates of bases go it with Vᵀ. Λ and N are one product too, with other offsets.

use std::ops::Range;

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::{Edges, Lags, ShiftRule, Shifts, check_edges, check_factors, check_mask, check_shapes};
use crate::Result;
use crate::divergence::{Divergence, MODEL_FLOOR};
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, CpuPanel, STRIP, Scratch, Shelf};
use crate::kernels::glue::{Mask, Norm, ShareJob};
use crate::kernels::products::{Fields, Rule, VectorRule, fields, shape_of, with_fields};

/// Rows are of a multiple of so many numbers: whole vectors of every instruction set, and cache lines.
const WIDTH: usize = 16;
/// Rows of Λ that a task forms; their costs are summed by themselves.
const ROWS: usize = 24;
/// Rows of P and Q whose share of N and D is summed by itself: in f32 one sum of a hundred thousand numbers loses digits.
const BLOCK: usize = 64;
/// The tallest register tile.
const TALLEST: usize = 8;

fn padded(numbers: usize) -> usize {
    numbers.next_multiple_of(WIDTH)
}

/// One of the factors of a segment: for each of its copies (T or Φ) and each component a row of numbers (F or N).
struct Factor {
    copies: usize,
    components: usize,
    len: usize,
    /// Zeros before each row, as many as the other factor's copies can shift it.
    lead: usize,
    pitch: usize,
    values: Scratch,
}

impl Factor {
    fn zeros(shelf: &Shelf, copies: usize, components: usize, len: usize, shifts: usize) -> Self {
        let lead = shifts - 1;
        let pitch = padded(lead + padded(len));
        Self { copies, components, len, lead, pitch, values: shelf.zeros(copies * components * pitch) }
    }

    /// From T matrices F x D.
    fn of_bases(shelf: &Shelf, bases: &[Array2<f32>], lags: Lags) -> Self {
        let (rows, components) = shape_of(bases);
        let mut factor = Self::zeros(shelf, lags.time, components, rows, lags.pitch);
        for (copy, basis) in bases.iter().enumerate() {
            for (component, column) in basis.columns().into_iter().enumerate() {
                factor.row_mut(copy, component).iter_mut().zip(column).for_each(|(to, &w)| *to = w);
            }
        }
        factor
    }

    fn write_bases(&self, bases: &mut [Array2<f32>]) {
        for (copy, basis) in bases.iter_mut().enumerate() {
            for (component, column) in basis.columns_mut().into_iter().enumerate() {
                column.into_iter().zip(self.row(copy, component)).for_each(|(w, &from)| *w = from);
            }
        }
    }

    /// From the strips of a segment of gains.
    fn of_gains(shelf: &Shelf, strips: &[f32], components: usize, columns: usize, lags: Lags) -> Self {
        let mut factor = Self::zeros(shelf, lags.pitch, components, columns, lags.time);
        let strip_len = strips.len() / columns.div_ceil(STRIP);
        for row in 0..lags.pitch * components {
            let to = factor.row_mut(row / components, row % components);
            for (to, strip) in to.chunks_mut(STRIP).zip(strips.chunks_exact(strip_len)) {
                to.copy_from_slice(&strip[row * STRIP..][..to.len()]);
            }
        }
        factor
    }

    fn write_gains(&self, strips: &mut [f32]) {
        let strip_len = strips.len() / self.len.div_ceil(STRIP);
        for row in 0..self.copies * self.components {
            let from = self.row(row / self.components, row % self.components);
            for (from, strip) in from.chunks(STRIP).zip(strips.chunks_exact_mut(strip_len)) {
                strip[row * STRIP..][..from.len()].copy_from_slice(from);
            }
        }
    }

    /// Where a row begins, after its zeros.
    fn at(&self, copy: usize, component: usize) -> usize {
        (copy * self.components + component) * self.pitch + self.lead
    }

    fn row(&self, copy: usize, component: usize) -> &[f32] {
        &self.values[self.at(copy, component)..][..self.len]
    }

    fn row_mut(&mut self, copy: usize, component: usize) -> &mut [f32] {
        let (at, len) = (self.at(copy, component), self.len);
        &mut self.values[at..at + len]
    }
}

/// V of a segment, or its transpose, in rows.
struct Data {
    pitch: usize,
    values: Scratch,
}

impl Data {
    fn rows(shelf: &Shelf, v: &CpuPanel, strips: Range<usize>, columns: usize) -> Self {
        let pitch = padded(columns);
        let mut values = shelf.take(v.rows() * pitch);
        for (row, to) in values.chunks_exact_mut(pitch).enumerate() {
            for (to, strip) in to[..columns].chunks_mut(STRIP).zip(strips.clone()) {
                to.copy_from_slice(&v.strip(strip)[row * STRIP..][..to.len()]);
            }
        }
        Self { pitch, values }
    }

    fn columns(shelf: &Shelf, v: &CpuPanel, strips: Range<usize>, columns: usize) -> Self {
        let pitch = padded(v.rows());
        let mut values = shelf.take(columns * pitch);
        for (to, strip) in values.chunks_mut(STRIP * pitch).zip(strips) {
            let rows = v.strip(strip).as_chunks::<STRIP>().0;
            for (column, to) in to.chunks_exact_mut(pitch).enumerate() {
                to.iter_mut().zip(&rows[..v.rows()]).for_each(|(to, row)| *to = row[column]);
            }
        }
        Self { pitch, values }
    }
}

/// A term of a sum: where its factors are.
#[derive(Clone, Copy)]
struct Step {
    a: usize,
    b: usize,
}

/// C_mn = Σ a[step.a + m] b[step.b + n] over all steps, in their order: m < `rows`, n < `columns`, which are whole [`WIDTH`]s.
struct ProductJob<'a> {
    a: &'a [f32],
    b: &'a [f32],
    steps: &'a [Step],
    rows: usize,
    columns: usize,
    /// C, in rows of `pitch`.
    sums: &'a mut [f32],
    pitch: usize,
    /// Whether C is added to what is there.
    add: bool,
}

impl StripJob for ProductJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(
        mut self,
        simd: S,
    ) {
        // With the vectors of a step, and what is multiplied with them, the sums fill the registers.
        let (widest, sums) = if const { S::REGISTER_COUNT >= 32 } { (4, 24) } else { (2, 12) };
        for vectors in even(self.columns / S::F32_LANES, widest) {
            let (first, width) = (vectors.start * S::F32_LANES, vectors.len());
            for rows in even(self.rows, TALLEST.min(sums / width)) {
                match width {
                    1 => self.tall::<S, 1>(simd, rows, first),
                    2 => self.tall::<S, 2>(simd, rows, first),
                    3 => self.tall::<S, 3>(simd, rows, first),
                    _ => self.tall::<S, 4>(simd, rows, first),
                }
            }
        }
    }
}

impl ProductJob<'_> {
    #[inline(always)]
    fn tall<S: Simd, const NV: usize>(&mut self, simd: S, rows: Range<usize>, first: usize) {
        match rows.len() {
            1 => self.tile::<S, NV, 1>(simd, rows.start, first),
            2 => self.tile::<S, NV, 2>(simd, rows.start, first),
            3 => self.tile::<S, NV, 3>(simd, rows.start, first),
            4 => self.tile::<S, NV, 4>(simd, rows.start, first),
            5 => self.tile::<S, NV, 5>(simd, rows.start, first),
            6 => self.tile::<S, NV, 6>(simd, rows.start, first),
            7 => self.tile::<S, NV, 7>(simd, rows.start, first),
            _ => self.tile::<S, NV, TALLEST>(simd, rows.start, first),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const NV: usize, const M: usize>(&mut self, simd: S, row: usize, first: usize) {
        let (a, b) = (&self.a[row..], &self.b[first..]);
        let mut sums = [[simd.splat_f32s(0.0); NV]; M];
        for step in self.steps {
            let a: &[f32; M] = &a[step.a..step.a + M].as_chunks().0[0];
            let b: [S::f32s; NV] = load::<S, NV>(&b[step.b..step.b + NV * S::F32_LANES]);
            for (sums, &a) in sums.iter_mut().zip(a) {
                let a = simd.splat_f32s(a);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = tile::multiply_add(simd, a, b, *sum);
                }
            }
        }
        for (sums, to) in sums.into_iter().zip(self.sums[row * self.pitch..].chunks_mut(self.pitch)) {
            let to = &mut to[first..first + NV * S::F32_LANES];
            let before = load::<S, NV>(to);
            for ((sum, before), to) in sums.into_iter().zip(before).zip(to.chunks_exact_mut(S::F32_LANES)) {
                store::<S>(to, if self.add { simd.add_f32s(before, sum) } else { sum });
            }
        }
    }
}

/// Vectors from wherever they begin.
#[inline(always)]
fn load<S: Simd, const NV: usize>(numbers: &[f32]) -> [S::f32s; NV] {
    let vector = |v: usize| &numbers[v * S::F32_LANES..(v + 1) * S::F32_LANES];
    std::array::from_fn(|v| bytemuck::pod_read_unaligned(bytemuck::cast_slice(vector(v))))
}

#[inline(always)]
fn store<S: Simd>(to: &mut [f32], vector: S::f32s) {
    to.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&vector)));
}

/// A number of things in as few ranges of at most `most` as there can be, all of about the same size.
fn even(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let ranges = count.div_ceil(most);
    (0..ranges).map(move |range| range * count / ranges..(range + 1) * count / ranges)
}

/// Λ of two factors, unfloored: a_s has the lag t of the other's copies, b_t the lag s.
struct Model<'a> {
    a: &'a Factor,
    b: &'a Factor,
    steps: Vec<Step>,
}

impl<'a> Model<'a> {
    fn new(a: &'a Factor, b: &'a Factor, components: Range<usize>) -> Self {
        let mut steps = Vec::with_capacity(a.copies * b.copies * components.len());
        for (s, t) in (0..a.copies).flat_map(|s| (0..b.copies).map(move |t| (s, t))) {
            steps.extend(components.clone().map(|d| Step { a: a.at(s, d) - t, b: b.at(t, d) - s }));
        }
        Self { a, b, steps }
    }

    /// The rows from `first` on that fill `lambda`, rows of `pitch`.
    fn form(&self, first: usize, lambda: &mut [f32], pitch: usize) {
        tile::dispatch(ProductJob {
            a: &self.a.values[first..],
            b: &self.b.values,
            steps: &self.steps,
            rows: lambda.len() / pitch,
            columns: padded(self.b.len),
            sums: lambda,
            pitch,
            add: false,
        });
    }
}

/// P, in the place of Λ, and Q of some rows; zeros after the last column.
struct FieldsJob<'a, F> {
    fields: F,
    v: &'a [f32],
    v_pitch: usize,
    columns: usize,
    p: &'a mut [f32],
    q: &'a mut [f32],
    pitch: usize,
}

impl<F: Fields> StripJob for FieldsJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let floor = simd.splat_f32s(MODEL_FLOOR as f32);
        let fields = self.p.chunks_exact_mut(self.pitch).zip(self.q.chunks_exact_mut(self.pitch));
        for ((p_row, q_row), v) in fields.zip(self.v.chunks_exact(self.v_pitch)) {
            let (p, q): (&mut [S::f32s], &mut [S::f32s]) =
                (bytemuck::cast_slice_mut(&mut *p_row), bytemuck::cast_slice_mut(&mut *q_row));
            let v: &[S::f32s] = bytemuck::cast_slice(v);
            for ((p, q), &v) in p.iter_mut().zip(q).zip(v) {
                let (of_p, of_q) = self.fields.fields(simd, v, simd.max_f32s(*p, floor));
                *p = of_p;
                if !F::UNIT_Q {
                    *q = of_q;
                }
            }
            p_row[self.columns..].fill(0.0);
            if !F::UNIT_Q {
                q_row[self.columns..].fill(0.0);
            }
        }
    }
}

/// Σ d(v|λ) of every column over some rows.
struct CostJob<'a, F> {
    fields: F,
    v: &'a [f32],
    lambda: &'a [f32],
    costs: &'a mut [f32],
}

impl<F: Fields> StripJob for CostJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (floor, pitch) = (simd.splat_f32s(MODEL_FLOOR as f32), self.costs.len());
        let costs: &mut [S::f32s] = bytemuck::cast_slice_mut(self.costs);
        costs.fill(simd.splat_f32s(0.0));
        for (v, lambda) in self.v.chunks_exact(pitch).zip(self.lambda.chunks_exact(pitch)) {
            let (v, lambda): (&[S::f32s], &[S::f32s]) = (bytemuck::cast_slice(v), bytemuck::cast_slice(lambda));
            for ((cost, &v), &lambda) in costs.iter_mut().zip(v).zip(lambda) {
                *cost = simd.add_f32s(*cost, self.fields.cost(simd, v, simd.max_f32s(lambda, floor)));
            }
        }
    }
}

/// N and D of one factor: for each component and each of its copies, the last first, a row of numbers.
struct Sums {
    pitch: usize,
    n: Scratch,
    d: Scratch,
}

impl Sums {
    /// Of `b` with `a` fixed; `data` in rows along `b`.
    fn of<F: Fields>(shelf: &Shelf, fields: F, data: &Data, a: &Factor, b: &Factor, edges: Edges) -> Self {
        let pitch = padded(b.len);
        // A field is read at all lags of a, zeros after its last column.
        let field_pitch = padded(pitch + a.copies - 1);
        let (mut p, mut q) = (shelf.take(a.len * field_pitch), shelf.take(a.len * field_pitch));
        let model = Model::new(a, b, 0..a.components);
        let blocks = p.par_chunks_mut(ROWS * field_pitch).zip(q.par_chunks_mut(ROWS * field_pitch));
        blocks.zip(data.values.par_chunks(ROWS * data.pitch)).enumerate().for_each(|(block, ((p, q), v))| {
            model.form(block * ROWS, p, field_pitch);
            let (v_pitch, columns) = (data.pitch, b.len);
            tile::dispatch(FieldsJob { fields, v, v_pitch, columns, p, q, pitch: field_pitch });
        });
        let len = b.copies * pitch;
        let (mut n, mut d) = (shelf.take(b.components * len), shelf.take(b.components * len));
        let mut steps = Vec::with_capacity(BLOCK * a.copies);
        for row in 0..BLOCK.min(a.len) {
            steps.extend((0..a.copies).map(|s| Step { a: s * a.components * a.pitch + row, b: row * field_pitch + s }));
        }
        let height = b.copies.div_ceil(b.copies.div_ceil(TALLEST));
        let of_components = n.par_chunks_mut(len).zip(d.par_chunks_mut(len)).enumerate();
        of_components.for_each(|(component, (n, d))| {
            if F::UNIT_Q {
                plain_sums(a, b, component, edges, d, pitch);
            }
            let of_copies = n.par_chunks_mut(height * pitch).zip(d.par_chunks_mut(height * pitch)).enumerate();
            of_copies.for_each(|(chunk, (n, d))| {
                let add = |field: &[f32], sums: &mut [f32], first: usize| {
                    let rows = BLOCK.min(a.len - first);
                    tile::dispatch(ProductJob {
                        // Copy t reads a from t before its row: the last copy first, and rows of N go up with what they read.
                        a: &a.values[component * a.pitch + first + chunk * height..],
                        b: &field[first * field_pitch..],
                        steps: &steps[..rows * a.copies],
                        rows: sums.len() / pitch,
                        columns: pitch,
                        sums,
                        pitch,
                        add: first > 0,
                    });
                };
                for first in (0..a.len).step_by(BLOCK) {
                    add(&p, n, first);
                    if !F::UNIT_Q {
                        add(&q, d, first);
                    }
                }
            });
        });
        Self { pitch, n, d }
    }

    fn add(&mut self, other: &Self) {
        for (to, from) in [(&mut self.n, &other.n), (&mut self.d, &other.d)] {
            to.iter_mut().zip(&**from).for_each(|(to, from)| *to += from);
        }
    }

    /// The factor by the rule.
    fn apply(&self, rule: &Rule, factor: &mut Factor) {
        for copy in 0..factor.copies {
            for component in 0..factor.components {
                let row = (component * factor.copies + factor.copies - 1 - copy) * self.pitch;
                let (n, d) = (&self.n[row..row + self.pitch], &self.d[row..row + self.pitch]);
                let (first, len) = (factor.at(copy, component), factor.len);
                let x = &mut factor.values[first..first + self.pitch];
                tile::dispatch(RuleJob { rule, x, n, d });
                x[len..].fill(0.0);
            }
        }
    }
}

/// D of a component where Q is 1: of b_t at j, Σ_s Σ_i a_s[i − t] over the lags s for which j + s is inside.
fn plain_sums(a: &Factor, b: &Factor, component: usize, edges: Edges, d: &mut [f32], pitch: usize) {
    let mut before = vec![vec![0.0; a.copies + 1]; b.copies];
    for s in 0..a.copies {
        let mut sums = Vec::with_capacity(a.len + 1);
        sums.push(0.0);
        let mut sum = 0.0;
        for &x in a.row(s, component) {
            sum += f64::from(x);
            sums.push(sum);
        }
        for (t, before) in before.iter_mut().enumerate() {
            before[s + 1] = before[s] + sums[a.len.saturating_sub(t)];
        }
    }
    for (before, d) in before.iter().rev().zip(d.chunks_exact_mut(pitch)) {
        d.fill(before[a.copies] as f32);
        if edges == Edges::Exact {
            for (left, d) in before.iter().skip(1).zip(d[..b.len].iter_mut().rev()) {
                *d = *left as f32;
            }
        }
    }
}

/// x ← the rule's update of x.
struct RuleJob<'a> {
    rule: &'a Rule,
    x: &'a mut [f32],
    n: &'a [f32],
    d: &'a [f32],
}

impl StripJob for RuleJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let rule = VectorRule::<S>::new(simd, self.rule);
        let (n, d): (&[S::f32s], &[S::f32s]) = (bytemuck::cast_slice(self.n), bytemuck::cast_slice(self.d));
        for ((x, &n), &d) in self.x.chunks_exact_mut(S::F32_LANES).zip(n).zip(d) {
            let [before] = load::<S, 1>(x);
            store::<S>(x, rule.apply(simd, before, n, d));
        }
    }
}

/// The segments of gains, for a task each: their strips' places, columns and numbers.
fn segments_of(h: &CpuPanel) -> Vec<(Range<usize>, usize, &[f32])> {
    let len = h.strip_len();
    let of = |(strips, &columns): (Range<usize>, &usize)| {
        let values = &h.values()[strips.start * len..strips.end * len];
        (strips, columns, values)
    };
    h.strips_of_segments().zip(h.segments()).map(of).collect()
}

/// Every stack of bases.
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
        Sums::of(shelf, fields, &data, bases, &gains, rule.edges).apply(&rule.rule, &mut gains);
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
        Sums::of(shelf, fields, &data, &gains, &bases[segment / shared], rule.edges)
    };
    let mut sums: Vec<Sums> = segments_of(h).into_par_iter().enumerate().map(of_segment).collect();
    let stacks = bases.par_iter_mut().zip(w.par_chunks_mut(lags.time)).zip(sums.par_chunks_mut(shared));
    stacks.for_each(|((bases, w), sums)| {
        if let [total, others @ ..] = sums {
            others.iter().for_each(|one| total.add(one));
            total.apply(&rule.rule, bases);
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
    fn update_shifted_gains(
        &self,
        v: &CpuPanel,
        w: &Vec<Array2<f32>>,
        h: &mut CpuPanel,
        rule: &ShiftRule,
    ) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        with_fields!(rule.rule.divergence, |fields| self.install(|| update_gains(self, fields, v, w, h, rule)));
        Ok(())
    }

    fn update_shifted_bases(
        &self,
        v: &CpuPanel,
        w: &mut Vec<Array2<f32>>,
        h: &CpuPanel,
        rule: &ShiftRule,
    ) -> Result<()> {
        check(v, w, h, rule.lags)?;
        check_edges(rule)?;
        with_fields!(rule.rule.divergence, |fields| self.install(|| update_bases(self, fields, v, w, h, rule)));
        Ok(())
    }

    fn shifted_costs(
        &self,
        v: &CpuPanel,
        w: &Vec<Array2<f32>>,
        h: &CpuPanel,
        lags: Lags,
        divergence: Divergence,
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

    fn normalize_patterns(&self, w: &mut Vec<Array2<f32>>, h: &mut CpuPanel, lags: Lags, norm: Norm) -> Result<()> {
        check_factors((w.len(), shape_of(w)), h.extent(), lags)?;
        self.normalize_stacks(w, lags.time, Some(h), norm);
        Ok(())
    }

    fn shifted_models(&self, w: &Vec<Array2<f32>>, h: &CpuPanel, lags: Lags) -> Result<Vec<CpuPanel>> {
        let (rows, components) = shape_of(w);
        check_factors((w.len(), (rows, components)), h.extent(), lags)?;
        let shelf = self.shelf();
        let zeros = |_| CpuPanel::zeros(shelf, rows, h.segments().to_vec());
        let mut models: Vec<CpuPanel> = (0..components).map(zeros).collect();
        self.install(|| {
            let bases = bases_of(shelf, w, lags);
            let shared = h.segments().len().div_ceil(bases.len());
            let of_segment = |(_, columns, h): &(Range<usize>, usize, &[f32])| {
                Factor::of_gains(shelf, h, components, *columns, lags)
            };
            let segments = segments_of(h);
            let gains: Vec<Factor> = segments.par_iter().map(of_segment).collect();
            models.par_iter_mut().enumerate().for_each(|(component, model)| {
                let strip_len = model.strip_len();
                for (segment, (strips, columns, _)) in segments.iter().enumerate() {
                    let pitch = padded(*columns);
                    let mut lambda = shelf.take(rows * pitch);
                    let product = Model::new(&bases[segment / shared], &gains[segment], component..component + 1);
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

    fn shifted_masks(&self, w: &Vec<Array2<f32>>, h: &CpuPanel, lags: Lags, mask: Mask) -> Result<Vec<CpuPanel>> {
        check_mask(mask)?;
        let mut masks = self.shifted_models(w, h, lags)?;
        let floor = (MODEL_FLOOR / masks.len() as f64) as f32;
        let mut strips: Vec<Vec<&mut [f32]>> = (0..h.strip_count()).map(|_| Vec::with_capacity(masks.len())).collect();
        for mask in &mut masks {
            strips.iter_mut().zip(mask.strips_mut().collect::<Vec<_>>()).for_each(|(strip, mask)| strip.push(mask));
        }
        self.install(|| strips.par_iter_mut().for_each(|models| tile::dispatch(ShareJob { models, floor, mask })));
        Ok(masks)
    }
}
