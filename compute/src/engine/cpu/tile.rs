//! Register tiles: the inner loops of every product. They are written once over `pulp`'s vectors and instantiated for
//! AVX-512, AVX2, SSE4.2 or NEON (scalars elsewhere); the machine's best set is chosen at run time.
//!
//! A strip is a slice of rows `[vector; V]`: V vectors of one instruction set hold its [`STRIP`] columns. Everything
//! here is `inline(always)`, because only code inlined into the dispatch is compiled for its instruction set. Closures
//! passed to the standard library may not be inlined, so arithmetic uses loops, not `map` or `fold`.

use std::ops::Range;

use ndarray::{ArrayView2, Axis};
use pulp::Simd;

/// Columns per strip: three AVX-512 vectors, six AVX2 vectors, twelve NEON vectors.
pub(crate) const STRIP: usize = 48;

/// The rows of a strip are padded to a multiple of this, the height of the tallest register tile.
pub(crate) const ROW_BLOCK: usize = 8;

/// `rows` rounded up to the padded height of strips.
pub(crate) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(ROW_BLOCK)
}

/// A computation on one strip, generic over the instruction set and its tile sizes: V vectors per strip; MR rows of Λ
/// at a time; MB components of a back-projection over NB vectors; NW vectors of components in products with the
/// transposed gains.
pub(crate) trait StripJob {
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S);
}

/// The tile sizes that determine the layout of packed operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// MR: rows of the bases per packed row block.
    pub(crate) rows: usize,
    /// MB: components per packed component block.
    pub(crate) components: usize,
    /// NW vectors: transposed gains are padded to a multiple of this many components.
    pub(crate) gains: usize,
}

struct Vectorize<J>(J);

impl<J: StripJob> pulp::WithSimd for Vectorize<J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sizes fill the registers: 24 accumulators of 32 registers, or 8 of 16, because the operands need the
        // rest. These are conditions on constants, not a match, so that the compiler drops the sizes of other
        // instruction sets.
        if const { S::F32_LANES == 16 } {
            self.0.run::<S, 3, 8, 4, 3, 2>(simd)
        } else if const { S::F32_LANES == 8 } {
            self.0.run::<S, 6, 4, 4, 2, 2>(simd)
        } else if const { S::F32_LANES == 4 && S::REGISTER_COUNT >= 32 } {
            self.0.run::<S, 12, 8, 4, 3, 2>(simd)
        } else if const { S::F32_LANES == 4 } {
            self.0.run::<S, 12, 4, 4, 2, 2>(simd)
        } else {
            self.0.run::<S, STRIP, 4, 2, 2, 1>(simd)
        }
    }
}

/// Zeros a strip's rows after so many columns: what pads them must add nothing to sums.
pub(crate) fn clear_after(columns: usize, strip: &mut [f32]) {
    if columns < STRIP {
        strip.chunks_exact_mut(STRIP).for_each(|row| row[columns..].fill(0.0));
    }
}

/// Runs a job with the machine's best instruction set.
#[cfg(target_arch = "x86_64")]
pub(crate) fn dispatch<J: StripJob>(job: J) {
    match instructions().expect("Cpu::new refuses older processors") {
        Instructions::Avx512(simd) => Simd::vectorize(simd, Vectorize(job)),
        Instructions::Avx2(simd) => Simd::vectorize(simd, Vectorize(job)),
        Instructions::Sse(simd) => Simd::vectorize(simd, Vectorize(job)),
    }
}

/// Runs a job with the machine's best instruction set.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn dispatch<J: StripJob>(job: J) {
    pulp::Arch::new().dispatch(Vectorize(job));
}

/// Not `pulp::Arch`, which has scalars in the place of SSE4.2: no processor since 2011 needs them, and they were the largest part of
/// what is compiled.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
enum Instructions {
    Avx512(pulp::x86::V4),
    Avx2(pulp::x86::V3),
    Sse(pulp::x86::V2),
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Option<Instructions> {
    let avx = || pulp::x86::V3::try_new().map(Instructions::Avx2);
    let sse = || pulp::x86::V2::try_new().map(Instructions::Sse);
    pulp::x86::V4::try_new().map(Instructions::Avx512).or_else(avx).or_else(sse)
}

/// The name of the instruction set that [`dispatch`] uses here. None if it has none.
pub(crate) fn instruction_set() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    return instructions().map(|set| match set {
        Instructions::Avx512(_) => "avx512",
        Instructions::Avx2(_) => "avx2",
        Instructions::Sse(_) => "sse4.2",
    });
    #[cfg(not(target_arch = "x86_64"))]
    Some(match pulp::Arch::new() {
        #[cfg(target_arch = "aarch64")]
        pulp::Arch::Neon(_) => "neon",
        _ => "scalar",
    })
}

/// The tile sizes that [`dispatch`] uses here.
pub(crate) fn shape() -> TileShape {
    struct Ask<'a>(&'a mut TileShape);
    impl StripJob for Ask<'_> {
        fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(
            self,
            _: S,
        ) {
            *self.0 = TileShape { rows: MR, components: MB, gains: NW * S::F32_LANES };
        }
    }
    let mut shape = TileShape { rows: 0, components: 0, gains: 0 };
    dispatch(Ask(&mut shape));
    shape
}

/// A strip as rows of V vectors.
#[inline(always)]
pub(crate) fn rows<S: Simd, const V: usize>(strip: &[f32]) -> &[[S::f32s; V]] {
    bytemuck::cast_slice(strip)
}

/// A strip as mutable rows of V vectors.
#[inline(always)]
pub(crate) fn rows_mut<S: Simd, const V: usize>(strip: &mut [f32]) -> &mut [[S::f32s; V]] {
    bytemuck::cast_slice_mut(strip)
}

/// a b + c, fused if the instruction set supports it. Otherwise `pulp` would emulate the fusing a hundred times slower.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if cfg!(target_arch = "x86_64") && S::F32_LANES == 4 {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_e_f32s(a, b, c)
    }
}

/// −a. `pulp`'s own is not inlined, and so not compiled for the instruction set.
#[inline(always)]
pub(crate) fn negate<S: Simd>(simd: S, a: S::f32s) -> S::f32s {
    simd.xor_f32s(simd.splat_f32s(-0.0), a)
}

/// Applies f to each number of a vector, for functions without a vector form.
#[inline(always)]
pub(crate) fn each<S: Simd>(_: S, mut vector: S::f32s, f: impl Fn(f32) -> f32) -> S::f32s {
    let lanes: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut vector));
    for lane in lanes {
        *lane = f(*lane);
    }
    vector
}

/// Applies f to each pair of numbers of two vectors.
#[inline(always)]
pub(crate) fn each_two<V: bytemuck::Pod>(mut a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    let (lanes, others): (&mut [f32], &[f32]) =
        (bytemuck::cast_slice_mut(std::slice::from_mut(&mut a)), bytemuck::cast_slice(std::slice::from_ref(&b)));
    for (lane, &other) in lanes.iter_mut().zip(others) {
        *lane = f(*lane, other);
    }
    a
}

/// 1/x within 2e-7 of its value, for x from 1e-30 to 1e30. Faster than a quotient if the instruction set has a good estimate.
#[inline(always)]
pub(crate) fn inverse<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(&wide) = (&simd as &dyn std::any::Any).downcast_ref::<pulp::x86::V4>() {
        let all: pulp::f32x16 = bytemuck::cast(x);
        let estimate: pulp::f32x16 = pulp::cast(wide.avx512f._mm512_rcp14_ps(pulp::cast(all)));
        let estimate: S::f32s = bytemuck::cast(estimate);
        // A step of Newton's: e (1 + (1 − x e)).
        let rest = multiply_add(simd, negate(simd, x), estimate, simd.splat_f32s(1.0));
        return multiply_add(simd, estimate, rest, estimate);
    }
    simd.div_f32s(simd.splat_f32s(1.0), x)
}

/// Receives row blocks of Λ while they are in registers.
pub(crate) trait ModelSink<S: Simd> {
    /// Receives vector `vector` of row `row`, counted from the first row of the product.
    fn take(&mut self, simd: S, row: usize, vector: usize, lambda: S::f32s);
}

/// Computes Λ = W H for some rows of W and passes it to `sink` tile by tile. `bases`: (blocks, K, MR), see
/// [`pack_rows`]. `gains`: K rows of a strip.
#[inline(always)]
pub(crate) fn model<S: Simd, const V: usize, const MR: usize>(
    simd: S,
    bases: &[f32],
    gains: &[[S::f32s; V]],
    sink: &mut impl ModelSink<S>,
) {
    // MR x 3 accumulators, 3 vectors of H and one of W take all of sixteen registers. The compiler then spills, at a
    // third of the speed.
    if const { S::REGISTER_COUNT < 32 } {
        model_some::<S, V, MR, 2>(simd, bases, gains, sink);
    } else {
        model_some::<S, V, MR, 3>(simd, bases, gains, sink);
    }
}

/// [`model`] with NV vectors of a strip at a time.
#[inline(always)]
fn model_some<S: Simd, const V: usize, const MR: usize, const NV: usize>(
    simd: S,
    bases: &[f32],
    gains: &[[S::f32s; V]],
    sink: &mut impl ModelSink<S>,
) {
    for (block, bases) in bases.chunks_exact(gains.len() * MR).enumerate() {
        for first in (0..V).step_by(NV) {
            let mut sum = [[simd.splat_f32s(0.0); NV]; MR];
            add_rows::<S, V, MR, NV>(simd, bases.as_chunks().0, gains, first, &mut sum);
            for (i, sum) in sum.into_iter().enumerate() {
                for (j, lambda) in sum.into_iter().enumerate() {
                    sink.take(simd, block * MR + i, first + j, lambda);
                }
            }
        }
    }
}

/// Adds the products of MR rows of some bases with NV vectors of their gains, from vector `first` on.
#[inline(always)]
fn add_rows<S: Simd, const V: usize, const MR: usize, const NV: usize>(
    simd: S,
    bases: &[[f32; MR]],
    gains: &[[S::f32s; V]],
    first: usize,
    sum: &mut [[S::f32s; NV]; MR],
) {
    for (w, h) in bases.iter().zip(gains) {
        let h: &[S::f32s; NV] = &h[first..].as_chunks().0[0];
        for (sum, &w) in sum.iter_mut().zip(w) {
            let w = simd.splat_f32s(w);
            for (sum, &h) in sum.iter_mut().zip(h) {
                *sum = multiply_add(simd, w, h, *sum);
            }
        }
    }
}

/// Λ += W H over some of the components, for some rows of W. `bases`: these rows, as in [`model`]. `gains`: all K rows of a strip.
#[inline(always)]
pub(crate) fn add_model<S: Simd, const V: usize, const MR: usize>(
    simd: S,
    bases: &[f32],
    gains: &[[S::f32s; V]],
    components: Range<usize>,
    lambda: &mut [[S::f32s; V]],
) {
    if const { S::REGISTER_COUNT < 32 } {
        add_model_some::<S, V, MR, 2>(simd, bases, gains, components, lambda);
    } else {
        add_model_some::<S, V, MR, 3>(simd, bases, gains, components, lambda);
    }
}

/// [`add_model`] with NV vectors of a strip at a time.
#[inline(always)]
fn add_model_some<S: Simd, const V: usize, const MR: usize, const NV: usize>(
    simd: S,
    bases: &[f32],
    gains: &[[S::f32s; V]],
    components: Range<usize>,
    lambda: &mut [[S::f32s; V]],
) {
    for (bases, lambda) in bases.chunks_exact(gains.len() * MR).zip(lambda.as_chunks_mut::<MR>().0) {
        let bases = &bases.as_chunks().0[components.clone()];
        for first in (0..V).step_by(NV) {
            let mut sum = [[simd.splat_f32s(0.0); NV]; MR];
            for (sum, lambda) in sum.iter_mut().zip(&*lambda) {
                *sum = lambda.as_chunks::<NV>().0[first / NV];
            }
            add_rows::<S, V, MR, NV>(simd, bases, &gains[components.clone()], first, &mut sum);
            for (lambda, sum) in lambda.iter_mut().zip(sum) {
                lambda.as_chunks_mut::<NV>().0[first / NV] = sum;
            }
        }
    }
}

/// N += Wᵀ P and D += Wᵀ Q over a block of rows; without `Q`, N alone. `bases`: (blocks of MB components, F, MB), see
/// [`pack_components`], of which the rows `block` are used. `p`, `q`: the block's rows. `n`, `d`: one row per
/// component.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the operands of two matrix products")]
pub(crate) fn project<S: Simd, const V: usize, const MB: usize, const NB: usize, const Q: bool>(
    simd: S,
    bases: &[f32],
    bins: usize,
    block: Range<usize>,
    p: &[[S::f32s; V]],
    q: &[[S::f32s; V]],
    n: &mut [[S::f32s; V]],
    d: &mut [[S::f32s; V]],
) {
    // Two products need twice the accumulators. With few registers they process half of a block's components at a time.
    if const { Q && S::REGISTER_COUNT < 32 } {
        project_some::<S, V, MB, 2, NB, Q>(simd, bases, bins, block, p, q, n, d);
    } else {
        project_some::<S, V, MB, MB, NB, Q>(simd, bases, bins, block, p, q, n, d);
    }
}

/// [`project`] with M of a block's MB components at a time.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the operands of two matrix products")]
fn project_some<S: Simd, const V: usize, const MB: usize, const M: usize, const NB: usize, const Q: bool>(
    simd: S,
    bases: &[f32],
    bins: usize,
    block: Range<usize>,
    p: &[[S::f32s; V]],
    q: &[[S::f32s; V]],
    n: &mut [[S::f32s; V]],
    d: &mut [[S::f32s; V]],
) {
    for (component, bases) in bases.chunks_exact(bins * MB).enumerate() {
        let bases = &bases.as_chunks::<MB>().0[block.clone()];
        for (part, first) in (0..MB / M).flat_map(|part| (0..V).step_by(NB).map(move |first| (part, first))) {
            // Whole arrays of rows and of vectors: with an index for each, the compiler keeps the sums in memory.
            let component = component * (MB / M) + part;
            let (mut sum_n, mut sum_d) = ([[simd.splat_f32s(0.0); NB]; M], [[simd.splat_f32s(0.0); NB]; M]);
            for (sum, n) in sum_n.iter_mut().zip(&n.as_chunks::<M>().0[component]) {
                *sum = n.as_chunks::<NB>().0[first / NB];
            }
            if Q {
                for (sum, d) in sum_d.iter_mut().zip(&d.as_chunks::<M>().0[component]) {
                    *sum = d.as_chunks::<NB>().0[first / NB];
                }
            }
            for ((w, p), q) in bases.iter().zip(p).zip(q) {
                let p: &[S::f32s; NB] = &p[first..].as_chunks().0[0];
                let q: &[S::f32s; NB] = &q[first..].as_chunks().0[0];
                for i in 0..M {
                    let w = simd.splat_f32s(w[part * M + i]);
                    for j in 0..NB {
                        sum_n[i][j] = multiply_add(simd, w, p[j], sum_n[i][j]);
                        if Q {
                            sum_d[i][j] = multiply_add(simd, w, q[j], sum_d[i][j]);
                        }
                    }
                }
            }
            for (n, sum) in n.as_chunks_mut::<M>().0[component].iter_mut().zip(sum_n) {
                n.as_chunks_mut::<NB>().0[first / NB] = sum;
            }
            if Q {
                for (d, sum) in d.as_chunks_mut::<M>().0[component].iter_mut().zip(sum_d) {
                    d.as_chunks_mut::<NB>().0[first / NB] = sum;
                }
            }
        }
    }
}

/// N += P Hᵀ and D += Q H̃ᵀ over some strips, for a group of `height` rows; without `Q`, N alone. `p`, `q`: (strips,
/// height, STRIP). `gains_n`, `gains_d`: Hᵀ and H̃ᵀ of each strip, see [`transpose`]. `n`, `d`: (slices of NW vectors
/// of components, height, NW) vectors.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the operands of two matrix products")]
pub(crate) fn correlate<S: Simd, const NW: usize, const Q: bool>(
    simd: S,
    height: usize,
    p: &[f32],
    q: &[f32],
    gains_n: &[S::f32s],
    gains_d: &[S::f32s],
    n: &mut [S::f32s],
    d: &mut [S::f32s],
) {
    // If P and Q share the gains, they are loaded once. As in `project`, two products process fewer rows if registers
    // are few.
    let same = std::ptr::eq(gains_n, gains_d);
    match (const { Q && S::REGISTER_COUNT < 32 }, same) {
        (true, true) => correlate_some::<S, 2, NW, Q, true>(simd, height, p, q, gains_n, gains_d, n, d),
        (true, false) => correlate_some::<S, 2, NW, Q, false>(simd, height, p, q, gains_n, gains_d, n, d),
        (false, true) => correlate_some::<S, 4, NW, Q, true>(simd, height, p, q, gains_n, gains_d, n, d),
        (false, false) => correlate_some::<S, 4, NW, Q, false>(simd, height, p, q, gains_n, gains_d, n, d),
    }
}

/// [`correlate`] with M rows at a time. SAME says whether Hᵀ = H̃ᵀ.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the operands of two matrix products")]
fn correlate_some<S: Simd, const M: usize, const NW: usize, const Q: bool, const SAME: bool>(
    simd: S,
    height: usize,
    p: &[f32],
    q: &[f32],
    gains_n: &[S::f32s],
    gains_d: &[S::f32s],
    n: &mut [S::f32s],
    d: &mut [S::f32s],
) {
    let (n, d) = (n.as_chunks_mut::<NW>().0, d.as_chunks_mut::<NW>().0);
    let (gains_n, gains_d) = (gains_n.as_chunks::<NW>().0, gains_d.as_chunks::<NW>().0);
    let (p, q) = (p.as_chunks::<STRIP>().0, q.as_chunks::<STRIP>().0);
    let (slices, strips) = (n.len() / height, p.len() / height);
    for slice in 0..slices {
        for row in (0..height).step_by(M) {
            let at = slice * height + row;
            let mut sum_n: [[S::f32s; NW]; M] = n[at..].as_chunks().0[0];
            let mut sum_d: [[S::f32s; NW]; M] = if Q { d[at..].as_chunks().0[0] } else { sum_n };
            for strip in 0..strips {
                let p: &[[f32; STRIP]; M] = &p[strip * height + row..].as_chunks().0[0];
                let q: &[[f32; STRIP]; M] = &q[strip * height + row..].as_chunks().0[0];
                let first = (strip * slices + slice) * STRIP;
                let h: &[[S::f32s; NW]; STRIP] = &gains_n[first..].as_chunks().0[0];
                let g: &[[S::f32s; NW]; STRIP] = &gains_d[first..].as_chunks().0[0];
                for column in 0..STRIP {
                    for i in 0..M {
                        let p = simd.splat_f32s(p[i][column]);
                        let q = simd.splat_f32s(q[i][column]);
                        for j in 0..NW {
                            let h = h[column][j];
                            sum_n[i][j] = multiply_add(simd, p, h, sum_n[i][j]);
                            if Q {
                                let g = if SAME { h } else { g[column][j] };
                                sum_d[i][j] = multiply_add(simd, q, g, sum_d[i][j]);
                            }
                        }
                    }
                }
            }
            for i in 0..M {
                n[at + i] = sum_n[i];
                if Q {
                    d[at + i] = sum_d[i];
                }
            }
        }
    }
}

/// Transposes H of a strip for [`correlate`]: (slices of `width` components, STRIP, `width`), zero-padded. The numbers
/// that a tile reads are contiguous: at a stride of some powers of two they would evict each other from the cache.
pub(crate) fn transpose(strip: &[f32], width: usize, transposed: &mut [f32]) {
    let slices = transposed.chunks_exact_mut(width * STRIP);
    for (transposed, rows) in slices.zip(strip.as_chunks::<STRIP>().0.chunks(width)) {
        for (column, to) in transposed.chunks_exact_mut(width).enumerate() {
            to[rows.len()..].fill(0.0);
            to.iter_mut().zip(rows).for_each(|(to, row)| *to = row[column]);
        }
    }
}

/// Packs bases for [`model`]: (blocks of `height` rows, K, `height`). Rows are zero-padded to fill `packed`.
pub(crate) fn pack_rows(bases: ArrayView2<f32>, height: usize, packed: &mut [f32]) {
    let components = bases.ncols();
    packed[bases.nrows() / height * height * components..].fill(0.0);
    for (block, rows) in packed.chunks_exact_mut(height * components).zip(bases.axis_chunks_iter(Axis(0), height)) {
        for (row, values) in rows.rows().into_iter().enumerate() {
            for (packed, &value) in block.chunks_exact_mut(height).zip(values) {
                packed[row] = value;
            }
        }
    }
}

/// Packs bases for [`project`]: (blocks of `width` components, `rows`, `width`). Both are zero-padded to fill `packed`.
pub(crate) fn pack_components(bases: ArrayView2<f32>, rows: usize, width: usize, packed: &mut [f32]) {
    packed.fill(0.0);
    for (block, components) in packed.chunks_exact_mut(rows * width).zip(bases.axis_chunks_iter(Axis(1), width)) {
        for (packed, values) in block.chunks_exact_mut(width).zip(components.rows()) {
            packed.iter_mut().zip(values).for_each(|(packed, &value)| *packed = value);
        }
    }
}
