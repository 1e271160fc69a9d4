//! What gains of a source are usual together, and what the bases of one source leave to another.

use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::{Map, Value, json};

use super::FLOOR;
use super::file::Learned;
use super::leakage::{self, Leakage};
use super::mixture::{self, Fitting};
use super::options::Training;
use crate::divergence::Divergence;
use crate::kernels::{GainPrior, Glue, Mixture, Momentum, Products};
use crate::methods::nmf::train::{Factors, Frames, LearnedSource};
use crate::methods::nmf::{self, Learn, Options, Updates};
use crate::methods::separator::side_by_side;
use crate::{Error, Result};

/// How often each source is factorized: once whole, and once from each half of its frames.
pub(crate) const FACTORIZATIONS: usize = 3;

/// Updates of the gains alone that a mixture is learned after: those that the bases were learned with are of the bases before.
const SETTLING: usize = 10;

/// Frames of a source that its leakage is measured on, at most: evenly spread.
const LEAKAGE_FRAMES: usize = 16_384;

/// How the mixture of a source was learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// C.
    pub(crate) components: usize,
    /// Steps of expectation-maximization.
    pub(crate) steps: usize,
    /// Of a frame, in the mean, after the last.
    pub(crate) log_likelihood: f64,
    /// Components that died on the way and were seeded anew.
    pub(crate) reseeded: usize,
}

impl Summary {
    /// As the summary of a training holds it.
    pub(crate) fn details(&self) -> Map<String, Value> {
        let Self { components, steps, log_likelihood, reseeded } = self;
        let mixture = json!({
            "components": components, "steps": steps, "log_likelihood": log_likelihood, "reseeded": reseeded
        });
        Map::from_iter([("mixture".to_string(), mixture)])
    }
}

/// Learns the bases of every source, the mixtures of their gains, and what they leave to each other. `power_exponent` turns data
/// into powers. `watch` hears of a source by its name, and the number of the iteration that is done.
///
/// # Errors
/// Those of the frames, of [`nmf::factorize`] and of [`mixture::fit`].
pub(crate) fn train<E: GainPrior + Momentum + Glue>(
    engine: &E,
    sources: impl Iterator<Item = Result<Frames>>,
    (options, seed): (&Options, u64),
    own: &Training,
    power_exponent: f64,
    watch: &mut (dyn FnMut(&str, usize) -> Result<()> + Send),
) -> Result<(Vec<LearnedSource>, Learned, Vec<Summary>)> {
    let (mut learned, mut mixtures, mut summaries, mut halves) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for frames in sources {
        let Frames { name, data, rank } = frames?;
        let mut watch = |iteration| watch(&name, iteration);
        let mut factors = Factors::learn(engine, data.t(), rank, (options, seed), &mut watch)?;
        let bases = engine.read_matrix(&factors.w)?;
        let (mixture, summary) = learn_mixture(engine, &mut factors, options, Fitting::of(own.mixtures, seed))
            .map_err(|cause| match cause {
                Error::Input(reason) => Error::input(format!("source '{name}': {reason}")),
                cause => cause,
            })?;
        halves.push(Halves::learn(engine, data.view(), rank, (options, seed), &mut watch)?);
        learned.push(LearnedSource { bases, fit: factors.fit });
        mixtures.push(mixture);
        summaries.push(summary);
    }
    let leakage = measure_leakage(engine, &halves, &options.rule.divergence, power_exponent)?;
    Ok((learned, Learned { mixtures, leakage: Some(leakage.shares().clone()) }, summaries))
}

/// Learns the mixture of a source's gains under its final bases.
fn learn_mixture<E: GainPrior + Momentum + Glue>(
    engine: &E,
    Factors { v, w, h, .. }: &mut Factors<E>,
    options: &Options,
    fitting: Fitting,
) -> Result<(Mixture, Summary)> {
    let (updates, iterations) = (Updates::Alternating, SETTLING);
    let settling =
        Options { updates, learn: Learn::Gains, iterations, tolerance: 0.0, trace_every: 0, ..options.clone() };
    nmf::factorize(engine, v, w, h, &settling, |_| Ok(()))?;
    let (rank, frames) = engine.shape(h);
    let x = engine.log_normalized(h, 0..rank, FLOOR)?;
    let fitted = mixture::fit(engine, &x, &fitting)?;
    let summary = Summary {
        components: fitting.components,
        steps: fitted.log_likelihood.len() - 1,
        log_likelihood: fitted.log_likelihood.last().copied().unwrap_or_default() / frames as f64,
        reseeded: fitted.reseeded,
    };
    Ok((fitted.mixture.rounded(), summary))
}

/// One source learned from each half of its data, and frames of the other half: how bases do on the frames that they were learned
/// from says little of how they do on others.
struct Halves {
    bases: [Array2<f32>; 2],
    /// (N, F), not in the half that the bases beside them were learned from.
    unseen: [Array2<f32>; 2],
}

impl Halves {
    /// From data (N, F). One frame is its own other half.
    fn learn<E: Products + Momentum + Glue>(
        engine: &E,
        data: ArrayView2<f32>,
        rank: usize,
        options: (&Options, u64),
        watch: &mut (dyn FnMut(usize) -> Result<()> + Send),
    ) -> Result<Self> {
        let (frames, middle) = (data.nrows(), data.nrows() / 2);
        let halves = [data.slice(s![..middle.max(1), ..]), data.slice(s![middle.min(frames - 1).., ..])];
        let mut learn = |half: ArrayView2<f32>| -> Result<Array2<f32>> {
            let Factors { w, .. } = Factors::learn(engine, half.t(), rank, options, &mut *watch)?;
            engine.read_matrix(&w)
        };
        let some = |half: ArrayView2<f32>| {
            let step = half.nrows().div_ceil(LEAKAGE_FRAMES / 2);
            half.slice(s![..; step, ..]).to_owned()
        };
        Ok(Self { bases: [learn(halves[0])?, learn(halves[1])?], unseen: [some(halves[1]), some(halves[0])] })
    }
}

/// The power that the bases claim of each source alone.
fn measure_leakage<E: Products + Momentum + Glue>(
    engine: &E,
    sources: &[Halves],
    divergence: &Divergence,
    power_exponent: f64,
) -> Result<Leakage> {
    let mut claimed = Array2::zeros((sources.len(), sources.len()));
    for half in 0..2 {
        let bases: Vec<ArrayView2<f32>> = sources.iter().map(|source| source.bases[half].view()).collect();
        let (bases, columns) = side_by_side(&bases);
        let w = engine.matrix(bases.view())?;
        for (source, mut claimed) in sources.iter().zip(claimed.columns_mut()) {
            let data = source.unseen[half].t();
            let claims = leakage::claims(engine, data, (bases.view(), &w), &columns, divergence, power_exponent)?;
            claimed += &claims.sum_axis(Axis(1));
        }
    }
    Leakage::new(&claimed)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::engine::Reference;

    #[test]
    fn what_is_learned_from_a_half_is_shown_the_other() {
        let data = array![[1.0f32, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0], [0.0, 2.0]];
        let mut count = 0;
        let mut watch = |_| {
            count += 1;
            Ok(())
        };
        let options = Options::of(Divergence::KullbackLeibler, 7);
        let normalization = Some(nmf::Normalization { norm: crate::kernels::Norm::L1, compensate: true });
        let options = Options { normalization, ..options };
        let halves = Halves::learn(&Reference, data.view(), 1, (&options, 0), &mut watch).unwrap();
        let near =
            |found: &Array2<f32>, expected: Array2<f32>| (found - &expected).iter().all(|error| error.abs() < 1e-6);
        assert!(near(&halves.bases[0], array![[1.0], [0.0]]), "{}", halves.bases[0]);
        assert!(near(&halves.bases[1], array![[0.0], [1.0]]), "{}", halves.bases[1]);
        assert_eq!(halves.unseen[0], data.slice(s![2.., ..]));
        assert_eq!(halves.unseen[1], data.slice(s![..2, ..]));
        assert_eq!(count, 14);
        // One frame is all there is of both halves.
        let one = Halves::learn(&Reference, data.slice(s![..1, ..]), 1, (&options, 0), &mut |_| Ok(())).unwrap();
        assert!(one.unseen.iter().all(|unseen| unseen.dim() == (1, 2)));
    }

    #[test]
    fn leakage_by_hand() {
        // The first source has the first bin, the second the second; but of the second's frames, 1 of 10 of the power is in the first.
        let source = |bases: Array2<f32>, frames: Array2<f32>| Halves {
            bases: [bases.clone(), bases],
            unseen: [frames.clone(), frames],
        };
        let sources = [
            source(array![[1.0], [0.0]], array![[2.0, 0.0], [1.0, 0.0]]),
            source(array![[0.0], [1.0]], array![[1.0, 3.0], [2.0, 6.0]]),
        ];
        let leakage = measure_leakage(&Reference, &sources, &Divergence::KullbackLeibler, 2.0).unwrap();
        let expected = array![[1.0, 0.1], [0.0, 0.9]];
        assert!((leakage.shares() - &expected).iter().all(|error| error.abs() < 1e-6), "{:?}", leakage.shares());
    }
}
