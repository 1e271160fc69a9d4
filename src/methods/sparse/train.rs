//! Sparse bases of sources, each learned from its own frames.

use super::factorize;
use crate::Result;
use crate::kernels::{Glue, Products};
use crate::methods::nmf::train::{Frames, LearnedSource};
use crate::methods::nmf::{self, random_start};

/// Learns the bases of every source from a random start. `watch` hears of a source by its name, and the number of the iteration
/// that is done.
///
/// # Errors
/// Those of the frames, and of [`factorize`].
pub(crate) fn train<E: Products + Glue>(
    engine: &E,
    sources: impl Iterator<Item = Result<Frames>>,
    (options, seed): (&nmf::Options, u64),
    watch: &mut (dyn FnMut(&str, usize) -> Result<()> + Send),
) -> Result<Vec<LearnedSource>> {
    let learn = |frames: Result<Frames>| {
        let Frames { name, data, rank } = frames?;
        let (w, h) = random_start(data.t(), rank, seed);
        let (v, mut w, mut h) = (engine.panel(data.t())?, engine.matrix(w.view())?, engine.panel(h.view())?);
        let fit = factorize(engine, &v, &mut w, &mut h, options, |iteration| watch(&name, iteration))?;
        Ok(LearnedSource { bases: engine.read_matrix(&w)?, fit })
    };
    sources.map(learn).collect()
}
