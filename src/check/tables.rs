//! Checks tables of functions.

use ndarray::Array2;

use super::cases::{Case, error};
use crate::Result;
use crate::cubics::End;
use crate::engine::Reference;
use crate::kernels::{Table, Tables};

/// A function and its laws beyond the cells.
type Function = (fn(f64) -> f64, [End; 2]);

/// The largest error of log(1 + z), of √z and of 1/√(1 + z) relative to each value, for z over the ratios of gains.
pub(super) fn apply<E: Tables>(engine: &E, case: &Case) -> Result<f64> {
    // From 1e-12 to 1e12 over the entries.
    let (rows, columns) = case.h.dim();
    let number = |(row, column): (usize, usize)| {
        let share = ((row * columns + column) as f64 + f64::from(case.h[[row, column]])) / (rows * columns + 1) as f64;
        // All engines get the same number.
        f64::from(10f64.powf(24.0 * share.min(1.0) - 12.0) as f32)
    };
    let numbers = Array2::from_shape_fn((rows, columns), number);
    let functions: [Function; 3] = [
        (f64::ln_1p, [End::Power(1.0), End::Logarithm(1.0)]),
        (f64::sqrt, [End::Power(0.5); 2]),
        (|z| (1.0 + z).powf(-0.5), [End::Power(0.0), End::Power(-0.5)]),
    ];
    let mut worst = 0.0f64;
    for (f, ends) in functions {
        let got = values(engine, f, ends, &numbers)?;
        let expected = values(&Reference, f, ends, &numbers)?;
        worst = worst.max(error((&got / &expected).view(), Array2::ones(got.dim()).view()));
    }
    Ok(worst)
}

fn values<E: Tables>(engine: &E, f: fn(f64) -> f64, ends: [End; 2], numbers: &Array2<f64>) -> Result<Array2<f64>> {
    let table = Table::new(engine, f, ends)?;
    engine.read_panel(&engine.apply(&table, &engine.panel(numbers.view())?)?)
}
