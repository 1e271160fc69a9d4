//! Mixtures at a level, and their separation under priors.

use ndarray::{Array1, Array2, ArrayView2, s};
use rayon::prelude::*;
use realfft::num_complex::Complex;

use crate::evaluate::snr;
use crate::kernels::{GainPrior, Glue, Gradient, Mask, Momentum};
use crate::methods::gain_prior::Weight;
use crate::methods::gain_prior::separate::{Settings, UnderPriors};
use crate::methods::nmf::{self, Updates};
use crate::methods::separator::{OnEngine as _, STRETCH, Separated, stretches};
use crate::model::{Model, Parts};
use crate::reproduce::mixtures::Clip;
use crate::spectrogram::{Stft, level_scale};
use crate::{Error, Result};

/// Iterations of extrapolated training, and updates of separation.
pub(super) const ITERATIONS: usize = 100;

pub(super) fn settings(weights: [Weight; 2], gradient: Gradient) -> Settings {
    let updates = Updates::Alternating;
    let gains = nmf::separate::Settings {
        updates,
        iterations: ITERATIONS,
        tolerance: 0.0,
        sparsity: 0.0,
        mask: Mask::Ratio(1.0),
    };
    Settings { gains, weights: weights.to_vec(), gradient }
}

/// The model's bases and priors on an engine.
pub(super) fn under<E: GainPrior + Momentum + Glue>(
    engine: &E,
    model: &Model,
    settings: &Settings,
) -> Result<UnderPriors<E>> {
    let Parts::GainPrior(learned) = &model.parts else {
        return Err(Error::input("a model without gain priors"));
    };
    UnderPriors::new(engine, model.bases(), learned, settings)
}

/// The mean SNR of the speech in dB, of every problem.
pub(super) fn scores<E: GainPrior + Momentum + Glue>(
    engine: &E,
    model: &Model,
    settings: &Settings,
    problems: &[Problem],
) -> Result<Array1<f64>> {
    let under = under(engine, model, settings)?;
    let score =
        |problem: &Problem| problem.score(model, &under.separate(engine, problem.data.t(), &problem.segments, false)?);
    problems.iter().map(score).collect()
}

/// All mixtures of a level, prepared for an engine.
pub(super) struct Problem<'a> {
    clips: &'a [Clip],
    stft: Stft<f32>,
    /// The spectra (n, F) of every clip.
    spectra: Vec<Array2<Complex<f32>>>,
    /// The data (N, F), one clip after another.
    pub(super) data: Array2<f32>,
    /// The columns of each stretch.
    pub(super) segments: Vec<usize>,
}

impl<'a> Problem<'a> {
    pub(super) fn new(model: &Model, clips: &'a [Clip], level: f64) -> Result<Self> {
        let stft = Stft::new(model.stft.clone())?;
        let (mut spectra, mut data, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        for clip in clips {
            let mixture = clip.mixture(level);
            let scale = level_scale(mixture.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs())));
            let spectrum = stft.forward(&mixture, 0, 0..stft.frames(mixture.len()));
            data.extend(spectrum.iter().map(|&bin| model.spectrum.of(bin * scale)));
            segments.extend(stretches(spectrum.nrows(), STRETCH));
            spectra.push(spectrum);
        }
        let data = Array2::from_shape_vec((data.len() / stft.bins(), stft.bins()), data);
        Ok(Self { clips, data: data.map_err(|cause| Error::input(cause.to_string()))?, stft, spectra, segments })
    }

    /// The mean SNR of the speech in dB.
    fn score(&self, model: &Model, separated: &Separated) -> Result<f64> {
        let estimates = self.estimates(model, separated, 0)?;
        let scores = self.clips.iter().zip(&estimates).map(|(clip, estimate)| snr_of(&clip.target, estimate));
        Ok(scores.sum::<f64>() / self.clips.len() as f64)
    }

    /// The estimates of a source in every clip.
    pub(super) fn estimates(&self, model: &Model, separated: &Separated, source: usize) -> Result<Vec<Vec<f32>>> {
        if separated.costs.iter().any(|cost| !cost.is_finite()) {
            return Err(Error::Diverged { what: model.sources[0].name.clone(), iteration: ITERATIONS });
        }
        let mask = separated.masks[source].t();
        let mut first = 0;
        let parts = self.spectra.iter().map(|spectrum| {
            let frames = first..first + spectrum.nrows();
            first = frames.end;
            mask.slice(s![frames, ..])
        });
        let parts: Vec<ArrayView2<f32>> = parts.collect();
        let estimates = self.clips.par_iter().zip(&self.spectra).zip(parts).map(|((clip, spectrum), mask)| {
            let masked = ndarray::Zip::from(spectrum).and(mask).map_collect(|&bin, &share| bin * share);
            let mut estimate = Vec::with_capacity(clip.target.len());
            let mut inverse = self.stft.overlap_add(clip.target.len());
            inverse.push(masked.view(), &mut estimate)?;
            inverse.finish(&mut estimate)?;
            Ok(estimate)
        });
        estimates.collect()
    }
}

/// The SNR of an estimate in dB.
pub(super) fn snr_of(truth: &[f32], estimate: &[f32]) -> f64 {
    let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
    snr(&double(truth), &double(estimate))
}
