//! A recording in memory to the stems of its sources.

use std::ops::ControlFlow;

use super::plan::Plan;
use super::stream::{Stem, Stream};
use crate::audio::Recording;
use crate::methods::separator::Separator;
use crate::{Error, Result};

/// Hears what share of the work is done, from 0 to 1, and says whether to go on.
pub type Progress<'a> = dyn FnMut(f64) -> ControlFlow<()> + Send + 'a;

/// Separates a recording by a separator that was made of the plan. The stems have the bits that `partwise separate --format
/// wav-f32` writes; a format of integers rounds them, and those of all sources together.
///
/// # Errors
/// [`Error::Audio`] for samples that are not finite, or none; [`Error::Cancelled`]; [`Error::Input`] where the model gives no
/// finite gains; those of the engine.
pub fn whole(
    plan: &Plan,
    separator: &dyn Separator,
    recording: &Recording,
    progress: &mut Progress,
) -> Result<Vec<Stem>> {
    recording.check("recording")?;
    let mut stream = Stream::of(plan, separator, recording.channels.len(), recording.sample_rate)?;
    let of = stream.frames(recording.frames())?.max(1) as f64;
    let mut watch = watching(progress, of);
    let samples: Vec<&[f32]> = recording.channels.iter().map(Vec::as_slice).collect();
    stream.take(&samples, &mut watch)?;
    stream.end(&mut watch)?;
    Ok(stream.stems())
}

/// Hears frames of `of`, and tells the caller which share of the work they are.
pub(super) fn watching(progress: &mut Progress, of: f64) -> impl FnMut(f64) -> Result<()> + Send {
    move |frames| match progress(frames / of) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
