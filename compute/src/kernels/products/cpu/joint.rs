//! Updates both factors in one pass: P and Q of all rows of a strip are kept until its gains are updated.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::super::Rule;
use super::bases::{Sums, add_gains, groups_of};
use super::fields::Fields;
use super::strip::{Space, Strip};
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Packed, Place, STRIP, Scratch};

/// Updates some strips of gains, and sums their contribution to the bases' N and D.
struct JointJob<'a, F> {
    fields: F,
    rule: &'a Rule,
    w: &'a Packed<'a>,
    /// (a, b) of [`crate::Divergence::joint_exponents`].
    exponents: (f32, f32),
    v: &'a CpuPanel,
    strips: Range<usize>,
    /// The places of all strips of the panel.
    places: &'a [Place],
    /// The gains of these strips, one strip after another.
    h: &'a mut [f32],
    /// P and Q of all rows.
    space: &'a mut Space,
    /// The gains before the update, the weighting gains, and both weights transposed.
    before: &'a mut Scratch,
    weighed: &'a mut Scratch,
    beside_p: &'a mut Scratch,
    beside_q: &'a mut Scratch,
    n: &'a mut [f32],
    d: &'a mut [f32],
    sums: &'a mut [f64],
}

impl<F: Fields> StripJob for JointJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self {
            fields, rule, w, exponents, v, places, space, before, weighed, beside_p, beside_q, n, d, sums, ..
        } = self;
        n.fill(0.0);
        d.fill(0.0);
        let (len, lanes) = (w.components * STRIP, NW * S::F32_LANES);
        let width = n.len() / w.bins;
        let strip_len = self.h.len() / self.strips.len();
        for (strip, h) in self.strips.zip(self.h.chunks_exact_mut(strip_len)) {
            before.copy_from_slice(&h[..len]);
            let columns = places[strip].columns;
            let update = Strip { fields, rule, w, v: v.strip(strip), h: before, next: h, columns, space };
            update.update::<S, V, MR, MB, NB, false, true>(simd);
            for (exponent, transposed) in [(exponents.0, &mut *beside_p), (exponents.1, &mut *beside_q)] {
                let (before, after) = (rows::<S, V>(before), &rows::<S, V>(h)[..w.components]);
                for ((weighed, before), after) in rows_mut::<S, V>(weighed).iter_mut().zip(before).zip(after) {
                    for i in 0..V {
                        weighed[i] = weigh(simd, before[i], after[i], exponent);
                    }
                }
                tile::transpose(weighed, lanes, transposed);
                if F::UNIT_Q && exponent == exponents.1 {
                    add_gains::<S, V>(simd, weighed, sums);
                }
            }
            if !F::UNIT_Q {
                add_gains::<S, V>(simd, &h[..len], sums);
            }
            let (beside_p, beside_q) = (bytemuck::cast_slice(beside_p), bytemuck::cast_slice(beside_q));
            for group in groups_of(0..w.bins) {
                let (p, q) = (
                    &space.p[group.start * STRIP..group.end * STRIP],
                    &space.q[group.start * STRIP..group.end * STRIP],
                );
                let at = group.start * width..group.end * width;
                let n = bytemuck::cast_slice_mut(&mut n[at.clone()]);
                if F::UNIT_Q {
                    tile::correlate::<S, NW, false>(simd, group.len(), p, q, beside_p, beside_q, n, &mut []);
                } else {
                    let d = bytemuck::cast_slice_mut(&mut d[at]);
                    tile::correlate::<S, NW, true>(simd, group.len(), p, q, beside_p, beside_q, n, d);
                }
            }
        }
    }
}

/// [`super::super::joint_weight`] on vectors.
#[inline(always)]
fn weigh<S: Simd>(simd: S, before: S::f32s, after: S::f32s, exponent: f32) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let ratio = simd.div_f32s(after, before);
    let weight = if exponent == 0.0 {
        before
    } else if exponent == 1.0 {
        after
    } else if exponent == 2.0 {
        simd.mul_f32s(after, ratio)
    } else if exponent == -1.0 {
        simd.mul_f32s(before, simd.div_f32s(before, after))
    } else {
        simd.mul_f32s(before, tile::each(simd, ratio, |ratio| ratio.powf(exponent)))
    };
    let weight = simd.select_f32s(simd.equal_f32s(before, zero), zero, weight);
    simd.select_f32s(simd.equal_f32s(after, zero), zero, weight)
}

/// Updates H and W.
pub(super) fn update<F: Fields>(
    engine: &Cpu,
    fields: F,
    v: &CpuPanel,
    w: &mut CpuMatrix,
    h: &mut CpuPanel,
    rule: &Rule,
) {
    engine.install(|| {
        let (shelf, places) = (engine.shelf(), v.places());
        let mut sums = Sums::new(shelf, w, v, F::UNIT_Q, rule);
        let (a, b) = rule.divergence.joint_exponents();
        let exponents = (a as f32, b as f32);
        let packed = w.packed(engine.shelf());
        let (width, strip_len, parts) = (sums.width, h.strip_len(), sums.parts.clone());
        let mut gains = h.values_mut();
        let mut tasks = Vec::new();
        for (sums, (matrix, strips)) in sums.of_parts().zip(parts) {
            let gains = gains.split_off_mut(..strips.len() * strip_len).unwrap_or_default();
            tasks.push((sums, &packed[matrix], strips, gains));
        }
        let space = || {
            let w = &packed[0];
            let (gains, transposed) = (w.components * STRIP, width * STRIP);
            let space = Space::new(shelf, w, w.bins);
            (space, shelf.take(gains), shelf.take(gains), shelf.take(transposed), shelf.take(transposed))
        };
        tasks.into_par_iter().for_each_init(space, |space, ((n, d, sums), w, strips, h)| {
            let (space, before, weighed, beside_p, beside_q) = space;
            tile::dispatch(JointJob {
                fields,
                rule,
                w,
                exponents,
                v,
                strips,
                places: &places,
                h,
                space,
                before,
                weighed,
                beside_p,
                beside_q,
                n,
                d,
                sums,
            });
        });
        sums.apply(shelf, rule, w);
    });
}
