//! Every kernel of an engine against the f64 reference, on awkward shapes and awkward numbers: what `partwise check` runs on
//! a user's machine, and the tests on ours.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use serde::Serialize;

use crate::Result;
use crate::divergence::Divergence;
use crate::engine::{Engine, Reference};
use crate::kernels::{
    Density, Edges, GainPrior, Glue, Gradient, Lags, Mask, Mixture, Momentum, Norm, Prior, Products, Rule, ShiftRule,
    Shifts, Track,
};
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
pub const KERNELS: usize = 6 * 5 + 2 + 3 + 2 + 7 + 3 * 3 + 2 + 2 + 2 + 2 * 4 + 3 + 3;

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

/// The widths of the segments of a case of N columns: one, or a batch in which each has bases of its own.
type Widths = fn(usize) -> Vec<usize>;
const ALONE: Widths = |columns| vec![columns];
const BATCH: Widths = |columns| vec![columns, columns / 2 + 1, columns + 33];

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
pub fn run<E: GainPrior + Momentum + Glue + Shifts>(
    engine: &E,
    bound: f64,
    watch: &mut dyn FnMut(&Row),
) -> Result<Vec<Row>> {
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
        add(compare(format!("products/gains {divergence}"), bound, ALONE, |case| gains(engine, case, divergence)))?;
        add(compare(format!("products/bases {divergence}"), bound, ALONE, |case| bases(engine, case, divergence)))?;
        add(compare(format!("products/try {divergence}"), bound, ALONE, |case| trial(engine, &case[0], divergence)))?;
        add(compare(format!("products/both {divergence}"), bound, ALONE, |case| both(engine, case, divergence)))?;
        add(compare(format!("products/costs {divergence}"), bound, ALONE, |case| costs(engine, case, divergence)))?;
    }
    for norm in [Norm::L1, Norm::L2] {
        add(compare(format!("glue/normalize {norm}"), bound, ALONE, |case| normalize(engine, case, norm)))?;
    }
    for (name, mask) in [("ratio:1", Mask::Ratio(1.0)), ("ratio:2", Mask::Ratio(2.0)), ("hard", Mask::Hard)] {
        add(compare(format!("glue/masks {name}"), bound, ALONE, |case| masks(engine, case, mask)))?;
    }
    add(compare("momentum/lead".into(), bound, ALONE, |case| lead(engine, &case[0])))?;
    add(compare("momentum/advance".into(), bound, ALONE, |case| advance(engine, &case[0])))?;
    add(compare("prior/log-normalize".into(), bound, ALONE, |case| log_normalize(engine, case)))?;
    add(compare("prior/responsibilities".into(), bound, ALONE, |case| responsibilities(engine, case)))?;
    add(compare("prior/moments".into(), bound, ALONE, |case| moments(engine, &case[0])))?;
    for gradient in [Gradient::Exact, Gradient::Paper] {
        add(compare(format!("prior/add {gradient}"), bound, ALONE, |case| add_priors(engine, &case[0], gradient)))?;
    }
    for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
        add(compare(format!("prior/gains {divergence}"), bound, ALONE, |case| under(engine, case, divergence)))?;
    }
    let exact = [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito];
    for divergence in exact {
        let (exact, name) = ((divergence, Edges::Exact), divergence.to_string());
        add(compare(format!("shifts/gains {name}"), bound, ALONE, |case| shifted_gains(engine, case, exact)))?;
        add(compare(format!("shifts/bases {name}"), bound, ALONE, |case| shifted_bases(engine, case, exact)))?;
        add(compare(format!("shifts/costs {name}"), bound, ALONE, |case| shifted_costs(engine, case, divergence)))?;
    }
    let printed = (Divergence::KullbackLeibler, Edges::Printed);
    add(compare("shifts/gains kl printed".into(), bound, ALONE, |case| shifted_gains(engine, case, printed)))?;
    add(compare("shifts/bases kl printed".into(), bound, ALONE, |case| shifted_bases(engine, case, printed)))?;
    add(compare("shifts/models".into(), bound, ALONE, |case| shifted_models(engine, case, None)))?;
    add(compare("shifts/masks ratio:2".into(), bound, ALONE, |case| {
        shifted_models(engine, case, Some(Mask::Ratio(2.0)))
    }))?;
    for norm in [Norm::L1, Norm::L2] {
        add(compare(format!("shifts/normalize {norm}"), bound, ALONE, |case| shifted_norms(engine, case, norm)))?;
    }
    for divergence in [Divergence::KullbackLeibler, Divergence::ItakuraSaito] {
        add(compare(format!("segments/gains {divergence}"), bound, BATCH, |batch| gains(engine, batch, divergence)))?;
        add(compare(format!("segments/bases {divergence}"), bound, BATCH, |batch| bases(engine, batch, divergence)))?;
        add(compare(format!("segments/both {divergence}"), bound, BATCH, |batch| both(engine, batch, divergence)))?;
        add(compare(format!("segments/costs {divergence}"), bound, BATCH, |batch| costs(engine, batch, divergence)))?;
    }
    let shifted = (Divergence::ItakuraSaito, Edges::Exact);
    add(compare("segments/shifted gains is".into(), bound, BATCH, |batch| shifted_gains(engine, batch, shifted)))?;
    add(compare("segments/shifted bases is".into(), bound, BATCH, |batch| shifted_bases(engine, batch, shifted)))?;
    add(compare("segments/shifted norms l2".into(), bound, BATCH, |batch| shifted_norms(engine, batch, Norm::L2)))?;
    add(compare("segments/prior is".into(), bound, BATCH, |batch| under(engine, batch, Divergence::ItakuraSaito)))?;
    add(compare("segments/normalize l2".into(), bound, BATCH, |batch| normalize(engine, batch, Norm::L2)))?;
    add(compare("segments/masks ratio:1".into(), bound, BATCH, |batch| masks(engine, batch, Mask::Ratio(1.0))))?;
    Ok(rows)
}

/// V (F, N), W (F, K), H (K, N).
struct Case {
    v: Array2<f32>,
    w: Array2<f32>,
    h: Array2<f32>,
}

impl Case {
    /// The `index`-th of a batch.
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

fn compare(kernel: String, bound: f64, widths: Widths, errors: impl Fn(&[Case]) -> Result<f64>) -> Result<Row> {
    let mut row = Row { kernel, cases: 0, worst: 0.0, at: String::new(), bound };
    for (f, n, k) in SHAPES {
        for data in DATA {
            let cases: Vec<Case> =
                widths(n).into_iter().zip(0..).map(|(n, index)| Case::new((f, n, k), data, index)).collect();
            let error = errors(&cases)?;
            row.cases += 1;
            if row.at.is_empty() || error > row.worst {
                row.worst = error;
                row.at = format!("{f} x {n} x {k}, {data:?}").to_lowercase();
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

/// The largest error of what an engine made of a batch, against what the reference makes of each case alone. Both give as
/// many arrays for every case.
fn worst(got: &[Array2<f64>], cases: &[Case], alone: impl Fn(&[Case]) -> Result<Vec<Array2<f64>>>) -> Result<f64> {
    let expected: Result<Vec<_>> = cases.chunks(1).map(alone).collect();
    let expected = expected?.concat();
    let errors = got.iter().zip(&expected).map(|(got, expected)| error(got.view(), expected.view()));
    Ok(if got.len() == expected.len() { errors.fold(0.0, f64::max) } else { f64::INFINITY })
}

/// V, W and H of a batch.
fn bring_up<E: Engine>(engine: &E, cases: &[Case]) -> Result<(E::Panel, E::Matrix, E::Panel)> {
    let views = |part: fn(&Case) -> &Array2<f32>| cases.iter().map(|case| part(case).view()).collect::<Vec<_>>();
    Ok((
        engine.packed(&views(|case| &case.v))?,
        engine.stack(&views(|case| &case.w))?,
        engine.packed(&views(|case| &case.h))?,
    ))
}

/// The matrices of a stack, of `rows` rows each.
fn matrices<E: Engine>(engine: &E, stack: &E::Matrix, rows: usize) -> Result<Vec<Array2<f64>>> {
    let all = engine.read_matrix::<f64>(stack)?;
    Ok(all.axis_chunks_iter(Axis(0), rows).map(|matrix| matrix.to_owned()).collect())
}

/// The segments of a panel.
fn segments<E: Engine>(engine: &E, panel: &E::Panel) -> Result<Vec<Array2<f64>>> {
    Ok(cut(engine.read_panel(panel)?.view(), &engine.segments(panel).1))
}

fn cut(mut rest: ArrayView2<f64>, segments: &[usize]) -> Vec<Array2<f64>> {
    let mut cut = Vec::new();
    for &columns in segments {
        let (segment, after) = rest.split_at(Axis(1), columns);
        cut.push(segment.to_owned());
        rest = after;
    }
    cut
}

/// a₁ b₁ a₂ b₂ …
fn alternately(a: Vec<Array2<f64>>, b: Vec<Array2<f64>>) -> Vec<Array2<f64>> {
    a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect()
}

fn gains<E: Products>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, floor: 1e-6, ..Rule::of(divergence) };
    worst(&gains_on(engine, cases, &rule)?, cases, |case| gains_on(&Reference, case, &rule))
}

fn gains_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, w, mut h) = bring_up(engine, cases)?;
    engine.update_gains(&v, &w, &mut h, rule)?;
    segments(engine, &h)
}

fn bases<E: Products>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    let rule = Rule::of(divergence);
    worst(&bases_on(engine, cases, &rule)?, cases, |case| bases_on(&Reference, case, &rule))
}

fn bases_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, mut w, h) = bring_up(engine, cases)?;
    engine.update_bases(&v, &mut w, &h, rule)?;
    matrices(engine, &w, cases[0].v.nrows())
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

fn both<E: Products>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    let rule = Rule { exponent: divergence.majorizing_exponent(), sparsity: 0.01, ..Rule::of(divergence) };
    worst(&both_on(engine, cases, &rule)?, cases, |case| both_on(&Reference, case, &rule))
}

fn both_on<E: Products>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, mut w, mut h) = bring_up(engine, cases)?;
    engine.update_both(&v, &mut w, &mut h, rule)?;
    Ok(alternately(matrices(engine, &w, cases[0].v.nrows())?, segments(engine, &h)?))
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

fn costs<E: Products>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    worst(&costs_on(engine, cases, divergence)?, cases, |case| costs_on(&Reference, case, divergence))
}

fn costs_on<E: Products>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<Vec<Array2<f64>>> {
    let (v, w, h) = bring_up(engine, cases)?;
    let costs = engine.costs(&v, &w, &h, divergence)?;
    let (_, columns) = engine.shape(&v);
    let costs = Array2::from_shape_fn((1, columns), |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN));
    Ok(cut(costs.view(), &engine.segments(&v).1))
}

fn normalize<E: Glue>(engine: &E, cases: &[Case], norm: Norm) -> Result<f64> {
    worst(&normalize_on(engine, cases, norm)?, cases, |case| normalize_on(&Reference, case, norm))
}

fn normalize_on<E: Glue>(engine: &E, cases: &[Case], norm: Norm) -> Result<Vec<Array2<f64>>> {
    let (_, mut w, mut h) = bring_up(engine, cases)?;
    engine.normalize(&mut w, Some(&mut h), norm)?;
    Ok(alternately(matrices(engine, &w, cases[0].v.nrows())?, segments(engine, &h)?))
}

fn masks<E: Glue>(engine: &E, cases: &[Case], mask: Mask) -> Result<f64> {
    let k = cases[0].w.ncols();
    // One, two or three sources, the first of one component.
    let cuts = [0, 1, k / 2 + 1, k];
    let sources: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1].min(k)).filter(|range| !range.is_empty()).collect();
    let mut got = masks_on(engine, cases, &sources, mask)?;
    if mask == Mask::Hard {
        for (case, got) in cases.chunks(1).zip(got.chunks_mut(sources.len())) {
            let expected = masks_on(&Reference, case, &sources, mask)?;
            // A hard mask may fall either way where two models are equal to within rounding: those cells say nothing.
            let shares = masks_on(&Reference, case, &sources, Mask::Ratio(1.0))?;
            let top = |at| shares.iter().map(|share| share[at]).fold(0.0, f64::max);
            let tied = |at| shares.iter().filter(|share| share[at] > 0.9999 * top(at)).count() > 1 && top(at) > 0.0;
            let silent = |at| shares.iter().all(|share| share[at] == top(at));
            for (got, expected) in got.iter_mut().zip(&expected) {
                got.indexed_iter_mut()
                    .filter(|(at, _)| tied(*at) && !silent(*at))
                    .for_each(|(at, got)| *got = expected[at]);
            }
        }
    }
    worst(&got, cases, |case| masks_on(&Reference, case, &sources, mask))
}

/// For each case the mask of every source.
fn masks_on<E: Glue>(engine: &E, cases: &[Case], sources: &[Range<usize>], mask: Mask) -> Result<Vec<Array2<f64>>> {
    let (_, w, h) = bring_up(engine, cases)?;
    let masks: Result<Vec<_>> =
        engine.masks(&w, &h, sources, mask)?.iter().map(|mask| segments(engine, mask)).collect();
    let masks = masks?;
    Ok((0..cases.len()).flat_map(|case| masks.iter().map(move |mask| mask[case].clone())).collect())
}

/// The rows of a case's gains that have a prior: all but the first third.
fn prior_rows(case: &Case) -> Range<usize> {
    let all = case.h.nrows();
    all / 3..all
}

/// A mixture of one to 33 components. Their variances grow with the dimensions, so that several of them have a share in a column:
/// where log-likelihoods are in the hundreds, f32 leaves little of what they differ by.
fn mixture(case: &Case) -> Mixture {
    let (dimensions, components) = (prior_rows(case).len(), [1, 3, 4, 33, 6][case.v.nrows() % 5]);
    let fill = |name: &str| {
        let stream = Stream::new(1, name);
        let at = |(row, column)| stream.uniform((row * dimensions + column) as u64);
        Array2::from_shape_fn((components, dimensions), at)
    };
    let weights: Array1<f64> = fill("weights").column(0).mapv(|weight| weight + 0.1);
    Mixture {
        weights: &weights / weights.sum(),
        means: fill("means").mapv(|mean| -0.5 - 3.0 * mean),
        variances: fill("variances").mapv(|variance| dimensions as f64 * (0.5 + variance)),
    }
}

/// The least share of the norm in the cases: half of a column in zeros is then no further off than another.
const GAIN_SHARE: f64 = 1e-3;

fn prior<E: Engine>(engine: &E, case: &Case, gradient: Gradient) -> Result<Prior<E::Matrix>> {
    let density = Density::new(engine, &mixture(case))?;
    Ok(Prior { rows: prior_rows(case), density, gradient, floor: GAIN_SHARE })
}

/// α of every column: none in every third.
fn prior_weights<E: Engine>(engine: &E, cases: &[Case]) -> Result<E::Panel> {
    let of = |case: &Case| Array2::from_shape_fn((1, case.v.ncols()), |(_, n)| [0.3, 0.0, 0.1][n % 3]);
    let weights: Vec<Array2<f64>> = cases.iter().map(of).collect();
    engine.packed(&weights.iter().map(|weights| weights.view()).collect::<Vec<_>>())
}

fn log_normalize<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&log_normalize_on(engine, cases)?, cases, |case| log_normalize_on(&Reference, case))
}

fn log_normalize_on<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let (_, _, h) = bring_up(engine, cases)?;
    segments(engine, &engine.log_normalized(&h, prior_rows(&cases[0]), GAIN_SHARE)?)
}

fn responsibilities<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<f64> {
    worst(&responsibilities_on(engine, cases)?, cases, |case| responsibilities_on(&Reference, case))
}

fn responsibilities_on<E: GainPrior>(engine: &E, cases: &[Case]) -> Result<Vec<Array2<f64>>> {
    let (_, _, h) = bring_up(engine, cases)?;
    let x = engine.log_normalized(&h, prior_rows(&cases[0]), GAIN_SHARE)?;
    let (r, likelihoods) = engine.responsibilities(&x, &Density::new(engine, &mixture(&cases[0]))?)?;
    Ok(alternately(segments(engine, &r)?, segments(engine, &likelihoods)?))
}

fn moments<E: GainPrior>(engine: &E, case: &Case) -> Result<f64> {
    let (got, expected) = (moments_on(engine, case)?, moments_on(&Reference, case)?);
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// Σ L, Σ r, and the means of x − 1 and of its square: of a variance near 0, and of x where there is one dimension, there is no
/// digit to compare.
fn moments_on<E: GainPrior>(engine: &E, case: &Case) -> Result<[Array2<f64>; 4]> {
    let x = engine.log_normalized(&engine.panel(case.h.view())?, prior_rows(case), GAIN_SHARE)?;
    let found = engine.moments(&x, &Density::new(engine, &mixture(case))?)?;
    let means = &found.means - 1.0;
    let mut squares = &means * &means;
    for (mut row, variances) in squares.outer_iter_mut().zip(&found.variances) {
        variances.iter().for_each(|variances| row += variances);
    }
    let likelihood = Array2::from_elem((1, 1), found.log_likelihood);
    Ok([likelihood, found.counts.insert_axis(Axis(0)), means, squares])
}

fn add_priors<E: GainPrior>(engine: &E, case: &Case, gradient: Gradient) -> Result<f64> {
    let (got, expected) = (add_priors_on(engine, case, gradient)?, add_priors_on(&Reference, case, gradient)?);
    Ok(got.iter().zip(&expected).fold(0.0, |worst, (got, expected)| worst.max(error(got.view(), expected.view()))))
}

/// N, D and the gains with a prior.
fn add_priors_on<E: GainPrior>(engine: &E, case: &Case, gradient: Gradient) -> Result<[Array2<f64>; 3]> {
    let panel = || engine.panel(case.h.view());
    let (mut h, mut n, mut d) = (panel()?, panel()?, panel()?);
    let weights = prior_weights(engine, std::slice::from_ref(case))?;
    engine.add_priors(&mut h, &[prior(engine, case, gradient)?], &weights, &mut n, &mut d)?;
    Ok([engine.read_panel(&h)?, engine.read_panel(&n)?, engine.read_panel(&d)?])
}

fn under<E: GainPrior>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    let rule = Rule { sparsity: 0.01, ..Rule::of(divergence) };
    worst(&under_on(engine, cases, &rule)?, cases, |case| under_on(&Reference, case, &rule))
}

fn under_on<E: GainPrior>(engine: &E, cases: &[Case], rule: &Rule) -> Result<Vec<Array2<f64>>> {
    let (v, w, mut h) = bring_up(engine, cases)?;
    let priors = [prior(engine, &cases[0], Gradient::Exact)?];
    engine.update_gains_under(&v, &w, &mut h, rule, &priors, &prior_weights(engine, cases)?)?;
    segments(engine, &h)
}

/// Lags of a case: one, some, and more than there are frames or bins; and how many components.
fn lags(case: &Case) -> (Lags, usize) {
    let bins = case.v.nrows();
    (Lags { time: [2, 3, 11, 5, 1, 1, 8][bins % 7], pitch: [2, 3, 1, 9][bins / 4 % 4] }, case.w.ncols().min(5))
}

/// A batch on an engine.
struct Shifted<E: Engine> {
    v: E::Panel,
    w: E::Matrix,
    h: E::Panel,
    lags: Lags,
}

/// V, W and H of a batch, the factors' copies made of columns and rows of the case's in turn.
fn bring_up_shifted<E: Engine>(engine: &E, cases: &[Case]) -> Result<Shifted<E>> {
    let (lags, components) = lags(&cases[0]);
    let (mut bases, mut gains) = (Vec::new(), Vec::new());
    for Case { w, h, .. } in cases {
        let of_lag = |time| move |(f, d)| w[(f, (time * components + d) % w.ncols())];
        bases.extend((0..lags.time).map(|time| Array2::from_shape_fn((w.nrows(), components), of_lag(time))));
        let row = |(row, n)| h[(row % h.nrows(), n)];
        gains.push(Array2::from_shape_fn((lags.pitch * components, h.ncols()), row));
    }
    let data: Vec<_> = cases.iter().map(|case| case.v.view()).collect();
    let stack = engine.stack(&bases.iter().map(|basis| basis.view()).collect::<Vec<_>>())?;
    let gains = engine.packed(&gains.iter().map(|gains| gains.view()).collect::<Vec<_>>())?;
    Ok(Shifted { v: engine.packed(&data)?, w: stack, h: gains, lags })
}

fn shifted_gains<E: Shifts>(engine: &E, cases: &[Case], kind: (Divergence, Edges)) -> Result<f64> {
    worst(&shifted_gains_on(engine, cases, kind)?, cases, |case| shifted_gains_on(&Reference, case, kind))
}

fn shifted_gains_on<E: Shifts>(
    engine: &E,
    cases: &[Case],
    (divergence, edges): (Divergence, Edges),
) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, w, mut h, lags } = bring_up_shifted(engine, cases)?;
    let rule = Rule { sparsity: 0.01, floor: 1e-6, ..Rule::of(divergence) };
    engine.update_shifted_gains(&v, &w, &mut h, &ShiftRule { rule, lags, edges })?;
    segments(engine, &h)
}

fn shifted_bases<E: Shifts>(engine: &E, cases: &[Case], kind: (Divergence, Edges)) -> Result<f64> {
    worst(&shifted_bases_on(engine, cases, kind)?, cases, |case| shifted_bases_on(&Reference, case, kind))
}

fn shifted_bases_on<E: Shifts>(
    engine: &E,
    cases: &[Case],
    (divergence, edges): (Divergence, Edges),
) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, mut w, h, lags } = bring_up_shifted(engine, cases)?;
    engine.update_shifted_bases(&v, &mut w, &h, &ShiftRule { rule: Rule::of(divergence), lags, edges })?;
    matrices(engine, &w, lags.time * cases[0].v.nrows())
}

fn shifted_costs<E: Shifts>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<f64> {
    worst(&shifted_costs_on(engine, cases, divergence)?, cases, |case| shifted_costs_on(&Reference, case, divergence))
}

fn shifted_costs_on<E: Shifts>(engine: &E, cases: &[Case], divergence: Divergence) -> Result<Vec<Array2<f64>>> {
    let Shifted { v, w, h, lags } = bring_up_shifted(engine, cases)?;
    let costs = engine.shifted_costs(&v, &w, &h, lags, divergence)?;
    let costs = Array2::from_shape_fn((1, engine.shape(&v).1), |(_, n)| costs.get(n).copied().unwrap_or(f64::NAN));
    Ok(cut(costs.view(), &engine.segments(&v).1))
}

fn shifted_norms<E: Shifts>(engine: &E, cases: &[Case], norm: Norm) -> Result<f64> {
    worst(&shifted_norms_on(engine, cases, norm)?, cases, |case| shifted_norms_on(&Reference, case, norm))
}

fn shifted_norms_on<E: Shifts>(engine: &E, cases: &[Case], norm: Norm) -> Result<Vec<Array2<f64>>> {
    let Shifted { mut w, mut h, lags, .. } = bring_up_shifted(engine, cases)?;
    engine.normalize_patterns(&mut w, &mut h, lags, norm)?;
    Ok(alternately(matrices(engine, &w, lags.time * cases[0].v.nrows())?, segments(engine, &h)?))
}

fn shifted_models<E: Shifts>(engine: &E, cases: &[Case], mask: Option<Mask>) -> Result<f64> {
    worst(&shifted_models_on(engine, cases, mask)?, cases, |case| shifted_models_on(&Reference, case, mask))
}

/// The models, or the masks.
fn shifted_models_on<E: Shifts>(engine: &E, cases: &[Case], mask: Option<Mask>) -> Result<Vec<Array2<f64>>> {
    let Shifted { w, h, lags, .. } = bring_up_shifted(engine, cases)?;
    let panels = match mask {
        None => engine.shifted_models(&w, &h, lags)?,
        Some(mask) => engine.shifted_masks(&w, &h, lags, mask)?,
    };
    let all: Result<Vec<_>> = panels.iter().map(|panel| segments(engine, panel)).collect();
    Ok(all?.concat())
}
