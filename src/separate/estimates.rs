//! From masks and spectra to the samples of every source.

use std::sync::Arc;

use ndarray::{Array2, s};

use super::spectra::Spectra;
use super::wanted::Wanted;
use crate::Result;
use crate::audio::Resampler;
use crate::spectrogram::{OverlapAdd, View};

/// The estimates of a recording's sources while its frames come in.
pub(crate) struct Estimates {
    view: Arc<View>,
    sources: Vec<Estimate>,
    /// J, those included that nobody wants.
    count: usize,
    /// The recording's own samples (C, n) that its estimates have not come to yet, where the view has another sample rate or a
    /// residual is wanted.
    original: Option<Vec<Vec<f32>>>,
    /// Whether all sources together leave something over: the view has another sample rate.
    resampled: bool,
    residual: bool,
    /// The step of the integers that are written, where they sum to the recording: all sources, or some and the residual.
    step: Option<f32>,
}

/// The estimate of one source.
struct Estimate {
    /// Its place among the sources.
    index: usize,
    /// Whether somebody wants it, or it only counts for what is left over.
    wanted: bool,
    /// A streaming inverse for every channel.
    inverse: Vec<OverlapAdd<f32>>,
    /// From the view's sample rate back to the recording's, for every channel.
    resamplers: Vec<Resampler>,
    /// Samples (C, n) that nobody has taken yet.
    block: Vec<Vec<f32>>,
}

impl Estimates {
    /// Of a recording of so many channels at `sample_rate` Hz. With a `step` samples are rounded to integers, all together, if the
    /// stems sum to the recording.
    ///
    /// # Errors
    /// Those of [`Resampler::new`].
    pub(crate) fn new(
        view: &Arc<View>,
        (channels, sample_rate): (usize, u32),
        wanted: &Wanted,
        step: Option<f32>,
    ) -> Result<Self> {
        let (resampled, &Wanted { count, residual, .. }) = (view.sample_rate != sample_rate, wanted);
        let mut sources = Vec::with_capacity(count);
        for index in 0..count {
            let is_wanted = wanted.sources.contains(&index);
            // What remains after resampling is what all sources together leave over: then all of them are needed.
            if !is_wanted && !resampled {
                continue;
            }
            let resampler = |_| Resampler::new(view.sample_rate, sample_rate);
            sources.push(Estimate {
                index,
                wanted: is_wanted,
                inverse: (0..channels).map(|_| view.stft.overlap_add_open()).collect(),
                resamplers: (0..channels).map(resampler).collect::<Result<_>>()?,
                block: vec![Vec::new(); channels],
            });
        }
        Ok(Self {
            view: Arc::clone(view),
            sources,
            count,
            original: (resampled || residual).then(|| vec![Vec::new(); channels]),
            resampled,
            residual,
            step: step.filter(|_| residual || wanted.sources.len() == count),
        })
    }

    /// Takes the next frames: their spectra, and the masks (F, N) of a panel of which they have the columns from `column` on, all
    /// channels one after the other. Returns whether the estimates are finite: gains may be whose products with the bases are
    /// not.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub(crate) fn push(&mut self, spectra: Spectra, masks: &[Array2<f32>], column: usize) -> Result<bool> {
        let share = 1.0 / self.count as f32;
        let levels: Vec<Option<Array2<f32>>> =
            spectra.of_data().iter().map(|spectra| self.view.levels(spectra.view())).collect::<Result<_>>()?;
        let mut estimate = Vec::new();
        for source in &mut self.sources {
            let mask = masks[source.index].t();
            let mut start = column;
            for (channel, (spectra, levels)) in spectra.channels.iter().zip(&levels).enumerate() {
                let columns = start..start + spectra.nrows();
                start = columns.end;
                let levels = levels.as_ref().map(|levels| levels.view());
                let mask = self.view.spread(mask.slice_move(s![columns, ..]), levels, share)?;
                source.inverse[channel].push_masked(spectra.view(), mask.view(), share, &mut estimate)?;
                if !estimate.iter().all(|sample| sample.is_finite()) {
                    return Ok(false);
                }
                source.resamplers[channel].push(&estimate, &mut source.block[channel])?;
                estimate.clear();
            }
        }
        for (original, samples) in self.original.iter_mut().flatten().zip(spectra.original) {
            original.extend(samples);
        }
        Ok(true)
    }

    /// Says how long the recording is, in samples at the view's sample rate, before the frames are pushed that reach beyond it.
    ///
    /// # Errors
    /// Where more frames were pushed than the recording has.
    pub(crate) fn end(&mut self, length: usize) -> Result<()> {
        self.sources.iter_mut().flat_map(|source| &mut source.inverse).try_for_each(|inverse| inverse.end(length))
    }

    /// Takes note that all frames were pushed: all samples are there now.
    ///
    /// # Errors
    /// Those of the inverse transform and of the resampler.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for source in &mut self.sources {
            let (inverse, resamplers) = (std::mem::take(&mut source.inverse), std::mem::take(&mut source.resamplers));
            for ((inverse, mut resampler), block) in inverse.into_iter().zip(resamplers).zip(&mut source.block) {
                let mut estimate = Vec::new();
                inverse.finish(&mut estimate)?;
                resampler.push(&estimate, block)?;
                resampler.finish(block)?;
            }
        }
        // There and back, a recording may have become some samples longer or shorter.
        for (channel, original) in self.original.iter().flatten().enumerate() {
            self.sources.iter_mut().for_each(|source| source.block[channel].resize(original.len(), 0.0));
        }
        Ok(())
    }

    /// The samples (C, n) that are there of every source that is wanted, in the order of the sources, and of the residual.
    pub(crate) fn take(&mut self) -> Vec<Vec<Vec<f32>>> {
        let mut count = self.sources.iter().flat_map(|source| &source.block).map(Vec::len).min().unwrap_or(0);
        count = self.original.iter().flatten().map(Vec::len).fold(count, usize::min);
        let original = self.original.iter_mut().flatten().map(|original| original.drain(..count).collect());
        let mut original: Vec<Vec<f32>> = original.collect();
        if self.resampled {
            for (channel, original) in original.iter().enumerate() {
                share_rest(&mut self.sources, channel, original, 1.0 / self.count as f32);
            }
        }
        if let Some(step) = self.step {
            let channels = self.sources.first().map_or(0, |source| source.block.len());
            (0..channels).for_each(|channel| round_together(&mut self.sources, channel, count, step));
        }
        let taken = |source: &mut Estimate| {
            let rest = source.block.iter_mut().map(|block| block.split_off(count)).collect();
            let block = std::mem::replace(&mut source.block, rest);
            source.wanted.then_some(block)
        };
        let mut stems: Vec<Vec<Vec<f32>>> = self.sources.iter_mut().filter_map(taken).collect();
        if self.residual {
            for (channel, residual) in original.iter_mut().enumerate() {
                for stem in &stems {
                    residual.iter_mut().zip(&stem[channel]).for_each(|(residual, sample)| *residual -= sample);
                }
            }
            stems.push(original);
        }
        stems
    }
}

/// Shares equally what the estimates leave over of the recording, above all what lies beyond the view's Nyquist frequency, so that
/// the sources still sum to the recording.
fn share_rest(sources: &mut [Estimate], channel: usize, original: &[f32], share: f32) {
    for (n, &sample) in original.iter().enumerate() {
        let rest = sources.iter().fold(sample, |rest, source| rest - source.block[channel][n]);
        sources.iter_mut().for_each(|source| source.block[channel][n] += share * rest);
    }
}

/// Rounds samples to integers of `step`, and has each source take up what the rounding of the one before left over: the sources
/// then sum to the recording as they did before, and to one of 16 bits exactly.
fn round_together(sources: &mut [Estimate], channel: usize, count: usize, step: f32) {
    let mut over = vec![0.0; count];
    for source in sources {
        for (sample, over) in source.block[channel][..count].iter_mut().zip(&mut over) {
            let whole = *sample + *over;
            *sample = nearest(whole / step) * step;
            *over = whole - *sample;
        }
    }
}

/// The nearest integer, halves away from zero, as [`f32::round`]. A processor that is not known to have SSE4.1 has no instruction
/// for that, and calls a function for each sample. These few are done for several samples at once.
fn nearest(x: f32) -> f32 {
    /// From here on all numbers are integers, and so is a sum with this one, a half rounded to the even neighbour.
    const WHOLE: f32 = (1 << 23) as f32;
    let size = x.abs();
    let even = (size + WHOLE) - WHOLE;
    let nearest = if size - even == 0.5 { even + 1.0 } else { even };
    if size < WHOLE { nearest.copysign(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_integers_are_those_of_the_standard_library() {
        let same = |x: f32| assert!(x.is_nan() || nearest(x).to_bits() == x.round().to_bits(), "{x}");
        (0..=u32::MAX).step_by(1009).map(f32::from_bits).for_each(same);
        for half in -2000..2000 {
            let x = half as f32 * 0.5;
            [x, x.next_up(), x.next_down()].into_iter().for_each(same);
        }
    }

    #[test]
    fn integers_sum_to_the_recording() {
        let step = 1.0 / 32768.0;
        let recording: Vec<f32> = (-40..40).map(|n| 173.0 * n as f32 * step).collect();
        let parts = [0.3, 0.45, 0.25].map(|share: f32| vec![recording.iter().map(|x| x * share).collect::<Vec<f32>>()]);
        let source = |block: Vec<Vec<f32>>| Estimate {
            index: 0,
            wanted: true,
            inverse: Vec::new(),
            resamplers: Vec::new(),
            block,
        };
        let mut sources = parts.clone().map(source);
        round_together(&mut sources, 0, 80, step);
        for (n, sample) in recording.iter().enumerate() {
            assert_eq!(sources.iter().map(|source| source.block[0][n]).sum::<f32>(), *sample);
            for (source, part) in sources.iter().zip(&parts) {
                let written = source.block[0][n];
                assert!((written / step).fract() == 0.0 && (written - part[0][n]).abs() < step);
            }
        }
    }
}
