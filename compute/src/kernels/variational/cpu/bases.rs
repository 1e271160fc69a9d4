//! The posteriors of bases: parts of the panel are summed in parallel, then added in order.

use std::ops::Range;

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::super::Gig;
use super::gains::{Factor, InverseSink, PowerSink};
use super::moments::Moments;
use crate::divergence::Divergence;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, STRIP};
use crate::kernels::Rule;
use crate::kernels::products::{BasisSums, GROUP, RANGE, SPAN, shape_of, split};

/// Entries of a factor that a task updates.
const ENTRIES: usize = 4096;

/// Sums N = (P/C²) I_Hᵀ and D = (1/ω) E_Hᵀ for a range of rows over some strips.
struct SumsJob<'a> {
    /// E_W and I_W in this range of rows, see [`tile::pack_rows`].
    bases: [&'a [f32]; 2],
    components: usize,
    range: Range<usize>,
    p: &'a CpuPanel,
    /// E_H and I_H.
    gains: [&'a CpuPanel; 2],
    strips: Range<usize>,
    /// P/C² and 1/ω, (SPAN, group, STRIP).
    fields: [&'a mut [f32]; 2],
    /// E_Hᵀ and I_Hᵀ, (SPAN, slices, STRIP, components of a slice).
    transposed: [&'a mut [f32]; 2],
    /// For each group (slices, group, components of a slice).
    n: &'a mut [f32],
    d: &'a mut [f32],
}

impl StripJob for SumsJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { bases, components, range, p, gains, fields: [for_n, for_d], transposed, n, d, .. } = self;
        let (width, strip_len) = (n.len() / range.len(), transposed[0].len() / SPAN);
        let [mean_t, harmonic_t] = transposed;
        n.fill(0.0);
        d.fill(0.0);
        let mut strips = self.strips;
        while !strips.is_empty() {
            let span = strips.start..strips.end.min(strips.start + SPAN);
            strips.start = span.end;
            for (at, strip) in span.clone().enumerate() {
                let place = at * strip_len..(at + 1) * strip_len;
                let [mean, harmonic] = gains.map(|gains| &gains.strip(strip)[..components * STRIP]);
                tile::transpose(mean, NW * S::F32_LANES, &mut mean_t[place.clone()]);
                tile::transpose(harmonic, NW * S::F32_LANES, &mut harmonic_t[place]);
            }
            let used = span.len() * strip_len;
            let mean_t: &[S::f32s] = bytemuck::cast_slice(&mean_t[..used]);
            let harmonic_t: &[S::f32s] = bytemuck::cast_slice(&harmonic_t[..used]);
            for group in split(range.clone(), GROUP) {
                let at = group.start - range.start..group.end - range.start;
                let [mean_w, harmonic_w] = bases.map(|w| &w[at.start * components..at.end * components]);
                let size = group.len() * STRIP;
                for (index, strip) in span.clone().enumerate() {
                    let place = index * size..(index + 1) * size;
                    let [mean, harmonic] = gains.map(|gains| &rows::<S, V>(gains.strip(strip))[..components]);
                    let p = &rows::<S, V>(p.strip(strip))[group.clone()];
                    let mut sink = PowerSink::<S, V> { p, to: rows_mut::<S, V>(&mut for_n[place.clone()]) };
                    tile::model::<S, V, MR>(simd, harmonic_w, harmonic, &mut sink);
                    let mut sink = InverseSink::<S, V>(rows_mut::<S, V>(&mut for_d[place]));
                    tile::model::<S, V, MR>(simd, mean_w, mean, &mut sink);
                }
                let (for_n, for_d) = (&for_n[..span.len() * size], &for_d[..span.len() * size]);
                let at = at.start * width..at.end * width;
                let n: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut n[at.clone()]);
                let d: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut d[at]);
                tile::correlate::<S, NW, true>(simd, group.len(), for_n, for_d, harmonic_t, mean_t, n, d);
            }
        }
    }
}

/// Updates some entries of a factor in place, from N and D of each. Adds their terms.
struct EntriesJob<'a> {
    gig: &'a Gig<Cpu>,
    mean: &'a mut [f32],
    harmonic: &'a mut [f32],
    n: &'a [f32],
    d: &'a [f32],
    terms: &'a mut f64,
}

impl StripJob for EntriesJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let moments = Moments::new(simd, self.gig);
        let lanes = S::F32_LANES;
        let entries = self.mean.chunks_mut(lanes).zip(self.harmonic.chunks_mut(lanes));
        for ((mean, harmonic), (n, d)) in entries.zip(self.n.chunks(lanes).zip(self.d.chunks(lanes))) {
            let (n, d, before) =
                (simd.partial_load_f32s(n), simd.partial_load_f32s(d), simd.partial_load_f32s(harmonic));
            let (of_mean, of_harmonic, terms) = moments.of(simd, n, d, before);
            simd.partial_store_f32s(mean, of_mean);
            simd.partial_store_f32s(harmonic, of_harmonic);
            let terms: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&terms));
            for &term in &terms[..mean.len()] {
                *self.terms += f64::from(term);
            }
        }
    }
}

/// Updates E_W and I_W (`bases`) from E_H and I_H (`gains`). Returns the sum of the terms of every matrix.
pub(super) fn update(
    engine: &Cpu,
    p: &CpuPanel,
    bases: [&mut CpuMatrix; 2],
    gains: [&CpuPanel; 2],
    gig: &Gig<Cpu>,
) -> Vec<f64> {
    let [mean, harmonic] = bases;
    engine.install(|| {
        let (n, d) = sums(engine, p, [mean, harmonic], gains);
        let factors = mean.par_iter_mut().zip(&mut harmonic[..]).zip(n.par_iter().zip(&d[..]));
        let of_matrix = |((mean, harmonic), (n, d)): ((&mut Array2<f32>, &mut Array2<f32>), (_, _))| {
            entries(mean, harmonic, (n, d), gig)
        };
        factors.map(of_matrix).collect()
    })
}

/// Updates one matrix. Its entries are in the order of rows.
fn entries(
    mean: &mut Array2<f32>,
    harmonic: &mut Array2<f32>,
    (n, d): (&Array2<f32>, &Array2<f32>),
    gig: &Gig<Cpu>,
) -> f64 {
    let read = |sums: &'_ Array2<f32>| sums.as_standard_layout().into_owned().into_raw_vec_and_offset().0;
    let (n, d) = (read(n), read(d));
    let (mut to_mean, mut to_harmonic) = (read(mean), read(harmonic));
    let tasks = to_mean.par_chunks_mut(ENTRIES).zip(to_harmonic.par_chunks_mut(ENTRIES));
    let tasks = tasks.zip(n.par_chunks(ENTRIES).zip(d.par_chunks(ENTRIES)));
    let terms: Vec<f64> = tasks
        .map(|((mean, harmonic), (n, d))| {
            let mut terms = 0.0;
            tile::dispatch(EntriesJob { gig, mean, harmonic, n, d, terms: &mut terms });
            terms
        })
        .collect();
    mean.iter_mut().zip(to_mean).for_each(|(to, entry)| *to = entry);
    harmonic.iter_mut().zip(to_harmonic).for_each(|(to, entry)| *to = entry);
    terms.iter().sum()
}

/// N and D of every matrix.
fn sums(engine: &Cpu, p: &CpuPanel, bases: [&CpuMatrix; 2], gains: [&CpuPanel; 2]) -> (CpuMatrix, CpuMatrix) {
    let (shelf, (rows, components)) = (engine.shelf(), shape_of(bases[0]));
    let packed = bases.map(|w| Factor::of_rows(engine, w));
    // No rule is applied to the sums.
    let mut sums = BasisSums::new(shelf, bases[0], p, false, &Rule::of(Divergence::Euclidean));
    let (bins, width) = (sums.bins, sums.width);
    let parts = sums.parts.clone();
    let mut tasks = Vec::new();
    for ((mut n, mut d, _), (matrix, strips)) in sums.of_parts().zip(parts) {
        for range in split(0..bins, RANGE) {
            let size = range.len() * width;
            let n = n.split_off_mut(..size).unwrap_or_default();
            let d = d.split_off_mut(..size).unwrap_or_default();
            tasks.push((matrix, strips.clone(), range, n, d));
        }
    }
    let space = || {
        let (fields, transposed) = (SPAN * GROUP * STRIP, SPAN * STRIP * width);
        [shelf.take(fields), shelf.take(fields), shelf.take(transposed), shelf.take(transposed)]
    };
    tasks.into_par_iter().for_each_init(space, |[for_n, for_d, mean_t, harmonic_t], (matrix, strips, range, n, d)| {
        let rows = range.start * components..range.end * components;
        let bases = packed.each_ref().map(|packed| &packed[matrix].by_rows[rows.clone()]);
        let (fields, transposed) = ([&mut **for_n, &mut **for_d], [&mut **mean_t, &mut **harmonic_t]);
        tile::dispatch(SumsJob { bases, components, range, p, gains, strips, fields, transposed, n, d });
    });
    sums.totals(shelf, (rows, components), bases[0].len())
}
