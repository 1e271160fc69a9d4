//! `partwise factorize`

mod shifted;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use ndarray::{Array, Array1, Array2, ArrayD, Dimension, IntoDimension, Ix2};
use ndarray_npy::NpzWriter;
use partwise::arrays;
use partwise::divergence::Divergence;
use partwise::engine::Engine;
use partwise::kernels::{Glue, Momentum, Norm, Products, Rule};
use partwise::methods::nmf::{self, Fit, Learn, Normalization, Options, Updates};
use partwise::train::MAX_RANK;
use serde::Serialize;

use self::shifted::Shifted;
use super::engine::{open, with_engine};
use super::{Common, Ending, check_output, memory, print, progress, shown, write_whole};

/// Factorize any nonnegative matrix, F rows by N columns: V ≈ W H
#[derive(Args)]
pub(super) struct Factorize {
    /// The matrix: floats, integers or bool; or an .npz with this array alone
    #[arg(value_name = "V.npy")]
    matrix: PathBuf,
    /// Number of components
    #[arg(long, value_name = "K")]
    rank: usize,
    /// nmf, or nmf2d: patterns that move in time and, if rows are log-frequencies, in pitch
    #[arg(long, value_name = "nmf|nmf2d", default_value = "nmf")]
    method: Method,
    #[command(flatten)]
    shifted: Shifted,
    /// The result: W (F,K), H (K,N) and objective (before the first iteration, and then at every --trace-every)
    #[arg(short, long, value_name = "OUT.npz")]
    output: PathBuf,
    /// Start from W (F,K) and H (K,N) in this file instead of random numbers; either may be missing. nmf2d: W (T,F,K),
    /// H (P,K,N)
    #[arg(long, value_name = "INIT.npz")]
    init: Option<PathBuf>,
    /// Keep a factor unchanged
    #[arg(long, value_name = "w|h")]
    fix: Option<Fixed>,
    /// The divergence to minimize: eu, kl, is or beta:B
    #[arg(long, default_value = "kl")]
    divergence: Divergence,
    /// alternating: H, then W. joint: both in one pass over the data, never raising the objective. extrapolated: each
    /// from a point further along its last step, for fewer iterations
    #[arg(long, default_value = "alternating", value_name = "alternating|joint|extrapolated")]
    updates: Updates,
    /// The most iterations; one iteration updates H, then W, and normalizes
    #[arg(long, value_name = "N", default_value_t = 200)]
    iterations: usize,
    /// Compute the objective after every N iterations; 0: only after the last
    #[arg(long, value_name = "N", default_value_t = 1)]
    trace_every: usize,
    /// Stop when the objective fell by less than this fraction since it was last computed (see --trace-every)
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    tolerance: f64,
    /// The weight of an L1 penalty on H, for columns of W with norm 1
    #[arg(long, value_name = "L", default_value_t = 0.0)]
    sparsity: f64,
    /// Scale W's columns, or with nmf2d whole patterns, to norm 1, and scale H's rows inversely: none, l1 or l2
    /// [default: none, or l2 with a sparsity]
    #[arg(long, value_name = "none|l1|l2", value_parser = ["none", "l1", "l2"])]
    normalize: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Nmf,
    Nmf2d,
}

#[derive(Clone, Copy, ValueEnum)]
enum Fixed {
    W,
    H,
}

impl Fixed {
    fn name(self) -> &'static str {
        match self {
            Self::W => "w",
            Self::H => "h",
        }
    }

    /// Checks that --init contains the factor to keep.
    fn check<T>(self, [w, h]: &[Option<T>; 2]) -> anyhow::Result<()> {
        let given = match self {
            Self::W => w.is_some(),
            Self::H => h.is_some(),
        };
        if given { Ok(()) } else { bail!("--fix {}: is missing from the file of --init; add it", self.name()) }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    rows: usize,
    columns: usize,
    rank: usize,
    iterations: usize,
    converged: bool,
    /// None if --trace-every is 0: the objective is then not computed before the first iteration.
    first_objective: Option<f64>,
    final_objective: f64,
    /// The time of the iterations and the objectives, without files.
    seconds: f64,
    engine: String,
    output: &'a Path,
}

impl Factorize {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        nmf::check_options(self.iterations, self.tolerance, self.sparsity)?;
        if !(1..=MAX_RANK).contains(&self.rank) {
            bail!("--rank {}: use 1 to {MAX_RANK}", self.rank);
        }
        if let Some(fixed) = self.fix.filter(|_| self.init.is_none()) {
            bail!("--fix {}: give this factor with --init", fixed.name());
        }
        check_output(
            &self.output,
            [Some(&self.matrix), self.init.as_ref()].into_iter().flatten().map(PathBuf::as_path),
        )?;
        if self.sparsity > 0.0 && self.normalize.as_deref() == Some("none") && self.fix.is_none() {
            log::warn!("--sparsity with --normalize none: W grows as H shrinks, and the penalty has no effect");
        }
        if self.method == Method::Nmf2d {
            return shifted::run(&self, common);
        }
        self.shifted.check_absent()?;
        let v = read_matrix(&self.matrix)?;
        self.announce(&v)?;
        let (w, h) = self.start(&v, common.seed)?;
        check_level(&self.matrix, &v, self.norm()?.is_some())?;
        let options = Options {
            updates: self.updates,
            trace_every: self.trace_every,
            tolerance: self.tolerance,
            learn: self.learn(),
            normalization: self.norm()?.map(|norm| Normalization { norm, compensate: true }),
            ..Options::of(self.divergence, self.iterations)
        };
        let (scale, beta) = (level(&v), self.divergence.exponent_beta());
        // d(mv|mλ) = m^β d(v|λ), so the penalty must be scaled alike to keep the minimum in place.
        let rule = Rule { sparsity: self.sparsity * scale.powf(1.0 - beta), ..options.rule };
        let options = Options { rule, ..options };
        let engine = open(common)?;
        let bar = progress::bar(common, self.iterations as u64, "factorizing");
        let (w, h, mut fit, seconds, name) = with_engine!(&engine, |engine| {
            let (w, h, fit, seconds) = factorize(engine, &(&v / scale), &w, &(h / scale), &options, |_| bar.inc(1))?;
            (w, h * scale, fit, seconds, engine.describe())
        });
        bar.finish_and_clear();
        for (name, factor) in [("W", &w), ("H", &h)] {
            check_written(&self.matrix, name, factor)?;
        }
        fit.objective.iter_mut().for_each(|objective| *objective *= scale.powf(beta));
        write_whole(&self.output, |path| write_npz(path, w, h, &fit))?;
        let summary = Summary {
            rows: v.nrows(),
            columns: v.ncols(),
            rank: self.rank,
            iterations: fit.iterations,
            converged: fit.converged,
            first_objective: self.first_objective(fit.objective.first()),
            final_objective: fit.objective.last().copied().unwrap_or_default(),
            seconds,
            engine: name,
            output: &self.output,
        };
        print(common.json, &summary, || text(&summary))?;
        Ok(Ending::Done)
    }

    /// Announces the memory for the data and the factors: f64 on the host for the originals, the scaled copies and the
    /// results; f32 on the engine and in the file. Extrapolation keeps four more gains.
    fn announce(&self, v: &Array2<f64>) -> anyhow::Result<()> {
        let cells = |rows: usize, columns: usize| rows as u64 * columns as u64;
        let (rows, columns) = v.dim();
        let factors = cells(rows, self.rank) + cells(self.rank, columns);
        let each = if self.updates == Updates::Extrapolated { 28 + 16 } else { 28 };
        memory::announce(each * factors + 20 * cells(rows, columns), "use a lower --rank, or fewer columns")
    }

    /// The initial W and H.
    fn start(&self, v: &Array2<f64>, seed: u64) -> anyhow::Result<(Array2<f64>, Array2<f64>)> {
        let (w, h) = nmf::random_start(v.view(), self.rank, seed);
        let (mut w, mut h) = (w.mapv(f64::from), h.mapv(f64::from));
        if let Some(path) = &self.init {
            let given = read_factors::<Ix2, 2>(path, [["row", "column"]; 2])?;
            self.fix.map_or(Ok(()), |fixed| fixed.check(&given))?;
            for ((name, factor), given) in [("W", &mut w), ("H", &mut h)].into_iter().zip(given) {
                let Some(given) = given else { continue };
                if given.dim() != factor.dim() {
                    let (got, want) = (given.dim(), factor.dim());
                    bail!("{}: {name} is {} x {}; it must be {} x {}", path.display(), got.0, got.1, want.0, want.1);
                }
                *factor = given;
            }
        }
        Ok((w, h))
    }

    /// The factors that are not fixed.
    fn learn(&self) -> Learn {
        match self.fix {
            None => Learn::Both,
            Some(Fixed::W) => Learn::Gains,
            Some(Fixed::H) => Learn::Bases,
        }
    }

    /// The norm of W's columns.
    fn norm(&self) -> partwise::Result<Option<Norm>> {
        match self.normalize.as_deref() {
            None => Ok((self.sparsity > 0.0).then_some(Norm::L2)),
            Some("none") => Ok(None),
            Some(norm) => norm.parse().map(Some),
        }
    }

    /// The objective before the first iteration, if it was computed.
    fn first_objective(&self, first: Option<&f64>) -> Option<f64> {
        first.copied().filter(|_| self.trace_every > 0)
    }
}

/// Factorizes on an engine. Returns W, H, the fit and the seconds it took.
fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    v: &Array2<f64>,
    w: &Array2<f64>,
    h: &Array2<f64>,
    options: &Options,
    watch: impl FnMut(usize) + Send,
) -> partwise::Result<(Array2<f64>, Array2<f64>, Fit, f64)> {
    let (v, mut w, mut h) = (engine.panel(v.view())?, engine.matrix(w.view())?, engine.panel(h.view())?);
    // Reading a factor back waits for the engine: before, for the upload of the data; after, for the last update.
    engine.read_matrix::<f32>(&w)?;
    let started = Instant::now();
    let fit = nmf::factorize(engine, &v, &mut w, &mut h, options, watch)?;
    let w = engine.read_matrix(&w)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((w, engine.read_panel(&h)?, fit, seconds))
}

/// The divisor that brings data near 1, where the engines' floors do not distort them: 1 for data of an ordinary level,
/// otherwise the power of two of the largest entry.
fn level(v: &Array2<f64>) -> f64 {
    let largest = v.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 || (1e-3..=1e6).contains(&largest) {
        return 1.0;
    }
    let scale = largest.log2().round().exp2();
    log::info!("the largest entry is {largest:.1e}; dividing the data by {scale:.1e} for the computation");
    scale
}

/// Checks that factors of data at this level fit in f32. With normalized bases, the gains take the whole level;
/// otherwise both factors share it.
fn check_level(path: &Path, v: &Array2<f64>, scaled: bool) -> anyhow::Result<()> {
    let largest = v.iter().copied().fold(0.0, f64::max);
    // Divide before summing: the sum of the largest numbers is infinite.
    let mean: f64 = v.iter().map(|x| x / v.len() as f64).sum();
    let of_factor = |level: f64| if scaled { level } else { level.sqrt() };
    if largest == 0.0 || [largest, mean].iter().all(|&level| (LEAST..=MOST).contains(&of_factor(level))) {
        return Ok(());
    }
    let (least, most) = if scaled { (LEAST, MOST) } else { (LEAST * LEAST, MOST * MOST) };
    bail!(
        "{}: its largest entry is {largest:.1e}, but W and H are written as f32, which fits data from {least:.0e} to \
         {most:.0e}; scale the data",
        path.display()
    )
}

/// Checks that a factor in f32 is more than zeros and infinities.
fn check_written<D: Dimension>(path: &Path, name: &str, factor: &Array<f64, D>) -> anyhow::Result<()> {
    let largest = factor.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&largest) {
        return Ok(());
    }
    bail!("{}: {name} would reach {largest:.1e}, which is out of the range of f32; scale the data", path.display())
}

/// The level limits of factors. They leave room in f32 for smaller and larger entries.
const LEAST: f64 = 1e-34;
const MOST: f64 = 1e36;

fn read_matrix(path: &Path) -> anyhow::Result<Array2<f64>> {
    let matrix: Array2<f64> = of_axes(arrays::read(path)?, &path.display().to_string(), "a matrix")?;
    if matrix.is_empty() {
        bail!("{}: is {} x {}, so there is nothing to factorize", path.display(), matrix.nrows(), matrix.ncols());
    }
    check(&matrix, &path.display().to_string(), ["row", "column"])?;
    Ok(matrix)
}

/// Converts an array to D axes. `wanted` names the expected array in the error.
fn of_axes<D: Dimension>(array: ArrayD<f64>, what: &str, wanted: &str) -> anyhow::Result<Array<f64, D>> {
    let axes = |count: usize| if count == 1 { "1 axis".to_string() } else { format!("{count} axes") };
    let (got, want) = (axes(array.ndim()), D::NDIM.map(|count| count.to_string()).unwrap_or_default());
    array.into_dimensionality().map_err(|_| anyhow!("{what}: has {got}; {wanted} has {want}"))
}

/// Reads W and H from an .npz file; one may be missing. `axes` are the names of the axes of each, for errors.
fn read_factors<D: Dimension, const A: usize>(
    path: &Path,
    axes: [[&str; A]; 2],
) -> anyhow::Result<[Option<Array<f64, D>>; 2]> {
    let mut archive = arrays::Archive::open(path)?;
    let mut read = |name: &str, axes| {
        if !archive.names().iter().any(|known| known == name) {
            return Ok(None);
        }
        let what = format!("{}: {name}", path.display());
        let factor = of_axes(archive.read(name)?, &what, "this factor")?;
        check(&factor, &what, axes)?;
        anyhow::Ok(Some(factor))
    };
    let [of_w, of_h] = axes;
    match [read("W", of_w)?, read("H", of_h)?] {
        [None, None] => bail!("{}: has neither W nor H", path.display()),
        factors => Ok(factors),
    }
}

/// Checks that an array is finite and nonnegative. `axes` are the names of its axes, for errors.
fn check<D: Dimension, const A: usize>(array: &Array<f64, D>, what: &str, axes: [&str; A]) -> anyhow::Result<()> {
    let wrong = ndarray::indices_of(array).into_iter().zip(array).find(|(_, x)| !(x.is_finite() && **x >= 0.0));
    let Some((place, x)) = wrong else { return Ok(()) };
    let place = place.into_dimension();
    let place: Vec<String> = axes.iter().zip(place.slice()).map(|(axis, at)| format!("{axis} {at}")).collect();
    bail!("{what}: has {x} at {}; all entries must be finite and nonnegative", place.join(", "))
}

/// The first objective of a run and an arrow to the last, for the text.
fn from(first: Option<f64>) -> String {
    first.map_or_else(String::new, |first| format!("{first:.6e} -> "))
}

fn write_npz(path: &Path, w: Array2<f64>, h: Array2<f64>, fit: &Fit) -> std::io::Result<()> {
    let other = |cause: ndarray_npy::WriteNpzError| std::io::Error::other(cause);
    let mut archive = NpzWriter::new(File::create(path)?);
    archive.add_array("W", &w.mapv(|x| x as f32)).map_err(other)?;
    archive.add_array("H", &h.mapv(|x| x as f32).as_standard_layout()).map_err(other)?;
    archive.add_array("objective", &Array1::from(fit.objective.clone())).map_err(other)?;
    archive.finish().map_err(other)?;
    Ok(())
}

fn text(summary: &Summary) -> String {
    format!(
        "{} x {} at rank {}: objective {}{:.6e} in {} iterations{} and {:.2} s, on {}\n{}\n",
        summary.rows,
        summary.columns,
        summary.rank,
        from(summary.first_objective),
        summary.final_objective,
        summary.iterations,
        if summary.converged { " (converged)" } else { "" },
        summary.seconds,
        summary.engine,
        shown(summary.output),
    )
}
