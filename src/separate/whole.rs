//! A recording in memory to the stems of its sources.

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::Array2;

use super::estimates::{Estimates, Outline};
use super::plan::Plan;
use super::spectra::{Blocks, Signal, Spectra, panel};
use crate::audio::{Recording, Resampler};
use crate::methods::separator::{Request, Separated, Separator};
use crate::spectrogram::View;
use crate::{Error, Result};

/// Columns that are on the engine at once, about.
const COLUMNS: usize = 4096;

/// Hears what share of the work is done, from 0 to 1, and says whether to go on.
pub type Progress<'a> = dyn FnMut(f64) -> ControlFlow<()> + Send + 'a;

/// One source of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Stem {
    /// The name of the source.
    pub source: String,
    /// Its samples, as many as the recording has.
    pub recording: Recording,
}

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
    let (channels, sample_rate) = (recording.channels.len(), recording.sample_rate);
    let (view, length) = seen(plan, recording)?;
    let wanted = plan.wanted()?;
    let names = wanted.names(&plan.scheme.sources);
    let outline = Outline { view: &view, channels, sample_rate, length };
    let step = plan.separation.format.of(None).step();
    let mut estimates = Estimates::new(&outline, &wanted, step)?;
    let mut stems: Vec<Vec<Vec<f32>>> = vec![vec![Vec::with_capacity(recording.frames()); channels]; names.len()];
    let take = |spectra, _, Separated { masks, .. }: Separated| {
        let finite = estimates.push(spectra, &masks, 0)?;
        extend(&mut stems, &mut estimates);
        Ok(finite)
    };
    panels(plan, separator, recording, (&view, length), (wanted.residual, false), progress, take)?;
    estimates.finish()?;
    extend(&mut stems, &mut estimates);
    let stem = |(name, channels): (&str, Vec<Vec<f32>>)| Stem {
        source: name.into(),
        recording: Recording { channels, sample_rate, warnings: Vec::new() },
    };
    Ok(names.into_iter().zip(stems).map(stem).collect())
}

/// The view of a recording, and the samples of a channel at the view's sample rate.
///
/// # Errors
/// [`Error::Audio`] for samples that are not finite, or none; those of the view.
pub(super) fn seen(plan: &Plan, recording: &Recording) -> Result<(Arc<View>, usize)> {
    recording.check("recording")?;
    if recording.frames() == 0 {
        return Err(Error::audio("recording", "holds no audio: 0 samples"));
    }
    let view = Arc::new(plan.scheme.view(recording.sample_rate)?);
    let length = Resampler::length(recording.frames() as u64, recording.sample_rate, view.sample_rate).max(1);
    let length = usize::try_from(length).map_err(|_| Error::audio("recording", "is too long for this machine"))?;
    Ok((view, length))
}

/// Separates a recording that is seen so, panel by panel. `take` gets the spectra, the data (N, F) and what was found of each, and
/// says whether its estimates are finite. `kept`: whether the spectra come with the recording's own samples. `factors`: whether
/// they are asked for.
///
/// # Errors
/// As [`whole`], and those of `take`.
pub(super) fn panels(
    plan: &Plan,
    separator: &dyn Separator,
    recording: &Recording,
    (view, length): (&Arc<View>, usize),
    (kept, factors): (bool, bool),
    progress: &mut Progress,
    mut take: impl FnMut(Spectra, Array2<f32>, Separated) -> Result<bool>,
) -> Result<()> {
    let (channels, sample_rate) = (recording.channels.len(), recording.sample_rate);
    let mut signal = Signal::new(All(Some(recording)), view, (channels, sample_rate), length, kept)?;
    let (of, peak) = (view.stft.frames(length), recording.peak());
    let cut = |stretch: usize| (COLUMNS / channels / stretch * stretch).max(stretch);
    let step = plan.scheme.stretch.map_or(of.max(1), cut);
    let unfit = || Error::input("the model gives no finite gains for this recording; train another model");
    for start in (0..of).step_by(step) {
        let frames = start..of.min(start + step);
        // The share of this panel counts as its share of the recording.
        let mut watch = |share: f64| match progress((start as f64 + share * frames.len() as f64) / of as f64) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        };
        watch(0.0)?;
        let spectra = signal.frames(frames.clone(), of)?;
        let mut data = Array2::zeros((spectra.columns(), view.rows()));
        panel(view, &spectra, peak, data.view_mut())?;
        let segments: Vec<usize> = spectra.segments(plan.scheme.stretch).collect();
        let mut request = Request { watch: Some(&mut watch), factors };
        let found = separator.separate_as(data.view(), &segments, &mut request)?;
        if !found.costs.iter().sum::<f64>().is_finite() || !take(spectra, data, found)? {
            return Err(unfit());
        }
    }
    Ok(())
}

/// Appends the samples that are there.
fn extend(stems: &mut [Vec<Vec<f32>>], estimates: &mut Estimates) {
    for (stem, block) in stems.iter_mut().zip(estimates.take()) {
        stem.iter_mut().zip(block).for_each(|(channel, samples)| channel.extend(samples));
    }
}

/// All samples of a recording as one block.
struct All<'a>(Option<&'a Recording>);

impl Blocks for All<'_> {
    fn next(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool> {
        Ok(self.0.take().map(|recording| block.clone_from(&recording.channels)).is_some())
    }
}
