//! The product behind Λ, N and D, in register tiles. A table says where the terms of a sum are.

use std::ops::Range;

use pulp::Simd;

use super::factors::{Factor, padded};
use crate::engine::tile::{self, StripJob};

/// Rows of Λ that a task forms. Their costs are summed separately.
pub(super) const ROWS: usize = 24;
/// The tallest register tile.
pub(super) const TALLEST: usize = 8;

/// The positions of a term's factors.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) a: usize,
    pub(super) b: usize,
}

/// C_mn = Σ a[step.a + m] b[step.b + n] over all steps in order, for m < `rows` and n < `columns`. `columns` must be a
/// multiple of [`super::factors::WIDTH`].
pub(super) struct ProductJob<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) steps: &'a [Step],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// C, in rows of `pitch`.
    pub(super) sums: &'a mut [f32],
    pub(super) pitch: usize,
    /// Whether C is added to the contents of `sums`.
    pub(super) add: bool,
}

impl StripJob for ProductJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(
        mut self,
        simd: S,
    ) {
        // The sums, the vectors of a step and their multipliers together fill the registers.
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

/// Loads unaligned vectors.
#[inline(always)]
pub(super) fn load<S: Simd, const NV: usize>(numbers: &[f32]) -> [S::f32s; NV] {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&numbers[..NV * S::F32_LANES]))
}

#[inline(always)]
pub(super) fn store<S: Simd>(to: &mut [f32], vector: S::f32s) {
    to.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&vector)));
}

/// Divides `count` items into the fewest ranges of at most `most`, all of about the same size.
fn even(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let ranges = count.div_ceil(most);
    (0..ranges).map(move |range| range * count / ranges..(range + 1) * count / ranges)
}

/// Λ of two factors, unfloored. Copy s of a is shifted by the lag t of a copy of b, and copy t of b by the lag s.
pub(super) struct Model<'a> {
    a: &'a Factor,
    b: &'a Factor,
    steps: Vec<Step>,
}

impl<'a> Model<'a> {
    pub(super) fn new(a: &'a Factor, b: &'a Factor, components: Range<usize>) -> Self {
        let mut steps = Vec::with_capacity(a.copies * b.copies * components.len());
        for (s, t) in (0..a.copies).flat_map(|s| (0..b.copies).map(move |t| (s, t))) {
            steps.extend(components.clone().map(|d| Step { a: a.at(s, d) - t, b: b.at(t, d) - s }));
        }
        Self { a, b, steps }
    }

    /// Forms the rows of Λ from `first` on until `lambda` is full. Rows have length `pitch`.
    pub(super) fn form(&self, first: usize, lambda: &mut [f32], pitch: usize) {
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
