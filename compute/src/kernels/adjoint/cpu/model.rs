//! The model, and its reverse pass.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::parts::{Part, Sums};
use crate::divergence::MODEL_FLOOR;
use crate::engine::tile::{self, ModelSink, StripJob, rows, rows_mut};
use crate::engine::{Cpu, CpuMatrix, CpuPanel, Packed, STRIP, Scratch};
use crate::kernels::products::{GROUP, groups_of, shape_of};

/// Stores max(WH, 1e-12).
struct FlooredSink<'a, S: Simd, const V: usize>(&'a mut [[S::f32s; V]]);

impl<S: Simd, const V: usize> ModelSink<S> for FlooredSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        self.0[row][vector] = simd.max_f32s(lambda, simd.splat_f32s(MODEL_FLOOR as f32));
    }
}

/// Computes the model of a strip.
struct ModelJob<'a> {
    w: &'a Packed<'a>,
    /// K rows.
    h: &'a [f32],
    model: &'a mut [f32],
}

impl StripJob for ModelJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let mut sink = FlooredSink::<S, V>(rows_mut::<S, V>(self.model));
        tile::model::<S, V, MR>(simd, self.w.by_rows, rows::<S, V>(self.h), &mut sink);
    }
}

/// Λ of all strips.
pub(super) fn form(engine: &Cpu, w: &CpuMatrix, h: &CpuPanel) -> CpuPanel {
    let (bins, components) = shape_of(w);
    let mut model = CpuPanel::any(engine.shelf(), bins, h.segments().to_vec());
    let places = model.places();
    engine.install(|| {
        let packed = w.packed(engine.shelf());
        model.strips_mut().zip(h.strips()).zip(&places).for_each(|((model, h), place)| {
            let (w, h) = (&packed[place.segment % packed.len()], &h[..components * STRIP]);
            tile::dispatch(ModelJob { w, h, model });
            let (rows, padding) = model.split_at_mut(bins * STRIP);
            rows.chunks_exact_mut(STRIP).for_each(|row| row[place.columns..].fill(0.0));
            padding.fill(0.0);
        });
    });
    model
}

/// Keeps the adjoint of the model where WH is above its floor.
struct MaskSink<'a, S: Simd, const V: usize> {
    of_model: &'a [[S::f32s; V]],
    to: &'a mut [[S::f32s; V]],
}

impl<S: Simd, const V: usize> ModelSink<S> for MaskSink<'_, S, V> {
    #[inline(always)]
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s) {
        let above = simd.greater_than_f32s(lambda, simd.splat_f32s(MODEL_FLOOR as f32));
        self.to[row][vector] = simd.select_f32s(above, self.of_model[row][vector], simd.splat_f32s(0.0));
    }
}

/// The reverse pass of a part.
struct ReverseJob<'a> {
    w: &'a Packed<'a>,
    h: &'a CpuPanel,
    of_model: &'a CpuPanel,
    part: Part<'a>,
    /// (group, STRIP)
    of_product: &'a mut [f32],
    /// Hᵀ, (slices, STRIP, components of a slice).
    transposed: &'a mut [f32],
}

impl StripJob for ReverseJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let Self { w, h, of_model, part: Part { strips, of_gains, of_bases, .. }, of_product, transposed } = self;
        let Packed { bins, components, by_components, .. } = *w;
        let strip_len = of_gains.len() / strips.len();
        let width = of_bases.len() / bins;
        of_bases.fill(0.0);
        for (strip, of_gains) in strips.zip(of_gains.chunks_exact_mut(strip_len)) {
            let gains = &h.strip(strip)[..components * STRIP];
            tile::transpose(gains, NW * S::F32_LANES, transposed);
            let (of_model, of_h) = (rows::<S, V>(of_model.strip(strip)), rows_mut::<S, V>(of_gains));
            for group in groups_of(0..bins) {
                let bases = &w.by_rows[group.start * components..group.end * components];
                let to = rows_mut::<S, V>(&mut of_product[..group.len() * STRIP]);
                let mut sink = MaskSink::<S, V> { of_model: &of_model[group.clone()], to };
                tile::model::<S, V, MR>(simd, bases, rows::<S, V>(gains), &mut sink);
                let to = &*sink.to;
                tile::project::<S, V, MB, NB, false>(simd, by_components, bins, group.clone(), to, to, of_h, &mut []);
                let of_product = &of_product[..group.len() * STRIP];
                let transposed: &[S::f32s] = bytemuck::cast_slice(transposed);
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
        }
    }
}

/// See [`super::super::Adjoint::adjoint_of_model`].
pub(super) fn reverse(
    engine: &Cpu,
    w: &CpuMatrix,
    h: &CpuPanel,
    of_model: &CpuPanel,
    of_w: &mut [Array2<f32>],
    of_h: &mut CpuPanel,
) {
    engine.install(|| {
        let shelf = engine.shelf();
        let mut sums = Sums::new(engine, w, of_model, false);
        let width = sums.width();
        let space = || -> [Scratch; 2] { [shelf.take(GROUP * STRIP), shelf.take(width * STRIP)] };
        let packed = w.packed(engine.shelf());
        sums.parts(of_h).into_par_iter().for_each_init(space, |[of_product, transposed], part| {
            let w = &packed[part.matrix];
            tile::dispatch(ReverseJob { w, h, of_model, part, of_product, transposed });
        });
        sums.add_to(engine, of_w, None);
    });
}
