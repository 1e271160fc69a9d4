//! What models leave of one source to another, measured on what they were not learned from.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::{Event, Factorized, TrainOptions, factorize};
use crate::Result;
use crate::divergence::Divergence;
use crate::kernels::{Glue, Momentum, Products};
use crate::methods::leakage::{self, Leakage};
use crate::model;
use crate::spectrogram::Spectrum;

/// Frames of a source that its leakage is measured on, at most: evenly spread.
const LEAKAGE_FRAMES: usize = 16_384;

/// One source learned from each half of its data, and frames of the other half: what models leave of sources they were learned
/// from says little of what they leave of others.
pub(super) struct Halves {
    bases: [Array2<f32>; 2],
    /// (N, F), not in what the bases beside them were learned from.
    unseen: [Array2<f32>; 2],
}

impl Halves {
    /// From data (N, F). One frame is its own other half.
    pub(super) fn learn<E: Products + Momentum + Glue>(
        engine: &E,
        name: &str,
        data: ArrayView2<f32>,
        rank: usize,
        options: &TrainOptions,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Self> {
        let (frames, middle) = (data.nrows(), data.nrows() / 2);
        let halves = [data.slice(s![..middle.max(1), ..]), data.slice(s![middle.min(frames - 1).., ..])];
        let mut learn = |half: ArrayView2<f32>| -> Result<Array2<f32>> {
            let Factorized { w, .. } = factorize(engine, name, half.t(), rank, options, watch)?;
            engine.read_matrix(&w)
        };
        let some = |half: ArrayView2<f32>| {
            let step = half.nrows().div_ceil(LEAKAGE_FRAMES / 2);
            half.slice(s![..; step, ..]).to_owned()
        };
        Ok(Self { bases: [learn(halves[0])?, learn(halves[1])?], unseen: [some(halves[1]), some(halves[0])] })
    }
}

/// What the models claim of each source alone.
pub(super) fn measure_leakage<E: Products + Momentum + Glue>(
    engine: &E,
    sources: &[Halves],
    divergence: Divergence,
    spectrum: Spectrum,
) -> Result<Leakage> {
    let mut claimed = Array2::zeros((sources.len(), sources.len()));
    for half in 0..2 {
        let bases: Vec<ArrayView2<f32>> = sources.iter().map(|source| source.bases[half].view()).collect();
        let (bases, columns) = model::side_by_side(&bases);
        let w = engine.matrix(bases.view())?;
        for (source, mut claimed) in sources.iter().zip(claimed.columns_mut()) {
            let data = source.unseen[half].t();
            let claims =
                leakage::claims(engine, data, (bases.view(), &w), &columns, divergence, spectrum.power_exponent())?;
            claimed += &claims.sum_axis(Axis(1));
        }
    }
    Leakage::new(&claimed)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::super::tests::options;
    use super::*;
    use crate::engine::Reference;

    #[test]
    fn what_is_learned_from_a_half_is_shown_the_other() {
        let data = array![[1.0f32, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0], [0.0, 2.0]];
        let mut count = 0;
        let mut watch = |event: Event| count += usize::from(matches!(event, Event::Iteration("a", ..)));
        let halves = Halves::learn(&Reference, "a", data.view(), 1, &options(Some(1)), &mut watch).unwrap();
        let near =
            |found: &Array2<f32>, expected: Array2<f32>| (found - &expected).iter().all(|error| error.abs() < 1e-6);
        assert!(near(&halves.bases[0], array![[1.0], [0.0]]), "{}", halves.bases[0]);
        assert!(near(&halves.bases[1], array![[0.0], [1.0]]), "{}", halves.bases[1]);
        assert_eq!(halves.unseen[0], data.slice(s![2.., ..]));
        assert_eq!(halves.unseen[1], data.slice(s![..2, ..]));
        assert_eq!(count, 14);
        // One frame is all there is of both halves.
        let one = Halves::learn(&Reference, "a", data.slice(s![..1, ..]), 1, &options(Some(1)), &mut |_| ()).unwrap();
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
        let leakage = measure_leakage(&Reference, &sources, Divergence::KullbackLeibler, Spectrum::Magnitude).unwrap();
        let expected = array![[1.0, 0.1], [0.0, 0.9]];
        assert!((leakage.shares() - &expected).iter().all(|error| error.abs() < 1e-6), "{:?}", leakage.shares());
    }
}
