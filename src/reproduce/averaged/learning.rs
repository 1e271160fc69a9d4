//! The models of the experiment.

use super::options::AveragedOptions;
use crate::Result;
use crate::divergence::Divergence;
use crate::engines::AnyEngine;
use crate::job::{Training, TrainingMethod};
use crate::methods::averaged::{self, Orders};
use crate::model::Model;
use crate::recordings::{Event, Material};
use crate::train::train;

/// Progress events.
pub enum Progress<'a> {
    /// A training event.
    Training(Event<'a>),
    /// The number of mixtures that are separated, and their total.
    Separated(usize, usize),
}

/// Components of the noise, of which mixtures are drawn and which a background has.
pub(super) const BACKGROUND: usize = 16;

/// How the models of the speech are learned.
pub(super) fn averaged_training(options: &AveragedOptions) -> Training {
    let own = averaged::Training { orders: Orders(options.orders.clone()) };
    front(TrainingMethod::Averaged(own), options)
}

/// How the models of the noises are learned.
pub(super) fn noise_training(options: &AveragedOptions) -> Training {
    let divergence = Some(Divergence::ItakuraSaito);
    Training { divergence, rank: BACKGROUND.into(), ..front(TrainingMethod::default(), options) }
}

/// A training through the experiment's transform.
pub(super) fn front(method: TrainingMethod, options: &AveragedOptions) -> Training {
    Training {
        method,
        window: options.transform.window,
        hop: options.transform.hop,
        fft: options.transform.fft,
        window_shape: options.transform.shape,
        seed: options.seed,
        ..Training::default()
    }
}

/// Learns a model.
///
/// # Errors
/// Those of training.
pub(super) fn learn(
    engine: &AnyEngine,
    material: Vec<Material>,
    training: Training,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<Model> {
    train(engine, &material, &training, &mut |event: Event| {
        watch(Progress::Training(event));
        Ok(())
    })
}
