//! Every kernel of an engine against the f64 reference, on awkward shapes and awkward numbers: what `partwise check` runs on
//! a user's machine, and the tests on ours.

use ndarray::{Array2, ArrayView2, Zip, s};
use serde::Serialize;

use crate::Result;
use crate::divergence::Divergence;
use crate::engine::Reference;
use crate::kernels::{Glue, Mask, Momentum, Norm, Products, Rule, Track};
use crate::random::Stream;

/// (F, N, K): ones, primes, and the neighbours of every engine's tiles.
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

/// How many rows the table has.
pub const KERNELS: usize = 6 * 5 + 2 + 3 + 2;

/// What the numbers of a case are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// Near 1.
    Ordinary,
    /// Four in ten are 0, one frame and one bin are silent, and so are entries of the factors.
    Zeros,
    /// From 1e-12 to 1e6.
    Wide,
    /// Within 8 % of the model, where the closed forms of the costs cancel.
    Near,
}

const DATA: [Data; 4] = [Data::Ordinary, Data::Zeros, Data::Wide, Data::Near];

/// One kernel's verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The kernel, with what it was specialised to: "products/gains is".
    pub kernel: String,
    /// Cases compared.
    pub cases: usize,
    /// The largest error: max |a − b| / max |b| over the arrays of a case; infinite for a number that is not finite.
    pub worst: f64,
    /// The case of the largest error.
    pub at: String,
    /// What is allowed.
    pub bound: f64,
}

impl Row {
    /// Whether the kernel keeps its bound.
    pub fn passed(&self) -> bool {
        self.worst <= self.bound
    }
}

/// Compares every kernel of `engine` with the reference. `bound` is the engine's: 5e-6 for exact f32 arithmetic, 2e-5 for
/// shaders, whose division, exp and log are looser. `watch` sees each row when it is there.
///
/// # Errors
/// Where the engine fails; a wrong number is not an error but a row that has not passed.
pub fn run<E: Products + Momentum + Glue>(engine: &E, bound: f64, watch: &mut dyn FnMut(&Row)) -> Result<Vec<Row>> {
    let divergences = [
        Divergence::Euclidean,
        Divergence::KullbackLeibler,
        Divergence::ItakuraSaito,
        Divergence::Beta(0.5),
        Divergence::Beta(3.0),
        Divergence::Beta(-1.0),
    ];
    let mut rows = Vec::with_capacity(KERNELS);
    let mut add = |row: Result<Row>| -> Result<()> {
        let row = row?;
        watch(&row);
        rows.push(row);
        Ok(())
    };
    for divergence in divergences {
        add(compare(format!("products/gains {divergence}"), bound, |case| gains(engine, case, divergence)))?;
        add(compare(format!("products/bases {divergence}"), bound, |case| bases(engine, case, divergence)))?;
        add(compare(format!("products/try {divergence}"), bound, |case| trial(engine, case, divergence)))?;
        add(compare(format!("products/both {divergence}"), bound, |case| both(engine, case, divergence)))?;
        add(compare(format!("products/costs {divergence}"), bound, |case| costs(engine, case, divergence)))?;
    }
    for norm in [Norm::L1, Norm::L2] {
        add(compare(format!("glue/normalize {norm}"), bound, |case| normalize(engine, case, norm)))?;
    }
    for (name, mask) in [("ratio:1", Mask::Ratio(1.0)), ("ratio:2", Mask::Ratio(2.0)), ("hard", Mask::Hard)] {
        add(compare(format!("glue/masks {name}"), bound, |case| masks(engine, case, mask)))?;
    }
    add(compare("momentum/lead".into(), bound, |case| lead(engine, case)))?;
    add(compare("momentum/advance".into(), bound, |case| advance(engine, case)))?;
    Ok(rows)
}

/// V (F, N), W (F, K), H (K, N).
struct Case {
    v: Array2<f32>,
    w: Array2<f32>,
    h: Array2<f32>,
}

impl Case {
    fn new((f, n, k): (usize, usize, usize), data: Data) -> Self {
        let fill = |name: &str, rows: usize, columns: usize| {
            let (size, chance) = (Stream::new(1, name), Stream::new(2, name));
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

fn compare(kernel: String, bound: f64, errors: impl Fn(&Case) -> Result<f64>) -> Result<Row> {
    let mut row = Row { kernel, cases: 0, worst: 0.0, at: String::new(), bound };
    for shape in SHAPES {
        for data in DATA {
            let error = errors(&Case::new(shape, data))?;
            row.cases += 1;
            if row.at.is_empty() || error > row.worst {
                row.worst = error;
                row.at = format!("{} x {} x {}, {data:?}", shape.0, shape.1, shape.2).to_lowercase();
            }
        }
    }
    Ok(row)
}

/// max |a − b| / max |b|; infinite where a number is not finite.
fn error(a: ArrayView2<f64>, b: ArrayView2<f64>) -> f64 {
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

fn gains<E: Products>(engine: &E, case: &Case, divergence: Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, floor: 1e-6, ..Rule::of(divergence) };
    let (v, w, mut h) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    engine.update_gains(&v, &w, &mut h, &rule)?;
    let (v, w, mut expected) = (case.v.mapv(f64::from), case.w.mapv(f64::from), case.h.mapv(f64::from));
    Reference.update_gains(&v, &w, &mut expected, &rule)?;
    Ok(error(engine.read_panel::<f64>(&h)?.view(), expected.view()))
}

fn bases<E: Products>(engine: &E, case: &Case, divergence: Divergence) -> Result<f64> {
    let rule = Rule::of(divergence);
    let (v, mut w, h) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    engine.update_bases(&v, &mut w, &h, &rule)?;
    let (v, mut expected, h) = (case.v.mapv(f64::from), case.w.mapv(f64::from), case.h.mapv(f64::from));
    Reference.update_bases(&v, &mut expected, &h, &rule)?;
    Ok(error(engine.read_matrix::<f64>(&w)?.view(), expected.view()))
}

fn trial<E: Products>(engine: &E, case: &Case, divergence: Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, ..Rule::of(divergence) };
    let (next, costs) = try_on(engine, case, &rule)?;
    let (expected, expected_costs) = try_on(&Reference, case, &rule)?;
    // The costs are for deciding, not for reporting: they may be off by twice as much, and near a perfect fit they are what is
    // left of terms near 1.
    let terms = expected_costs.mapv(|cost| cost + 0.1 * case.v.nrows() as f64);
    let worst = Zip::from(&costs)
        .and(&expected_costs)
        .and(&terms)
        .fold(0.0f64, |worst, cost, expected, terms| worst.max((cost - expected).abs() / terms / 2.0));
    Ok(error(next.view(), expected.view()).max(worst))
}

/// The gains and the costs of [`Products::try_gains`].
fn try_on<E: Products>(engine: &E, case: &Case, rule: &Rule) -> Result<(Array2<f64>, Array2<f64>)> {
    let (v, w, trial) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    let mut next = engine.panel(Array2::<f32>::ones(case.h.dim()).view())?;
    let mut costs = engine.panel(Array2::<f32>::ones((1, case.v.ncols())).view())?;
    engine.try_gains(&v, &w, &trial, &mut next, &mut costs, rule)?;
    Ok((engine.read_panel(&next)?, engine.read_panel(&costs)?))
}

fn both<E: Products>(engine: &E, case: &Case, divergence: Divergence) -> Result<f64> {
    let rule = Rule { exponent: divergence.majorizing_exponent(), sparsity: 0.01, ..Rule::of(divergence) };
    let (w, h) = both_on(engine, case, &rule)?;
    let (expected_w, expected_h) = both_on(&Reference, case, &rule)?;
    Ok(error(w.view(), expected_w.view()).max(error(h.view(), expected_h.view())))
}

fn both_on<E: Products>(engine: &E, case: &Case, rule: &Rule) -> Result<(Array2<f64>, Array2<f64>)> {
    let (v, mut w, mut h) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    engine.update_both(&v, &mut w, &mut h, rule)?;
    Ok((engine.read_matrix(&w)?, engine.read_panel(&h)?))
}

fn lead<E: Momentum>(engine: &E, case: &Case) -> Result<f64> {
    let (w, h) = lead_on(engine, case)?;
    let (expected_w, expected_h) = lead_on(&Reference, case)?;
    Ok(error(w.view(), expected_w.view()).max(error(h.view(), expected_h.view())))
}

/// Bases led on from their mirror image, and gains led back to theirs.
fn lead_on<E: Momentum>(engine: &E, case: &Case) -> Result<(Array2<f64>, Array2<f64>)> {
    let (w, from) = (engine.matrix(case.w.view())?, engine.matrix(case.w.slice(s![..;-1, ..]))?);
    let (h, before) = (engine.panel(case.h.view())?, engine.panel(case.h.slice(s![.., ..;-1]))?);
    let (w, h) = (engine.lead_bases(&w, &from, 0.7)?, engine.lead_gains(&h, &before, -0.5)?);
    Ok((engine.read_matrix(&w)?, engine.read_panel(&h)?))
}

fn advance<E: Momentum>(engine: &E, case: &Case) -> Result<f64> {
    let got = advance_on(engine, case)?;
    let expected = advance_on(&Reference, case)?;
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// Every second column is accepted.
fn advance_on<E: Momentum>(engine: &E, case: &Case) -> Result<[Array2<f64>; 4]> {
    let panel = |axis: usize| {
        let mut values = case.h.clone();
        values.invert_axis(ndarray::Axis(axis));
        engine.panel(values.view())
    };
    let columns = case.h.ncols();
    let mut track = Track {
        trial: engine.panel(case.h.view())?,
        next: panel(0)?,
        previous: panel(1)?,
        safe: engine.panel(case.h.mapv(|h| 1.5 * h).view())?,
        costs: engine.panel(Array2::from_shape_fn((1, columns), |(_, n)| 1.0 + (n % 2) as f32).view())?,
        state: engine.panel(Array2::from_shape_fn((2, columns), |(row, n)| [1.5, n as f32][row]).view())?,
    };
    engine.advance(&mut track, 0.5)?;
    let Track { trial, previous, safe, state, .. } = track;
    Ok([
        engine.read_panel(&trial)?,
        engine.read_panel(&previous)?,
        engine.read_panel(&safe)?,
        engine.read_panel(&state)?,
    ])
}

fn costs<E: Products>(engine: &E, case: &Case, divergence: Divergence) -> Result<f64> {
    let (v, w, h) = (engine.panel(case.v.view())?, engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    let got = Array2::from_shape_fn((1, case.v.ncols()), {
        let costs = engine.costs(&v, &w, &h, divergence)?;
        move |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN)
    });
    let (v, w, h) = (case.v.mapv(f64::from), case.w.mapv(f64::from), case.h.mapv(f64::from));
    let costs = Reference.costs(&v, &w, &h, divergence)?;
    let expected = Array2::from_shape_fn((1, costs.len()), |(_, n)| costs[n]);
    Ok(error(got.view(), expected.view()))
}

fn normalize<E: Glue>(engine: &E, case: &Case, norm: Norm) -> Result<f64> {
    let (mut w, mut h) = (engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    engine.normalize(&mut w, Some(&mut h), norm)?;
    let (mut expected_w, mut expected_h) = (case.w.mapv(f64::from), case.h.mapv(f64::from));
    Reference.normalize(&mut expected_w, Some(&mut expected_h), norm)?;
    let of_w = error(engine.read_matrix::<f64>(&w)?.view(), expected_w.view());
    Ok(of_w.max(error(engine.read_panel::<f64>(&h)?.view(), expected_h.view())))
}

fn masks<E: Glue>(engine: &E, case: &Case, mask: Mask) -> Result<f64> {
    let k = case.w.ncols();
    // One, two or three sources, the first of one component.
    let cuts = [0, 1, k / 2 + 1, k];
    let sources: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1].min(k)).filter(|range| !range.is_empty()).collect();
    let (w, h) = (engine.matrix(case.w.view())?, engine.panel(case.h.view())?);
    let got = engine.masks(&w, &h, &sources, mask)?;
    let (w, h) = (case.w.mapv(f64::from), case.h.mapv(f64::from));
    let expected = Reference.masks(&w, &h, &sources, mask)?;
    // A hard mask may fall either way where two models are equal to within rounding: those cells say nothing.
    let shares = Reference.masks(&w, &h, &sources, Mask::Ratio(1.0))?;
    let top = |at| shares.iter().map(|share| share[at]).fold(0.0, f64::max);
    let tied = |at| shares.iter().filter(|share| share[at] > 0.9999 * top(at)).count() > 1 && top(at) > 0.0;
    let silent = |at| shares.iter().all(|share| share[at] == top(at));
    let mut worst = 0.0f64;
    for (got, expected) in got.iter().zip(&expected) {
        let mut got = engine.read_panel::<f64>(got)?;
        if mask == Mask::Hard {
            for (at, got) in got.indexed_iter_mut() {
                if tied(at) && !silent(at) {
                    *got = expected[at];
                }
            }
        }
        worst = worst.max(error(got.view(), expected.view()));
    }
    Ok(worst)
}
