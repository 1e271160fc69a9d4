//! Mixtures of two speakers, and the scores of models on them.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;
use realfft::num_complex::Complex;

use super::arms::Arm;
use crate::evaluate::{Mean, si_sdr, snr, snr_mel};
use crate::kernels::glue::share;
use crate::kernels::{Glue, Mask, Momentum, Products};
use crate::methods::nmf::separate::FixedBases;
use crate::methods::separator::{STRETCH, TrainedBases, side_by_side, stretches};
use crate::model::{Model, Parts};
use crate::reproduce::mixtures::Clip;
use crate::spectrogram::{View, level_scale};
use crate::{Error, Result};

/// The mean scores in dB of both speakers over some mixtures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Scores {
    /// SNR of the models of the speakers' data, in bands.
    pub(super) mel: f64,
    /// SNR of the estimates.
    pub(super) wav: f64,
    /// SI-SDR of the estimates.
    pub(super) si_sdr: f64,
}

impl Scores {
    /// The mean of some scores, which may be none.
    pub(super) fn mean(scores: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
        Self { mel: mean(|one| one.mel), wav: mean(|one| one.wav), si_sdr: mean(|one| one.si_sdr) }
    }
}

/// What a model makes of the mixtures of two speakers.
pub(super) struct Separated {
    /// The means over all mixtures.
    pub(super) scores: Scores,
    /// The estimates of both speakers in the first mixture.
    pub(super) first: Vec<Estimate>,
}

/// An estimate of a speaker.
pub(super) struct Estimate {
    pub(super) samples: Vec<f32>,
    /// In dB.
    pub(super) si_sdr: f64,
}

/// Two speakers and mixtures of them at equal power.
pub(super) struct Pair {
    /// Their places among the speakers.
    pub(super) speakers: [usize; 2],
    /// Whether they have the same sex.
    pub(super) same_sex: bool,
    /// The mixtures.
    pub(super) clips: Vec<Clip>,
}

impl Pair {
    /// Separates the mixtures by a model, with the bases of these two speakers.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn separate<E: Products + Momentum + Glue>(
        &self,
        engine: &E,
        model: &Model,
        arm: &Arm,
    ) -> Result<Separated> {
        let view = arm.training.front().view(model.sample_rate, model.sample_rate)?;
        let shown = self.clips.iter().map(|clip| Shown::new(clip, &view)).collect::<Result<Vec<_>>>()?;
        let data: Vec<ArrayView2<f32>> = shown.iter().map(|shown| shown.data.view()).collect();
        let data = ndarray::concatenate(Axis(0), &data).map_err(|cause| Error::input(cause.to_string()))?;
        let bases = self.speakers.map(|speaker| model.sources[speaker].bases.view());
        let (bases, sources) = side_by_side(&bases);
        let power_exponent = view.power_exponent();
        let bases = TrainedBases { bases, sources, divergence: model.divergence.clone(), power_exponent };
        let bases = FixedBases::new(engine, bases)?;
        let segments: Vec<usize> = stretches(data.nrows(), STRETCH).collect();
        let panel = engine.panel(data.t())?;
        let (gains, _) = bases.gains(engine, data.t(), &panel, &segments, &arm.gains)?;
        let gains: Array2<f64> = engine.read_panel(&gains)?;
        let model_of =
            |w: ArrayView2<f32>, range: &Range<usize>| w.mapv(f64::from).dot(&gains.slice(s![range.clone(), ..]));
        let models = bases.sources.iter().map(|range| model_of(bases.on_host.slice(s![.., range.clone()]), range));
        let mut models: Vec<Array2<f64>> = models.collect();
        if let Parts::Discriminative(learned) = &model.parts
            && !learned.reconstruction.is_empty()
        {
            // Only the ratio of these models counts. They share the data.
            let of_speaker = |(speaker, range): (&usize, _)| model_of(learned.reconstruction[*speaker].view(), range);
            models = self.speakers.iter().zip(&bases.sources).map(of_speaker).collect();
            let shares = share(models, f64::MIN_POSITIVE, arm.mask).into_iter();
            models = shares.map(|share| share * data.t().mapv(f64::from)).collect();
        }
        if models.iter().flatten().any(|level| !level.is_finite()) {
            return Err(Error::Diverged { what: arm.name.clone(), iteration: arm.gains.iterations });
        }
        let firsts = shown.iter().scan(0, |first, shown| Some(std::mem::replace(first, *first + shown.data.nrows())));
        let firsts: Vec<usize> = firsts.collect();
        let of_clip = |((clip, shown), &first): ((&Clip, &Shown), &usize)| {
            let columns = s![.., first..first + shown.data.nrows()];
            let models: Vec<Array2<f64>> = models.iter().map(|model| model.slice(columns).to_owned()).collect();
            shown.score(clip, &view, models, arm)
        };
        let all = self.clips.par_iter().zip(&shown).zip(&firsts).map(of_clip).collect::<Result<Vec<_>>>()?;
        let scores: Vec<Scores> = all.iter().map(|(scores, _)| *scores).collect();
        let first = all.into_iter().next().map(|(_, estimates)| estimates).unwrap_or_default();
        Ok(Separated { scores: Scores::mean(&scores), first })
    }
}

/// A mixture as a view shows it.
struct Shown {
    /// The spectrum (N, bins) of the mixture.
    spectrum: Array2<Complex<f32>>,
    /// The data (N, F).
    data: Array2<f32>,
    /// The factor on spectra that all data have.
    scale: f32,
}

impl Shown {
    fn new(clip: &Clip, view: &View) -> Result<Self> {
        let mixture = clip.mixture(0.0);
        let scale = level_scale(mixture.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs())));
        let spectrum = view.stft.forward(&mixture, 0, 0..view.stft.frames(mixture.len()));
        Ok(Self { spectrum, data: view.data(&mixture, scale)?, scale })
    }

    /// The mean scores of both speakers, from the models (F, N) of their data, and the estimates.
    fn score(&self, clip: &Clip, view: &View, models: Vec<Array2<f64>>, arm: &Arm) -> Result<(Scores, Vec<Estimate>)> {
        let truth = [&clip.target, &clip.rest];
        let clean = truth.map(|signal| view.data(signal, self.scale));
        let mut mel = Vec::with_capacity(2);
        for (clean, model) in clean.into_iter().zip(&models) {
            mel.push(snr_mel(clean?.mapv(f64::from).t(), model.view()));
        }
        let masks = self.masks(view, models, arm.mask)?;
        let (mut scores, mut estimates) = (Vec::with_capacity(2), Vec::with_capacity(2));
        for ((mask, signal), mel) in masks.iter().zip(truth).zip(mel) {
            let masked = Zip::from(&self.spectrum).and(mask).map_collect(|&bin, &share| bin * share);
            let mut estimate = Vec::with_capacity(signal.len());
            let mut inverse = view.stft.overlap_add(signal.len());
            inverse.push(masked.view(), &mut estimate)?;
            inverse.finish(&mut estimate)?;
            let double = |signal: &[f32]| signal.iter().map(|&sample| f64::from(sample)).collect::<Vec<f64>>();
            let (truth, found) = (double(signal), double(&estimate));
            let si_sdr = si_sdr(&truth, &found, Mean::Kept);
            scores.push(Scores { mel, wav: snr(&truth, &found), si_sdr });
            estimates.push(Estimate { samples: estimate, si_sdr });
        }
        Ok((Scores::mean(&scores), estimates))
    }

    /// The masks (N, bins) of both speakers: the ratio of their models, which bands pass on to the bins.
    fn masks(&self, view: &View, models: Vec<Array2<f64>>, mask: Mask) -> Result<Vec<Array2<f32>>> {
        let levels = models.iter().fold(Array2::zeros(self.data.t().dim()), |sum, model| sum + model);
        let levels = levels.t().mapv(|level: f64| level as f32);
        let spread = |mask: Array2<f64>| {
            let mask = mask.t().mapv(|share| share as f32);
            Ok(view.spread(mask.view(), Some(levels.view()), 0.5)?.into_owned())
        };
        share(models, f64::MIN_POSITIVE, mask).into_iter().map(spread).collect()
    }
}
