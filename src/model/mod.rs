//! Trained models, in memory and on disk.

mod file;

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::divergence::Divergence;
use crate::kernels::{Mixture, Norm};
use crate::spectrogram::{Pad, Spectrum, StftParams};

const NMF: &str = "nmf";
const GAIN_PRIOR: &str = "gain-prior";

/// A trained model: what each source's spectra are made of, and the transform they were seen through.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What gains are found under.
    pub divergence: Divergence,
    /// Hz.
    pub sample_rate: u32,
    /// The transform.
    pub stft: StftParams,
    /// What of it is factorized.
    pub spectrum: Spectrum,
    /// The sources, in order; no two of one name.
    pub sources: Vec<Source>,
    /// Of the power of source i alone, the share that the models give to source j, at (j, i) (sources x sources): where sources
    /// have mixtures, see [`crate::methods::leakage`].
    pub leakage: Option<Array2<f64>>,
    /// How the bases' columns are scaled.
    pub normalize: Option<Norm>,
    /// Where it came from.
    pub training: Training,
}

/// One source.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The name that its files get.
    pub name: String,
    /// Bases (F, K).
    pub bases: Array2<f32>,
    /// What its gains (K) are usually like; all sources of a model have a mixture, or none has.
    pub mixture: Option<Mixture>,
}

/// A summary of the training, kept in the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The seed of the random starts.
    pub seed: u64,
    /// What it ran on.
    pub engine: String,
    /// The program's version.
    pub version: String,
    /// By source, in order.
    pub sources: Vec<SourceTraining>,
}

/// A summary of one source's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceTraining {
    /// Its name.
    pub name: String,
    /// Recordings read.
    pub files: usize,
    /// Their length.
    pub seconds: f64,
    /// Frames learned from: those that are not silence.
    pub frames: usize,
    /// K.
    pub rank: usize,
    /// Iterations done.
    pub iterations: usize,
    /// The objective before the first iteration.
    pub first_objective: f64,
    /// The objective after the last.
    pub final_objective: f64,
    /// Components that ended as zeros.
    pub dead_components: usize,
    /// What became of its mixture, if one was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixture: Option<MixtureTraining>,
}

/// A summary of how a mixture was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixtureTraining {
    /// C.
    pub components: usize,
    /// Steps of expectation-maximization.
    pub steps: usize,
    /// Of a frame, in the mean, after the last.
    pub log_likelihood: f64,
    /// Components that died on the way and were seeded anew.
    pub reseeded: usize,
}

impl Model {
    /// F.
    pub fn bins(&self) -> usize {
        self.stft.fft / 2 + 1
    }

    /// By which method it was learned: nmf, or gain-prior where sources have mixtures.
    pub fn method(&self) -> &'static str {
        if self.sources.iter().any(|source| source.mixture.is_some()) { GAIN_PRIOR } else { NMF }
    }

    /// All bases side by side (F, ΣK), and which columns are whose.
    pub fn bases(&self) -> (Array2<f32>, Vec<Range<usize>>) {
        side_by_side(&self.sources.iter().map(|source| source.bases.view()).collect::<Vec<_>>())
    }

    /// What a usable model keeps to; an error is the reason alone.
    fn check(&self) -> Result<(), String> {
        self.stft.check().map_err(|cause| cause.to_string())?;
        if self.stft.pad != Pad::Full {
            return Err("has a transform without padding: it could not give a recording back whole".into());
        }
        if !(1..=1_536_000).contains(&self.sample_rate) {
            return Err(format!("has a sample rate of {} Hz", self.sample_rate));
        }
        if self.sources.is_empty() {
            return Err("has no sources".into());
        }
        if self.sources.iter().any(|source| source.mixture.is_some() != self.sources[0].mixture.is_some()) {
            return Err("has a mixture for some of its sources; all must have one, or none".into());
        }
        let count = self.sources.len();
        if let Some(leakage) = &self.leakage
            && (leakage.dim() != (count, count) || !leakage.iter().all(|share| (0.0..=1.0).contains(share)))
        {
            return Err(format!("has a leakage that is not {count} x {count} shares between 0 and 1"));
        }
        for (index, Source { name, bases, mixture }) in self.sources.iter().enumerate() {
            check_name(name)?;
            if self.sources[..index].iter().any(|other| other.name == *name) {
                return Err(format!("has two sources called '{name}'"));
            }
            let (bins, rank) = bases.dim();
            if bins != self.bins() || rank == 0 {
                return Err(format!("has bases {bins} x {rank} for '{name}'; its transform has {} bins", self.bins()));
            }
            if let Some((at, value)) = bases.indexed_iter().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
                return Err(format!(
                    "has {value} in the bases of '{name}' at {at:?}; they must be finite and not negative"
                ));
            }
            if bases.iter().all(|&w| w == 0.0) {
                return Err(format!("has nothing but zeros in the bases of '{name}'"));
            }
            if let Some(mixture) = mixture {
                check_mixture(mixture, rank).map_err(|fault| format!("has {fault}, for '{name}'"))?;
            }
        }
        Ok(())
    }
}

/// Bases (F, K) of every source side by side (F, ΣK), and which columns are whose.
pub(crate) fn side_by_side(bases: &[ArrayView2<f32>]) -> (Array2<f32>, Vec<Range<usize>>) {
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(bases.len());
    for bases in bases {
        let start = ranges.last().map_or(0, |range| range.end);
        ranges.push(start..start + bases.ncols());
    }
    let bins = bases.first().map_or(0, ArrayView2::nrows);
    (concatenate(Axis(1), bases).unwrap_or_else(|_| Array2::zeros((bins, 0))), ranges)
}

fn check_mixture(mixture: &Mixture, rank: usize) -> Result<(), String> {
    mixture.check().map_err(|cause| cause.to_string())?;
    if mixture.dimensions() != rank {
        return Err(format!("a mixture of {} dimensions beside {rank} bases", mixture.dimensions()));
    }
    if mixture.means.iter().any(|&mean| mean > 0.0) {
        return Err("a mixture with a mean above 0, where no log-normalised gain is".into());
    }
    Ok(())
}

/// Checks that a source's name can stand in a file's name and in a tensor's.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    if name.is_empty() || name.len() > 64 || name.trim() != name || !name.chars().all(fits) {
        return Err(format!("source name '{name}' does not fit in a file name; use letters, digits, - and _"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::spectrogram::Shape;

    /// A model of two sources, 3 bins.
    pub(super) fn small() -> Model {
        let source = |name: &str, bases| Source { name: name.into(), bases, mixture: None };
        let summary = |name: &str, rank| SourceTraining {
            name: name.into(),
            files: 1,
            seconds: 0.1,
            frames: 7,
            rank,
            iterations: 3,
            first_objective: 0.1 + 0.2,
            final_objective: 1e-17,
            dead_components: 0,
            mixture: None,
        };
        Model {
            divergence: Divergence::Beta(0.5),
            sample_rate: 16_000,
            stft: StftParams { window: 4, hop: 2, fft: 4, shape: Shape::SqrtHann, pad: Pad::Full },
            spectrum: Spectrum::Power,
            sources: vec![
                source("voice", array![[1.0, 0.5], [0.0, 0.25], [2.0, 0.25]]),
                source("piano", array![[0.5], [0.5], [0.0]]),
            ],
            leakage: None,
            normalize: Some(Norm::L1),
            training: Training {
                seed: 3,
                engine: "reference".into(),
                version: "0".into(),
                sources: vec![summary("voice", 2), summary("piano", 1)],
            },
        }
    }

    /// The same with mixtures of two components.
    pub(super) fn with_mixtures() -> Model {
        let mut model = small();
        for source in &mut model.sources {
            let rank = source.bases.ncols();
            let at = |(c, k): (usize, usize)| -0.5 - c as f64 - 0.25 * k as f64;
            let means = Array2::from_shape_fn((2, rank), at);
            let mixture = Mixture { weights: array![0.25, 0.75], variances: means.mapv(|mean| -mean), means };
            source.mixture = Some(mixture);
        }
        model.leakage = Some(array![[0.9, 0.2], [0.1, 0.8]]);
        model
    }

    #[test]
    fn bases_stand_side_by_side() {
        let (bases, ranges) = small().bases();
        assert_eq!((bases.dim(), ranges), ((3, 3), vec![0..2, 2..3]));
        assert_eq!(bases.row(0).to_vec(), [1.0, 0.5, 0.5]);
    }

    #[test]
    fn mixtures_make_the_method() {
        assert_eq!((with_mixtures().method(), small().method()), ("gain-prior", "nmf"));
    }

    #[test]
    fn a_model_that_cannot_be_used_is_refused() {
        let refused = |spoil: fn(&mut Model), reason: &str| {
            let mut model = small();
            spoil(&mut model);
            let error = model.to_bytes().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        refused(|m| m.sources.clear(), "no sources");
        refused(|m| m.sources[1].name = "voice".into(), "two sources called 'voice'");
        refused(|m| m.sources[0].name = "../voice".into(), "'../voice' does not fit");
        refused(|m| m.sources[0].name = String::new(), "does not fit");
        refused(|m| m.sources[0].bases[(1, 0)] = -1.0, "has -1 in the bases of 'voice' at (1, 0)");
        refused(|m| m.sources[0].bases[(1, 1)] = f32::NAN, "has NaN in the bases");
        refused(|m| m.sources[1].bases.fill(0.0), "nothing but zeros");
        refused(|m| m.sources[1].bases = Array2::ones((4, 1)), "has bases 4 x 1");
        refused(|m| m.sources[1].bases = Array2::ones((3, 0)), "has bases 3 x 0");
        refused(|m| m.sample_rate = 0, "sample rate of 0");
        refused(|m| m.stft.hop = 0, "hop of 0");
        refused(|m| m.stft.pad = Pad::None, "without padding");
    }

    #[test]
    fn a_mixture_that_cannot_be_used_is_refused() {
        let refused = |spoil: fn(&mut Mixture), reason: &str| {
            let mut model = with_mixtures();
            spoil(model.sources[1].mixture.as_mut().unwrap());
            let error = model.to_bytes().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("'piano'"), "{error}");
        };
        refused(|mixture| mixture.means[(1, 0)] = 0.5, "a mean above 0");
        refused(|mixture| mixture.means[(1, 0)] = f64::NAN, "no finite means");
        refused(|mixture| mixture.variances[(0, 0)] = 0.0, "not above 0");
        refused(|mixture| mixture.weights[0] = 0.9, "no sum of 1");
        refused(|mixture| mixture.weights = array![1.0], "must be C");
        refused(
            |mixture| *mixture = with_mixtures().sources[0].mixture.clone().unwrap(),
            "2 dimensions beside 1 bases",
        );
        let mut half = with_mixtures();
        half.sources[0].mixture = None;
        assert!(half.to_bytes().unwrap_err().to_string().contains("some of its sources"));
    }

    #[test]
    fn a_leakage_that_cannot_be_used_is_refused() {
        for leakage in
            [array![[1.0]], array![[0.5, 0.5]], array![[1.0, -0.1], [0.0, 1.0]], array![[1.0, 0.0], [f64::NAN, 1.0]]]
        {
            let error = Model { leakage: Some(leakage), ..with_mixtures() }.to_bytes().unwrap_err().to_string();
            assert!(error.contains("not 2 x 2 shares"), "{error}");
        }
    }
}
