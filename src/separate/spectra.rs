//! From samples to spectra and data, a run of frames after the other.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut2, Axis};
use realfft::num_complex::Complex;

use crate::Result;
use crate::audio::Resampler;
use crate::methods::separator::stretches;
use crate::spectrogram::{PreEmphasis, View, level_scale};

/// The samples of a recording, block by block.
pub(crate) trait Blocks {
    /// Replaces `block` by the next samples (C, n); whether there were any.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn next(&mut self, block: &mut Vec<Vec<f32>>) -> Result<bool>;
}

/// Some consecutive frames of a recording, all channels.
pub(crate) struct Spectra {
    /// A spectrum (n, bins) for every channel, to which masks apply.
    pub(crate) channels: Vec<Array2<Complex<f32>>>,
    /// Those that data are formed from, where samples are filtered first.
    filtered: Option<Vec<Array2<Complex<f32>>>>,
    /// The recording's own samples (C, m) that were read for it, where somebody needs them.
    pub(crate) original: Vec<Vec<f32>>,
}

impl Spectra {
    /// How many columns of a panel they are.
    pub(crate) fn columns(&self) -> usize {
        self.channels.iter().map(Array2::nrows).sum()
    }

    /// The spectrum (n, bins) that the data of every channel are formed from.
    pub(crate) fn of_data(&self) -> &[Array2<Complex<f32>>] {
        self.filtered.as_ref().unwrap_or(&self.channels)
    }

    /// The segments that these columns are made of: stretches of frames, or channels as a whole.
    pub(crate) fn segments(&self, stretch: Option<usize>) -> impl Iterator<Item = usize> {
        let of_channel = move |channel: &Array2<_>| match (channel.nrows(), stretch) {
            (frames, None) => vec![frames],
            (frames, Some(stretch)) => stretches(frames, stretch).collect(),
        };
        self.channels.iter().flat_map(of_channel)
    }
}

/// The samples of a recording at the view's sample rate, as far as frames need them.
pub(crate) struct Signal<B> {
    blocks: B,
    view: Arc<View>,
    /// Samples of a channel at the view's sample rate.
    length: usize,
    resamplers: Vec<Resampler>,
    /// Missing where nobody needs them: the view has the recording's rate, and there is no residual.
    original: Option<Vec<Vec<f32>>>,
    /// Samples (C, n) from `start` on.
    channels: Vec<Vec<f32>>,
    /// The same samples after the filter of every channel, where the view has one.
    filtered: Option<Vec<(PreEmphasis<f32>, Vec<f32>)>>,
    start: usize,
    block: Vec<Vec<f32>>,
}

impl<B: Blocks> Signal<B> {
    /// Of a recording of so many channels at `sample_rate` Hz, which at the view's rate has `length` samples. `kept`: whether its
    /// own samples are kept for a residual.
    ///
    /// # Errors
    /// Those of [`Resampler::new`].
    pub(crate) fn new(
        blocks: B,
        view: &Arc<View>,
        (channels, sample_rate): (usize, u32),
        length: usize,
        kept: bool,
    ) -> Result<Self> {
        let resampler = |_| Resampler::new(sample_rate, view.sample_rate);
        let empty = vec![Vec::new(); channels];
        Ok(Self {
            blocks,
            view: Arc::clone(view),
            length,
            resamplers: (0..channels).map(resampler).collect::<Result<_>>()?,
            original: (kept || sample_rate != view.sample_rate).then(|| empty.clone()),
            channels: empty,
            filtered: view.pre_emphasis().map(|filter| vec![(filter, Vec::new()); channels]),
            start: 0,
            block: Vec::new(),
        })
    }

    /// The next frames, of `of` in all.
    ///
    /// # Errors
    /// Where samples cannot be read or resampled.
    pub(crate) fn frames(&mut self, frames: Range<usize>, of: usize) -> Result<Spectra> {
        let view = Arc::clone(&self.view);
        let stft = &view.stft;
        let needed = if frames.end == of { self.length } else { stft.reach(frames.clone()).end };
        while self.start + self.channels.first().map_or(0, Vec::len) < needed {
            if !self.fill()? {
                break;
            }
        }
        let spectra = |signal: &Vec<f32>| view.forward(signal, self.start, frames.clone());
        let channels: Vec<_> = self.channels.iter().map(spectra).collect();
        let filtered = self.filtered.as_ref().map(|of| of.iter().map(|(_, signal)| spectra(signal)).collect());
        // The next frames begin here; what lies before is done with.
        let next = stft.reach(frames.end..frames.end).start.min(self.start + self.channels[0].len());
        let filtered_samples = self.filtered.iter_mut().flatten().map(|(_, signal)| signal);
        self.channels.iter_mut().chain(filtered_samples).for_each(|signal| drop(signal.drain(..next - self.start)));
        self.start = next;
        let original = self.original.as_mut().map_or_else(Vec::new, |original| {
            let empty = vec![Vec::new(); original.len()];
            std::mem::replace(original, empty)
        });
        Ok(Spectra { channels, filtered, original })
    }

    /// Reads a block more, or after the last one the rest from the resamplers, and filters what is new; whether there was
    /// anything.
    fn fill(&mut self) -> Result<bool> {
        let any = self.read()?;
        for ((filter, filtered), channel) in self.filtered.iter_mut().flatten().zip(&self.channels) {
            filter.push(channel.get(filtered.len()..).unwrap_or_default(), filtered);
        }
        Ok(any)
    }

    /// Reads a block more, or after the last one the rest from the resamplers; whether there was anything.
    fn read(&mut self) -> Result<bool> {
        if self.blocks.next(&mut self.block)? {
            for ((resampler, samples), channel) in self.resamplers.iter_mut().zip(&self.block).zip(&mut self.channels) {
                resampler.push(samples, channel)?;
            }
            for (original, samples) in self.original.iter_mut().flatten().zip(&self.block) {
                original.extend_from_slice(samples);
            }
            return Ok(true);
        }
        let held = std::mem::take(&mut self.resamplers);
        let any = !held.is_empty();
        for (resampler, channel) in held.into_iter().zip(&mut self.channels) {
            resampler.finish(channel)?;
            channel.resize(self.length.saturating_sub(self.start), 0.0);
        }
        Ok(any)
    }
}

/// Fills `data` (N, F) of a panel from the spectra of all channels, one after the other, of a recording with this peak; what is
/// left of it.
///
/// # Errors
/// [`crate::Error::Input`] where shapes do not fit.
pub(crate) fn panel<'a>(
    view: &View,
    spectra: &Spectra,
    peak: f32,
    mut data: ArrayViewMut2<'a, f32>,
) -> Result<ArrayViewMut2<'a, f32>> {
    for spectra in spectra.of_data() {
        let (channel, rest) = data.split_at(Axis(0), spectra.nrows());
        view.show(spectra.view(), level_scale(peak), channel)?;
        data = rest;
    }
    Ok(data)
}
