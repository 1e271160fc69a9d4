//! Masked pieces to files.

use ndarray::{Array2, s};
use realfft::num_complex::Complex;

use super::outputs::Pending;
use super::{Masked, Track};
use crate::audio::{self, Format};
use crate::spectrogram::{OverlapAdd, Stft};
use crate::{Error, Result};

/// The outputs of one track while its pieces come in.
pub(super) struct Outputs {
    /// By source that is written: its index, and what it is written to.
    sources: Vec<(usize, SourceOutput)>,
    source_count: usize,
    /// The objective so far.
    cost: f64,
}

struct SourceOutput {
    /// A streaming inverse for every channel.
    inverse: Vec<OverlapAdd<f32>>,
    /// Finished samples (C, n): those of the piece at hand, or all of them where the file has another sample rate.
    block: Vec<Vec<f32>>,
    file: Pending,
}

/// What a finished track amounts to.
pub(super) struct Finished {
    pub(super) objective: f64,
    pub(super) warnings: Vec<String>,
}

impl Outputs {
    /// Opens the files of a track. `written` are the indices of the sources that are written, out of `source_count`.
    pub(super) fn create(
        track: &Track,
        written: &[usize],
        source_count: usize,
        stft: &Stft<f32>,
        format: Format,
    ) -> Result<Self> {
        let channels = track.recording.channels.len();
        let open = |(&source, path): (&usize, &std::path::PathBuf)| {
            let inverse = (0..channels).map(|_| stft.overlap_add(track.samples())).collect();
            let file = Pending::create(path, format, channels, track.recording.sample_rate)?;
            Ok((source, SourceOutput { inverse, block: vec![Vec::new(); channels], file }))
        };
        let sources = written.iter().zip(&track.outputs).map(open).collect::<Result<Vec<_>>>()?;
        Ok(Self { sources, source_count, cost: 0.0 })
    }

    /// Takes the next piece of the track.
    pub(super) fn push(&mut self, masked: &Masked) -> Result<()> {
        let Masked { piece, masks, first, cost } = masked;
        if !cost.is_finite() {
            let what = piece.track.input.path.display().to_string();
            return Err(Error::Diverged { what, iteration: piece.frames.start });
        }
        self.cost += cost;
        let share = 1.0 / self.source_count as f32;
        for (source, output) in &mut self.sources {
            // Frame by frame, as the mask is stored.
            let mask = masks[*source].t();
            for (channel, spectra) in piece.spectra.iter().enumerate() {
                let start = first + channel * piece.frames.len();
                let mask = mask.slice(s![start..start + piece.frames.len(), ..]);
                // Bins that the data have not got are shared equally.
                let gain = |frame: usize, bin: usize| mask.get((frame, bin)).copied().unwrap_or(share);
                let masked: Array2<Complex<f32>> =
                    Array2::from_shape_fn(spectra.dim(), |(frame, bin)| spectra[(frame, bin)] * gain(frame, bin));
                output.inverse[channel].push(masked.view(), &mut output.block[channel])?;
            }
            if piece.track.resampled.is_none() {
                output.file.write(&output.block)?;
                output.block.iter_mut().for_each(Vec::clear);
            }
        }
        Ok(())
    }

    /// Ends all files and gives them their names.
    pub(super) fn finish(mut self, track: &Track) -> Result<Finished> {
        for (_, output) in &mut self.sources {
            for (inverse, block) in std::mem::take(&mut output.inverse).into_iter().zip(&mut output.block) {
                inverse.finish(block)?;
            }
        }
        Ok(Finished { objective: self.cost, warnings: Vec::new() })
    }
}
