//! Matrices into patterns that move, in time or in time and pitch. X (N, F) is read as V = Xᵀ, as in `factorize.rs`.

use numpy::ndarray::{Array2, Array3, ArrayView2, Axis, stack};
use numpy::{IntoPyArray, PyArray3, PyReadonlyArray3};
use partwise::job::MAX_RANK;
use partwise::kernels::{Lags, Norm};
use partwise::methods::nmf::{self, Learn};
use partwise::methods::nmf2d::{self, Found, Options, Start};
use partwise::{Divergence, Error, Result, with_engine};
use pyo3::prelude::*;

use crate::arrays::{Data, Matrix, Number};
use crate::{engines, work};

/// The most lags and starts, as of the command.
const MOST: usize = 4096;

/// What to do.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    divergence: String,
    components: usize,
    time_lags: usize,
    pitch_lags: usize,
    starts: usize,
    iterations: usize,
    sparsity: f64,
    seed: u64,
    engine: String,
}

/// W (T, F, K), H (P, K, N), and the divergence of X from the model.
type Factors<'py> = (Bound<'py, PyArray3<f64>>, Bound<'py, PyArray3<f64>>, f64);

/// Factorizes X (N, F) into patterns W (T, F, K) and activations H (P, K, N), at random or under given patterns.
#[pyfunction]
pub(crate) fn factorize_patterns<'py>(
    py: Python<'py>,
    x: Matrix<'py>,
    patterns: Option<PyReadonlyArray3<'py, f64>>,
    settings: Settings,
) -> PyResult<Factors<'py>> {
    let patterns: Option<Vec<Array2<f64>>> =
        patterns.map(|patterns| patterns.as_array().outer_iter().map(|lag| lag.to_owned()).collect());
    match x {
        Matrix::F32(x) => settings.factorize(py, x.as_array(), patterns.as_deref()),
        Matrix::F64(x) => settings.factorize(py, x.as_array(), patterns.as_deref()),
    }
}

impl Settings {
    fn factorize<'py, T: Number>(
        &self,
        py: Python<'py>,
        x: ArrayView2<T>,
        patterns: Option<&[Array2<f64>]>,
    ) -> PyResult<Factors<'py>> {
        let (patterns, activations, cost) = work::run(py, None, |control| {
            let data = Data::of(x)?;
            let mut options = self.options(data.level)?;
            let start = match patterns {
                None => Start::Random { components: self.components, starts: self.starts, seed: self.seed },
                Some(bases) => {
                    options.learn = Learn::Gains;
                    Start::Given { bases, gains: None }
                }
            };
            let found = engines::with(&self.engine, |engine| {
                let watch = |_| control.advanced(0.0);
                with_engine!(engine, |engine| nmf2d::search(engine, &[data.view()], start, &options, watch))
            })?;
            let Found { bases, gains, fit, start, .. } = found;
            let gains = gains.into_iter().next().unwrap_or_default();
            let rule = &options.rule.rule;
            let last = fit.objective.row(start).last().copied().unwrap_or_default();
            let cost = (last - rule.sparsity * gains.sum()) * data.level.powf(rule.divergence.exponent_beta());
            let views: Vec<_> = bases.iter().map(|lag| lag.view()).collect();
            let unfit = |cause: numpy::ndarray::ShapeError| Error::input(cause.to_string());
            let patterns = stack(Axis(0), &views).map_err(unfit)?;
            let (gains, frames) = (gains * data.level, data.view().ncols());
            let shape = (self.pitch_lags, patterns.len_of(Axis(2)), frames);
            let activations: Array3<f64> = gains.to_shape(shape).map_err(unfit)?.into_owned();
            Ok((patterns, activations, cost))
        })?;
        Ok((patterns.into_pyarray(py), activations.into_pyarray(py), cost))
    }

    /// The library's options, for data that were divided by `level`.
    fn options(&self, level: f64) -> Result<Options> {
        nmf::check_options(self.iterations, 0.0, self.sparsity)?;
        let numbers = [("n_components", self.components, MAX_RANK), ("time_lags", self.time_lags, MOST)];
        let more = [("pitch_lags", self.pitch_lags, MOST), ("n_starts", self.starts, MOST)];
        if let Some((name, value, most)) =
            numbers.into_iter().chain(more).find(|&(_, value, most)| !(1..=most).contains(&value))
        {
            return Err(Error::option(name, format!("{value}: use 1 to {most}")));
        }
        let divergence: Divergence = self.divergence.parse()?;
        let beta = divergence.exponent_beta();
        let lags = Lags { time: self.time_lags, pitch: self.pitch_lags };
        let mut options = Options { trace_every: 0, ..Options::of(divergence, lags, self.iterations) };
        // As for plain factors, d(mv|mλ) = m^β d(v|λ).
        options.rule.rule.sparsity = self.sparsity * level.powf(1.0 - beta);
        options.normalize = (self.sparsity > 0.0).then_some(Norm::L2);
        Ok(options)
    }
}
