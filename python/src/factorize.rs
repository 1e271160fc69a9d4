//! Matrices into bases and gains.
//!
//! scikit-learn's X (N, F) has a sample a row. It is read as V = Xᵀ (F, N): frames are columns, and an array in C order holds
//! them one after the other, which is how engines pack them. So nothing is copied before the engine's own packing, every
//! sample of `transform` is a column that is updated by itself, and the gains come back as an array (N, K) in C order. X ≈ W H
//! then has the gains for W, transposed, and the bases for H.

use numpy::IntoPyArray;
use numpy::ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate};
use partwise::job::MAX_RANK;
use partwise::kernels::Norm;
use partwise::methods::nmf::{self, Normalization, Options, Until, Updates};
use partwise::{Divergence, Engine, Error, Result, with_engine};
use pyo3::prelude::*;

use crate::arrays::{Data, Matrix, Number, check_factor};
use crate::{engines, work};

/// Columns of new data whose gains are found at once, between two looks at whether to go on.
const COLUMNS: usize = 4096;
/// Iterations between two objectives, as in scikit-learn.
const TRACE: usize = 10;

/// What to do.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    divergence: String,
    updates: String,
    components: usize,
    iterations: usize,
    tolerance: f64,
    sparsity: f64,
    seed: u64,
    engine: String,
}

/// W (N, K), H (K, F), the divergence of X from W H, the iterations, and whether the tolerance ended them.
type Factors<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, f64, usize, bool);

/// Factorizes X (N, F) into W (N, K) and H (K, F), from the given ones or at random.
#[pyfunction]
#[pyo3(signature = (x, start, settings))]
pub(crate) fn factorize<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    start: Option<(Matrix<'py>, Matrix<'py>)>,
    settings: Settings,
) -> PyResult<Factors<'py>> {
    let start = start.map(|(w, h)| (w.wide(), h.wide()));
    match x {
        Matrix::F32(x) => settings.factorize(py, x.as_array(), start),
        Matrix::F64(x) => settings.factorize(py, x.as_array(), start),
    }
}

/// W (N, K) of X (N, F) under fixed H (K, F).
#[pyfunction]
pub(crate) fn update_gains<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    h: Matrix<'py>,
    settings: Settings,
) -> PyResult<Bound<'py, PyAny>> {
    let h = h.wide();
    match x {
        Matrix::F32(x) => settings.update_gains(py, x.as_array(), &h),
        Matrix::F64(x) => settings.update_gains(py, x.as_array(), &h),
    }
}

impl Settings {
    fn factorize<'py, T: Number>(
        &self,
        py: Python<'py>,
        x: ArrayView2<T>,
        start: Option<(Array2<f64>, Array2<f64>)>,
    ) -> PyResult<Factors<'py>> {
        let (w, h, fit) = work::run(py, None, |control| {
            let data = Data::of(x)?;
            let options = self.options(data.level)?;
            let (bases, gains) = match start {
                Some((w, h)) => (h.reversed_axes(), w.reversed_axes()),
                None => {
                    let (bases, gains) = nmf::random_start(data.view(), self.components, self.seed);
                    (bases.mapv(f64::from), gains.mapv(|gain| f64::from(gain) * data.level))
                }
            };
            let gains = gains / data.level;
            let (h, w, mut fit) = engines::with(&self.engine, |engine| {
                with_engine!(engine, |engine| {
                    let (v, mut bases) = (engine.panel(data.view())?, engine.matrix(bases.view())?);
                    let mut gains = engine.panel(gains.view())?;
                    let watch = |_| control.advanced(0.0);
                    let fit = nmf::factorize(engine, &v, &mut bases, &mut gains, &options, watch)?;
                    Ok((engine.read_matrix::<T>(&bases)?, engine.read_panel::<T>(&gains)?, fit))
                })
            })?;
            if let Some(cost) = fit.objective.last_mut() {
                if options.rule.sparsity > 0.0 {
                    *cost -= options.rule.sparsity * w.iter().map(|gain| gain.to_f64()).sum::<f64>();
                }
                *cost *= data.level.powf(options.rule.divergence.exponent_beta());
            }
            let w = data.raised(w);
            check_factor("W", &w)?;
            check_factor("H", &h)?;
            Ok((w, h, fit))
        })?;
        let cost = fit.objective.last().copied().unwrap_or_default();
        let h = h.t().as_standard_layout().into_owned();
        Ok((gains_out(py, w), h.into_pyarray(py).into_any(), cost, fit.iterations, fit.converged))
    }

    fn update_gains<'py, T: Number>(
        &self,
        py: Python<'py>,
        x: ArrayView2<T>,
        h: &Array2<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let gains = work::run(py, None, |control| {
            let data = Data::of(x)?;
            let options = self.options(data.level)?;
            let bases = h.t();
            let of_bases = h.sum().max(1e-30);
            let mut gains: Vec<Array2<T>> = Vec::new();
            engines::with(&self.engine, |engine| {
                with_engine!(engine, |engine| {
                    let bases = engine.matrix(bases)?;
                    for part in data.view().axis_chunks_iter(Axis(1), COLUMNS) {
                        control.advanced(0.0)?;
                        // Each sample starts at its own level, and stops by itself, so its result is that which it has alone.
                        let level = |sample: ArrayView1<T>| sample.iter().map(|v| v.to_f64()).sum::<f64>() / of_bases;
                        let levels: Vec<f64> = part.axis_iter(Axis(1)).map(level).collect();
                        let start = Array2::from_shape_fn((h.nrows(), part.ncols()), |(_, n)| levels[n]);
                        let (v, start) = (engine.panel(part)?, engine.panel(start.view())?);
                        let segments = vec![1; part.ncols()];
                        let until =
                            Until { iterations: self.iterations, tolerance: self.tolerance, segments: &segments };
                        let found =
                            nmf::update_gains(engine, &v, &bases, start, &options.rule, options.updates, &until)?;
                        gains.push(engine.read_panel(&found.0)?);
                    }
                    Ok(())
                })
            })?;
            let parts: Vec<_> = gains.iter().map(|gains| gains.t()).collect();
            let all = concatenate(Axis(0), &parts).map_err(|cause| Error::input(cause.to_string()))?;
            let all = data.raised(all.reversed_axes());
            check_factor("W", &all).map(|()| all)
        })?;
        Ok(gains_out(py, gains))
    }

    /// The library's options, for data that were divided by `level`.
    fn options(&self, level: f64) -> Result<Options> {
        nmf::check_options(self.iterations, self.tolerance, self.sparsity)?;
        if !(1..=MAX_RANK).contains(&self.components) {
            return Err(Error::option("n_components", format!("{}: use 1 to {MAX_RANK}", self.components)));
        }
        let divergence: Divergence = self.divergence.parse()?;
        let (updates, beta) = (self.updates.parse()?, divergence.exponent_beta());
        let mut options = Options::of(divergence, self.iterations);
        // scikit-learn's plain updates have the exponent with which they are proven at any β.
        if updates == Updates::Alternating {
            options.rule.exponent = options.rule.divergence.majorizing_exponent();
        }
        options.updates = updates;
        options.tolerance = self.tolerance;
        options.trace_every = if self.tolerance > 0.0 { TRACE } else { 0 };
        // d(mv|mλ) = m^β d(v|λ), so the penalty is scaled alike to keep the minimum in place.
        options.rule.sparsity = self.sparsity * level.powf(1.0 - beta);
        // Without a norm of the bases a penalty has no effect: they grow as the gains shrink.
        options.normalization = (self.sparsity > 0.0).then_some(Normalization { norm: Norm::L2, compensate: true });
        Ok(options)
    }
}

/// Gains (K, N) as W (N, K). They are stored column by column, so W is in C order without a copy.
fn gains_out<T: Number>(py: Python<'_>, gains: Array2<T>) -> Bound<'_, PyAny> {
    gains.reversed_axes().into_pyarray(py).into_any()
}
