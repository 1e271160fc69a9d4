//! The update of the gains of a strip: P and Q of a block of rows stay in L1, N and D in L2.

use pulp::Simd;

use super::super::Rule;
use super::fields::Fields;
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Packed, STRIP, Scratch, Shelf, padded};
use crate::kernels::Norm;

/// Rows of P and Q kept at once: 2 x 64 x 48 numbers, 24 KiB. Between 32 and 128 rows the speed is the same within 10
/// %.
pub(super) const BLOCK: usize = 64;

/// Turns Λ of a block of rows into P and Q without storing it, and sums the costs if `COSTS`.
pub(crate) struct FieldSink<'a, S: Simd, const V: usize, const COSTS: bool, F> {
    pub(crate) fields: F,
    pub(crate) v: &'a [[S::f32s; V]],
    pub(crate) p: &'a mut [[S::f32s; V]],
    pub(crate) q: &'a mut [[S::f32s; V]],
    /// The rows that have costs: those that pad the data to whole tiles have none.
    pub(crate) rows: usize,
    pub(crate) costs: &'a mut [S::f32s; V],
}

impl<S: Simd, const V: usize, const COSTS: bool, F: Fields> ModelSink<S> for FieldSink<'_, S, V, COSTS, F> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        let lambda = simd.max_f32s(lambda, simd.splat_f32s(MODEL_FLOOR as f32));
        let v = self.v[row][vector];
        let (p, q) = self.fields.fields(simd, v, lambda);
        self.p[row][vector] = p;
        self.q[row][vector] = q;
        if COSTS && row < self.rows {
            self.costs[vector] = simd.add_f32s(self.costs[vector], self.fields.cost(simd, v, lambda));
        }
    }
}

/// A thread's scratch space: P, Q (rows, STRIP) and N, D (padded K, STRIP).
pub(super) struct Space {
    pub(super) p: Scratch,
    pub(super) q: Scratch,
    pub(super) n: Scratch,
    pub(super) d: Scratch,
}

impl Space {
    /// Allocates space for `rows` rows of P and Q.
    pub(super) fn new(shelf: &Shelf, w: &Packed, rows: usize) -> Self {
        let (fields, sums) = (rows * STRIP, padded(w.components) * STRIP);
        Self { p: shelf.take(fields), q: shelf.take(fields), n: shelf.take(sums), d: shelf.take(sums) }
    }
}

/// A strip of gains to update.
pub(super) struct Strip<'a, F> {
    pub(super) fields: F,
    pub(super) rule: &'a Rule,
    pub(super) w: &'a Packed<'a>,
    pub(super) v: &'a [f32],
    pub(super) h: &'a [f32],
    pub(super) next: &'a mut [f32],
    /// Columns without padding. The padding stays 0 whatever the rule's floor.
    pub(super) columns: usize,
    pub(super) space: &'a mut Space,
}

impl<F: Fields> Strip<'_, F> {
    /// Computes N and D of a strip into its space; D only if Q is not 1. If `COSTS`, also computes the costs at `h`. If
    /// `KEEP`, P and Q of all rows stay in the space.
    #[inline(always)]
    fn sums<
        S: Simd,
        const V: usize,
        const MR: usize,
        const MB: usize,
        const NB: usize,
        const COSTS: bool,
        const KEEP: bool,
    >(
        &mut self,
        simd: S,
    ) -> [S::f32s; V] {
        let Packed { rows: data_rows, bins, components, .. } = *self.w;
        let Space { p, q, n, d } = &mut *self.space;
        n.fill(0.0);
        d.fill(0.0);
        let (v, h) = (rows::<S, V>(self.v), &rows::<S, V>(self.h)[..components]);
        let (p, q) = (rows_mut::<S, V>(p), rows_mut::<S, V>(q));
        let (n, d) = (rows_mut::<S, V>(n), rows_mut::<S, V>(d));
        let mut total = [simd.splat_f32s(0.0); V];
        for start in (0..bins).step_by(BLOCK) {
            let block = start..bins.min(start + BLOCK);
            let bases = &self.w.by_rows[block.start * components..block.end * components];
            let mut costs = [simd.splat_f32s(0.0); V];
            let at = if KEEP { start } else { 0 };
            let (p, q) = (&mut p[at..at + block.len()], &mut q[at..at + block.len()]);
            let v = &v[block.clone()];
            let rows = data_rows.saturating_sub(start);
            let mut sink = FieldSink::<S, V, COSTS, F> { fields: self.fields, v, p, q, rows, costs: &mut costs };
            tile::model::<S, V, MR>(simd, bases, h, &mut sink);
            self.fields.finish(simd, p.as_flattened_mut(), q.as_flattened());
            if F::UNIT_Q {
                tile::project::<S, V, MB, NB, false>(simd, self.w.by_components, bins, block, p, q, n, d);
            } else {
                tile::project::<S, V, MB, NB, true>(simd, self.w.by_components, bins, block, p, q, n, d);
            }
            // Each block's costs are summed separately: a sum of a thousand f32 numbers loses three digits.
            for (total, costs) in total.iter_mut().zip(costs) {
                *total = simd.add_f32s(*total, costs);
            }
        }
        total
    }

    /// `next` ← the rule applied to N and D. If `COSTS`, adds the penalty to `total`.
    #[inline(always)]
    fn finish<S: Simd, const V: usize, const COSTS: bool>(&mut self, simd: S, total: &mut [S::f32s; V]) {
        let components = self.w.components;
        let (n, d) = (rows::<S, V>(&self.space.n), rows::<S, V>(&self.space.d));
        let rule = VectorRule::<S>::new(simd, self.rule);
        let next = rows_mut::<S, V>(self.next);
        for (component, h) in rows::<S, V>(self.h)[..components].iter().enumerate() {
            for (vector, &h) in h.iter().enumerate() {
                let d = if F::UNIT_Q { simd.splat_f32s(self.w.sums[component]) } else { d[component][vector] };
                next[component][vector] = rule.of_gains(simd, h, n[component][vector], d);
                if COSTS {
                    total[vector] = tile::multiply_add(simd, rule.sparsity, h, total[vector]);
                }
            }
        }
        self.clear_padding();
    }

    fn clear_padding(&mut self) {
        tile::clear_after(self.columns, &mut self.next[..self.w.components * STRIP]);
    }

    /// `next` ← the update of `h`. If `COSTS`, also computes the costs at `h`. If `KEEP`, P and Q of all rows stay in
    /// the space.
    #[inline(always)]
    pub(super) fn update<
        S: Simd,
        const V: usize,
        const MR: usize,
        const MB: usize,
        const NB: usize,
        const COSTS: bool,
        const KEEP: bool,
    >(
        mut self,
        simd: S,
    ) -> [S::f32s; V] {
        let mut total = self.sums::<S, V, MR, MB, NB, COSTS, KEEP>(simd);
        self.finish::<S, V, COSTS>(simd, &mut total);
        total
    }
}

/// Terms that are added to a strip's N and D before the rule. The update of gains adds them while both are in cache.
pub(crate) trait Terms: Sync {
    /// Whether there is anything to add.
    const ANY: bool;
    /// A thread's scratch space.
    type Space;

    fn space(&self, shelf: &Shelf) -> Self::Space;

    /// Adds to N and D (K, STRIP) of the panel's strip `index`, and raises its gains `h` (K, STRIP) to the values that
    /// the rule multiplies.
    fn add(&self, space: &mut Self::Space, index: usize, h: &mut [f32], n: &mut [f32], d: &mut [f32]);
}

/// The plain update, without terms.
impl Terms for () {
    const ANY: bool = false;
    type Space = ();

    fn space(&self, _: &Shelf) {}

    fn add(&self, (): &mut (), _: usize, _: &mut [f32], _: &mut [f32], _: &mut [f32]) {}
}

/// N and D of a strip, into its space.
struct SumsJob<'s, 'a, F>(&'s mut Strip<'a, F>);

impl<F: Fields> StripJob for SumsJob<'_, '_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        self.0.sums::<S, V, MR, MB, NB, false, false>(simd);
    }
}

/// Applies the rule to a strip of gains, in place. A job of its own, which does not depend on the divergence.
struct RuleJob<'a> {
    rule: &'a Rule,
    n: &'a [f32],
    d: &'a [f32],
    /// In the place of D, if Q is 1: Σ_f W.
    sums: Option<&'a [f32]>,
    /// K rows.
    h: &'a mut [f32],
}

impl StripJob for RuleJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let (n, d) = (rows::<S, V>(self.n), rows::<S, V>(self.d));
        let rule = VectorRule::<S>::new(simd, self.rule);
        for (component, h) in rows_mut::<S, V>(self.h).iter_mut().enumerate() {
            let sum = self.sums.map(|sums| simd.splat_f32s(sums[component]));
            for i in 0..V {
                h[i] = rule.of_gains(simd, h[i], n[component][i], sum.unwrap_or(d[component][i]));
            }
        }
    }
}

impl<F: Fields> Strip<'_, F> {
    /// Updates the gains in `next`, which are those in `h`, with terms.
    pub(super) fn update_with<T: Terms>(mut self, terms: (&T, usize), of_terms: &mut T::Space) {
        tile::dispatch(SumsJob(&mut self));
        self.finish_with(terms, of_terms);
    }

    /// The same where N and D are known.
    pub(super) fn finish_with<T: Terms>(mut self, (terms, index): (&T, usize), of_terms: &mut T::Space) {
        let Space { n, d, .. } = &mut *self.space;
        if T::ANY {
            if F::UNIT_Q {
                d.chunks_exact_mut(STRIP).zip(self.w.sums).for_each(|(d, &sum)| d.fill(sum));
            }
            terms.add(of_terms, index, self.next, n, d);
        }
        let sums = (F::UNIT_Q && !T::ANY).then_some(self.w.sums);
        let h = &mut self.next[..self.w.components * STRIP];
        tile::dispatch(RuleJob { rule: self.rule, n, d, sums, h });
        self.clear_padding();
    }
}

/// The update of a strip whose N and D are known. `costs` (STRIP) are those without the penalty, which is added.
pub(super) struct FinishJob<'a, F> {
    pub(super) strip: Strip<'a, F>,
    pub(super) costs: &'a mut [f32],
}

impl<F: Fields> StripJob for FinishJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(
        mut self,
        simd: S,
    ) {
        self.strip.finish::<S, V, true>(simd, &mut rows_mut::<S, V>(self.costs)[0]);
    }
}

/// The update of a strip, and its costs (STRIP).
pub(super) struct TrialJob<'a, F> {
    pub(super) strip: Strip<'a, F>,
    pub(super) costs: &'a mut [f32],
}

impl<F: Fields> StripJob for TrialJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        rows_mut::<S, V>(self.costs)[0] = self.strip.update::<S, V, MR, MB, NB, true, false>(simd);
    }
}

/// The rule on vectors.
pub(crate) struct VectorRule<S: Simd> {
    sparsity: S::f32s,
    /// See [`Rule::basis_norm`].
    norm: Option<Norm>,
    floor: S::f32s,
    exponent: f32,
}

impl<S: Simd> VectorRule<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, rule: &Rule) -> Self {
        let (sparsity, floor) = (simd.splat_f32s(rule.sparsity as f32), simd.splat_f32s(rule.floor as f32));
        Self { sparsity, norm: rule.basis_norm(), floor, exponent: rule.exponent as f32 }
    }

    /// The update of gains.
    #[inline(always)]
    pub(crate) fn of_gains(&self, simd: S, h: S::f32s, numerator: S::f32s, denominator: S::f32s) -> S::f32s {
        let denominator = simd.add_f32s(denominator, self.sparsity);
        self.raise(simd, simd.max_f32s(h, self.floor), quotient(simd, numerator, denominator).0)
    }

    /// The update of bases, given the sums of their gains.
    #[inline(always)]
    pub(crate) fn of_bases(
        &self,
        simd: S,
        w: S::f32s,
        numerator: S::f32s,
        denominator: S::f32s,
        gains: S::f32s,
    ) -> S::f32s {
        let (w, pull) = (simd.max_f32s(w, self.floor), simd.mul_f32s(self.sparsity, gains));
        let ratio = match self.norm {
            None => quotient(simd, numerator, denominator).0,
            Some(Norm::L1) => quotient(simd, numerator, simd.add_f32s(denominator, pull)).0,
            Some(Norm::L2) => {
                let (half, one, two) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0), simd.splat_f32s(2.0));
                let curvature = simd.mul_f32s(pull, w);
                let linear = simd.add_f32s(denominator, simd.mul_f32s(half, curvature));
                let (ratio, linear) = quotient(simd, numerator, linear);
                let bend = simd.mul_f32s(simd.mul_f32s(two, simd.div_f32s(curvature, linear)), ratio);
                let root = simd.sqrt_f32s(simd.add_f32s(one, bend));
                simd.div_f32s(simd.mul_f32s(two, ratio), simd.add_f32s(one, root))
            }
        };
        self.raise(simd, w, ratio)
    }

    /// x r^γ. An entry that has shrunk below 2^-126 becomes 0. As a subnormal number it would make every product with it a
    /// hundred times slower, and such entries are many after some hundred updates.
    #[inline(always)]
    fn raise(&self, simd: S, x: S::f32s, ratio: S::f32s) -> S::f32s {
        let raised = simd.mul_f32s(x, power(simd, ratio, self.exponent));
        // In this way around, an entry that is no number stays none.
        let vanished = simd.less_than_f32s(raised, simd.splat_f32s(f32::MIN_POSITIVE));
        simd.select_f32s(vanished, simd.splat_f32s(0.0), raised)
    }
}

/// N / max(D, 1e-30), and the divisor.
#[inline(always)]
fn quotient<S: Simd>(simd: S, numerator: S::f32s, denominator: S::f32s) -> (S::f32s, S::f32s) {
    let denominator = simd.max_f32s(denominator, simd.splat_f32s(DENOMINATOR_FLOOR as f32));
    (simd.div_f32s(numerator, denominator), denominator)
}

/// x^γ
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::f32s, exponent: f32) -> S::f32s {
    if exponent == 1.0 {
        x
    } else if exponent == 0.5 {
        simd.sqrt_f32s(x)
    } else if exponent == 1.25 {
        simd.mul_f32s(x, simd.sqrt_f32s(simd.sqrt_f32s(x)))
    } else {
        tile::each(simd, x, |x| x.powf(exponent))
    }
}
