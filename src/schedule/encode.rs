//! Masked pieces to files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use ndarray::{Array2, ArrayView2, Zip, s};
use realfft::num_complex::Complex;

use super::outputs::Pending;
use super::reports::{Finished, Reports};
use super::{Masked, Step, Track};
use crate::audio::Resampler;
use crate::spectrogram::OverlapAdd;
use crate::{Error, Result};

/// Writes the outputs of tracks whose pieces come in.
pub(super) struct Encoder<'a, 'r> {
    /// Indices of the sources that are written.
    written: &'a [usize],
    /// J, those included that are not written.
    source_count: usize,
    reports: &'a Reports<'r>,
    open: HashMap<usize, Open>,
}

/// A track that is not whole yet.
struct Open {
    outputs: Outputs,
    /// The frame that is due.
    next: usize,
    /// Pieces that came before their turn, from a faster engine, by their first frame.
    early: BTreeMap<usize, Masked>,
}

impl<'a, 'r> Encoder<'a, 'r> {
    pub(super) fn new(written: &'a [usize], source_count: usize, reports: &'a Reports<'r>) -> Self {
        Self { written, source_count, reports, open: HashMap::new() }
    }

    /// Takes what comes until nobody sends any more.
    pub(super) fn run(mut self, queue: Receiver<Vec<Step<Masked>>>) {
        for step in queue.into_iter().flatten() {
            let (track, ended) = match step {
                Step::Broken(track, error) => (track, Err(error)),
                Step::Part(masked) => {
                    let track = Arc::clone(&masked.piece.track);
                    if track.failed.load(Ordering::Relaxed) || self.reports.aborted() {
                        continue;
                    }
                    let taken = self.take(&track, masked);
                    (track, taken)
                }
            };
            if self.reports.aborted() {
                // Nothing that is begun comes to an end any more.
                self.open.clear();
            }
            if let Err(error) = ended {
                // What there is of its files goes with it, before the failure is told.
                self.open.remove(&track.index);
                self.reports.failed(&track, &error);
            }
        }
    }

    /// Takes a piece, and with it those that waited for it.
    fn take(&mut self, track: &Track, masked: Masked) -> Result<()> {
        let mut open = match self.open.remove(&track.index) {
            Some(open) => open,
            None => Open {
                outputs: Outputs::create(track, self.written, self.source_count, self.reports)?,
                next: 0,
                early: BTreeMap::new(),
            },
        };
        open.early.insert(masked.piece.frames.start, masked);
        while let Some(masked) = open.early.remove(&open.next) {
            open.next = masked.piece.frames.end;
            let last = masked.piece.is_last();
            self.reports.advanced(&masked);
            open.outputs.push(masked)?;
            if last {
                let (finished, files) = open.outputs.finish()?;
                return self.reports.done(track, finished, files);
            }
        }
        self.open.insert(track.index, open);
        Ok(())
    }
}

/// The outputs of one track while its pieces come in.
struct Outputs {
    sources: Vec<SourceOutput>,
    /// J, those included that are not written.
    source_count: usize,
    /// The recording's own samples (C, n) that its estimates have not come to yet, where the model has another sample rate.
    original: Option<Vec<Vec<f32>>>,
    /// The step of the integers that are written, where all sources are.
    step: Option<f32>,
    finished: Finished,
}

struct SourceOutput {
    /// Its place among the model's sources.
    index: usize,
    /// A streaming inverse for every channel.
    inverse: Vec<OverlapAdd<f32>>,
    /// From the model's sample rate back to the recording's, for every channel.
    resamplers: Vec<Resampler>,
    /// Samples (C, n) that are not written yet.
    block: Vec<Vec<f32>>,
    /// Missing where the source is not written.
    file: Option<Pending>,
}

impl Outputs {
    /// Opens the files of a track. `written` are the indices of the sources that are written, out of `source_count`.
    fn create(track: &Track, written: &[usize], source_count: usize, reports: &Reports) -> Result<Self> {
        let mut sources = Vec::with_capacity(source_count);
        for index in 0..source_count {
            let path = written.iter().position(|&source| source == index).and_then(|place| track.outputs.get(place));
            // What remains after resampling is what all sources together leave over: then all of them are needed.
            if path.is_none() && !track.is_resampled() {
                continue;
            }
            let resampler = |_| Resampler::new(track.view.sample_rate, track.sample_rate);
            sources.push(SourceOutput {
                index,
                inverse: (0..track.channels).map(|_| track.view.stft.overlap_add(track.signal_length)).collect(),
                resamplers: (0..track.channels).map(resampler).collect::<Result<_>>()?,
                block: vec![Vec::new(); track.channels],
                file: path.map(|path| Pending::create(path, track, reports.run())).transpose()?,
            });
        }
        Ok(Self {
            sources,
            source_count,
            original: track.is_resampled().then(|| vec![Vec::new(); track.channels]),
            step: track.format.step().filter(|_| written.len() == source_count),
            finished: Finished::default(),
        })
    }

    /// Takes the next piece of the track.
    fn push(&mut self, masked: Masked) -> Result<()> {
        let Masked { piece, separated, column, segment, engine } = masked;
        let columns = column..column + piece.columns();
        let cost: f64 = separated.costs[columns].iter().sum();
        let unfit = || {
            let what = piece.track.input.path.display();
            Err(Error::input(format!("{what}: the model gives no finite gains for it; train another model")))
        };
        if !cost.is_finite() {
            return unfit();
        }
        let finished = &mut self.finished;
        finished.objective += cost;
        let iterations = separated.iterations.iter().skip(segment).take(piece.segments().count());
        finished.iterations = iterations.fold(finished.iterations, |most, &its| most.max(its));
        if finished.engines.last().is_none_or(|last| **last != *engine) {
            finished.engines.push(engine.to_string());
        }
        let share = 1.0 / self.source_count as f32;
        let mut estimate = Vec::new();
        for source in &mut self.sources {
            let mask = separated.masks[source.index].t();
            for (channel, spectra) in piece.spectra.iter().enumerate() {
                let start = column + channel * piece.frames.len();
                let mask = piece.track.view.spread(mask.slice_move(s![start..start + piece.frames.len(), ..]))?;
                let frames = apply(spectra.view(), mask.view(), share);
                source.inverse[channel].push(frames.view(), &mut estimate)?;
                // Gains may be finite whose products with the bases are not.
                if !estimate.iter().all(|sample| sample.is_finite()) {
                    return unfit();
                }
                source.resamplers[channel].push(&estimate, &mut source.block[channel])?;
                estimate.clear();
            }
        }
        for (original, samples) in self.original.iter_mut().flatten().zip(piece.original) {
            original.extend(samples);
        }
        self.write()
    }

    /// Ends all files: they are whole, and get their names together.
    fn finish(mut self) -> Result<(Finished, Vec<Pending>)> {
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
        self.write()?;
        let mut files: Vec<Pending> = self.sources.into_iter().filter_map(|source| source.file).collect();
        let mut finished = self.finished;
        for file in &mut files {
            let (size, clipped) = file.close()?;
            finished.bytes.push(size);
            finished.clipped += clipped;
        }
        Ok((finished, files))
    }

    /// Writes all samples that are there of every source.
    fn write(&mut self) -> Result<()> {
        let mut count = self.sources.iter().flat_map(|source| &source.block).map(Vec::len).min().unwrap_or(0);
        if let Some(original) = &mut self.original {
            count = original.iter().map(Vec::len).fold(count, usize::min);
            for (channel, original) in original.iter_mut().enumerate() {
                share_rest(&mut self.sources, channel, original.drain(..count), 1.0 / self.source_count as f32);
            }
        }
        if let Some(step) = self.step {
            let channels = self.sources.first().map_or(0, |source| source.block.len());
            (0..channels).for_each(|channel| round_together(&mut self.sources, channel, count, step));
        }
        for source in &mut self.sources {
            let rest: Vec<Vec<f32>> = source.block.iter_mut().map(|block| block.split_off(count)).collect();
            if let Some(file) = &mut source.file {
                file.write(&source.block)?;
            }
            source.block = rest;
        }
        Ok(())
    }
}

/// What the estimates leave over of the recording, above all what lies beyond the model's Nyquist frequency, is shared equally,
/// so that the sources still sum to the recording.
fn share_rest(sources: &mut [SourceOutput], channel: usize, original: impl Iterator<Item = f32>, share: f32) {
    for (n, sample) in original.enumerate() {
        let rest = sources.iter().fold(sample, |rest, source| rest - source.block[channel][n]);
        sources.iter_mut().for_each(|source| source.block[channel][n] += share * rest);
    }
}

/// Rounds samples to integers of `step`, and has each source take up what the rounding of the one before left over: the sources
/// then sum to the recording as they did before, and to one of 16 bits exactly.
fn round_together(sources: &mut [SourceOutput], channel: usize, count: usize, step: f32) {
    for n in 0..count {
        let mut over = 0.0;
        for source in &mut *sources {
            let sample = &mut source.block[channel][n];
            let whole = *sample + over;
            *sample = (whole / step).round() * step;
            over = whole - *sample;
        }
    }
}

/// The masked spectrum (n, F) of a spectrum and a mask (n, bins); bins that the mask has not got are multiplied by `share`.
fn apply(spectra: ArrayView2<Complex<f32>>, mask: ArrayView2<f32>, share: f32) -> Array2<Complex<f32>> {
    let mut masked = spectra.to_owned();
    let (mut below, mut above) = masked.multi_slice_mut((s![.., ..mask.ncols()], s![.., mask.ncols()..]));
    Zip::from(&mut below).and(mask).for_each(|bin, &mask| *bin *= mask);
    above.mapv_inplace(|bin| bin * share);
    masked
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn masks_apply_and_missing_bins_are_shared() {
        let re = |re: f32| Complex::new(re, -re);
        let spectra = array![[re(1.0), re(2.0), re(4.0)], [re(3.0), re(5.0), re(6.0)]];
        let masked = apply(spectra.view(), array![[0.5, 0.0], [1.0, 0.1]].view(), 0.25);
        assert_eq!(masked, array![[re(0.5), re(0.0), re(1.0)], [re(3.0), re(0.5), re(1.5)]]);
    }

    #[test]
    fn integers_sum_to_the_recording() {
        let step = 1.0 / 32768.0;
        let recording: Vec<f32> = (-40..40).map(|n| 173.0 * n as f32 * step).collect();
        let parts = [0.3, 0.45, 0.25].map(|share: f32| vec![recording.iter().map(|x| x * share).collect::<Vec<f32>>()]);
        let source = |block: Vec<Vec<f32>>| SourceOutput {
            index: 0,
            inverse: Vec::new(),
            resamplers: Vec::new(),
            block,
            file: None,
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
