//! Scores of estimates.

use numpy::PyReadonlyArray3;
use partwise::evaluate::{Order, Scores};
use pyo3::prelude::*;

use crate::engines;
use crate::model::json;
use crate::work;

/// Signals (C, N) of several sources, or of one.
type Signals = Vec<Vec<Vec<f64>>>;

/// Scores estimates (J, C, N) of references (J, C, N) over the whole length, and over each of `windows`, which are ranges of
/// samples. The scores are JSON: those of each source over the whole, and for each window those of each source.
#[pyfunction]
pub(crate) fn evaluate(
    py: Python<'_>,
    references: PyReadonlyArray3<'_, f64>,
    estimates: PyReadonlyArray3<'_, f64>,
    mixture: Option<PyReadonlyArray3<'_, f64>>,
    best_order: bool,
    windows: Vec<(usize, usize)>,
) -> PyResult<String> {
    let (references, estimates) = (signals(&references), signals(&estimates));
    let mixture = mixture.map(|mixture| signals(&mixture));
    let order = if best_order { Order::Best } else { Order::Given };
    let scores: (Vec<Scores>, Vec<Vec<Scores>>) = work::run(py, None, |control| {
        let pool = engines::pool(&Default::default())?;
        pool.install(|| {
            let mixture = mixture.as_ref().and_then(|mixture| mixture.first()).map(Vec::as_slice);
            let whole = partwise::evaluate::evaluate(&references, &estimates, mixture, order)?;
            // The windows have the order of the whole.
            let estimates: Signals = whole.iter().map(|scores| estimates[scores.estimate].clone()).collect();
            let windows: Vec<_> = windows.iter().map(|&(start, end)| start..end).collect();
            let watch = || control.advanced(0.0);
            let windows = partwise::evaluate::evaluate_windows(&references, &estimates, &windows, watch)?;
            Ok((whole, windows))
        })
    })?;
    json(py, &scores)
}

fn signals(signals: &PyReadonlyArray3<f64>) -> Signals {
    let channels =
        |signal: numpy::ndarray::ArrayView2<f64>| signal.outer_iter().map(|channel| channel.to_vec()).collect();
    signals.as_array().outer_iter().map(channels).collect()
}
