//! The bases of every source at every order, each learned from the source's own frames.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use serde_json::{Map, Value, json};

use super::options::Orders;
use crate::kernels::{Glue, Momentum, Norm, Products};
use crate::methods::nmf;
use crate::methods::nmf::train::{Factors, Frames, LearnedSource};
use crate::{Error, Result};

/// The bases of every source, those of all orders side by side, and a summary of each source.
pub(crate) type Trained = (Vec<LearnedSource>, Vec<Map<String, Value>>);

/// Learns the bases of every source at every order by maximum likelihood, from the same seed, and scales them so that the
/// gains of the training have a mean of 1. `watch` hears of a source by
/// its name, and the number of the iteration that is done at an order.
///
/// # Errors
/// Those of the frames, and of [`nmf::factorize`].
pub(crate) fn train<E: Products + Momentum + Glue>(
    engine: &E,
    sources: impl Iterator<Item = Result<Frames>>,
    orders: &Orders,
    (options, seed): (&nmf::Options, u64),
    watch: &mut (dyn FnMut(&str, usize) -> Result<()> + Send),
) -> Result<Trained> {
    // The scale of the bases has no say in the fit. Within it, they are kept at one, as by other methods.
    let normalization = Some(nmf::Normalization { norm: Norm::L1, compensate: true });
    let options = &nmf::Options { normalization, ..options.clone() };
    let (mut learned, mut details) = (Vec::new(), Vec::new());
    for frames in sources {
        let Frames { name, data, .. } = frames?;
        let mut fits = Vec::with_capacity(orders.0.len());
        let mut bases = Vec::with_capacity(orders.0.len());
        for &order in &orders.0 {
            let watch = |iteration| watch(&name, iteration);
            let Factors { w, h, fit, .. } = Factors::learn(engine, data.t(), order, (options, seed), watch)?;
            bases.push(engine.read_matrix::<f32>(&w)? * mean_gains(engine, &h)?);
            fits.push(fit);
        }
        let objectives = orders.0.iter().zip(&fits).map(|(order, fit)| json!([order, fit.objective.last()]));
        details.push(Map::from_iter([("orders".to_string(), objectives.collect())]));
        // The summary of a source is that of its largest order.
        let largest = orders.0.iter().zip(fits).max_by_key(|(order, _)| **order).map(|(_, fit)| fit);
        let fit = largest.ok_or_else(|| Error::input("no orders to learn"))?;
        learned.push(LearnedSource { bases: side_by_side(&bases)?, fit });
    }
    Ok((learned, details))
}

/// The mean gain of each component (K): with it as a factor of the bases, gains have a mean of 1, as under their prior.
fn mean_gains<E: Products>(engine: &E, h: &E::Panel) -> Result<Array1<f32>> {
    let gains = engine.read_panel::<f64>(h)?;
    Ok(gains.map_axis(Axis(1), |gains| (gains.sum() / gains.len() as f64) as f32))
}

fn side_by_side(bases: &[Array2<f32>]) -> Result<Array2<f32>> {
    let views: Vec<ArrayView2<f32>> = bases.iter().map(|bases| bases.view()).collect();
    concatenate(Axis(1), &views).map_err(|cause| Error::input(format!("bases: {cause}")))
}
