//! The test cases, and the error of an engine on them.

use ndarray::{Array2, ArrayView2, Axis, Zip};
use rayon::prelude::*;

use super::Row;
use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{self, Engine};
use crate::random::Stream;
use crate::weight::Weight;

/// Shapes (F, N, K): ones, primes, and sizes next to every engine's tile sizes.
const SHAPES: [(usize, usize, usize); 15] = [
    (1, 1, 1),
    (2, 1, 3),
    (1, 7, 1),
    (5, 47, 4),
    (8, 48, 8),
    (9, 49, 31),
    (31, 33, 32),
    (33, 31, 33),
    (63, 65, 2),
    (64, 64, 64),
    (65, 97, 7),
    (13, 193, 1),
    (129, 17, 130),
    (257, 5, 16),
    (23, 29, 260),
];

/// The kind of numbers in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// Near 1.
    Ordinary,
    /// Four in ten are 0. One frame and one bin are silent, and so are some entries of the factors.
    Zeros,
    /// From 1e-12 to 1e6.
    Wide,
    /// Within 8 % of the model, where the closed forms of the costs cancel.
    Near,
}

/// The segment widths of a case of N columns: a single one, or a batch whose segments have their own bases.
pub(super) type Widths = fn(usize) -> Vec<usize>;
pub(super) const ALONE: Widths = |columns| vec![columns];
pub(super) const BATCH: Widths = |columns| vec![columns, columns / 2 + 1, columns + 33];

const DATA: [Data; 4] = [Data::Ordinary, Data::Zeros, Data::Wide, Data::Near];

/// A divergence as it is learned: its weight bends twice.
pub(super) fn bent() -> Result<Divergence> {
    let curve = |r: f64| {
        let u = r.ln();
        [0.3 - 0.3 * (0.5 * u).sin() - 0.3 * u, -0.15 * (0.5 * u).cos() - 0.3]
    };
    Ok(Divergence::learned(Weight::new(curve)?))
}

/// V (F, N), W (F, K), H (K, N).
pub(super) struct Case {
    pub(super) v: Array2<f32>,
    pub(super) w: Array2<f32>,
    pub(super) h: Array2<f32>,
}

impl Case {
    /// The `index`-th case of a batch.
    fn new((f, n, k): (usize, usize, usize), data: Data, index: u64) -> Self {
        let fill = |name: &str, rows: usize, columns: usize| {
            let (size, chance) = (Stream::new(2 * index + 1, name), Stream::new(2 * index + 2, name));
            Array2::from_shape_fn((rows, columns), |(row, column)| {
                let index = (row * columns + column) as u64;
                let value = size.uniform(index);
                let silent = data == Data::Zeros && (chance.uniform(index) < 0.4 || row == 3 || column == 1);
                match data {
                    _ if silent => 0.0,
                    Data::Wide if name == "v" => 10f64.powf(18.0 * value - 12.0) as f32,
                    _ => (value + 0.05) as f32,
                }
            })
        };
        let (mut v, w, h) = (fill("v", f, n), fill("w", f, k), fill("h", k, n));
        if data == Data::Near {
            v.zip_mut_with(&w.dot(&h), |v, lambda| *v = lambda * (0.92 + 0.16 * (*v - 0.05)));
        }
        Self { v, w, h }
    }
}

pub(super) fn compare(
    kernel: String,
    bound: f64,
    widths: Widths,
    errors: impl Fn(&[Case]) -> Result<f64> + Sync,
) -> Result<Row> {
    compare_with(kernel, bound, widths, &errors)
}

/// What is compiled once, and not once per row of the table.
fn compare_with(
    kernel: String,
    bound: f64,
    widths: Widths,
    errors: &(dyn Fn(&[Case]) -> Result<f64> + Sync),
) -> Result<Row> {
    let kinds: Vec<_> = SHAPES.into_iter().flat_map(|shape| DATA.map(|data| (shape, data))).collect();
    // The reference takes most of the time, and has one thread.
    let found: Vec<f64> = kinds
        .par_iter()
        .map(|&((f, n, k), data)| {
            let cases = widths(n).into_iter().zip(0..).map(|(n, index)| Case::new((f, n, k), data, index));
            errors(&cases.collect::<Vec<_>>())
        })
        .collect::<Result<_>>()?;
    let mut row = Row { kernel, cases: found.len(), worst: 0.0, at: String::new(), bound };
    for (((f, n, k), data), error) in kinds.into_iter().zip(found) {
        if row.at.is_empty() || error > row.worst {
            row.worst = error;
            row.at = format!("{f} x {n} x {k}, {data:?}").to_lowercase();
        }
    }
    Ok(row)
}

/// max |a − b| / max |b|. Infinite if a number is not finite.
pub(super) fn error(a: ArrayView2<f64>, b: ArrayView2<f64>) -> f64 {
    let scale = b.iter().fold(0.0f64, |scale, b| scale.max(b.abs()));
    let worst = Zip::from(a).and(b).fold(0.0f64, |worst, a, b| worst.max((a - b).abs()));
    if a.iter().any(|a| !a.is_finite()) {
        f64::INFINITY
    } else if scale == 0.0 {
        worst
    } else {
        worst / scale
    }
}

/// The error of costs whose terms may cancel: relative to that of a cell near 1, in each of `rows` rows, at least.
pub(super) fn error_of_terms(a: ArrayView2<f64>, b: ArrayView2<f64>, rows: usize) -> f64 {
    let least = 0.1 * rows as f64;
    Zip::from(a).and(b).fold(0.0, |worst: f64, a, b| {
        let error = (a - b).abs() / (b.abs() + least);
        if error.is_nan() { f64::INFINITY } else { worst.max(error) }
    })
}

/// What an engine computes for cases.
type Results<'a> = dyn Fn(&[Case]) -> Result<Vec<Array2<f64>>> + 'a;

/// The largest error of an engine's results for a batch against the reference's results for each case alone. Both
/// return equally many arrays per case.
pub(super) fn worst(got: &[Array2<f64>], cases: &[Case], alone: &Results) -> Result<f64> {
    let expected: Result<Vec<_>> = cases.chunks(1).map(alone).collect();
    let expected = expected?.concat();
    let errors = got.iter().zip(&expected).map(|(got, expected)| error(got.view(), expected.view()));
    Ok(if got.len() == expected.len() { errors.fold(0.0, f64::max) } else { f64::INFINITY })
}

/// The largest error of an engine's costs. Those of a learned divergence are read from a table of terms near 1.
pub(super) fn worst_costs(
    got: &[Array2<f64>],
    cases: &[Case],
    divergence: &Divergence,
    alone: &Results,
) -> Result<f64> {
    if divergence.to_string() != "learned" {
        return worst(got, cases, alone);
    }
    let expected: Result<Vec<_>> = cases.chunks(1).map(alone).collect();
    let expected = expected?.concat();
    let errors = got.iter().zip(&expected).zip(cases);
    let errors = errors.map(|((got, expected), case)| error_of_terms(got.view(), expected.view(), case.v.nrows()));
    Ok(if got.len() == expected.len() { errors.fold(0.0, f64::max) } else { f64::INFINITY })
}

/// Uploads V, W and H of a batch.
pub(super) fn bring_up<E: Engine>(engine: &E, cases: &[Case]) -> Result<(E::Panel, E::Matrix, E::Panel)> {
    let views = |part: fn(&Case) -> &Array2<f32>| cases.iter().map(|case| part(case).view()).collect::<Vec<_>>();
    Ok((
        engine.packed(&views(|case| &case.v))?,
        engine.stack(&views(|case| &case.w))?,
        engine.packed(&views(|case| &case.h))?,
    ))
}

/// Reads the matrices of a stack, each with `rows` rows.
pub(super) fn matrices<E: Engine>(engine: &E, stack: &E::Matrix, rows: usize) -> Result<Vec<Array2<f64>>> {
    let all = engine.read_matrix::<f64>(stack)?;
    Ok(all.axis_chunks_iter(Axis(0), rows).map(|matrix| matrix.to_owned()).collect())
}

/// Reads the segments of a panel.
pub(super) fn segments<E: Engine>(engine: &E, panel: &E::Panel) -> Result<Vec<Array2<f64>>> {
    Ok(cut(engine.read_panel(panel)?.view(), &engine.segments(panel).1))
}

pub(super) fn cut(all: ArrayView2<f64>, segments: &[usize]) -> Vec<Array2<f64>> {
    engine::cut(all, segments).iter().map(|segment| segment.to_owned()).collect()
}

/// a₁ b₁ a₂ b₂ …
pub(super) fn alternately(a: Vec<Array2<f64>>, b: Vec<Array2<f64>>) -> Vec<Array2<f64>> {
    a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect()
}
