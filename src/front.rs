//! Training and separation in memory, on an engine of any kind.

use crate::audio::Recording;
use crate::engines::AnyEngine;
use crate::job::{Separation, Training};
use crate::model::Model;
use crate::recordings::Event;
use crate::separate::{Plan, Progress, Stem, whole};
use crate::{Error, Result, train as training_room};

/// Learns a model from recordings of each source alone, given by the names of the sources.
///
/// The result is the model that `partwise train` writes from files with these samples. `progress` hears what share of the work is
/// done, from 0 to 1, and ends it by [`ControlFlow::Break`](std::ops::ControlFlow::Break). Recordings that are left out, and odd
/// ones, are warnings of the `log` crate; [`train::train`](crate::train::train) reports them to its caller.
///
/// # Errors
/// [`Error::Option`] and [`Error::Input`] for options out of range, and for sources without usable recordings; [`Error::Cancelled`];
/// [`Error::Engine`].
pub fn train(
    engine: &AnyEngine,
    sources: &[(&str, &[Recording])],
    training: &Training,
    progress: &mut Progress,
) -> Result<Model> {
    let (material, all) = (training_room::in_memory(sources), training_room::iterations(training, sources.len()));
    let mut done = 0;
    let mut watch = |event: Event| {
        match event {
            Event::Skipped(error) => log::warn!("{error}; it is left out"),
            Event::Warning(recording, warning) => log::warn!("{recording}: {warning}"),
            Event::Iteration(..) => {
                done += 1;
                if progress(done as f64 / all as f64).is_break() {
                    return Err(Error::Cancelled);
                }
            }
        }
        Ok(())
    };
    training_room::train(engine, &material, training, &mut watch)
}

/// Separates a recording under a model, or by a method that needs none, into one recording per source.
///
/// The stems have the bits that `partwise separate --format wav-f32` writes: as many samples as the recording has, which sum to
/// it. `progress` is as for [`train`].
///
/// # Errors
/// [`Error::Option`] and [`Error::Input`] for options that are out of range or do not go with the model; [`Error::Audio`] for a
/// recording without samples, or with one that is not finite; [`Error::Cancelled`]; [`Error::Engine`].
pub fn separate(
    engine: &AnyEngine,
    model: Option<&Model>,
    recording: &Recording,
    separation: &Separation,
    progress: &mut Progress,
) -> Result<Vec<Stem>> {
    let mut warn = |event: Event| {
        match event {
            Event::Skipped(error) => log::warn!("{error}; it is left out"),
            Event::Warning(recording, warning) => log::warn!("{recording}: {warning}"),
            Event::Iteration(..) => {}
        }
        Ok(())
    };
    let plan = Plan::new(model, separation, &mut warn)?;
    let separator = plan.on_borrowed(engine);
    whole(&plan, &*separator, recording, progress)
}
