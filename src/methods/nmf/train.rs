//! The bases of sources, each learned from its own frames.

use ndarray::{Array2, ArrayView2};

use super::options::Options;
use super::start::random_start;
use super::trace::Fit;
use crate::Result;
use crate::kernels::{Glue, Momentum, Products};

/// The frames of one source.
pub(crate) struct Frames {
    /// The name of the source.
    pub(crate) name: String,
    /// V (N, F), frame by frame.
    pub(crate) data: Array2<f32>,
    /// K, how many components to learn.
    pub(crate) rank: usize,
}

/// A factorization of a source's frames.
pub(crate) struct Factors<E: Products> {
    /// V (F, N).
    pub(crate) v: E::Panel,
    /// W (F, K).
    pub(crate) w: E::Matrix,
    /// H (K, N).
    pub(crate) h: E::Panel,
    /// How it went.
    pub(crate) fit: Fit,
}

impl<E: Products + Momentum + Glue> Factors<E> {
    /// Factorizes data (F, N) from a random start. `watch` hears of every iteration.
    ///
    /// # Errors
    /// Those of [`super::factorize`].
    pub(crate) fn learn(
        engine: &E,
        data: ArrayView2<f32>,
        rank: usize,
        (options, seed): (&Options, u64),
        mut watch: impl FnMut(usize) -> Result<()> + Send,
    ) -> Result<Self> {
        let (w, h) = random_start(data, rank, seed);
        let (v, mut w, mut h) = (engine.panel(data)?, engine.matrix(w.view())?, engine.panel(h.view())?);
        let fit = super::factorize(engine, &v, &mut w, &mut h, options, &mut watch)?;
        Ok(Self { v, w, h, fit })
    }
}

/// The bases of one source, and how they were learned.
pub(crate) struct LearnedSource {
    /// W (F, K).
    pub(crate) bases: Array2<f32>,
    /// How the factorization went.
    pub(crate) fit: Fit,
}

/// Learns the bases of every source. `watch` hears of a source by its name, and the number of the iteration that is done.
///
/// # Errors
/// Those of the frames, and of [`super::factorize`].
pub(crate) fn train<E: Products + Momentum + Glue>(
    engine: &E,
    sources: impl Iterator<Item = Result<Frames>>,
    options: (&Options, u64),
    watch: &mut (dyn FnMut(&str, usize) -> Result<()> + Send),
) -> Result<Vec<LearnedSource>> {
    let learn = |frames: Result<Frames>| {
        let Frames { name, data, rank } = frames?;
        let Factors { w, fit, .. } =
            Factors::learn(engine, data.t(), rank, options, |iteration| watch(&name, iteration))?;
        Ok(LearnedSource { bases: engine.read_matrix(&w)?, fit })
    };
    sources.map(learn).collect()
}
