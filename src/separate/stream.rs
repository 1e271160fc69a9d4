//! The samples of a recording to those of its stems, as they come.

use super::estimates::Estimates;
use super::panels::{Panel, Panels};
use super::plan::Plan;
use crate::audio::Recording;
use crate::methods::separator::{Separator, Watch};
use crate::{Error, Result};

/// One source of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Stem {
    /// The name of the source.
    pub source: String,
    /// Its samples: as many as the recording has, or those that a [`Stream`] gives at a time.
    pub recording: Recording,
}

/// Separates a recording whose samples come in blocks, and whose length nobody knows yet. Memory does not grow with its length.
///
/// All stems that were returned, one after the other, have the bits of [`whole`](super::whole) for the whole recording, however
/// its samples are cut into blocks. Samples of the stems are there once the stretch of frames that they are in is complete, and a
/// window more; [`Separation::follow`](crate::Separation::follow) makes a stretch of every frame.
pub struct Stream<'a> {
    panels: Panels<'a>,
    /// The names of the stems.
    names: Vec<&'a str>,
    estimates: Estimates,
    /// Samples of a channel that were pushed.
    pushed: u64,
    /// Whether a call has failed. Then frames are missing.
    is_broken: bool,
}

impl<'a> Stream<'a> {
    /// Begins to separate a recording of so many channels at `sample_rate` Hz, by a separator that was made of the plan.
    ///
    /// # Errors
    /// Those of [`Plan::check_stream`]; [`Error::Audio`] where no recording can have so many channels or this sample rate.
    pub fn new(plan: &'a Plan, separator: &'a dyn Separator, channels: usize, sample_rate: u32) -> Result<Self> {
        plan.check_stream()?;
        Self::of(plan, separator, channels, sample_rate)
    }

    /// The same, also for a plan that separates recordings as a whole: then all samples come at the end.
    pub(super) fn of(plan: &'a Plan, separator: &'a dyn Separator, channels: usize, sample_rate: u32) -> Result<Self> {
        let wanted = plan.wanted()?;
        let panels = Panels::new(plan, separator, (channels, sample_rate), wanted.residual)?;
        let step = plan.separation.format.of(None).step();
        Ok(Self {
            names: wanted.names(&plan.scheme.sources),
            estimates: Estimates::new(&panels.view, panels.recording, &wanted, step)?,
            panels,
            pushed: 0,
            is_broken: false,
        })
    }

    /// The frames of a recording of so many samples.
    pub(super) fn frames(&self, samples: usize) -> Result<usize> {
        self.panels.frames(samples)
    }

    /// Takes the next samples, one slice for every channel, as many as there are. Returns the samples of every stem that are ready,
    /// equally many of each, and often none.
    ///
    /// # Errors
    /// [`Error::Audio`] for samples that are not finite, and for another number of channels; [`Error::Input`] where the model gives
    /// no finite gains; those of the engine. Nothing can be pushed after an error.
    pub fn push<S: AsRef<[f32]>>(&mut self, block: &[S]) -> Result<Vec<Stem>> {
        let block: Vec<&[f32]> = block.iter().map(AsRef::as_ref).collect();
        self.check(&block)?;
        self.take(&block, &mut |_| Ok(()))?;
        Ok(self.stems())
    }

    /// Takes the end of the recording. Returns the last samples of every stem.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`Error::Audio`] for a recording without samples.
    pub fn finish(mut self) -> Result<Vec<Stem>> {
        self.end(&mut |_| Ok(()))?;
        Ok(self.stems())
    }

    /// Checks a block that somebody else made.
    fn check(&self, block: &[&[f32]]) -> Result<()> {
        let refused = |reason: String| Err(Error::audio("recording", reason));
        let (channels, length) = (self.panels.recording.0, block.first().map_or(0, |samples| samples.len()));
        if block.len() != channels || block.iter().any(|samples| samples.len() != length) {
            let lengths: Vec<usize> = block.iter().map(|samples| samples.len()).collect();
            return refused(format!(
                "has {channels} channels, and a block of {lengths:?} samples; all must be as long"
            ));
        }
        let odd = |samples: &&[f32]| samples.iter().position(|sample| !sample.is_finite());
        match block.iter().enumerate().find_map(|(channel, samples)| Some((channel, odd(samples)?))) {
            Some((channel, index)) => {
                let index = self.pushed + index as u64;
                refused(format!("has a sample that is not finite, {index} of channel {channel}"))
            }
            None => Ok(()),
        }
    }

    /// Takes the next samples (C, n), and separates what is complete.
    pub(super) fn take(&mut self, block: &[&[f32]], watch: &mut Watch) -> Result<()> {
        self.whole_or_broken(|stream| {
            stream.pushed += block.first().map_or(0, |samples| samples.len()) as u64;
            stream.panels.signal.push(block)?;
            stream.advance(watch)
        })
    }

    /// Takes the end, and separates the rest.
    pub(super) fn end(&mut self, watch: &mut Watch) -> Result<()> {
        if self.pushed == 0 {
            return Err(Error::audio("recording", "holds no audio: 0 samples"));
        }
        self.whole_or_broken(|stream| {
            let length = stream.panels.signal.end()?;
            stream.estimates.end(length)?;
            stream.advance(watch)?;
            stream.estimates.finish()
        })
    }

    /// The samples of every stem that are ready.
    pub(super) fn stems(&mut self) -> Vec<Stem> {
        let sample_rate = self.panels.recording.1;
        let stem = |(name, channels): (&&str, Vec<Vec<f32>>)| Stem {
            source: name.to_string(),
            recording: Recording { channels, sample_rate, warnings: Vec::new() },
        };
        self.names.iter().zip(self.estimates.take()).map(stem).collect()
    }

    /// Does some work that leaves frames out if it fails.
    fn whole_or_broken(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.is_broken {
            return Err(Error::input("this stream has failed before; begin another one"));
        }
        self.is_broken = true;
        work(self)?;
        self.is_broken = false;
        Ok(())
    }

    /// Separates all frames that are ready.
    fn advance(&mut self, watch: &mut Watch) -> Result<()> {
        let take = |Panel { spectra, found, .. }: Panel| self.estimates.push(spectra, &found.masks, 0);
        self.panels.advance(false, watch, take)
    }
}
