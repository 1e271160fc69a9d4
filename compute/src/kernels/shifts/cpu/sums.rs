//! P and Q, the sums N and D of a factor and its update, and costs.

use pulp::Simd;
use rayon::prelude::*;

use super::factors::{Data, Factor, padded};
use super::products::{Model, ProductJob, ROWS, Step, TALLEST, load, store};
use crate::divergence::MODEL_FLOOR;
use crate::engine::tile::{self, StripJob};
use crate::engine::{Scratch, Shelf};
use crate::kernels::products::{Fields, Rule, VectorRule};
use crate::kernels::shifts::Edges;

/// Rows of P and Q whose contribution to N and D is summed separately. A single f32 sum of a hundred thousand numbers
/// loses digits.
const BLOCK: usize = 64;

/// Computes P, in place of Λ, and Q of some rows; zeros after the last column.
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
            self.fields.finish(simd, bytemuck::cast_slice_mut(&mut *p_row), bytemuck::cast_slice(q_row));
            p_row[self.columns..].fill(0.0);
            if !F::UNIT_Q {
                q_row[self.columns..].fill(0.0);
            }
        }
    }
}

/// Σ d(v|λ) of every column over some rows.
pub(super) struct CostJob<'a, F> {
    pub(super) fields: F,
    pub(super) v: &'a [f32],
    pub(super) lambda: &'a [f32],
    pub(super) costs: &'a mut [f32],
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

/// N and D of one factor: a row of numbers for each component and each of its copies, the last copy first.
pub(super) struct Sums {
    pitch: usize,
    n: Scratch,
    d: Scratch,
}

impl Sums {
    /// Computes the sums of `b` with `a` fixed. `data` has rows along `b`.
    pub(super) fn of<F: Fields>(shelf: &Shelf, fields: F, data: &Data, a: &Factor, b: &Factor, edges: Edges) -> Self {
        let pitch = padded(b.len);
        // A field is read at all lags of a, so zeros follow its last column.
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
                        // Copy t reads a from t before its row. With the last copy first, rows of N ascend with their
                        // offsets in a.
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

    pub(super) fn add(&mut self, other: &Self) {
        for (to, from) in [(&mut self.n, &other.n), (&mut self.d, &other.d)] {
            to.iter_mut().zip(&**from).for_each(|(to, from)| *to += from);
        }
    }

    /// Applies the rule to gains.
    pub(super) fn apply_to_gains(&self, rule: &Rule, gains: &mut Factor) {
        self.apply(rule, gains, None);
    }

    /// Applies the rule to bases, given the sums of their gains (D).
    pub(super) fn apply_to_bases(&self, rule: &Rule, bases: &mut Factor, gains: &[f64]) {
        self.apply(rule, bases, Some(gains));
    }

    fn apply(&self, rule: &Rule, factor: &mut Factor, gains: Option<&[f64]>) {
        for copy in 0..factor.copies {
            for component in 0..factor.components {
                let row = (component * factor.copies + factor.copies - 1 - copy) * self.pitch;
                let (n, d) = (&self.n[row..row + self.pitch], &self.d[row..row + self.pitch]);
                let (first, len) = (factor.at(copy, component), factor.len);
                let x = &mut factor.values[first..first + self.pitch];
                let gains = gains.map(|gains| gains[component] as f32);
                tile::dispatch(RuleJob { rule, gains, x, n, d });
                x[len..].fill(0.0);
            }
        }
    }
}

/// D of a component if Q is 1: for b_t at j, Σ_s Σ_i a_s[i − t] over the lags s with j + s inside the matrix.
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
    /// For bases: the sum of their component's gains.
    gains: Option<f32>,
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
            let after = match self.gains {
                None => rule.of_gains(simd, before, n, d),
                Some(gains) => rule.of_bases(simd, before, n, d, simd.splat_f32s(gains)),
            };
            store::<S>(x, after);
        }
    }
}
