//! From samples to spectra and data, a run of frames after the other.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut2, Axis};
use realfft::num_complex::Complex;

use crate::audio::Resampler;
use crate::methods::separator::stretches;
use crate::spectrogram::{PreEmphasis, View, level_scale};
use crate::{Error, Result};

/// Some consecutive frames of a recording, all channels.
pub(crate) struct Spectra {
    /// A spectrum (n, bins) for every channel, to which masks apply.
    pub(crate) channels: Vec<Array2<Complex<f32>>>,
    /// Those that data are formed from, where samples are filtered first.
    filtered: Option<Vec<Array2<Complex<f32>>>>,
    /// The stretches of every channel, n frames in all.
    stretches: Vec<Stretch>,
    /// The recording's own samples (C, m) that were read for it, where somebody needs them.
    pub(crate) original: Vec<Vec<f32>>,
}

/// Frames of every channel that are judged together.
struct Stretch {
    frames: usize,
    /// The level that they are shown at: the peak of all channels from the start of the recording to the end of these frames.
    peak: f32,
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

    /// What the data of each stretch times this are the data of the recording itself: every stretch is shown at a peak of 1.
    pub(crate) fn levels(&self, view: &View) -> Vec<f32> {
        let of_data = (2.0 / view.power_exponent()) as f32;
        self.stretches.iter().map(|stretch| stretch.peak.powf(of_data)).collect()
    }

    /// The columns of the segments that they are made of: the stretches of every channel.
    pub(crate) fn segments(&self) -> impl Iterator<Item = usize> {
        self.channels.iter().flat_map(|_| self.stretches.iter().map(|stretch| stretch.frames))
    }
}

/// The samples of a recording at the view's sample rate while they come in, as far as frames need them.
pub(crate) struct Signal {
    view: Arc<View>,
    /// The frames of a stretch; None: the recording is one.
    stretch: Option<usize>,
    /// Hz, of the recording.
    sample_rate: u32,
    /// Samples of a channel of the recording so far.
    taken: u64,
    /// One for every channel until the end.
    resamplers: Vec<Resampler>,
    /// Samples of a channel at the view's sample rate, at least one; None: the end has not come.
    length: Option<usize>,
    /// Missing where nobody needs them: the view has the recording's rate, and there is no residual.
    original: Option<Vec<Vec<f32>>>,
    /// Samples (C, n) from `start` on.
    channels: Vec<Vec<f32>>,
    /// The same samples after the filter of every channel, where the view has one.
    filtered: Option<Vec<(PreEmphasis<f32>, Vec<f32>)>>,
    start: usize,
    /// The peak of the samples before `heard`.
    peak: f32,
    heard: usize,
}

impl Signal {
    /// Of a recording of so many channels at `sample_rate` Hz that is cut into stretches of so many frames. `kept`: whether its own
    /// samples are kept for a residual.
    ///
    /// # Errors
    /// Those of [`Resampler::new`].
    pub(crate) fn new(
        view: &Arc<View>,
        stretch: Option<usize>,
        (channels, sample_rate): (usize, u32),
        kept: bool,
    ) -> Result<Self> {
        let resampler = |_| Resampler::new(sample_rate, view.sample_rate);
        let empty = vec![Vec::new(); channels];
        Ok(Self {
            view: Arc::clone(view),
            stretch,
            sample_rate,
            taken: 0,
            resamplers: (0..channels).map(resampler).collect::<Result<_>>()?,
            length: None,
            original: (kept || sample_rate != view.sample_rate).then(|| empty.clone()),
            channels: empty,
            filtered: view.pre_emphasis().map(|filter| vec![(filter, Vec::new()); channels]),
            start: 0,
            peak: 0.0,
            heard: 0,
        })
    }

    /// Takes the next samples (C, n) of the recording.
    ///
    /// # Errors
    /// Those of the resampler.
    pub(crate) fn push<S: AsRef<[f32]>>(&mut self, block: &[S]) -> Result<()> {
        self.taken += block.first().map_or(0, |samples| samples.as_ref().len()) as u64;
        for ((resampler, samples), channel) in self.resamplers.iter_mut().zip(block).zip(&mut self.channels) {
            resampler.push(samples.as_ref(), channel)?;
        }
        for (original, samples) in self.original.iter_mut().flatten().zip(block) {
            original.extend_from_slice(samples.as_ref());
        }
        self.filter();
        Ok(())
    }

    /// Takes the end of the recording. Returns the samples of a channel at the view's sample rate.
    ///
    /// # Errors
    /// Those of the resampler; [`Error::Input`] for a recording that is too long for this machine.
    pub(crate) fn end(&mut self) -> Result<usize> {
        let length = signal_length(self.taken, self.sample_rate, &self.view)?;
        for (resampler, channel) in std::mem::take(&mut self.resamplers).into_iter().zip(&mut self.channels) {
            resampler.finish(channel)?;
            channel.resize(length.saturating_sub(self.start), 0.0);
        }
        self.filter();
        self.length = Some(length);
        Ok(length)
    }

    /// Filters what is new.
    fn filter(&mut self) {
        for ((filter, filtered), channel) in self.filtered.iter_mut().flatten().zip(&self.channels) {
            filter.push(channel.get(filtered.len()..).unwrap_or_default(), filtered);
        }
    }

    /// How many frames there are from the start: all after the end, and whole stretches before it.
    pub(crate) fn ready(&self) -> usize {
        let stft = &self.view.stft;
        match (self.length, self.stretch) {
            (Some(length), _) => stft.frames(length),
            (None, Some(stretch)) => stft.frames_within(self.start + self.channels[0].len()) / stretch * stretch,
            (None, None) => 0,
        }
    }

    /// The next frames, which are ready and begin with a stretch.
    pub(crate) fn frames(&mut self, frames: Range<usize>) -> Spectra {
        let stretches = self.stretches(frames.clone());
        let view = Arc::clone(&self.view);
        let spectra = |signal: &Vec<f32>| view.forward(signal, self.start, frames.clone());
        let channels: Vec<_> = self.channels.iter().map(spectra).collect();
        let filtered = self.filtered.as_ref().map(|of| of.iter().map(|(_, signal)| spectra(signal)).collect());
        // The next frames begin here; what lies before is done with.
        let next = view.stft.reach(frames.end..frames.end).start.min(self.start + self.channels[0].len());
        let filtered_samples = self.filtered.iter_mut().flatten().map(|(_, signal)| signal);
        self.channels.iter_mut().chain(filtered_samples).for_each(|signal| drop(signal.drain(..next - self.start)));
        self.start = next;
        let original = self.original.as_mut().map_or_else(Vec::new, |original| {
            let empty = vec![Vec::new(); original.len()];
            std::mem::replace(original, empty)
        });
        Spectra { channels, filtered, stretches, original }
    }

    /// The stretches of the next frames. What a stretch is shown at depends on the samples up to its end alone, however they came
    /// and wherever frames are cut.
    fn stretches(&mut self, frames: Range<usize>) -> Vec<Stretch> {
        let mut first = frames.start;
        let mut stretch = |count: usize| {
            let end = self.view.stft.reach(first..first + count).end;
            first += count;
            let new = self.heard - self.start..(end - self.start).min(self.channels[0].len());
            for samples in self.channels.iter().filter_map(|channel| channel.get(new.clone())) {
                self.peak = samples.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
            }
            self.heard = self.heard.max(self.start + new.end);
            Stretch { frames: count, peak: self.peak }
        };
        match self.stretch {
            Some(longest) => stretches(frames.len(), longest).map(stretch).collect(),
            None => vec![stretch(frames.len())],
        }
    }
}

/// The samples at the view's sample rate of so many at another one. A recording of one or two samples may have none at a lower
/// rate. With one sample of silence, all of it is shared equally.
///
/// # Errors
/// [`Error::Input`] where they are too many for this machine.
pub(crate) fn signal_length(samples: u64, sample_rate: u32, view: &View) -> Result<usize> {
    let length = Resampler::length(samples, sample_rate, view.sample_rate).max(1);
    usize::try_from(length).map_err(|_| Error::input("the recording is too long for this machine"))
}

/// Fills `data` (N, F) of a panel from the spectra of all channels, one after the other, each stretch at its level; what is left of
/// it.
///
/// # Errors
/// [`crate::Error::Input`] where shapes do not fit.
pub(crate) fn panel<'a>(
    view: &View,
    spectra: &Spectra,
    mut data: ArrayViewMut2<'a, f32>,
) -> Result<ArrayViewMut2<'a, f32>> {
    for channel in spectra.of_data() {
        let mut channel = channel.view();
        for stretch in &spectra.stretches {
            let (shown, later) = channel.split_at(Axis(0), stretch.frames);
            let (into, rest) = data.split_at(Axis(0), stretch.frames);
            view.show(shown, level_scale(stretch.peak), into)?;
            (channel, data) = (later, rest);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrogram::{Front, Length, Shape, Spectrum, Transform};

    /// Windows of 4 samples every 2.
    fn view() -> Arc<View> {
        let (window, hop) = (Some(Length::Samples(4)), Some(Length::Samples(2)));
        let transform = Transform { window, hop, fft: None, shape: Shape::Hamming };
        let front = Front {
            transform,
            spectrum: Spectrum::Magnitude,
            bands: Some("linear".parse().unwrap()),
            pre_emphasis: 0.0,
        };
        Arc::new(front.view(8000, 8000).unwrap())
    }

    #[test]
    fn a_stretch_is_shown_at_the_level_so_far() {
        let quiet_then_loud =
            [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, -2.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0]];
        // Two frames end at sample 4, the next two at sample 8, and the last two at sample 12, which there is not.
        for (stretch, peaks) in
            [(Some(2), &[0.0, 2.0, 4.0][..]), (Some(1), &[0.0, 0.0, 1.0, 2.0, 4.0, 4.0]), (None, &[4.0])]
        {
            for block in [1, 3, 10] {
                for cut in [2, 4, 6] {
                    let mut signal = Signal::new(&view(), stretch, (2, 8000), false).unwrap();
                    for start in (0..10).step_by(block) {
                        let end = 10.min(start + block);
                        signal.push(&quiet_then_loud.map(|channel| channel[start..end].to_vec())).unwrap();
                    }
                    assert_eq!((signal.end().unwrap(), signal.ready()), (10, 6));
                    let step = if stretch.is_some() { cut } else { 6 };
                    let all = (0..6).step_by(step).map(|start| signal.frames(start..6.min(start + step)));
                    let shown: Vec<f32> =
                        all.flat_map(|spectra| spectra.stretches).map(|stretch| stretch.peak).collect();
                    assert_eq!(shown, peaks, "{stretch:?}, blocks of {block}, cuts every {step} frames");
                }
            }
        }
    }

    #[test]
    fn frames_are_ready_in_whole_stretches() {
        let ready = |stretch, samples: usize| {
            let mut signal = Signal::new(&view(), stretch, (1, 8000), false).unwrap();
            signal.push(&[vec![0.5; samples]]).unwrap();
            let before = signal.ready();
            signal.end().unwrap();
            (before, signal.ready())
        };
        assert_eq!(ready(Some(1), 9), (4, 6));
        assert_eq!(ready(Some(3), 9), (3, 6));
        assert_eq!(ready(Some(8), 9), (0, 6));
        assert_eq!(ready(None, 9), (0, 6));
        assert_eq!(ready(Some(1), 1), (0, 2));
    }
}
