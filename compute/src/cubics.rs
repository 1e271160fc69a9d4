//! Functions of a positive number as cubics: f(z) from a few multiply-adds, where f itself takes a quadrature or a network.
//!
//! **Cells.** A cell is an eighth of an octave, linear in the mantissa. So the bits of an f32 number have its cell (its
//! exponent and the first three digits of its mantissa) and its place in the cell (the other digits), and no logarithm is
//! needed. The cells reach from 2^-64 to 2^40. A cubic of a cell meets f at four Chebyshev nodes.
//!
//! **Accuracy.** The error of a power z^a is at most |a (a−1) (a−2) (a−3)| 8e-8 of its value: below 2e-7 for exponents from
//! 0 to 3, and 1e-6 at −0.6. Functions that grow faster, or fall faster, are better tabulated by their reciprocals. f32
//! rounding adds less than 3e-7.
//!
//! **Ends.** Beyond the cells, f continues by a law that the caller knows: a power, or a logarithm. See [`End`].

use std::f64::consts::PI;
use std::fmt;
use std::sync::OnceLock;

use ndarray::{Array2, ArrayView2};

use crate::{Error, Result};

/// The octaves of the cells: from 2^-64 to 2^40. Twice the root of the least normal f32 number is above 2^-64.
pub(crate) const OCTAVES: std::ops::Range<i32> = -64..40;
/// Cells per octave, and their logarithm to base 2.
pub(crate) const CELLS: usize = 1 << CELL_BITS;
pub(crate) const CELL_BITS: u32 = 3;
/// The digits of an f32 number that are its place in a cell. The digits before them, with its exponent and sign, name the cell.
pub(crate) const PLACE_BITS: u32 = f32::MANTISSA_DIGITS - 1 - CELL_BITS;
/// The names of cells that an f32 number can have.
pub(crate) const NAMES: usize = 1 << (u32::BITS - PLACE_BITS);
/// Coefficients of a cubic.
pub(crate) const TERMS: usize = 4;
/// The least number that a table distinguishes from 0: 2^-126, the least normal f32 number.
pub(crate) const LEAST: f32 = f32::MIN_POSITIVE;

/// How a function continues beyond an end e of the cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// f(z) = f(e) (z/e)^a. A constant has a = 0.
    Power(f64),
    /// f(z) = f(e) + a log(z/e).
    Logarithm(f64),
}

/// Beyond an end: f(z) = value (z/e)^power + slope log(z/e).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Law {
    pub(crate) value: f32,
    pub(crate) power: f32,
    pub(crate) slope: f32,
}

impl Law {
    fn new(value: f64, end: End) -> Self {
        let (power, slope) = match end {
            End::Power(power) => (power, 0.0),
            End::Logarithm(slope) => (0.0, slope),
        };
        Self { value: value as f32, power: power as f32, slope: slope as f32 }
    }
}

/// A function of a positive number, as cubics.
pub struct Cubics {
    function: Box<dyn Fn(f64) -> f64 + Send + Sync>,
    /// c of every cell: Σ_i c_i t^i with t from −1/2 to 1/2 over the cell.
    cells: Vec<[f32; TERMS]>,
    /// Below and above the cells.
    laws: [Law; 2],
    /// See [`Cubics::named`].
    named: OnceLock<Box<[[f32; TERMS]]>>,
}

impl fmt::Debug for Cubics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cubics").field("laws", &self.laws).finish_non_exhaustive()
    }
}

impl Cubics {
    /// Tabulates f. `ends`: how it continues below 2^-64 and above 2^40.
    ///
    /// # Errors
    /// [`Error::Input`] if f is not finite somewhere from 2^-64 to 2^40, or if its values do not fit f32.
    pub fn new(f: impl Fn(f64) -> f64 + Send + Sync + 'static, ends: [End; 2]) -> Result<Self> {
        let cells: Vec<_> = places().map(|nodes| cubic(nodes.map(&f)).map(|c| c as f32)).collect();
        let [low, high] = Self::ends().map(&f);
        let laws = [Law::new(low, ends[0]), Law::new(high, ends[1])];
        let values = laws.iter().map(|law| law.value);
        if !cells.as_flattened().iter().copied().chain(values).all(f32::is_finite) {
            return Err(Error::input("a function to tabulate is not finite, or leaves the range of f32"));
        }
        Ok(Self { function: Box::new(f), cells, laws, named: OnceLock::new() })
    }

    /// f(z) itself, in f64.
    pub fn exact(&self, z: f64) -> f64 {
        (self.function)(z)
    }

    /// f(z) by the cubics and the laws: what kernels compute, but for their rounding.
    pub fn at(&self, z: f32) -> f64 {
        let z = f64::from(z.max(LEAST));
        let [low, high] = Self::ends();
        if (low..high).contains(&z) {
            let (cell, place) = place(z);
            return self.cells[cell].iter().rev().fold(0.0, |sum, &c| sum * place + f64::from(c));
        }
        self.beyond(z)
    }

    /// f(z) by the laws.
    fn beyond(&self, z: f64) -> f64 {
        let [low, high] = Self::ends();
        let (Law { value, power, slope }, end) = if z < low { (self.laws[0], low) } else { (self.laws[1], high) };
        f64::from(value) * (z / end).powf(f64::from(power)) + f64::from(slope) * (z / end).ln()
    }

    /// The cubics of all f32 numbers, by the first digits of their bits, with cells for what the laws give beyond the ends. So
    /// a lookup needs no case. The coefficients are those of t/8. Below 2^-126 they are 0; infinity counts as 2^127.
    pub(crate) fn named(&self) -> &[[f32; TERMS]] {
        self.named.get_or_init(|| (0..NAMES as u32).map(|name| self.of_name(name << PLACE_BITS)).collect())
    }

    /// The cubic of the cell that begins at a number with these bits.
    fn of_name(&self, bits: u32) -> [f32; TERMS] {
        let begin = f32::from_bits(bits);
        if begin == f32::INFINITY {
            let last = self.of_name(f32::MAX.to_bits() >> PLACE_BITS << PLACE_BITS);
            return [last[0], 0.0, 0.0, 0.0];
        }
        if begin.is_nan() || begin.is_sign_negative() {
            return [f32::NAN; TERMS];
        }
        if begin < LEAST {
            return [0.0; TERMS];
        }
        let (begin, [low, high]) = (f64::from(begin), Self::ends());
        let cubic = if (low..high).contains(&begin) {
            self.cells[place(begin).0]
        } else {
            let octave = begin.log2().floor().exp2();
            cubic(nodes(begin + 0.5 * octave / CELLS as f64, octave).map(|z| self.beyond(z))).map(|c| c as f32)
        };
        let scaled: [f32; TERMS] = std::array::from_fn(|i| cubic[i] * (CELLS as f32).powi(i as i32));
        // A value beyond the range of f32 is infinite, and not the difference of infinite terms.
        if scaled.iter().all(|c| c.is_finite()) { scaled } else { [cubic[0], 0.0, 0.0, 0.0] }
    }

    /// The ends of the cells: 2^-64 and 2^40.
    pub fn ends() -> [f64; 2] {
        [OCTAVES.start, OCTAVES.end].map(|octave| f64::from(octave).exp2())
    }

    pub(crate) fn cells(&self) -> &[[f32; TERMS]] {
        &self.cells
    }

    pub(crate) fn laws(&self) -> [Law; 2] {
        self.laws
    }
}

/// The numbers where the cubics of every cell meet the function.
fn places() -> impl Iterator<Item = [f64; TERMS]> {
    (0..COUNT).map(|cell| {
        let octave = f64::exp2(f64::from(OCTAVES.start) + (cell / CELLS) as f64);
        nodes(octave * (1.0 + ((cell % CELLS) as f64 + 0.5) / CELLS as f64), octave)
    })
}

/// The numbers where the cubic of a cell meets the function, from the cell's middle and the first number of its octave.
fn nodes(middle: f64, octave: f64) -> [f64; TERMS] {
    angles().map(|angle| middle + 0.5 * angle.cos() * octave / CELLS as f64)
}

/// The cell of a number between the ends, and the place t in it.
fn place(z: f64) -> (usize, f64) {
    let octave = z.log2().floor();
    // The logarithm of a number just below a power of two may be rounded up to it.
    let octave = if octave.exp2() > z { octave - 1.0 } else { octave };
    let eighths = (z / octave.exp2() - 1.0) * CELLS as f64;
    let within = (eighths as usize).min(CELLS - 1);
    ((octave as i32 - OCTAVES.start) as usize * CELLS + within, eighths - within as f64 - 0.5)
}

/// The cell of a number, and its place t in it. Beyond the cells, a number counts as the first or the last one in them.
pub(crate) fn cell_of(z: f64) -> (usize, f64) {
    let [low, high] = Cubics::ends();
    place(z.clamp(low, f64::from((high as f32).next_down())))
}

/// The number of cells.
pub(crate) const COUNT: usize = (OCTAVES.end - OCTAVES.start) as usize * CELLS;

/// The width of a cell.
fn width(cell: usize) -> f64 {
    f64::exp2(f64::from(OCTAVES.start) + (cell / CELLS) as f64) / CELLS as f64
}

/// The integral of a function, by cubics in f64.
pub(crate) struct Integral {
    /// The cubic of every cell, and the integral from the first cell to its beginning.
    cells: Vec<([f64; TERMS], f64)>,
    /// The integral from the first cell to 1.
    to_one: f64,
}

impl Integral {
    pub(crate) fn new(f: impl Fn(f64) -> f64) -> Self {
        let mut sum = 0.0;
        let of_cell = |(cell, nodes): (usize, [f64; TERMS])| {
            let (cubic, before) = (cubic(nodes.map(&f)), sum);
            sum += width(cell) * (cubic[0] + cubic[2] / 12.0);
            (cubic, before)
        };
        let cells: Vec<_> = places().enumerate().map(of_cell).collect();
        let to_one = cells.get(place(1.0).0).map_or(0.0, |(_, before)| *before);
        Self { cells, to_one }
    }

    /// ∫ f from 1 to z. z is clamped to the cells.
    pub(crate) fn up_to(&self, z: f64) -> f64 {
        let [low, high] = Cubics::ends();
        let (cell, place) = if z >= high { (self.cells.len() - 1, 0.5) } else { place(z.max(low)) };
        let (cubic, before) = self.cells[cell];
        let antiderivative = |t: f64| (0..TERMS).map(|i| cubic[i] * t.powi(i as i32 + 1) / (i + 1) as f64).sum::<f64>();
        before - self.to_one + width(cell) * (antiderivative(place) - antiderivative(-0.5))
    }
}

/// The angles of the Chebyshev nodes.
fn angles() -> [f64; TERMS] {
    std::array::from_fn(|node| (node as f64 + 0.5) * PI / TERMS as f64)
}

/// The coefficients of the cubic that has these values at the nodes.
fn cubic(values: [f64; TERMS]) -> [f64; TERMS] {
    // As a sum of Chebyshev polynomials T_i(2t), then as powers of t.
    let [a0, a1, a2, a3]: [f64; TERMS] = std::array::from_fn(|i| {
        let terms = angles().into_iter().zip(values).map(|(angle, value)| value * (i as f64 * angle).cos());
        terms.sum::<f64>() * if i == 0 { 1.0 } else { 2.0 } / TERMS as f64
    });
    // T_1(2t) = 2t, T_2(2t) = 8t² − 1, T_3(2t) = 32t³ − 6t
    [a0 - a2, 2.0 * a1 - 6.0 * a3, 8.0 * a2, 32.0 * a3]
}

/// From a sum over cells of data to a sum over the nodes of the cubics.
///
/// `sums` (cells, 4) are Σ g t^i over all numbers that lie in a cell. So Σ g f(z) is Σ_node G f(z_node) for every f that is
/// a cubic in each cell; the pairs (z_node, G) with G ≠ 0 are returned. The gradient of a tabulated function with respect
/// to its own parameters is gathered in this way.
pub fn at_nodes(sums: ArrayView2<f64>) -> Vec<(f64, f64)> {
    let unit = |node: usize| cubic(std::array::from_fn(|at| if at == node { 1.0 } else { 0.0 }));
    let units: [[f64; TERMS]; TERMS] = std::array::from_fn(unit);
    let of_cell = |(nodes, sums): ([f64; TERMS], ndarray::ArrayView1<f64>)| {
        let sums: Vec<f64> = sums.to_vec();
        let weight = move |unit: [f64; TERMS]| unit.iter().zip(&sums).map(|(c, sum)| c * sum).sum::<f64>();
        nodes.into_iter().zip(units.map(weight))
    };
    places().zip(sums.rows()).flat_map(of_cell).filter(|(_, weight)| *weight != 0.0).collect()
}

/// Zeros for [`at_nodes`].
pub fn no_sums() -> Array2<f64> {
    Array2::zeros((COUNT, TERMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_a_number_have_its_cell() {
        // The first and the last number of a cell, and its middle.
        let table = Cubics::new(f64::sqrt, [End::Power(0.5); 2]).unwrap();
        assert_eq!(table.cells().len(), 104 * 8);
        let cubic = table.cells()[64 * CELLS];
        for (t, z) in [(-0.5, 1.0f64), (0.0, 1.0625), (0.5, 1.125)] {
            let value = cubic.iter().rev().fold(0.0, |sum, &c| sum * t + f64::from(c));
            assert!((value - z.sqrt()).abs() < 2e-7, "{z}: {value}");
        }
    }

    #[test]
    fn every_number_names_a_cubic() {
        let table = Cubics::new(|z| (1.0 + z).powf(-0.5), [End::Power(0.0), End::Power(-0.5)]).unwrap();
        let at = |z: f32| {
            let cubic = table.named()[(z.to_bits() >> PLACE_BITS) as usize];
            let digits = (z.to_bits() & ((1 << PLACE_BITS) - 1)) | 1f32.to_bits();
            let place = f64::from(f32::from_bits(digits)) - 1.0 - 0.5 / CELLS as f64;
            cubic.iter().rev().fold(0.0, |sum, &c| sum * place + f64::from(c))
        };
        for z in [LEAST, 1e-30, 5e-20, 6e-20, 0.3, 1.0, 7.7, 1e12, 2e12, 1e30, f32::MAX] {
            assert!((at(z) / table.at(z) - 1.0).abs() < 1e-6, "{z}: {}", at(z));
        }
        assert_eq!((at(0.0), at(1e-40)), (0.0, 0.0));
        assert!((at(f32::INFINITY) / table.at(f32::MAX) - 1.0).abs() < 0.1);
        assert!(at(f32::NAN).is_nan() && at(-1.0).is_nan());
    }

    #[test]
    fn functions_that_do_not_fit_are_refused() {
        assert!(Cubics::new(f64::ln, [End::Logarithm(1.0); 2]).is_ok());
        assert!(Cubics::new(|z| 1.0 / (1.0 - z.floor()), [End::Power(0.0); 2]).is_err());
        assert!(Cubics::new(|z| z.powi(4), [End::Power(4.0); 2]).is_err());
    }

    #[test]
    fn sums_over_cells_are_sums_over_nodes() {
        // Numbers of the cells from 1 to 1.125 and from 1.125 to 1.25, with weights of their own.
        let numbers = [(1.01, 2.0), (1.1, -0.5), (1.2, 3.0)];
        let mut sums = no_sums();
        for (z, weight) in numbers {
            let (cell, place) = (((z - 1.0) * 8.0f64) as usize, ((z - 1.0) * 8.0f64).fract() - 0.5);
            (0..TERMS).for_each(|i| sums[[64 * CELLS + cell, i]] += weight * place.powi(i as i32));
        }
        let nodes = at_nodes(sums.view());
        assert_eq!(nodes.len(), 8);
        for f in [|z: f64| z * z * z - z, |z: f64| z.ln()] {
            let expected: f64 = numbers.iter().map(|&(z, weight)| weight * f(z)).sum();
            let got: f64 = nodes.iter().map(|&(z, weight)| weight * f(z)).sum();
            assert!((got - expected).abs() < 2e-6, "{got} is not {expected}");
        }
    }
}
