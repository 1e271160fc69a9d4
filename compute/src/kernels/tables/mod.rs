//! Functions of a positive number on an engine, as [`Cubics`], for methods whose rules have no closed form.

mod cpu;
mod gpu;
mod reference;

use std::sync::Arc;

use ndarray::ArrayView2;

use crate::Result;
use crate::cubics::{Cubics, End, TERMS};
use crate::engine::Engine;

pub(crate) use cpu::{View, known};

/// A function of a positive number on an engine.
pub struct Table<M> {
    /// The function itself, which the reference computes.
    of: Arc<Cubics>,
    /// c (cells, 4).
    cubics: M,
}

impl<M> Table<M> {
    /// Tabulates f. `ends`: how it continues below 2^-64 and above 2^40.
    ///
    /// # Errors
    /// Those of [`Cubics::new`] and of [`Engine::matrix`].
    pub fn new<E: Engine<Matrix = M>>(
        engine: &E,
        f: impl Fn(f64) -> f64 + Send + Sync + 'static,
        ends: [End; 2],
    ) -> Result<Self> {
        let of = Arc::new(Cubics::new(f, ends)?);
        let cells = of.cells();
        let cubics = ArrayView2::from_shape((cells.len(), TERMS), cells.as_flattened());
        let cubics = engine.matrix(cubics.map_err(|cause| crate::Error::input(cause.to_string()))?)?;
        Ok(Self { of, cubics })
    }

    pub(crate) fn of(&self) -> &Cubics {
        &self.of
    }

    /// c (cells, 4), as the kernels read them.
    pub(crate) fn cubics(&self) -> &M {
        &self.cubics
    }
}

/// The kernels of tables.
pub trait Tables: Engine {
    /// Computes f of every number of a panel. Numbers must be finite and nonnegative; those below 2^-126 count as 2^-126.
    ///
    /// # Errors
    /// [`crate::Error::Engine`] if the device fails.
    fn apply(&self, table: &Table<Self::Matrix>, numbers: &Self::Panel) -> Result<Self::Panel>;
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::cubics::LEAST;
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
}
