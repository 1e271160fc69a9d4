//! `partwise factorize --method nmf2d`

use std::fs::File;
use std::path::Path;

use anyhow::bail;
use ndarray::{Array1, Array3, Axis};
use partwise::arrays::ArchiveWriter;
use partwise::engine::Engine;
use partwise::kernels::{Lags, Rule};
use partwise::methods::nmf::Updates;
use partwise::methods::nmf2d::{self, Found, Options, Start};
use partwise::with_engine;
use serde::Serialize;

use super::super::engine::open;
use super::super::{Common, Ending, memory, progress, shown, write_whole};
use super::matrices::{check_level, check_written, level, read_factors, read_matrix};
use super::options::{Factorize, Shifted, before};

/// The most starts and lags. Nobody waits for more starts, and no pattern has more lags.
const MOST: usize = 4096;

#[derive(Serialize)]
struct Summary<'a> {
    rows: usize,
    columns: usize,
    rank: usize,
    time_lags: usize,
    pitch_lags: usize,
    iterations: usize,
    /// Of the kept start. None if --trace-every is 0: the objective is then not computed before the first iteration.
    first_objective: Option<f64>,
    /// Of every start, in order.
    final_objectives: Vec<f64>,
    /// The number of the kept start. Its seed is the run's seed plus this number.
    start: usize,
    /// The time of the iterations and the objectives, without files.
    seconds: f64,
    engine: String,
    output: &'a Path,
}

pub(super) fn run(command: &Factorize, common: &Common) -> anyhow::Result<Ending> {
    let unfit = [("--updates", command.updates != Updates::Alternating), ("--tolerance", command.tolerance > 0.0)];
    if let Some((option, _)) = unfit.into_iter().find(|(_, given)| *given) {
        bail!("{option}: cannot be used with --method nmf2d; leave it out");
    }
    let Shifted { time_lags, pitch_lags, starts } = command.shifted;
    let starts = starts.unwrap_or(1);
    if command.init.is_some() && starts > 1 {
        bail!("--starts {starts}: --init gives a single start; use one of the two");
    }
    let v = read_matrix(&command.matrix)?;
    check_level(&command.matrix, &v, true)?;
    let [w, h] = given(command, v.dim())?;
    command.fix.map_or(Ok(()), |fixed| fixed.check(&[w.as_ref(), h.as_ref()]))?;
    let lags = Lags {
        time: lags("--time-lags", time_lags, w.as_ref(), 7)?,
        pitch: lags("--pitch-lags", pitch_lags, h.as_ref(), 18)?,
    };
    for (option, value) in [("time-lags", lags.time), ("pitch-lags", lags.pitch), ("starts", starts)] {
        if !(1..=MOST).contains(&value) {
            bail!("--{option} {value}: use 1 to {MOST}");
        }
    }
    announce(v.dim(), command.rank, lags, starts)?;
    let (scale, beta) = (level(&v), command.divergence.exponent_beta());
    let mut options = Options {
        trace_every: command.trace_every,
        learn: command.learn(),
        normalize: command.norm()?,
        ..Options::of(command.divergence.clone(), lags, command.iterations)
    };
    // As for plain factors, d(mv|mλ) = m^β d(v|λ), so the penalty must be scaled alike.
    options.rule.rule = Rule { sparsity: command.sparsity * scale.powf(1.0 - beta), ..options.rule.rule };
    let v = v / scale;
    let (mut bases, mut gains);
    let start = if command.init.is_none() {
        Start::Random { components: command.rank, starts, seed: command.seed.seed }
    } else {
        (bases, gains) = nmf2d::random_start(&[v.view()], command.rank, lags, command.seed.seed);
        if let Some(w) = w {
            bases = w.outer_iter().map(|w| w.to_owned()).collect();
        }
        if let Some(h) = h {
            let rows = lags.pitch * command.rank;
            gains = vec![(h / scale).to_shape((rows, v.ncols()))?.into_owned()];
        }
        Start::Given { bases: &bases, gains: Some(&gains) }
    };
    let engine = open(common)?;
    let bar = progress::bar(common, command.iterations as u64, "factorizing");
    let (found, name) = with_engine!(&engine, |engine| {
        let watch = |_| {
            bar.inc(1);
            Ok(())
        };
        (nmf2d::search(engine, &[v.view()], start, &options, watch)?, engine.describe())
    });
    bar.finish_and_clear();
    let Found { bases, gains, fit, start, seconds } = found;
    let objective = fit.objective.mapv(|objective| objective * scale.powf(beta));
    let (h, kept) = (&gains[0] * scale, objective.row(start).to_owned());
    let w = ndarray::stack(Axis(0), &bases.iter().map(|w| w.view()).collect::<Vec<_>>())?;
    let h = h.to_shape((lags.pitch, command.rank, v.ncols()))?.into_owned();
    for (name, factor) in [("W", &w), ("H", &h)] {
        check_written(&command.matrix, name, factor)?;
    }
    write_whole(&command.output, |path| write(path, &w, &h, &kept))?;
    let summary = Summary {
        rows: v.nrows(),
        columns: v.ncols(),
        rank: command.rank,
        time_lags: lags.time,
        pitch_lags: lags.pitch,
        iterations: command.iterations,
        first_objective: command.first_objective(kept.first()),
        final_objectives: objective.columns().into_iter().next_back().map(|last| last.to_vec()).unwrap_or_default(),
        start,
        seconds,
        engine: name,
        output: &command.output,
    };
    common.conclude(&summary, || text(&summary))?;
    Ok(Ending::Done)
}

/// Announces the memory for data F x N and their factors: in f64, and on the engine once per start.
fn announce((rows, columns): (usize, usize), rank: usize, lags: Lags, starts: usize) -> anyhow::Result<()> {
    let product = |sizes: &[usize]| sizes.iter().map(|&size| size as u64).product::<u64>();
    let factors = product(&[lags.time, rows, rank]) + product(&[lags.pitch, rank, columns]);
    let data = product(&[rows, columns]);
    let bytes = (24 + 24 * starts as u64) * factors + (16 + 16 * starts as u64) * data;
    memory::announce(bytes, "use a lower --rank, fewer --starts or lags, or fewer columns")
}

/// W (T,F,D) and H (Φ,D,N) of --init, for data F x N.
fn given(command: &Factorize, (rows, columns): (usize, usize)) -> anyhow::Result<[Option<Array3<f64>>; 2]> {
    let Some(path) = &command.init else { return Ok([None, None]) };
    let factors = read_factors(path, [["lag", "row", "component"], ["lag", "component", "column"]])?;
    let wanted = [("W", "T", [rows, command.rank]), ("H", "P", [command.rank, columns])];
    for (factor, (name, lags, want)) in factors.iter().zip(wanted) {
        if let Some(&[first, second, third]) = factor.as_ref().map(Array3::shape)
            && [second, third] != want
        {
            let got = format!("{name} is {first} x {second} x {third}");
            bail!("{}: {got}; it must be {lags} x {} x {}", path.display(), want[0], want[1]);
        }
    }
    Ok(factors)
}

/// The number of lags: that of the given factor, or as asked for.
fn lags(option: &str, asked: Option<usize>, factor: Option<&Array3<f64>>, default: usize) -> anyhow::Result<usize> {
    let given = factor.map(|factor| factor.len_of(Axis(0)));
    match asked.zip(given) {
        Some((asked, given)) if asked != given => {
            bail!("{option} {asked}: the factor of --init has {given}; leave the option out")
        }
        _ => Ok(given.or(asked).unwrap_or(default)),
    }
}

fn write(path: &Path, w: &Array3<f64>, h: &Array3<f64>, objective: &Array1<f64>) -> std::io::Result<()> {
    let mut archive = ArchiveWriter::new(File::create(path)?);
    archive.add("W", &w.mapv(|x| x as f32))?;
    archive.add("H", &h.mapv(|x| x as f32))?;
    archive.add("objective", objective)?;
    archive.finish()
}

fn text(summary: &Summary) -> String {
    let last = &summary.final_objectives;
    let starts = match last.len() {
        1 => String::new(),
        count => format!(", the best of {count} starts (number {})", summary.start),
    };
    format!(
        "{} x {} by {} patterns of {} columns at {} pitches: objective {}{:.6e} in {} iterations and {:.2} s{starts}, on {}\nwrote {}: W (T, F, K), H (P, K, N) and objective\n",
        summary.rows,
        summary.columns,
        summary.rank,
        summary.time_lags,
        summary.pitch_lags,
        before(summary.first_objective),
        last.get(summary.start).copied().unwrap_or_default(),
        summary.iterations,
        summary.seconds,
        summary.engine,
        shown(summary.output),
    )
}
