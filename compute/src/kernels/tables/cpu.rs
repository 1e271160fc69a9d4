//! Tables on the CPU engine: places from the bits of whole vectors, and a load of a whole cubic for every number.

use pulp::Simd;
use rayon::prelude::*;

use super::{Table, Tables};
use crate::Result;
use crate::cubics::{CELLS, Cubics, LEAST, NAMES, PLACE_BITS, TERMS};
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, CpuMatrix, CpuPanel};

/// The bits of 1.
const ONE: u32 = 0x3f80_0000;

/// A table, to be read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// See [`Cubics::named`].
    cubics: &'a [[f32; TERMS]; NAMES],
}

impl<'a> View<'a> {
    pub(crate) fn of(cubics: &'a Cubics) -> Self {
        View { cubics: cubics.named().try_into().expect("a cubic for every name") }
    }

    /// f of the numbers with these bits. It is fast where the bits come from memory: it reads them number by number, and a
    /// number that has just been written as part of a vector must wait for all of it. Numbers below 2^-126 give 0.
    #[inline(always)]
    pub(crate) fn at<S: Simd>(self, simd: S, numbers: &S::f32s) -> S::f32s {
        let mut terms = [simd.splat_f32s(0.0); TERMS];
        let lanes: &[f32] = bytemuck::cast_slice(std::slice::from_ref(numbers));
        let rows: &mut [[f32; TERMS]] = bytemuck::cast_slice_mut(&mut terms);
        // Blocks of four lanes are transposed by themselves.
        let blocks = S::F32_LANES.div_ceil(TERMS);
        for (lane, &z) in lanes.iter().enumerate() {
            rows[lane % TERMS * blocks + lane / TERMS] = self.cubics[(z.to_bits() >> PLACE_BITS) as usize];
        }
        let terms = simd.deinterleave_shfl_f32s(terms);
        let place = place(simd, *numbers);
        let mut value = terms[TERMS - 1];
        for i in (0..TERMS - 1).rev() {
            value = tile::multiply_add(simd, value, place, terms[i]);
        }
        value
    }
}

/// t/8 of numbers, −1/16 to 1/16: with the exponent of 1, the digits of the place are 1 to 1 + 1/8.
#[inline(always)]
fn place<S: Simd>(simd: S, numbers: S::f32s) -> S::f32s {
    let digits = simd.and_u32s(simd.transmute_u32s_f32s(numbers), simd.splat_u32s((1 << PLACE_BITS) - 1));
    let from_one = simd.transmute_f32s_u32s(simd.or_u32s(digits, simd.splat_u32s(ONE)));
    simd.sub_f32s(from_one, simd.splat_f32s(1.0 + 0.5 / CELLS as f32))
}

impl Table<CpuMatrix> {
    pub(crate) fn view(&self) -> View<'_> {
        View::of(self.of())
    }
}

/// A number as tables know it.
#[inline(always)]
pub(crate) fn known<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
    simd.max_f32s(z, simd.splat_f32s(LEAST))
}

/// f of every number of a strip.
struct ApplyJob<'a> {
    table: View<'a>,
    numbers: &'a [f32],
    values: &'a mut [f32],
}

impl StripJob for ApplyJob<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MR: usize, const MB: usize, const NB: usize, const NW: usize>(self, simd: S) {
        let numbers: &[S::f32s] = bytemuck::cast_slice(self.numbers);
        let values: &mut [S::f32s] = bytemuck::cast_slice_mut(self.values);
        for (value, &number) in values.iter_mut().zip(numbers) {
            *value = self.table.at(simd, &known(simd, number));
        }
    }
}

impl Tables for Cpu {
    fn apply(&self, table: &Table<CpuMatrix>, numbers: &CpuPanel) -> Result<CpuPanel> {
        let (rows, segments) = numbers.extent();
        let mut values = CpuPanel::any(self.shelf(), rows, segments.to_vec());
        let table = table.view();
        self.install(|| {
            let strips = values.strips_mut().zip(numbers.strips());
            strips.for_each(|(values, numbers)| tile::dispatch(ApplyJob { table, numbers, values }));
        });
        Ok(values)
    }
}
