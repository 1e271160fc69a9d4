//! The reverse pass of the fields of some rows of a strip.

use pulp::Simd;

use crate::cubics::{CELL_BITS, OCTAVES, PLACE_BITS, TERMS};
use crate::divergence::{DENOMINATOR_FLOOR, MODEL_FLOOR};
use crate::engine::tile;
use crate::kernels::products::fields::Density;
use crate::kernels::products::{FieldSink, Fields};
use crate::kernels::tables::View;
use crate::weight::{RATIO_FLOOR, Weight};

/// The bits of 1.
const ONE: u32 = 0x3f80_0000;
/// The name of the first cell: the first digits of the bits of 2^-64.
const FIRST: u32 = ((127 + OCTAVES.start) as u32) << CELL_BITS;
/// The last number in the cells. The bits of a power of two are its exponent.
const LAST: f32 = f32::from_bits((((127 + OCTAVES.end) as u32) << 23) - 1);

/// The tables of a weight.
#[derive(Clone, Copy)]
pub(super) struct Curve<'a> {
    pub(super) fields: Density<'a>,
    slope: View<'a>,
}

impl<'a> Curve<'a> {
    pub(super) fn of(weight: &'a Weight) -> Self {
        Self { fields: Density::new(weight), slope: View::of(weight.slope()) }
    }

    /// A and B of some rows. `bases`: those rows of W, see [`tile::pack_rows`]. `h`: the gains of the strip.
    #[inline(always)]
    pub(super) fn form<S: Simd, const V: usize, const MR: usize>(
        self,
        simd: S,
        (bases, h): (&[f32], &[[S::f32s; V]]),
        v: &[[S::f32s; V]],
        [a, b]: [&mut [[S::f32s; V]]; 2],
    ) {
        let (fields, mut costs) = (self.fields, [simd.splat_f32s(0.0); V]);
        let mut sink =
            FieldSink::<S, V, false, Density> { fields, v, p: &mut *a, q: &mut *b, rows: 0, costs: &mut costs };
        tile::model::<S, V, MR>(simd, bases, h, &mut sink);
        fields.finish(simd, a.as_flattened_mut(), b.as_flattened());
    }

    /// Turns gA of some rows into g(WH). Adds Σ gΦ t^i to `knots` (cells of the tables). `ratios`: space for as many rows.
    #[inline(always)]
    pub(super) fn reverse<S: Simd, const V: usize>(
        self,
        simd: S,
        v: &[[S::f32s; V]],
        [a, b]: [&[[S::f32s; V]]; 2],
        [of_a, of_b, ratios]: [&mut [[S::f32s; V]]; 3],
        knots: &mut [[f32; TERMS]],
    ) {
        let (zero, two, least) = (simd.splat_f32s(0.0), simd.splat_f32s(2.0), simd.splat_f32s(RATIO_FLOOR as f32));
        // First r and gΦ of all rows: tables and knots read them number by number, which is slow right after a vector is
        // written.
        let cells = of_a.as_flattened_mut().iter_mut().zip(ratios.as_flattened_mut());
        let given = v.as_flattened().iter().zip(a.as_flattened()).zip(b.as_flattened());
        for ((of_a, ratio), ((&v, &a), &b)) in cells.zip(given) {
            *of_a = simd.mul_f32s(*of_a, a);
            *ratio = simd.max_f32s(simd.mul_f32s(v, b), least);
        }
        count(bytemuck::cast_slice(&*ratios), bytemuck::cast_slice(&*of_a), knots);
        // B where λ is at its floor.
        let most = tile::inverse(simd, simd.splat_f32s(MODEL_FLOOR as f32));
        let cells = of_a.as_flattened_mut().iter_mut().zip(ratios.as_flattened());
        for ((of_phi, ratio), (&b, &mut of_b)) in cells.zip(b.as_flattened().iter().zip(of_b.as_flattened_mut())) {
            let slope = self.slope.at(simd, ratio);
            let slope = simd.select_f32s(simd.greater_than_f32s(*ratio, least), slope, zero);
            let bent = simd.mul_f32s(*of_phi, simd.add_f32s(two, slope));
            let of_lambda = tile::negate(simd, simd.mul_f32s(b, tile::multiply_add(simd, of_b, b, bent)));
            *of_phi = simd.select_f32s(simd.less_than_f32s(b, most), of_lambda, zero);
        }
    }
}

/// Adds gΦ t^i to the knots of r, which is at least its floor.
#[inline(always)]
fn count(ratios: &[f32], of_phi: &[f32], knots: &mut [[f32; TERMS]]) {
    for (&r, &of_phi) in ratios.iter().zip(of_phi) {
        let bits = r.min(LAST).to_bits();
        let digits = bits & ((1 << PLACE_BITS) - 1);
        let t = f32::from_bits(digits << CELL_BITS | ONE) - 1.5;
        // Every number has a cell, except one that is none.
        let Some(sums) = knots.get_mut(((bits >> PLACE_BITS) - FIRST) as usize) else { continue };
        let square = t * t;
        let powers = [1.0, t, square, square * t];
        for i in 0..TERMS {
            sums[i] += of_phi * powers[i];
        }
    }
}

/// gN, gD and g ∘ N / D of X' = X ∘ N / D, on vectors.
#[inline(always)]
pub(super) fn of_ratio<S: Simd>(simd: S, x: S::f32s, n: S::f32s, d: S::f32s, of: S::f32s) -> [S::f32s; 3] {
    let floor = simd.splat_f32s(DENOMINATOR_FLOOR as f32);
    let divisor = simd.max_f32s(d, floor);
    let (ratio, of_n) = (simd.div_f32s(n, divisor), simd.div_f32s(simd.mul_f32s(of, x), divisor));
    let of_n = simd.select_f32s(simd.greater_than_f32s(d, floor), of_n, simd.splat_f32s(0.0));
    [of_n, tile::negate(simd, simd.mul_f32s(of_n, ratio)), simd.mul_f32s(of, ratio)]
}
