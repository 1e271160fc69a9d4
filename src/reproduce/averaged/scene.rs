//! Mixtures that are drawn from the generative model, and their separation in every way.

use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use realfft::num_complex::Complex;

use crate::Result;
use crate::kernels::{Products, Variational};
use crate::methods::averaged::separate::{Attempt, Averaging, mean, selected};
use crate::random::Stream;

/// b, the shape of the prior of the gains.
const SHAPE: f64 = 0.2;

/// A mixture of speech and noise whose spectra are drawn from factorizations.
pub(super) struct Drawn {
    /// The spectra (N, F) of the speech and of the mixture.
    speech: Array2<Complex<f32>>,
    mixture: Array2<Complex<f32>>,
}

impl Drawn {
    /// Draws gains from Γ(b, b) and spectra from normal distributions of the variances W H (F x N), and mixes them at a level
    /// in dB of speech over noise.
    pub(super) fn new(speech: ArrayView2<f32>, noise: ArrayView2<f32>, frames: usize, level: f64, seed: u64) -> Self {
        let speech = draw(speech, frames, &Stream::new(seed, "speech"));
        let noise = draw(noise, frames, &Stream::new(seed, "noise"));
        let power = |spectra: &Array2<Complex<f32>>| spectra.iter().map(|x| f64::from(x.norm_sqr())).sum::<f64>();
        let gain = (power(&speech) / power(&noise) * 10f64.powf(-level / 10.0)).sqrt() as f32;
        Self { mixture: &speech + noise.mapv(|x| x * gain), speech }
    }

    /// The SDR in dB of an estimate of the speech by a mask (F, N).
    fn sdr(&self, mask: &Array2<f32>) -> f64 {
        let (mut signal, mut error) = (0.0, 0.0);
        for ((speech, mixture), mask) in self.speech.iter().zip(&self.mixture).zip(mask.t()) {
            signal += f64::from(speech.norm_sqr());
            error += f64::from((speech - mixture * mask).norm_sqr());
        }
        10.0 * (signal / error).log10()
    }

    /// Separates the mixture in every way. The free energy is computed after every `trace_every` iterations, and after the
    /// last.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn score<E: Variational + Products>(
        &self,
        averaging: &Averaging<E>,
        orders: &[usize],
        trace_every: usize,
    ) -> Result<Score> {
        let data = self.mixture.mapv(|x| x.norm_sqr());
        let recording = averaging.recording(data.view(), &[data.nrows()])?;
        let watch = &mut |_| Ok(());
        let began = Instant::now();
        let alone = orders.iter().map(|order| averaging.joint(&recording, &[*order], (trace_every, false), watch));
        let mut alone = alone.collect::<Result<Vec<Attempt>>>()?;
        let selection_seconds = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let joint = averaging.joint(&recording, orders, (0, false), watch)?;
        let joint_seconds = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let fusion = averaging.fused(&recording, orders, false, watch)?;
        let fusion_seconds = began.elapsed().as_secs_f64();
        let of_order: Vec<f64> = alone.iter().map(|attempt| self.sdr(&attempt.masks[0])).collect();
        let selection = selected(&alone).map_or(f64::NAN, |best| of_order[best]);
        let energy = alone.iter_mut().map(|attempt| std::mem::take(&mut attempt.trace)).collect();
        Ok(Score {
            selection,
            joint: self.sdr(&joint.masks[0]),
            fusion: self.sdr(&fusion.masks[0]),
            oracle: of_order.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean: mean(alone).map_or(f64::NAN, |mean| self.sdr(&mean.masks[0])),
            of_order,
            posteriors: [joint.posterior, fusion.posterior],
            energy,
            seconds: [selection_seconds, joint_seconds, fusion_seconds],
        })
    }
}

/// Spectra (N, F) with the variances W H, W (F, K), h ~ Γ(b, b).
fn draw(bases: ArrayView2<f32>, frames: usize, stream: &Stream) -> Array2<Complex<f32>> {
    let (rows, order) = bases.dim();
    let gain = |(k, n): (usize, usize)| (stream.gamma((k * frames + n) as u64, SHAPE) / SHAPE) as f32;
    let variances = bases.dot(&Array2::from_shape_fn((order, frames), gain));
    // Normal numbers have other indices than the gains.
    let first = (order * frames) as u64 * 64;
    Array2::from_shape_fn((frames, rows), |(n, f)| {
        let at = first + 2 * (n * rows + f) as u64;
        let deviation = (f64::from(variances[(f, n)]) / 2.0).sqrt();
        Complex::new((deviation * stream.normal(at)) as f32, (deviation * stream.normal(at + 1)) as f32)
    })
}

/// A drawn mixture: the places of its order and of its level, and its results.
pub(super) struct Case {
    pub(super) order: usize,
    pub(super) level: usize,
    pub(super) score: Score,
}

/// The results on one mixture: SDR of the speech in dB by every way.
#[derive(Debug, Clone)]
pub(super) struct Score {
    /// The order with the highest free energy.
    pub(super) selection: f64,
    /// The paper's posterior of all orders.
    pub(super) joint: f64,
    /// An estimate by every order, weighed by how well it fits.
    pub(super) fusion: f64,
    /// The best order.
    pub(super) oracle: f64,
    /// The mean of the estimates of all orders.
    pub(super) mean: f64,
    /// Every order alone.
    pub(super) of_order: Vec<f64>,
    /// The posteriors of the orders: the paper's, and that of the fusion on average over the frames.
    pub(super) posteriors: [Vec<f64>; 2],
    /// The free energies of every order alone.
    pub(super) energy: Vec<Vec<f64>>,
    /// How long selection, the paper's posterior and fusion took.
    pub(super) seconds: [f64; 3],
}
