//! The ways to learn bases that are compared.

use super::options::DiscriminativeOptions;
use crate::Result;
use crate::job::{Training, TrainingMethod};
use crate::kernels::Mask;
use crate::methods::discriminative::{self, Objective};
use crate::methods::nmf::{self, Updates};

/// The name of sparse NMF in tables, with which the others are compared.
pub(super) const SPARSE: &str = "SNMF";
/// The name of the usual model in tables.
pub(super) const USUAL: &str = "NMF, 128 ms";

/// A way to learn bases, and to separate with them.
pub(super) struct Arm {
    /// The name of the method in tables.
    pub(super) name: String,
    /// How the model is learned.
    pub(super) training: Training,
    /// How gains are found.
    pub(super) gains: nmf::separate::Settings,
    /// How a cell is shared, by the models of its band.
    pub(super) mask: Mask,
    /// Whether one can listen to it: every method at the last rank and penalty.
    pub(super) is_heard: bool,
}

/// Every way that is tried: the grid of ranks and penalties by each method, and the usual model at each rank.
pub(super) fn arms(options: &DiscriminativeOptions) -> Result<Vec<Arm>> {
    let mut arms = Vec::new();
    for (place, &rank) in options.ranks.iter().enumerate() {
        let is_last_rank = place + 1 == options.ranks.len();
        for (place, &sparsity) in options.sparsities.iter().enumerate() {
            let is_heard = is_last_rank && place + 1 == options.sparsities.len();
            let training = |method| Training {
                method,
                rank: rank.into(),
                iterations: Some(options.iterations),
                window: options.transform.window,
                hop: options.transform.hop,
                fft: options.transform.fft,
                window_shape: options.transform.shape,
                spectrum: Some(options.spectrum),
                bands: options.bands.clone(),
                pre_emphasis: options.pre_emphasis,
                sparsity: Some(sparsity),
                ..Training::default()
            };
            let gains = nmf::separate::Settings {
                sparsity,
                ..nmf::separate::Settings::new(
                    Some(Updates::Alternating),
                    Some(options.iterations),
                    0.0,
                    Mask::Ratio(1.0),
                )?
            };
            let trained_by = |objective| {
                let own = discriminative::Training { objective, ..discriminative::Training::default() };
                TrainingMethod::Discriminative(own)
            };
            for (name, method) in [
                (SPARSE, TrainingMethod::Sparse),
                ("DNMF", trained_by(Objective::Paper)),
                ("DNMF, separation", trained_by(Objective::Separation)),
            ] {
                let mask = Mask::Ratio(1.0);
                arms.push(Arm { name: name.into(), training: training(method), gains, mask, is_heard });
            }
        }
        let training = Training { rank: rank.into(), ..Training::default() };
        // By power, as `separate` shares cells where nothing else is said.
        let mask = Mask::Ratio(training.spectrum().power_exponent());
        let gains = nmf::separate::Settings::new(None, None, 0.0, mask)?;
        arms.push(Arm { name: USUAL.into(), training, gains, mask, is_heard: is_last_rank });
    }
    arms.iter().try_for_each(|arm| arm.training.check())?;
    Ok(arms)
}
