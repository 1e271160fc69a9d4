//! The reverse pass of an update of gains. A strip's A and B of all rows stay in L2 while its N and D are turned into their
//! adjoints.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::parts::{Part, Sums, flush};
use super::reverse::{Curve, of_ratio};
use crate::cubics::{COUNT, TERMS};
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Packed, STRIP, Scratch, padded};
use crate::kernels::products::{GROUP, StoreSink, groups_of};
use crate::weight::Weight;

/// A thread's scratch space.
struct Space {
    /// gA and then g(WH), A and B of every group of rows, (3, group, STRIP).
    fields: Scratch,
    /// gB and r, (group, STRIP).
    of_b: Scratch,
    ratios: Scratch,
    /// N and D, and then their adjoints, (padded K, STRIP).
    n: Scratch,
    d: Scratch,
    /// Hᵀ, gNᵀ and gDᵀ, (3, slices, STRIP, components of a slice).
    transposed: Scratch,
    /// Those of a strip.
    knots: Vec<[f32; TERMS]>,
}

/// The reverse pass of a part.
struct GainsJob<'a> {
    curve: Curve<'a>,
    w: &'a Packed<'a>,
    v: &'a CpuPanel,
    h: &'a CpuPanel,
    part: Part<'a>,
    space: &'a mut Space,
}

impl StripJob for GainsJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { curve, w, v, h, part: Part { strips, of_gains, of_bases, knots, .. }, space } = self;
        let Packed { bins, components, by_components, .. } = *w;
        let bases = |group: &std::ops::Range<usize>| &w.by_rows[group.start * components..group.end * components];
        let strip_len = of_gains.len() / strips.len();
        let (width, len) = (of_bases.len() / bins, components * STRIP);
        of_bases.fill(0.0);
        for (strip, of_gains) in strips.zip(of_gains.chunks_exact_mut(strip_len)) {
            let (v, gains) = (rows::<S, V>(v.strip(strip)), &h.strip(strip)[..len]);
            let h = rows::<S, V>(gains);
            space.n.fill(0.0);
            space.d.fill(0.0);
            for group in groups_of(0..bins) {
                let [_, a, b] = three(&mut space.fields, &group);
                let (a, b) = (rows_mut::<S, V>(a), rows_mut::<S, V>(b));
                curve.form::<S, V, MR>(simd, (bases(&group), h), &v[group.clone()], [&mut *a, &mut *b]);
                let (n, d) = (rows_mut::<S, V>(&mut space.n), rows_mut::<S, V>(&mut space.d));
                tile::project::<S, V, MB, NB, true>(simd, by_components, bins, group, a, b, n, d);
            }
            let (n, d) = (rows_mut::<S, V>(&mut space.n), rows_mut::<S, V>(&mut space.d));
            let of_h = rows_mut::<S, V>(of_gains);
            for k in 0..components {
                for i in 0..V {
                    [n[k][i], d[k][i], of_h[k][i]] = of_ratio(simd, h[k][i], n[k][i], d[k][i], of_h[k][i]);
                }
            }
            let sides = [gains, &space.n[..len], &space.d[..len]];
            for (side, transposed) in sides.into_iter().zip(space.transposed.chunks_exact_mut(width * STRIP)) {
                tile::transpose(side, NW * S::F32_LANES, transposed);
            }
            let (of_n, of_d) = (rows::<S, V>(&space.n[..len]), rows::<S, V>(&space.d[..len]));
            for group in groups_of(0..bins) {
                let [of_a, a, b] = three(&mut space.fields, &group);
                let (of_a, a, b) = (rows_mut::<S, V>(of_a), rows::<S, V>(a), rows::<S, V>(b));
                let of_b = rows_mut::<S, V>(&mut space.of_b[..group.len() * STRIP]);
                let ratios = rows_mut::<S, V>(&mut space.ratios[..group.len() * STRIP]);
                tile::model::<S, V, MR>(simd, bases(&group), of_n, &mut StoreSink(&mut *of_a));
                tile::model::<S, V, MR>(simd, bases(&group), of_d, &mut StoreSink(&mut *of_b));
                curve.reverse::<S, V>(simd, &v[group.clone()], [a, b], [&mut *of_a, of_b, ratios], &mut space.knots);
                let of_product = &*of_a;
                let range = group.clone();
                tile::project::<S, V, MB, NB, false>(
                    simd,
                    by_components,
                    bins,
                    range,
                    of_product,
                    of_product,
                    of_h,
                    &mut [],
                );
                // Three products with three transposed factors are one sum over three strips.
                let fields = &space.fields[3 * group.start * STRIP..3 * group.end * STRIP];
                let transposed: &[S::f32s] = bytemuck::cast_slice(&space.transposed);
                let sums = bytemuck::cast_slice_mut(&mut of_bases[group.start * width..group.end * width]);
                tile::correlate::<S, NW, false>(
                    simd,
                    group.len(),
                    fields,
                    fields,
                    transposed,
                    transposed,
                    sums,
                    &mut [],
                );
            }
            flush(&mut space.knots, knots);
        }
    }
}

/// The three fields of a group of rows.
#[inline(always)]
fn three<'a>(fields: &'a mut [f32], group: &std::ops::Range<usize>) -> [&'a mut [f32]; 3] {
    let fields = &mut fields[3 * group.start * STRIP..3 * group.end * STRIP];
    let (first, rest) = fields.split_at_mut(group.len() * STRIP);
    let (second, third) = rest.split_at_mut(group.len() * STRIP);
    [first, second, third]
}

/// See [`super::super::Adjoint::adjoint_of_gains`].
#[expect(clippy::too_many_arguments, reason = "those of the trait's function")]
pub(super) fn reverse(
    engine: &Cpu,
    v: &CpuPanel,
    w: &CpuMatrix,
    h: &CpuPanel,
    weight: &Weight,
    of_w: &mut [Array2<f32>],
    of_h: &mut CpuPanel,
    knots: &mut Array2<f32>,
) {
    engine.install(|| {
        let (shelf, curve) = (engine.shelf(), Curve::of(weight));
        let mut sums = Sums::new(engine, w, v, true);
        let width = sums.width();
        let packed = w.packed(engine.shelf());
        let Packed { bins, components, .. } = packed[0];
        let space = || Space {
            fields: shelf.take(3 * bins * STRIP),
            of_b: shelf.take(GROUP * STRIP),
            ratios: shelf.take(GROUP * STRIP),
            n: shelf.take(padded(components) * STRIP),
            d: shelf.take(padded(components) * STRIP),
            transposed: shelf.take(3 * width * STRIP),
            knots: vec![[0.0; TERMS]; COUNT],
        };
        sums.parts(of_h).into_par_iter().for_each_init(space, |space, part| {
            tile::dispatch(GainsJob { curve, w: &packed[part.matrix], v, h, part, space });
        });
        sums.add_to(engine, of_w, Some(knots));
    });
}
