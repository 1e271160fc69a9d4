//! Tables on the CPU engine: cells and places from the bits of whole vectors, cubics lane by lane.

use ndarray::Array2;
use pulp::Simd;
use rayon::prelude::*;

use super::{CELL_BITS, LEAST, Law, OCTAVES, TERMS, Table, Tables};
use crate::Result;
use crate::engine::tile::{self, StripJob};
use crate::engine::{Cpu, CpuPanel};

/// The digits of a mantissa that are a place in a cell.
const PLACE_BITS: u32 = 23 - CELL_BITS;
/// The bits of 1.
const ONE: u32 = 0x3f80_0000;
/// The cell of 2^-126, if the cells began there and at exponent 0.
const FIRST: u32 = ((127 + OCTAVES.start) as u32) << CELL_BITS;

/// The ends of the cells, 2^-64 and 2^40. The bits of a power of two are its exponent.
const ENDS: [f32; 2] =
    [f32::from_bits(((127 + OCTAVES.start) as u32) << 23), f32::from_bits(((127 + OCTAVES.end) as u32) << 23)];

/// A table, to be read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    cubics: &'a [[f32; TERMS]],
    laws: [Law; 2],
}

impl Table<Vec<Array2<f32>>> {
    pub(crate) fn view(&self) -> View<'_> {
        let cubics = self.cubics.first().and_then(|cubics| cubics.as_slice()).unwrap_or_default();
        View { cubics: cubics.as_chunks().0, laws: self.laws }
    }
}

/// Where numbers lie among the cells. All tables have the same cells.
pub(crate) struct Lookup<S: Simd> {
    /// The numbers, at least 2^-126.
    z: S::f32s,
    cell: S::u32s,
    /// t, −1/2 to 1/2.
    place: S::f32s,
    /// Whether all of them are in cells.
    inside: bool,
}

impl<S: Simd> Lookup<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, z: S::f32s) -> Self {
        let z = simd.max_f32s(z, simd.splat_f32s(LEAST));
        let last = f32::from_bits(ENDS[1].to_bits() - 1);
        let clamped = simd.min_f32s(simd.max_f32s(z, simd.splat_f32s(ENDS[0])), simd.splat_f32s(last));
        let bits = simd.transmute_u32s_f32s(clamped);
        let cell = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(PLACE_BITS));
        let cell = simd.sub_u32s(cell, simd.splat_u32s(FIRST));
        let place = simd.and_u32s(bits, simd.splat_u32s((1 << PLACE_BITS) - 1));
        let place = simd.wrapping_dyn_shl_u32s(place, simd.splat_u32s(CELL_BITS));
        let place = simd.transmute_f32s_u32s(simd.or_u32s(place, simd.splat_u32s(ONE)));
        let inside = simd.reduce_min_f32s(z) >= ENDS[0] && simd.reduce_max_f32s(z) < ENDS[1];
        Self { z, cell, place: simd.sub_f32s(place, simd.splat_f32s(1.5)), inside }
    }

    /// f of the numbers.
    #[inline(always)]
    pub(crate) fn of(&self, simd: S, table: View) -> S::f32s {
        let mut terms = [simd.splat_f32s(0.0); TERMS];
        let cells: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&self.cell));
        let lanes: &mut [f32] = bytemuck::cast_slice_mut(&mut terms);
        for (lane, &cell) in cells.iter().enumerate() {
            // Every number has a cell, except one that is none.
            let cubic = table.cubics.get(cell as usize).copied().unwrap_or([f32::NAN; TERMS]);
            for i in 0..TERMS {
                lanes[i * S::F32_LANES + lane] = cubic[i];
            }
        }
        let mut value = terms[TERMS - 1];
        for i in (0..TERMS - 1).rev() {
            value = tile::multiply_add(simd, value, self.place, terms[i]);
        }
        if self.inside {
            return value;
        }
        tile::each_two(self.z, value, |z, value| beyond(table.laws, z).unwrap_or(value))
    }
}

/// f of a number beyond the cells.
fn beyond(laws: [Law; 2], z: f32) -> Option<f32> {
    let at = usize::from(z >= ENDS[1]);
    if at == 0 && z >= ENDS[0] {
        return None;
    }
    let (Law { value, power, slope }, ratio) = (laws[at], z / ENDS[at]);
    Some(value * ratio.powf(power) + slope * ratio.ln())
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
            *value = Lookup::new(simd, number).of(simd, self.table);
        }
    }
}

impl Tables for Cpu {
    fn apply(&self, table: &Table<Vec<Array2<f32>>>, numbers: &CpuPanel) -> Result<CpuPanel> {
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
