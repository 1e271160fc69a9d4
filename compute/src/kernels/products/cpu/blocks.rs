//! Updates of gains under bases that no cache near a core holds, such as 2,000 exemplars: block by block, as products of large
//! matrices are computed.
//!
//! A strip's update reads all bases twice, and strip by strip they would come from far away each time. Here [`STRIPS`] strips share what is
//! read, and threads share a strip: first each forms P and Q of some rows, then each sums N and D of some components. All sums
//! are in the same order, so the bits are the same.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::fields::Fields;
use super::strip::{BLOCK, FieldSink, Space, Strip};
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Packed, STRIP};

/// Strips that are updated together.
pub(super) const STRIPS: usize = 8;
/// The most rows of P and Q that a thread forms, and the most components that it sums, at once. More rows read the gains less often,
/// and with [`STRIPS`] strips their sums still fit in a second-level cache.
const MOST: usize = 8 * BLOCK;
/// Components or rows that are summed before the next: their gains, or P and Q, stay in the first-level cache.
const DEPTH: usize = 128;
/// Numbers of the bases from which on this pays: with both layouts, a second-level cache of 2 MiB.
const LARGE: usize = 1 << 18;

/// Whether updates under these bases go block by block. Those of several matrices do not share what they read.
pub(super) fn pay(w: &[Packed]) -> bool {
    w.len() == 1 && w[0].by_rows.len() >= LARGE
}

/// The rows of P and Q that a strip's space must hold.
pub(super) fn rows_at_once(w: &[Packed]) -> usize {
    if pay(w) { w[0].bins } else { BLOCK }
}

/// Some rows of a strip.
struct Rows<'a> {
    v: &'a [f32],
    /// All K rows of the gains.
    h: &'a [f32],
    p: &'a mut [f32],
    q: &'a mut [f32],
    /// The costs of each block of rows (blocks, STRIP), if they are wanted.
    costs: &'a mut [f32],
}

/// P and Q of some rows of all strips.
struct RowsJob<'a, F> {
    fields: F,
    w: &'a Packed<'a>,
    range: Range<usize>,
    strips: Vec<Rows<'a>>,
}

impl<F: Fields> StripJob for RowsJob<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { fields, w: &Packed { rows: data_rows, components, by_rows, .. }, range, mut strips } = self;
        let bases = &by_rows[range.start * components..range.end * components];
        strips.iter_mut().for_each(|strip| strip.p.fill(0.0));
        for first in (0..components).step_by(DEPTH) {
            let some = first..components.min(first + DEPTH);
            for strip in &mut strips {
                let h = &rows::<S, V>(strip.h)[..components];
                tile::add_model::<S, V, MR>(simd, bases, h, some.clone(), rows_mut::<S, V>(strip.p));
            }
        }
        for Rows { v, p, q, costs, .. } in strips {
            let (v, p, q) = (rows::<S, V>(v), rows_mut::<S, V>(p), rows_mut::<S, V>(q));
            let blocks = v.chunks(BLOCK).zip(p.chunks_mut(BLOCK).zip(q.chunks_mut(BLOCK)));
            for (block, (v, (p, q))) in blocks.enumerate() {
                let rows = data_rows.saturating_sub(range.start + block * BLOCK);
                let mut sums = [simd.splat_f32s(0.0); V];
                if costs.is_empty() {
                    form::<S, V, false, F>(simd, FieldSink { fields, v, p, q, rows, costs: &mut sums });
                } else {
                    form::<S, V, true, F>(simd, FieldSink { fields, v, p, q, rows, costs: &mut sums });
                    rows_mut::<S, V>(costs)[block] = sums;
                }
                fields.finish(simd, p.as_flattened_mut(), q.as_flattened());
            }
        }
    }
}

/// Turns Λ, which is in the place of P, into P and Q.
#[inline(always)]
fn form<S: Simd, const V: usize, const COSTS: bool, F: Fields>(simd: S, mut sink: FieldSink<S, V, COSTS, F>) {
    for row in 0..sink.v.len() {
        for vector in 0..V {
            let lambda = sink.p[row][vector];
            sink.take(simd, row, vector, lambda);
        }
    }
}

/// Some components of a strip.
struct Components<'a> {
    /// All F rows.
    p: &'a [f32],
    q: &'a [f32],
    n: &'a mut [f32],
    d: &'a mut [f32],
}

/// N and D of some components of all strips; D only if Q is not 1.
struct ComponentsJob<'a> {
    unit_q: bool,
    bins: usize,
    /// Those of the components, see [`tile::pack_components`].
    bases: &'a [f32],
    strips: Vec<Components<'a>>,
}

impl StripJob for ComponentsJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { unit_q, bins, bases, mut strips } = self;
        for Components { n, d, .. } in &mut strips {
            n.fill(0.0);
            if !unit_q {
                d.fill(0.0);
            }
        }
        for first in (0..bins).step_by(DEPTH) {
            let some = first..bins.min(first + DEPTH);
            for Components { p, q, n, d } in &mut strips {
                let (p, q) = (&rows::<S, V>(p)[some.clone()], &rows::<S, V>(q)[some.clone()]);
                let (n, d) = (rows_mut::<S, V>(n), rows_mut::<S, V>(d));
                if unit_q {
                    tile::project::<S, V, MB, NB, false>(simd, bases, bins, some.clone(), p, q, n, d);
                } else {
                    tile::project::<S, V, MB, NB, true>(simd, bases, bins, some.clone(), p, q, n, d);
                }
            }
        }
    }
}

/// Computes N and D of some strips under the same bases into their spaces; D only if Q is not 1. If `COSTS`, returns the costs of
/// every strip at its gains, without the penalty.
pub(super) fn sums<F: Fields, const COSTS: bool>(w: &Packed, strips: &mut [Strip<F>]) -> Vec<[f32; STRIP]> {
    let Some(fields) = strips.first().map(|strip| strip.fields) else { return Vec::new() };
    let (blocks, padded) = (w.bins.div_ceil(BLOCK), w.by_components.len() / w.bins);
    // A share for each thread, in whole blocks.
    let share = |all: usize| all.div_ceil(rayon::current_num_threads()).next_multiple_of(BLOCK).min(MOST);
    let (height, width) = (share(w.bins), share(padded));
    let mut costs = vec![0.0; if COSTS { strips.len() * blocks * STRIP } else { 0 }];
    let mut of_rows: Vec<Vec<Rows>> = (0..w.bins.div_ceil(height)).map(|_| Vec::with_capacity(strips.len())).collect();
    let mut costs_of_strips = costs.chunks_mut(blocks * STRIP);
    for Strip { v, h, space: Space { p, q, .. }, .. } in &mut *strips {
        let mut costs = costs_of_strips.next().unwrap_or_default();
        let parts = v.chunks(height * STRIP).zip(p.chunks_mut(height * STRIP).zip(q.chunks_mut(height * STRIP)));
        for (of_rows, (v, (p, q))) in of_rows.iter_mut().zip(parts) {
            let most = costs.len().min(height / BLOCK * STRIP);
            let costs = costs.split_off_mut(..most).unwrap_or_default();
            of_rows.push(Rows { v, h, p, q, costs });
        }
    }
    of_rows.into_par_iter().enumerate().for_each(|(at, strips)| {
        let range = at * height..w.bins.min((at + 1) * height);
        tile::dispatch(RowsJob { fields, w, range, strips });
    });
    let mut of_components: Vec<Vec<Components>> =
        (0..padded.div_ceil(width)).map(|_| Vec::with_capacity(strips.len())).collect();
    for Strip { space: Space { p, q, n, d }, .. } in &mut *strips {
        let parts = n.chunks_mut(width * STRIP).zip(d.chunks_mut(width * STRIP));
        for (of_components, (n, d)) in of_components.iter_mut().zip(parts) {
            of_components.push(Components { p, q, n, d });
        }
    }
    let bases = w.by_components.par_chunks(width * w.bins);
    bases.zip(of_components).for_each(|(bases, strips)| {
        tile::dispatch(ComponentsJob { unit_q: F::UNIT_Q, bins: w.bins, bases, strips });
    });
    // Block by block, as the costs of a single strip are summed.
    let total = |costs: &[f32]| {
        let mut total = [0.0; STRIP];
        for costs in costs.as_chunks::<STRIP>().0 {
            total.iter_mut().zip(costs).for_each(|(total, cost)| *total += cost);
        }
        total
    };
    costs.chunks(blocks * STRIP).map(total).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use crate::divergence::Divergence;
    use crate::engine::{Cpu, Engine};
    use crate::kernels::{Products, Rule};
    use crate::random::Stream;

    /// Strips of some columns are updated together under many bases, and alone under the same bases in two halves of a stack.
    #[test]
    fn blocks_have_the_bits_of_strips() {
        let stream = Stream::new(3, "blocks");
        let at = |rows: usize, columns: usize, salt: usize| {
            Array2::from_shape_fn((rows, columns), |(i, j)| {
                (stream.uniform(((salt * rows + i) * columns + j) as u64) + 0.01) as f32
            })
        };
        let (rows, columns, components) = (331, 500, 811);
        let (v, w, h) = (at(rows, columns, 1), at(rows, components, 2), at(components, columns, 3));
        let cpu = Cpu::new(Some(2)).unwrap();
        let halves =
            |panel: &Array2<f32>| cpu.packed(&[panel.slice(s![.., ..200]), panel.slice(s![.., 200..])]).unwrap();
        for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
            let rule = Rule { sparsity: 0.3, ..Rule::of(divergence.clone()) };
            // One matrix goes block by block, and a stack of the same two strip by strip.
            let run = |w: &_| {
                let (v, mut h) = (halves(&v), halves(&h));
                let (mut next, mut costs) = (halves(&at(components, columns, 4)), halves(&at(1, columns, 5)));
                cpu.try_gains(&v, w, &h, &mut next, &mut costs, &rule).unwrap();
                cpu.update_gains(&v, w, &mut h, &rule).unwrap();
                [h, next, costs].map(|panel| cpu.read_panel::<f32>(&panel).unwrap())
            };
            let (one, two) = (cpu.matrix(w.view()).unwrap(), cpu.stack(&[w.view(), w.view()]).unwrap());
            assert!(super::pay(&one.packed(cpu.shelf())) && !super::pay(&two.packed(cpu.shelf())));
            let (together, alone) = (run(&one), run(&two));
            assert!(together == alone, "{divergence}");
            assert_eq!(together[0], together[1], "{divergence}");
        }
    }
}
