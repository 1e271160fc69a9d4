//! Masked pieces to files.

use ndarray::{Array2, ArrayView2, Zip, s};
use realfft::num_complex::Complex;

use super::outputs::Pending;
use super::{Masked, Track};
use crate::audio::{self, FormatChoice, Reader};
use crate::spectrogram::{OverlapAdd, Stft};
use crate::{Error, Result};

/// The outputs of one track while its pieces come in.
pub(super) struct Outputs {
    sources: Vec<SourceOutput>,
    /// J, those included that are not written.
    source_count: usize,
    /// The objective so far.
    cost: f64,
}

struct SourceOutput {
    /// Its place among the model's sources.
    index: usize,
    /// A streaming inverse for every channel.
    inverse: Vec<OverlapAdd<f32>>,
    /// Finished samples (C, n): those of the piece at hand, or all of them where the file has another sample rate.
    block: Vec<Vec<f32>>,
    /// Missing where the source is not written.
    file: Option<Pending>,
}

/// What a finished track amounts to.
pub(super) struct Finished {
    /// The objective of all its columns.
    pub(super) objective: f64,
    /// Samples beyond full scale that the format could not hold.
    pub(super) clipped: u64,
}

impl Outputs {
    /// Opens the files of a track. `written` are the indices of the sources that are written, out of `source_count`.
    pub(super) fn create(
        track: &Track,
        written: &[usize],
        source_count: usize,
        stft: &Stft<f32>,
        format: FormatChoice,
    ) -> Result<Self> {
        let format = format.of(Reader::open(&track.input.path)?.bits());
        let (channels, samples) = (track.recording.channels.len(), track.recording.frames() as u64);
        let mut sources = Vec::with_capacity(source_count);
        for index in 0..source_count {
            let path = written.iter().position(|&source| source == index).and_then(|place| track.outputs.get(place));
            // What remains after resampling is what all sources together leave over: then all of them are needed.
            if path.is_none() && track.resampled.is_none() {
                continue;
            }
            let create = |path: &std::path::PathBuf| {
                Pending::create(path, format, channels, track.recording.sample_rate, samples)
            };
            let file = path.map(create).transpose()?;
            let inverse = (0..channels).map(|_| stft.overlap_add(track.samples())).collect();
            sources.push(SourceOutput { index, inverse, block: vec![Vec::new(); channels], file });
        }
        Ok(Self { sources, source_count, cost: 0.0 })
    }

    /// Takes the next piece of the track.
    pub(super) fn push(&mut self, masked: &Masked) -> Result<()> {
        let Masked { piece, masks, first, cost } = masked;
        if !cost.is_finite() {
            let what = piece.track.input.path.display();
            return Err(Error::input(format!("{what}: the model gives no finite gains for it; train another model")));
        }
        self.cost += cost;
        let share = 1.0 / self.source_count as f32;
        for source in &mut self.sources {
            let mask = masks[source.index].t();
            for (channel, spectra) in piece.spectra.iter().enumerate() {
                let start = first + channel * piece.frames.len();
                let frames = apply(spectra.view(), mask.slice(s![start..start + piece.frames.len(), ..]), share);
                source.inverse[channel].push(frames.view(), &mut source.block[channel])?;
            }
            if piece.track.resampled.is_none() {
                source.write_block()?;
            }
        }
        Ok(())
    }

    /// Ends all files, then gives them their names.
    pub(super) fn finish(mut self, track: &Track) -> Result<Finished> {
        for source in &mut self.sources {
            for (inverse, block) in std::mem::take(&mut source.inverse).into_iter().zip(&mut source.block) {
                inverse.finish(block)?;
            }
        }
        if track.resampled.is_some() {
            self.resample(track)?;
        }
        let mut clipped = 0;
        for source in &mut self.sources {
            source.write_block()?;
            clipped += source.file.as_mut().map_or(Ok(0), Pending::close)?;
        }
        let files: Vec<Pending> = self.sources.into_iter().filter_map(|source| source.file).collect();
        files.into_iter().try_for_each(Pending::publish)?;
        Ok(Finished { objective: self.cost, clipped })
    }

    /// Brings the estimates to the file's own sample rate. What they leave over of the recording, above all what lies beyond
    /// the model's Nyquist frequency, is shared equally, so that the sources still sum to the recording.
    fn resample(&mut self, track: &Track) -> Result<()> {
        let share = 1.0 / self.source_count as f32;
        for (channel, samples) in track.recording.channels.iter().enumerate() {
            let mut rest = samples.clone();
            for source in &mut self.sources {
                let estimate = std::mem::take(&mut source.block[channel]);
                let mut estimate = audio::resample(&estimate, track.signal_rate, track.recording.sample_rate)?;
                estimate.resize(samples.len(), 0.0);
                rest.iter_mut().zip(&estimate).for_each(|(rest, estimate)| *rest -= estimate);
                source.block[channel] = estimate;
            }
            for source in &mut self.sources {
                source.block[channel].iter_mut().zip(&rest).for_each(|(estimate, rest)| *estimate += share * rest);
            }
        }
        Ok(())
    }
}

impl SourceOutput {
    fn write_block(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write(&self.block)?;
        }
        self.block.iter_mut().for_each(Vec::clear);
        Ok(())
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
}
