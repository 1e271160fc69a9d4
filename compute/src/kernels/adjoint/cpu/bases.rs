//! The reverse pass of an update of bases: N and D of all columns first, then part by part.

use ndarray::{Array2, Zip};
use pulp::Simd;
use rayon::prelude::*;

use super::parts::{Part, Sums, flush};
use super::reverse::Curve;
use crate::cubics::{COUNT, TERMS};
use crate::divergence::DENOMINATOR_FLOOR;
use crate::engine::tile::{self, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Packed, Place, STRIP, Scratch};
use crate::kernels::products::{GROUP, StoreSink, basis_sums, groups_of};
use crate::weight::Weight;

/// A thread's scratch space.
struct Space {
    /// A, B, gA (then g(WH)), gB and r of a group of rows, each (group, STRIP).
    fields: [Scratch; 5],
    /// Hᵀ, (slices, STRIP, components of a slice).
    transposed: Scratch,
    /// Those of a strip.
    knots: Vec<[f32; TERMS]>,
}

/// The reverse pass of a part.
struct BasesJob<'a> {
    curve: Curve<'a>,
    /// W, gN and gD.
    factors: [&'a Packed<'a>; 3],
    v: &'a CpuPanel,
    h: &'a CpuPanel,
    places: &'a [Place],
    part: Part<'a>,
    space: &'a mut Space,
}

impl StripJob for BasesJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { curve, factors, v, h, places, part: Part { strips, of_gains, of_bases, knots, .. }, space } = self;
        let Packed { bins, components, .. } = *factors[0];
        let strip_len = of_gains.len() / strips.len();
        let (width, len) = (of_bases.len() / bins, components * STRIP);
        of_bases.fill(0.0);
        for (strip, of_gains) in strips.zip(of_gains.chunks_exact_mut(strip_len)) {
            let (v, gains) = (rows::<S, V>(v.strip(strip)), &h.strip(strip)[..len]);
            tile::transpose(gains, NW * S::F32_LANES, &mut space.transposed);
            let h = rows::<S, V>(gains);
            for group in groups_of(0..bins) {
                let of_rows = group.start * components..group.end * components;
                let [w, of_n, of_d] = factors.map(|factor| &factor.by_rows[of_rows.clone()]);
                let [a, b, of_a, of_b, ratios] =
                    space.fields.each_mut().map(|field| rows_mut::<S, V>(&mut field[..group.len() * STRIP]));
                curve.form::<S, V, MR>(simd, (w, h), &v[group.clone()], [&mut *a, &mut *b]);
                tile::model::<S, V, MR>(simd, of_n, h, &mut StoreSink(&mut *of_a));
                tile::model::<S, V, MR>(simd, of_d, h, &mut StoreSink(&mut *of_b));
                curve.reverse::<S, V>(
                    simd,
                    &v[group.clone()],
                    [&*a, &*b],
                    [&mut *of_a, of_b, ratios],
                    &mut space.knots,
                );
                let of_h = rows_mut::<S, V>(of_gains);
                for (factor, field) in factors.into_iter().zip([&*of_a, &*a, &*b]) {
                    let bases = factor.by_components;
                    tile::project::<S, V, MB, NB, false>(simd, bases, bins, group.clone(), field, field, of_h, &mut []);
                }
                let of_product = &space.fields[2][..group.len() * STRIP];
                let transposed: &[S::f32s] = bytemuck::cast_slice(&space.transposed);
                let sums = bytemuck::cast_slice_mut(&mut of_bases[group.start * width..group.end * width]);
                tile::correlate::<S, NW, false>(
                    simd,
                    group.len(),
                    of_product,
                    of_product,
                    transposed,
                    transposed,
                    sums,
                    &mut [],
                );
            }
            // B of the columns that pad a strip is not 0.
            tile::clear_after(places[strip].columns, &mut of_gains[..len]);
            flush(&mut space.knots, knots);
        }
    }
}

/// Turns N and D into gN and gD, and the adjoint of W' into g ∘ N / D.
fn of_ratio(w: &Array2<f32>, n: &mut Array2<f32>, d: &mut Array2<f32>, of_w: &mut Array2<f32>) {
    let floor = DENOMINATOR_FLOOR as f32;
    Zip::from(w).and(n).and(d).and(of_w).for_each(|w, n, d, of| {
        let ratio = *n / d.max(floor);
        *n = if *d > floor { *of * w / *d } else { 0.0 };
        *d = -*n * ratio;
        *of *= ratio;
    });
}

/// See [`super::super::Adjoint::adjoint_of_bases`].
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
    let (shelf, curve, places) = (engine.shelf(), Curve::of(weight), v.places());
    let (mut of_n, mut of_d) = basis_sums(engine, curve.fields, v, w, h);
    engine.install(|| {
        let factors = w.par_iter().zip(&mut of_n[..]).zip(&mut of_d[..]).zip(&mut *of_w);
        factors.for_each(|(((w, n), d), of_w)| of_ratio(w, n, d, of_w));
        let mut sums = Sums::new(engine, w, v, true);
        let width = sums.width();
        let space = || Space {
            fields: [(); 5].map(|()| shelf.take(GROUP * STRIP)),
            transposed: shelf.take(width * STRIP),
            knots: vec![[0.0; TERMS]; COUNT],
        };
        let packed = [w, &of_n, &of_d].map(|factor| factor.packed(shelf));
        sums.parts(of_h).into_par_iter().for_each_init(space, |space, part| {
            let factors = packed.each_ref().map(|packed| &packed[part.matrix]);
            tile::dispatch(BasesJob { curve, factors, v, h, places: &places, part, space });
        });
        sums.add_to(engine, of_w, Some(knots));
    });
}
