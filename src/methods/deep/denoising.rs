//! Algorithm 1: noisy recordings through stacked updates, the clean samples by (15), the loss (16) and its gradient.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Zip};
use realfft::num_complex::Complex;

use super::loss::loss;
use super::phi::Curve;
use super::stacks::{Adjoints, Stack, backward, forward};
use crate::engine::cut;
use crate::kernels::{Adjoint, Glue, Momentum};
use crate::spectrogram::Stft;
use crate::{Divergence, Error, Result};

/// A noisy recording, and where its factors start.
#[derive(Debug, Clone)]
pub struct Noisy {
    /// s, the clean samples.
    pub clean: Vec<f64>,
    /// The spectra (N, F) of the noisy samples.
    pub spectra: Array2<Complex<f64>>,
    /// W (F, K).
    pub w: Array2<f32>,
    /// H (K, N).
    pub h: Array2<f32>,
}

impl Noisy {
    /// The noisy samples.
    ///
    /// # Errors
    /// Those of the inverse transform.
    pub fn mixture(&self, stft: &Stft<f64>) -> Result<Vec<f64>> {
        samples(stft, &self.spectra, self.clean.len())
    }

    /// The loss of the noisy samples themselves as an estimate.
    ///
    /// # Errors
    /// Those of the inverse transform.
    pub fn loss_before(&self, stft: &Stft<f64>) -> Result<f64> {
        Ok(loss(&self.clean, &self.mixture(stft)?).0)
    }
}

/// The losses of a batch and what they say of θ.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss of every example.
    pub losses: Vec<f64>,
    /// The gradient of their mean with respect to θ.
    pub gradient: Vec<f64>,
    /// The estimated samples of every source of every example.
    pub estimates: Vec<Vec<Vec<f64>>>,
}

/// The data of a batch on an engine.
struct Batch<E: Adjoint> {
    v: E::Panel,
    w: E::Matrix,
    h: E::Panel,
}

impl<E: Adjoint> Batch<E> {
    fn new(engine: &E, examples: &[Noisy]) -> Result<Self> {
        let powers: Vec<Array2<f64>> = examples.iter().map(|one| one.spectra.mapv(|bin| bin.norm_sqr())).collect();
        let powers: Vec<ArrayView2<f64>> = powers.iter().map(|powers| powers.t()).collect();
        let bases: Vec<ArrayView2<f32>> = examples.iter().map(|one| one.w.view()).collect();
        let gains: Vec<ArrayView2<f32>> = examples.iter().map(|one| one.h.view()).collect();
        Ok(Self { v: engine.packed(&powers)?, w: engine.stack(&bases)?, h: engine.packed(&gains)? })
    }

    /// Λ (F, N) of every example.
    fn models(&self, engine: &E, examples: &[Noisy]) -> Result<Vec<Array2<f64>>> {
        let all: Array2<f64> = engine.read_panel(&engine.floored_model(&self.w, &self.h)?)?;
        let columns: Vec<usize> = examples.iter().map(|example| example.spectra.nrows()).collect();
        Ok(cut(all.view(), &columns).iter().map(|model| model.to_owned()).collect())
    }
}

/// The clean spectra that a model Λ (F, N) explains, with the phases of the noisy ones (15): √Λ y/|y|, or 0 where y = 0.
fn explained(noisy: &Array2<Complex<f64>>, model: &Array2<f64>) -> Array2<Complex<f64>> {
    Zip::from(noisy).and(model.t()).map_collect(|&y, &lambda| phase(y) * lambda.sqrt())
}

fn phase(y: Complex<f64>) -> Complex<f64> {
    let size = y.norm();
    if size > 0.0 { y / size } else { y }
}

/// The samples of spectra (N, F).
pub(super) fn samples(stft: &Stft<f64>, spectra: &Array2<Complex<f64>>, count: usize) -> Result<Vec<f64>> {
    let (mut inverse, mut samples) = (stft.overlap_add(count), Vec::with_capacity(count));
    inverse.push(spectra.view(), &mut samples)?;
    inverse.finish(&mut samples)?;
    Ok(samples)
}

/// Hears the estimates of an example: the place of the example, and the samples of every source.
pub type Hear<'a> = dyn FnMut(usize, Vec<Vec<f64>>) + 'a;

/// The losses of a batch after each of these numbers of stacks, which rise: (numbers, examples). `hear` hears the estimates
/// after the last.
///
/// # Errors
/// [`Error::Input`] for a weight that has no table; those of the engine.
pub fn losses<E: Adjoint + Momentum + Glue>(
    engine: &E,
    stft: &Stft<f64>,
    examples: &[Noisy],
    curve: &Curve,
    stack: Stack,
    after: &[usize],
    hear: &mut Hear,
) -> Result<Vec<Vec<f64>>> {
    let (mut batch, divergence, mut done) = (Batch::new(engine, examples)?, curve.divergence()?, 0);
    let mut all = Vec::with_capacity(after.len());
    for &stacks in after {
        let more = stacks.saturating_sub(done);
        forward(engine, &batch.v, (&mut batch.w, &mut batch.h), &divergence, stack, (more, 0))?;
        done += more;
        let mut losses = Vec::with_capacity(examples.len());
        for (index, (example, model)) in examples.iter().zip(&batch.models(engine, examples)?).enumerate() {
            let estimate = samples(stft, &explained(&example.spectra, model), example.clean.len())?;
            losses.push(loss(&example.clean, &estimate).0);
            if Some(&stacks) == after.last() {
                hear(index, vec![estimate]);
            }
        }
        all.push(losses);
    }
    Ok(all)
}

/// The losses of a batch after `stacks` stacks, and their gradient through the last `kept` of them.
///
/// # Errors
/// As [`losses`]; [`Error::Diverged`] if a loss is not finite.
pub fn evaluate<E: Adjoint + Momentum + Glue>(
    engine: &E,
    stft: &Stft<f64>,
    examples: &[Noisy],
    curve: &Curve,
    stack: Stack,
    (stacks, kept): (usize, usize),
) -> Result<Evaluation> {
    let (mut batch, weight) = (Batch::new(engine, examples)?, Arc::new(curve.weight()?));
    let divergence = Divergence::Density(Arc::clone(&weight));
    let steps = forward(engine, &batch.v, (&mut batch.w, &mut batch.h), &divergence, stack, (stacks, kept))?;

    let share = 1.0 / examples.len() as f64;
    let (mut losses, mut estimates) = (Vec::with_capacity(examples.len()), Vec::with_capacity(examples.len()));
    let mut of_models = Vec::with_capacity(examples.len());
    for (example, model) in examples.iter().zip(batch.models(engine, examples)?) {
        let estimate = samples(stft, &explained(&example.spectra, &model), example.clean.len())?;
        let (value, slopes) = loss(&example.clean, &estimate);
        losses.push(value);
        let of_spectra = stft.adjoint(&slopes);
        let of_model = |&y: &Complex<f64>, &q: &Complex<f64>, &lambda: &f64| {
            let phase = phase(y);
            share * (phase.re * q.re + phase.im * q.im) / (2.0 * lambda.sqrt())
        };
        let of_model = Zip::from(&example.spectra).and(&of_spectra).and(model.t()).map_collect(of_model);
        of_models.push(of_model.reversed_axes());
        estimates.push(vec![estimate]);
    }
    check_finite(&losses, stacks)?;
    let views: Vec<ArrayView2<f64>> = of_models.iter().map(|of_model| of_model.view()).collect();
    let mut adjoints = zeros(engine, examples.iter().map(|one| (one.w.dim(), one.h.dim())))?;
    engine.adjoint_of_model(&batch.w, &batch.h, &engine.packed(&views)?, &mut adjoints.w, &mut adjoints.h)?;
    let mut knots = engine.no_knots()?;
    backward(engine, &batch.v, &steps, &weight, stack.compensated, &mut adjoints, &mut knots)?;
    Ok(Evaluation { losses, gradient: gradient(engine, curve, &knots)?, estimates })
}

/// The gradient of θ from the knots.
pub(super) fn gradient<E: Adjoint>(engine: &E, curve: &Curve, knots: &E::Matrix) -> Result<Vec<f64>> {
    Ok(curve.gradient(&engine.pairs(knots)?))
}

/// Adjoints of zero for factors of these shapes.
pub(super) fn zeros<E: Adjoint>(
    engine: &E,
    shapes: impl Iterator<Item = ((usize, usize), (usize, usize))>,
) -> Result<Adjoints<E>> {
    let (w, h): (Vec<_>, Vec<_>) = shapes.map(|(w, h)| (Array2::<f32>::zeros(w), Array2::<f32>::zeros(h))).unzip();
    let [w, h] = [&w, &h].map(|all| all.iter().map(|one| one.view()).collect::<Vec<_>>());
    Ok(Adjoints { w: engine.stack(&w)?, h: engine.packed(&h)? })
}

pub(super) fn check_finite(losses: &[f64], iteration: usize) -> Result<()> {
    if losses.iter().all(|loss| loss.is_finite()) {
        return Ok(());
    }
    Err(Error::Diverged { what: "the loss of an example".into(), iteration })
}
