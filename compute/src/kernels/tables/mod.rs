//! Functions of a positive number as tables of cubics: f(z) from a few multiply-adds, where f itself takes a quadrature.
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

mod cpu;
mod gpu;
mod reference;

use std::f64::consts::PI;
use std::sync::Arc;

use ndarray::Array2;

use crate::engine::Engine;
use crate::{Error, Result};

pub(crate) use cpu::{Lookup, View};
pub(crate) use gpu::bounds;

/// The octaves of the cells: from 2^-64 to 2^40. Twice the root of the least normal f32 number is above 2^-64.
const OCTAVES: std::ops::Range<i32> = -64..40;
/// Cells per octave, and their logarithm to base 2.
const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 3;
/// Coefficients of a cubic.
const TERMS: usize = 4;

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

/// A function of a positive number on an engine.
pub struct Table<M> {
    /// The function itself, which the reference computes.
    function: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
    /// c (cells, 4): Σ_i c_i t^i with t from −1/2 to 1/2 over the cell.
    cubics: M,
    /// Below and above the cells.
    laws: [Law; 2],
}

impl<M> Table<M> {
    /// Tabulates f. `ends`: how it continues below 2^-64 and above 2^40.
    ///
    /// # Errors
    /// [`Error::Input`] if f is not finite somewhere from 2^-64 to 2^40, or if its values do not fit f32; also the errors
    /// of [`Engine::matrix`].
    pub fn new<E: Engine<Matrix = M>>(
        engine: &E,
        f: impl Fn(f64) -> f64 + Send + Sync + 'static,
        ends: [End; 2],
    ) -> Result<Self> {
        let octaves = (OCTAVES.end - OCTAVES.start) as usize;
        let mut cubics = Array2::zeros((octaves * CELLS, TERMS));
        for (cell, mut row) in cubics.rows_mut().into_iter().enumerate() {
            let octave = f64::exp2(f64::from(OCTAVES.start) + (cell / CELLS) as f64);
            let middle = octave * (1.0 + ((cell % CELLS) as f64 + 0.5) / CELLS as f64);
            let cubic = cubic(|t| f(middle + t * octave / CELLS as f64));
            row.iter_mut().zip(cubic).for_each(|(entry, c)| *entry = c);
        }
        let [low, high] = [OCTAVES.start, OCTAVES.end].map(|octave| f(f64::from(octave).exp2()));
        let fits = |value: &f64| value.abs() <= f64::from(f32::MAX);
        if !cubics.iter().chain([&low, &high]).all(fits) {
            return Err(Error::input("a function to tabulate is not finite, or leaves the range of f32"));
        }
        let laws = [Law::new(low, ends[0]), Law::new(high, ends[1])];
        Ok(Self { function: Arc::new(f), cubics: engine.matrix(cubics.view())?, laws })
    }
}

impl<M> Table<M> {
    /// c (cells, 4), as the kernels read them.
    pub(crate) fn cubics(&self) -> &M {
        &self.cubics
    }
}

/// The coefficients of the cubic that meets f at the Chebyshev nodes of −1/2..1/2.
fn cubic(f: impl Fn(f64) -> f64) -> [f64; TERMS] {
    // As a sum of Chebyshev polynomials T_i(2t), then as powers of t.
    let nodes: [f64; TERMS] = std::array::from_fn(|node| (node as f64 + 0.5) * PI / TERMS as f64);
    let values = nodes.map(|angle| f(0.5 * angle.cos()));
    let [a0, a1, a2, a3]: [f64; TERMS] = std::array::from_fn(|i| {
        let terms = nodes.iter().zip(values).map(|(angle, value)| value * (i as f64 * angle).cos());
        terms.sum::<f64>() * if i == 0 { 1.0 } else { 2.0 } / TERMS as f64
    });
    // T_1(2t) = 2t, T_2(2t) = 8t² − 1, T_3(2t) = 32t³ − 6t
    [a0 - a2, 2.0 * a1 - 6.0 * a3, 8.0 * a2, 32.0 * a3]
}

/// The kernels of tables.
pub trait Tables: Engine {
    /// Computes f of every number of a panel. Numbers must be finite and nonnegative; those below 2^-126 count as 2^-126.
    ///
    /// # Errors
    /// [`Error::Engine`] if the device fails.
    fn apply(&self, table: &Table<Self::Matrix>, numbers: &Self::Panel) -> Result<Self::Panel>;
}

/// The least number that a table distinguishes from 0: 2^-126, the least normal f32 number.
const LEAST: f32 = f32::MIN_POSITIVE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::gpu::tests::gpu;
    use crate::engine::{Cpu, Reference};

    /// Numbers per octave.
    const DENSE: usize = 409;

    /// A function's name, itself and its ends.
    type Known = (&'static str, fn(f64) -> f64, [End; 2]);

    /// Functions with the slopes that tables are made for.
    fn functions() -> [Known; 6] {
        [
            ("root", f64::sqrt, [End::Power(0.5); 2]),
            ("saturating", |z| z / (1.0 + z), [End::Power(1.0), End::Power(0.0)]),
            ("bending", |z| z * z / (1.0 + z), [End::Power(2.0), End::Power(1.0)]),
            ("cube", |z| z * z * z, [End::Power(3.0); 2]),
            ("logarithm", f64::ln_1p, [End::Power(1.0), End::Logarithm(1.0)]),
            ("falling", |z| (1.0 + z).powf(-0.5), [End::Power(0.0), End::Power(-0.5)]),
        ]
    }

    /// From `octaves`, in steps that are no multiples of a cell.
    fn sweep(octaves: std::ops::Range<i32>) -> Array2<f32> {
        let count = (octaves.end - octaves.start) as usize * DENSE;
        Array2::from_shape_fn((1, count), |(_, i)| {
            (f64::from(octaves.start) + (i as f64 + 0.3) / DENSE as f64).exp2() as f32
        })
    }

    fn worst<E: Tables>(engine: &E, f: fn(f64) -> f64, ends: [End; 2], numbers: &Array2<f32>) -> f64 {
        let table = Table::new(engine, f, ends).unwrap();
        let got = engine.apply(&table, &engine.panel(numbers.view()).unwrap()).unwrap();
        let got = engine.read_panel::<f64>(&got).unwrap();
        let pairs = got.iter().zip(numbers).map(|(&got, &z)| (got, f(f64::from(z))));
        let fits = |&(_, expected): &(f64, f64)| (1e-37..1e38).contains(&expected);
        let error =
            |(got, expected): (f64, f64)| if got.is_finite() { (got / expected - 1.0).abs() } else { f64::INFINITY };
        pairs.filter(fits).map(error).fold(0.0, f64::max)
    }

    fn assert_accurate<E: Tables>(engine: &E, inside_bound: f64, outside_bound: f64) {
        // 1e-12..1e12, and beyond both ends.
        let (inside, below, above) = (sweep(-40..40), sweep(-76..-64), sweep(40..50));
        for (name, f, ends) in functions() {
            let error = worst(engine, f, ends, &inside);
            assert!(error <= inside_bound, "{name}: {error:.1e}");
            for (where_to, numbers) in [("below", &below), ("above", &above)] {
                let error = worst(engine, f, ends, numbers);
                assert!(error <= outside_bound, "{name}, {where_to} the cells: {error:.1e}");
            }
        }
    }

    #[test]
    fn tables_are_accurate_to_a_millionth() {
        assert_accurate(&Reference, 0.0, 0.0);
        assert_accurate(&Cpu::new(Some(2)).unwrap(), 5e-7, 1e-6);
        if let Some(gpu) = gpu() {
            // Beyond the cells, a shader's power is less accurate.
            assert_accurate(&gpu, 5e-7, 2e-5);
        }
    }

    #[test]
    fn zero_counts_as_the_least_number() {
        fn at_zero<E: Tables>(engine: &E) -> Vec<f64> {
            let zero = engine.panel(ndarray::array![[0.0f32, 1e-45], [LEAST, 0.0]].view()).unwrap();
            let of = |(_, f, ends): &Known| {
                let table = Table::new(engine, *f, *ends).unwrap();
                let got = engine.read_panel::<f64>(&engine.apply(&table, &zero).unwrap()).unwrap();
                let first = got[[0, 0]];
                assert!(got.iter().all(|&value| value == first), "{got}");
                first
            };
            functions().iter().map(of).collect()
        }
        let expected = at_zero(&Reference);
        let near = |got: Vec<f64>| {
            got.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * b + 1e-30, "{a} is not {b}"));
        };
        near(at_zero(&Cpu::new(Some(1)).unwrap()));
        if let Some(gpu) = gpu() {
            near(at_zero(&gpu));
        }
    }

    #[test]
    fn the_bits_of_a_number_have_its_cell() {
        // The first and the last number of a cell, and its middle.
        let table = Table::new(&Reference, f64::sqrt, [End::Power(0.5); 2]).unwrap();
        let cells = table.cubics[0].nrows();
        assert_eq!(cells, 104 * 8);
        let cubic = table.cubics[0].row(64 * CELLS);
        for (t, z) in [(-0.5, 1.0f64), (0.0, 1.0625), (0.5, 1.125)] {
            let value = cubic.iter().rev().fold(0.0, |sum, &c| sum * t + c);
            assert!((value - z.sqrt()).abs() < 1e-7, "{z}: {value}");
        }
    }

    #[test]
    fn functions_that_do_not_fit_are_refused() {
        assert!(Table::new(&Reference, f64::ln, [End::Logarithm(1.0); 2]).is_ok());
        assert!(Table::new(&Reference, |z| 1.0 / (1.0 - z.floor()), [End::Power(0.0); 2]).is_err());
        assert!(Table::new(&Reference, |z| z.powi(4), [End::Power(4.0); 2]).is_err());
    }
}
