//! `partwise factorize`

mod matrices;
mod options;
mod shifted;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;
use ndarray::{Array1, Array2, Ix2};
use partwise::arrays::ArchiveWriter;
use partwise::engine::Engine;
use partwise::job::MAX_RANK;
use partwise::kernels::{Glue, Momentum, Products, Rule};
use partwise::methods::nmf::{self, Fit, Normalization, Options, Updates};
use partwise::with_engine;
use serde::Serialize;

pub(super) use self::options::Factorize;

use self::matrices::{check_level, check_written, level, read_factors, read_matrix};
use self::options::Method;
use super::engine::open;
use super::{Common, Ending, check_output, memory, progress, shown, write_whole};

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
        let (w, h) = self.start(&v, self.seed.seed)?;
        check_level(&self.matrix, &v, self.norm()?.is_some())?;
        let options = Options {
            updates: self.updates,
            trace_every: self.trace_every,
            tolerance: self.tolerance,
            learn: self.learn(),
            normalization: self.norm()?.map(|norm| Normalization { norm, compensate: true }),
            ..Options::of(self.divergence.clone(), self.iterations)
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
        common.conclude(&summary, || text(&summary))?;
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
}

/// Factorizes on an engine. Returns W, H, the fit and the seconds it took.
fn factorize<E: Products + Momentum + Glue>(
    engine: &E,
    v: &Array2<f64>,
    w: &Array2<f64>,
    h: &Array2<f64>,
    options: &Options,
    mut watch: impl FnMut(usize) + Send,
) -> partwise::Result<(Array2<f64>, Array2<f64>, Fit, f64)> {
    let (v, mut w, mut h) = (engine.panel(v.view())?, engine.matrix(w.view())?, engine.panel(h.view())?);
    // Reading a factor back waits for the engine: before, for the upload of the data; after, for the last update.
    engine.read_matrix::<f32>(&w)?;
    let started = Instant::now();
    let fit = nmf::factorize(engine, &v, &mut w, &mut h, options, |iteration| {
        watch(iteration);
        Ok(())
    })?;
    let w = engine.read_matrix(&w)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((w, engine.read_panel(&h)?, fit, seconds))
}

fn write_npz(path: &Path, w: Array2<f64>, h: Array2<f64>, fit: &Fit) -> std::io::Result<()> {
    let mut archive = ArchiveWriter::new(File::create(path)?);
    archive.add("W", &w.mapv(|x| x as f32))?;
    archive.add("H", &h.mapv(|x| x as f32))?;
    archive.add("objective", &Array1::from(fit.objective.clone()))?;
    archive.finish()
}

fn text(summary: &Summary) -> String {
    format!(
        "{} x {} at rank {}: objective {}{:.6e} in {} iterations{} and {:.2} s, on {}\nwrote {}: W (F, K), H (K, N) and objective\n",
        summary.rows,
        summary.columns,
        summary.rank,
        options::before(summary.first_objective),
        summary.final_objective,
        summary.iterations,
        if summary.converged { " (converged)" } else { "" },
        summary.seconds,
        summary.engine,
        shown(summary.output),
    )
}
