//! Trained models, in memory and on disk: what all models have, and the part of their method.

mod file;
mod parts;
mod shipped;
mod summary;

use ndarray::{Array2, ArrayView2};

pub use parts::Parts;
pub use shipped::{SHIPPED, Shipped};
pub use summary::{Gain, SourceSummary, Summary};

use crate::divergence::Divergence;
use crate::job::Training;
use crate::kernels::Norm;
use crate::methods::separator::{TrainedBases, side_by_side};
use crate::spectrogram::{BandMap, Bands, Pad, Spectrum, StftParams};

/// A trained model: the bases of each source, and the transform that they were learned through.
///
/// ```no_run
/// # use partwise::Model;
/// let model = Model::load("speech-and-piano.safetensors".as_ref())?;
/// println!("{} separates {:?}", model.parts.method(), model.names());
/// # Ok::<(), partwise::Error>(())
/// ```
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
    /// The map from the transform's bins to the rows that are factorized.
    pub bands: BandMap,
    /// c of the filter x_n − c x_{n−1} that samples pass before their spectra are factorized; 0: none.
    pub pre_emphasis: f64,
    /// The sources, in order; no two of one name.
    pub sources: Vec<Source>,
    /// What belongs to the method.
    pub parts: Parts,
    /// How the bases' columns are scaled.
    pub normalize: Option<Norm>,
    /// How the training went.
    pub training: Summary,
    /// How it was asked to go; early versions did not keep it.
    pub options: Option<Training>,
}

/// One source.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The name that its files get.
    pub name: String,
    /// Bases (F, K); (TF, K) where they span T frames, row τF + f for row f of frame τ, the oldest first.
    pub bases: Array2<f32>,
}

impl Model {
    /// F, or the reason why its bands do not fit its transform.
    pub(crate) fn rows(&self) -> Result<usize, String> {
        let bands = self.bands.bands(self.sample_rate, self.stft.fft).map_err(|cause| cause.to_string())?;
        Ok(bands.as_ref().map_or(self.stft.fft / 2 + 1, Bands::bands))
    }

    /// The names of the sources, in order.
    pub fn names(&self) -> Vec<&str> {
        self.sources.iter().map(|source| source.name.as_str()).collect()
    }

    /// The bases of all sources side by side.
    pub(crate) fn bases(&self) -> TrainedBases {
        let bases: Vec<ArrayView2<f32>> = self.sources.iter().map(|source| source.bases.view()).collect();
        let (bases, sources) = side_by_side(&bases);
        let power_exponent = self.spectrum.power_exponent();
        TrainedBases { bases, sources, divergence: self.divergence.clone(), power_exponent }
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
        if !(0.0..=1.0).contains(&self.pre_emphasis) {
            return Err(format!("has a pre-emphasis of {}", self.pre_emphasis));
        }
        let rows = self.rows()?;
        let expected = rows * self.parts.context().max(1);
        if self.sources.is_empty() && !self.parts.needs_no_source() {
            return Err("has no sources".into());
        }
        for (index, Source { name, bases }) in self.sources.iter().enumerate() {
            check_name(name)?;
            if self.sources[..index].iter().any(|other| other.name == *name) {
                return Err(format!("has two sources called '{name}'"));
            }
            let (rows, rank) = bases.dim();
            if rows != expected || rank == 0 {
                return Err(format!("has bases {rows} x {rank} for '{name}'; its data have {expected} rows"));
            }
            if let Some((at, value)) = bases.indexed_iter().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
                return Err(format!(
                    "has {value} in the bases of '{name}' at {at:?}; they must be finite and not negative"
                ));
            }
            if bases.iter().all(|&w| w == 0.0) {
                return Err(format!("has nothing but zeros in the bases of '{name}'"));
            }
        }
        let ranks = self.sources.iter().map(|source| (source.name.as_str(), source.bases.ncols()));
        self.parts.check(rows, &ranks.collect::<Vec<_>>())
    }
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
    use ndarray::{Array2, array};

    use super::*;
    use crate::kernels::Mixture;
    use crate::methods::gain_prior::Learned;
    use crate::spectrogram::Shape;

    /// A model of two sources, 3 bins.
    pub(super) fn small() -> Model {
        let source = |name: &str, bases| Source { name: name.into(), bases };
        let summary = |name: &str, rank| SourceSummary {
            name: name.into(),
            files: 1,
            seconds: 0.1,
            frames: 7,
            rank,
            iterations: 3,
            first_objective: 0.1 + 0.2,
            final_objective: 1e-17,
            dead_components: 0,
            expected: Vec::new(),
            details: serde_json::Map::new(),
        };
        Model {
            divergence: Divergence::Beta(0.5),
            sample_rate: 16_000,
            stft: StftParams { window: 4, hop: 2, fft: 4, shape: Shape::SqrtHann, pad: Pad::Full },
            spectrum: Spectrum::Power,
            bands: BandMap::Linear,
            pre_emphasis: 0.0,
            sources: vec![
                source("voice", array![[1.0, 0.5], [0.0, 0.25], [2.0, 0.25]]),
                source("piano", array![[0.5], [0.5], [0.0]]),
            ],
            parts: Parts::Nmf,
            normalize: Some(Norm::L1),
            options: Some(Training { iterations: Some(3), window_shape: Shape::Hann, ..Training::default() }),
            training: Summary {
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
        let of_source = |source: &Source| {
            let at = |(c, k): (usize, usize)| -0.5 - c as f64 - 0.25 * k as f64;
            let means = Array2::from_shape_fn((2, source.bases.ncols()), at);
            Mixture { weights: array![0.25, 0.75], variances: means.mapv(|mean| -mean), means }
        };
        let mixtures = model.sources.iter().map(of_source).collect();
        model.parts = Parts::GainPrior(Learned { mixtures, leakage: Some(array![[0.9, 0.2], [0.1, 0.8]]) });
        model
    }

    #[test]
    fn bases_stand_side_by_side() {
        let TrainedBases { bases, sources, .. } = small().bases();
        assert_eq!((bases.dim(), sources), ((3, 3), vec![0..2, 2..3]));
        assert_eq!(bases.row(0).to_vec(), [1.0, 0.5, 0.5]);
    }

    /// The learned part of a model with mixtures.
    fn learned(model: &mut Model) -> &mut Learned {
        match &mut model.parts {
            Parts::GainPrior(learned) => learned,
            _ => panic!("a model without mixtures"),
        }
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
            spoil(&mut learned(&mut model).mixtures[1]);
            let error = model.to_bytes().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("'piano'"), "{error}");
        };
        refused(|mixture| mixture.means[(1, 0)] = 0.5, "a mean above 0");
        refused(|mixture| mixture.means[(1, 0)] = f64::NAN, "no finite means");
        refused(|mixture| mixture.variances[(0, 0)] = 0.0, "not above 0");
        refused(|mixture| mixture.weights[0] = 0.9, "no sum of 1");
        refused(|mixture| mixture.weights = array![1.0], "must be C");
        refused(|mixture| *mixture = learned(&mut with_mixtures()).mixtures[0].clone(), "2 dimensions beside 1 bases");
        let mut half = with_mixtures();
        learned(&mut half).mixtures.pop();
        assert!(half.to_bytes().unwrap_err().to_string().contains("1 mixtures for 2 sources"));
    }

    #[test]
    fn a_leakage_that_cannot_be_used_is_refused() {
        for leakage in
            [array![[1.0]], array![[0.5, 0.5]], array![[1.0, -0.1], [0.0, 1.0]], array![[1.0, 0.0], [f64::NAN, 1.0]]]
        {
            let mut model = with_mixtures();
            learned(&mut model).leakage = Some(leakage);
            let error = model.to_bytes().unwrap_err().to_string();
            assert!(error.contains("not 2 x 2 shares"), "{error}");
        }
    }
}
