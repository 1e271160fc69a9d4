//! Algorithm 2: bases of every speaker by stacked updates, the gains of a mixture under all of them, estimates by (17), the loss
//! (18) and its gradient.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, Zip, concatenate, s};
use realfft::num_complex::Complex;

use super::denoising::{Evaluation, Hear, check_finite, gradient, samples, zeros};
use super::loss::loss;
use super::phi::Curve;
use super::stacks::{Adjoints, BOTH, GAINS, backward, forward};
use crate::divergence::MODEL_FLOOR;
use crate::engine::cut;
use crate::kernels::{Adjoint, Glue, Momentum};
use crate::spectrogram::Stft;
use crate::{Divergence, Result};

/// One speaker of a mixture.
#[derive(Debug, Clone)]
pub struct Voice {
    /// Its samples in the mixture.
    pub clean: Vec<f64>,
    /// Y, the power (F, N) of its training recordings.
    pub training: Array2<f64>,
    /// W (F, K), where its bases start.
    pub w: Array2<f32>,
    /// H (K, N), where the gains of its training recordings start.
    pub h: Array2<f32>,
    /// U (K, N), where its gains in the mixture start.
    pub u: Array2<f32>,
}

/// A mixture of speakers. All mixtures of a batch have the same number of speakers and components.
#[derive(Debug, Clone)]
pub struct Mixed {
    /// The spectra (N, F) of the mixture.
    pub spectra: Array2<Complex<f64>>,
    /// The speakers.
    pub voices: Vec<Voice>,
}

impl Mixed {
    /// The samples of the mixture.
    ///
    /// # Errors
    /// Those of the inverse transform.
    pub fn mixture(&self, stft: &Stft<f64>) -> Result<Vec<f64>> {
        samples(stft, &self.spectra, self.voices.first().map_or(0, |voice| voice.clean.len()))
    }

    /// The losses of the mixture itself as an estimate of each speaker.
    ///
    /// # Errors
    /// Those of the inverse transform.
    pub fn losses_before(&self, stft: &Stft<f64>) -> Result<Vec<f64>> {
        let mixture = self.mixture(stft)?;
        Ok(self.voices.iter().map(|voice| loss(&voice.clean, &mixture).0).collect())
    }
}

/// Numbers of stacks, and through how many of the last the gradient goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stages {
    /// T₁ and L₁ of the training of the bases.
    pub bases: (usize, usize),
    /// T₂ and L₂ of the gains of the mixture.
    pub gains: (usize, usize),
}

/// The bases of all speakers of a batch, learned, and the gains of the mixtures under them.
struct Batch<E: Adjoint> {
    /// The training data, a segment for each speaker of each mixture.
    training: E::Panel,
    /// The power of the mixtures.
    x: E::Panel,
    /// Bases of all speakers side by side, one matrix for each mixture.
    w: E::Matrix,
    /// The same on the host.
    bases: Vec<Array2<f64>>,
    /// Gains of the mixtures.
    u: E::Panel,
}

/// All voices of a batch.
fn voices(examples: &[Mixed]) -> impl Iterator<Item = &Voice> {
    examples.iter().flat_map(|example| &example.voices)
}

impl<E: Adjoint + Momentum + Glue> Batch<E> {
    /// Learns the bases. Also returns the steps of the last stacks.
    fn learn(
        engine: &E,
        examples: &[Mixed],
        divergence: &Divergence,
        (stacks, kept): (usize, usize),
    ) -> Result<(Self, Vec<super::stacks::Step<E>>)> {
        let data: Vec<ArrayView2<f64>> = voices(examples).map(|voice| voice.training.view()).collect();
        let starts: Vec<ArrayView2<f32>> = voices(examples).map(|voice| voice.w.view()).collect();
        let gains: Vec<ArrayView2<f32>> = voices(examples).map(|voice| voice.h.view()).collect();
        let training = engine.packed(&data)?;
        let (mut w, mut h) = (engine.stack(&starts)?, engine.packed(&gains)?);
        let steps = forward(engine, &training, (&mut w, &mut h), divergence, BOTH, (stacks, kept))?;
        let all: Array2<f64> = engine.read_matrix(&w)?;
        let mut each = all.axis_chunks_iter(Axis(0), starts[0].nrows());
        let bases = examples.iter().map(|example| {
            let of_example: Vec<ArrayView2<f64>> = each.by_ref().take(example.voices.len()).collect();
            concatenate(Axis(1), &of_example).unwrap_or_default()
        });
        let bases: Vec<Array2<f64>> = bases.collect();
        let w = engine.stack(&bases.iter().map(|w| w.view()).collect::<Vec<_>>())?;
        let powers: Vec<Array2<f64>> = examples.iter().map(|one| one.spectra.mapv(|bin| bin.norm_sqr())).collect();
        let x = engine.packed(&powers.iter().map(|powers| powers.t()).collect::<Vec<_>>())?;
        let starts = examples.iter().map(|example| {
            let of_example: Vec<ArrayView2<f32>> = example.voices.iter().map(|voice| voice.u.view()).collect();
            concatenate(Axis(0), &of_example).unwrap_or_default()
        });
        let starts: Vec<Array2<f32>> = starts.collect();
        let u = engine.packed(&starts.iter().map(|u| u.view()).collect::<Vec<_>>())?;
        Ok((Self { training, x, w, bases, u }, steps))
    }

    /// U (ΣK, N) of every mixture.
    fn gains(&self, engine: &E, examples: &[Mixed]) -> Result<Vec<Array2<f64>>> {
        let all: Array2<f64> = engine.read_panel(&self.u)?;
        let columns: Vec<usize> = examples.iter().map(|example| example.spectra.nrows()).collect();
        Ok(cut(all.view(), &columns).iter().map(|gains| gains.to_owned()).collect())
    }
}

/// The estimates of a mixture.
struct Estimates {
    /// max(W̃Ũ, 1e-12) (F, N), and whether the floor is in force.
    model: Array2<f64>,
    floored: Array2<bool>,
    /// The mask (F, N) and the samples of every speaker.
    voices: Vec<(Array2<f64>, Vec<f64>)>,
}

impl Estimates {
    fn new(stft: &Stft<f64>, example: &Mixed, w: &Array2<f64>, u: &Array2<f64>) -> Result<Self> {
        let whole = w.dot(u);
        let floored = whole.mapv(|lambda| lambda <= MODEL_FLOOR);
        let model = whole.mapv_into(|lambda| lambda.max(MODEL_FLOOR));
        let mut voices = Vec::with_capacity(example.voices.len());
        for (index, voice) in example.voices.iter().enumerate() {
            let own = components(voice, index);
            let mask = w.slice(s![.., own.clone()]).dot(&u.slice(s![own, ..])) / &model;
            let masked = Zip::from(&example.spectra).and(mask.t()).map_collect(|&x, &mask| x * mask);
            let estimate = samples(stft, &masked, voice.clean.len())?;
            voices.push((mask, estimate));
        }
        Ok(Self { model, floored, voices })
    }

    /// The loss of every speaker.
    fn losses(&self, example: &Mixed) -> Vec<f64> {
        let of_voice = |((_, estimate), voice): (&(_, Vec<f64>), &Voice)| loss(&voice.clean, estimate).0;
        self.voices.iter().zip(&example.voices).map(of_voice).collect()
    }

    /// The adjoints of W̃ (F, ΣK) and Ũ (ΣK, N) of `share` times the loss.
    fn adjoints(
        &self,
        stft: &Stft<f64>,
        example: &Mixed,
        (w, u): (&Array2<f64>, &Array2<f64>),
        share: f64,
    ) -> (Array2<f64>, Array2<f64>) {
        let (mut of_w, mut of_u) = (Array2::zeros(w.dim()), Array2::zeros(u.dim()));
        let mut of_model = Array2::<f64>::zeros(self.model.dim());
        let share = share / example.voices.len() as f64;
        for (index, (voice, (mask, estimate))) in example.voices.iter().zip(&self.voices).enumerate() {
            let slopes: Vec<f64> = loss(&voice.clean, estimate).1.iter().map(|slope| share * slope).collect();
            let of_spectra = stft.adjoint(&slopes);
            let of_mask = Zip::from(&example.spectra).and(&of_spectra).map_collect(|x, q| x.re * q.re + x.im * q.im);
            let of_own = &of_mask.t() / &self.model;
            of_model -= &(&of_own * mask);
            let own = components(voice, index);
            let mut to = of_w.slice_mut(s![.., own.clone()]);
            to += &of_own.dot(&u.slice(s![own.clone(), ..]).t());
            let mut to = of_u.slice_mut(s![own.clone(), ..]);
            to += &w.slice(s![.., own]).t().dot(&of_own);
        }
        Zip::from(&mut of_model).and(&self.floored).for_each(|g, &floored| *g = if floored { 0.0 } else { *g });
        of_w += &of_model.dot(&u.t());
        of_u += &w.t().dot(&of_model);
        (of_w, of_u)
    }
}

/// Which components of a mixture are those of a voice.
fn components(voice: &Voice, index: usize) -> std::ops::Range<usize> {
    let rank = voice.w.ncols();
    index * rank..(index + 1) * rank
}

/// The losses of all speakers after each of these numbers of updates of the gains, which rise: (numbers, examples, speakers).
/// `hear` hears the estimates after the last.
///
/// # Errors
/// [`crate::Error::Input`] for a weight that has no table; those of the engine.
pub fn losses<E: Adjoint + Momentum + Glue>(
    engine: &E,
    stft: &Stft<f64>,
    examples: &[Mixed],
    curve: &Curve,
    bases: usize,
    after: &[usize],
    hear: &mut Hear,
) -> Result<Vec<Vec<Vec<f64>>>> {
    let divergence = curve.divergence()?;
    let (mut batch, _) = Batch::learn(engine, examples, &divergence, (bases, 0))?;
    let (mut all, mut done) = (Vec::with_capacity(after.len()), 0);
    for &updates in after {
        let more = updates.saturating_sub(done);
        forward(engine, &batch.x, (&mut batch.w, &mut batch.u), &divergence, GAINS, (more, 0))?;
        done += more;
        let gains = batch.gains(engine, examples)?;
        let mut losses = Vec::with_capacity(examples.len());
        for (index, (example, (w, u))) in examples.iter().zip(batch.bases.iter().zip(&gains)).enumerate() {
            let estimates = Estimates::new(stft, example, w, u)?;
            losses.push(estimates.losses(example));
            if Some(&updates) == after.last() {
                hear(index, estimates.voices.into_iter().map(|(_, samples)| samples).collect());
            }
        }
        all.push(losses);
    }
    Ok(all)
}

/// The losses of a batch and their gradient, through the last stacks of the gains, and through the bases to the last stacks of
/// their training.
///
/// # Errors
/// As [`losses`]; [`crate::Error::Diverged`] if a loss is not finite.
pub fn evaluate<E: Adjoint + Momentum + Glue>(
    engine: &E,
    stft: &Stft<f64>,
    examples: &[Mixed],
    curve: &Curve,
    stages: Stages,
) -> Result<Evaluation> {
    let weight = Arc::new(curve.weight()?);
    let divergence = Divergence::Density(Arc::clone(&weight));
    let (mut batch, of_training) = Batch::learn(engine, examples, &divergence, stages.bases)?;
    let of_mixing = forward(engine, &batch.x, (&mut batch.w, &mut batch.u), &divergence, GAINS, stages.gains)?;
    let gains = batch.gains(engine, examples)?;
    let share = 1.0 / examples.len() as f64;
    let (mut losses, mut of_w, mut of_u, mut all_estimates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (example, (w, u)) in examples.iter().zip(batch.bases.iter().zip(&gains)) {
        let estimates = Estimates::new(stft, example, w, u)?;
        losses.push(estimates.losses(example).iter().sum::<f64>() / example.voices.len() as f64);
        let (to_w, to_u) = estimates.adjoints(stft, example, (w, u), share);
        of_w.push(to_w);
        of_u.push(to_u);
        all_estimates.push(estimates.voices.into_iter().map(|(_, estimate)| estimate).collect());
    }
    check_finite(&losses, stages.gains.0)?;
    let views = |all: &[Array2<f64>]| engine.stack(&all.iter().map(|one| one.view()).collect::<Vec<_>>());
    let h = engine.packed(&of_u.iter().map(|of_u| of_u.view()).collect::<Vec<_>>())?;
    let mut adjoints = Adjoints { w: views(&of_w)?, h };
    let mut knots = engine.no_knots()?;
    backward(engine, &batch.x, &of_mixing, &weight, true, &mut adjoints, &mut knots)?;

    // The adjoints of the bases, apart again for each speaker. Nothing else depends on the gains of the training data.
    let rows = batch.bases.first().map_or(1, |w| w.nrows());
    let all: Array2<f64> = engine.read_matrix(&adjoints.w)?;
    let mut apart = Vec::new();
    for (example, of_w) in examples.iter().zip(all.axis_chunks_iter(Axis(0), rows)) {
        let own = |(index, voice)| of_w.slice(s![.., components(voice, index)]).to_owned();
        apart.extend(example.voices.iter().enumerate().map(own));
    }
    let shapes = voices(examples).map(|voice| (voice.w.dim(), voice.h.dim()));
    let mut adjoints = Adjoints { w: views(&apart)?, ..zeros(engine, shapes)? };
    backward(engine, &batch.training, &of_training, &weight, true, &mut adjoints, &mut knots)?;
    Ok(Evaluation { losses, gradient: gradient(engine, curve, &knots)?, estimates: all_estimates })
}
