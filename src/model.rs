//! Trained models on disk: safetensors with a metadata block.
//!
//! Metadata, all text: `format` ("partwise/1"), `method`, `divergence`, `sample_rate`, `stft` (JSON: window, hop, fft,
//! shape), `spectrum`, `bands`, `sources` (JSON: names in order), `normalize`, `training` (JSON). Tensors, f32, row-major:
//! `NAME.bases` (F, K) for every source; by the method gain-prior also `NAME.gmm.weights` (C), `NAME.gmm.means` (C, K) and
//! `NAME.gmm.variances` (C, K).

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use ndarray::{Array1, Array2, Axis, concatenate};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::divergence::Divergence;
use crate::kernels::{Mixture, Norm};
use crate::spectrogram::{Pad, Spectrum, StftParams};
use crate::{Error, Result};

const FORMAT: &str = "partwise/1";
const NMF: &str = "nmf";
const GAIN_PRIOR: &str = "gain-prior";
const BASES: &str = "bases";
const WEIGHTS: &str = "gmm.weights";
const MEANS: &str = "gmm.means";
const VARIANCES: &str = "gmm.variances";
/// The largest file read: a model of this size has a rank of a million.
const MAX_BYTES: u64 = 4 << 30;

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
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let start = ranges.last().map_or(0, |range| range.end);
            ranges.push(start..start + source.bases.ncols());
        }
        let all: Vec<_> = self.sources.iter().map(|source| source.bases.view()).collect();
        (concatenate(Axis(1), &all).unwrap_or_else(|_| Array2::zeros((self.bins(), 0))), ranges)
    }

    /// The file's bytes. The same model gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Input`] for a model that could not be used: the same rules as on loading.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check().map_err(Error::Input)?;
        let unwritable = |cause: &dyn std::fmt::Display| Error::input(format!("the model cannot be written: {cause}"));
        let json = |value: serde_json::Result<String>| value.map_err(|cause| unwritable(&cause));
        let names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("method".to_string(), self.method().to_string()),
            ("divergence".to_string(), self.divergence.to_string()),
            ("sample_rate".to_string(), self.sample_rate.to_string()),
            ("stft".to_string(), json(serde_json::to_string(&self.stft))?),
            ("spectrum".to_string(), self.spectrum.to_string()),
            ("bands".to_string(), "linear".to_string()),
            ("sources".to_string(), json(serde_json::to_string(&names))?),
            ("normalize".to_string(), self.normalize.map_or("none".to_string(), |norm| norm.to_string())),
            ("training".to_string(), json(serde_json::to_string(&self.training))?),
        ]);
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self.sources.iter().flat_map(Source::tensors).collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|cause| unwritable(&cause))?;
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(|cause| unwritable(&cause))?;
        sort_header(&mut bytes);
        Ok(bytes)
    }

    /// Reads a model and checks everything in it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] with what is wrong in the file.
    pub fn load(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
        if size > MAX_BYTES {
            return Err(Error::model(path, format!("is {size} bytes long; no model is longer than {MAX_BYTES}")));
        }
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads a model from a file's bytes and checks everything in it; errors call it `name`.
    ///
    /// # Errors
    /// [`Error::Model`] with what is wrong in it.
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|reason| Error::model(name, reason))
    }

    /// As [`from_bytes`](Self::from_bytes); an error is the reason alone.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let not_one = |cause| format!("is not a safetensors file ({cause}); models are made by `partwise train`");
        let tensors = SafeTensors::deserialize(bytes).map_err(not_one)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
        let Some(metadata) = header.metadata() else {
            return Err("has no metadata: it is no partwise model".into());
        };
        let text = |key: &str| metadata.get(key).map(String::as_str).ok_or(format!("has no '{key}' in its metadata"));
        let only = |key: &str, known: &str| match text(key)? {
            value if value == known => Ok(()),
            value => Err(format!("has {key} '{value}'; this version of partwise knows '{known}'")),
        };
        only("format", FORMAT)?;
        let method = text("method")?;
        if ![NMF, GAIN_PRIOR].contains(&method) {
            return Err(format!("has method '{method}'; this version of partwise knows '{NMF}' and '{GAIN_PRIOR}'"));
        }
        only("bands", "linear")?;
        let parsed = |key: &str| -> std::result::Result<&str, String> { text(key) };
        let wrong = |key: &'static str| move |cause: serde_json::Error| format!("has a damaged '{key}': {cause}");
        let names: Vec<String> = serde_json::from_str(parsed("sources")?).map_err(wrong("sources"))?;
        let model = Self {
            divergence: parsed("divergence")?.parse().map_err(|cause: Error| cause.to_string())?,
            sample_rate: parsed("sample_rate")?.parse().map_err(|_| "has a sample rate that is no number")?,
            stft: serde_json::from_str(parsed("stft")?).map_err(wrong("stft"))?,
            spectrum: parsed("spectrum")?.parse().map_err(|cause: Error| cause.to_string())?,
            normalize: match parsed("normalize")? {
                "none" => None,
                norm => Some(norm.parse().map_err(|cause: Error| cause.to_string())?),
            },
            training: serde_json::from_str(parsed("training")?).map_err(wrong("training"))?,
            sources: names
                .into_iter()
                .map(|name| Source::from_tensors(&tensors, name, method == GAIN_PRIOR))
                .collect::<std::result::Result<_, String>>()?,
        };
        model.check()?;
        if tensors.len() != model.sources.iter().map(|source| source.tensors().len()).sum::<usize>() {
            return Err(format!("holds {} tensors for {} sources", tensors.len(), model.sources.len()));
        }
        Ok(model)
    }

    /// What a usable model keeps to; an error is the reason alone.
    fn check(&self) -> std::result::Result<(), String> {
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

impl Source {
    /// Names, shapes and bytes of its tensors.
    fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        let bases = (self.bases.shape().to_vec(), bytes(&mut self.bases.iter().copied()));
        let mut tensors = vec![(BASES, bases)];
        if let Some(Mixture { weights, means, variances }) = &self.mixture {
            tensors.push((WEIGHTS, (vec![weights.len()], bytes(&mut weights.iter().map(|&w| w as f32)))));
            for (part, values) in [(MEANS, means), (VARIANCES, variances)] {
                tensors.push((part, (values.shape().to_vec(), bytes(&mut values.iter().map(|&x| x as f32)))));
            }
        }
        tensors.into_iter().map(|(part, (shape, bytes))| (format!("{}.{part}", self.name), shape, bytes)).collect()
    }

    fn from_tensors(tensors: &SafeTensors, name: String, has_mixture: bool) -> std::result::Result<Self, String> {
        let mixture = || -> std::result::Result<Mixture, String> {
            let part =
                |part: &str| matrix(tensors, &format!("{name}.{part}"), "(C, K)").map(|part| part.mapv(f64::from));
            let weights = vector(tensors, &format!("{name}.{WEIGHTS}"))?.mapv(f64::from);
            Ok(Mixture { weights, means: part(MEANS)?, variances: part(VARIANCES)? })
        };
        let mixture = has_mixture.then(mixture).transpose()?;
        Ok(Self { bases: matrix(tensors, &format!("{name}.{BASES}"), "(F, K)")?, mixture, name })
    }
}

fn check_mixture(mixture: &Mixture, rank: usize) -> std::result::Result<(), String> {
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
pub(crate) fn check_name(name: &str) -> std::result::Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    if name.is_empty() || name.len() > 64 || name.trim() != name || !name.chars().all(fits) {
        return Err(format!("source name '{name}' does not fit in a file name; use letters, digits, - and _"));
    }
    Ok(())
}

/// The shape and the numbers of a tensor.
fn numbers<'a>(tensors: &SafeTensors<'a>, name: &str) -> std::result::Result<(TensorView<'a>, Vec<f32>), String> {
    let tensor = tensors.tensor(name).map_err(|_| format!("has no tensor '{name}'"))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("has a tensor '{name}' of type {:?}; it must be F32", tensor.dtype()));
    }
    let values = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Ok((tensor, values))
}

fn matrix(tensors: &SafeTensors, name: &str, axes: &str) -> std::result::Result<Array2<f32>, String> {
    let (tensor, values) = numbers(tensors, name)?;
    let &[rows, columns] = tensor.shape() else {
        return Err(format!("has a tensor '{name}' of shape {:?}; it must be {axes}", tensor.shape()));
    };
    Array2::from_shape_vec((rows, columns), values).map_err(|cause| format!("has a damaged tensor '{name}': {cause}"))
}

fn vector(tensors: &SafeTensors, name: &str) -> std::result::Result<Array1<f32>, String> {
    let (tensor, values) = numbers(tensors, name)?;
    match tensor.shape().len() {
        1 => Ok(values.into()),
        _ => Err(format!("has a tensor '{name}' of shape {:?}; it must be (C)", tensor.shape())),
    }
}

/// Sorts the keys of a safetensors header. The library writes them in the order of a hash map, which changes from run to
/// run; sorted, the same model is the same file. The header keeps its length: the same keys and values, in another order.
fn sort_header(bytes: &mut [u8]) {
    let Some((length, rest)) = bytes.split_first_chunk_mut::<8>() else { return };
    let length = u64::from_le_bytes(*length) as usize;
    let Some(header) = rest.get_mut(..length) else { return };
    if let Ok(Ok(sorted)) = serde_json::from_slice::<serde_json::Value>(header).map(|value| serde_json::to_vec(&value))
        && sorted.len() <= length
    {
        header.fill(b' ');
        header[..sorted.len()].copy_from_slice(&sorted);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ndarray::array;

    use super::*;
    use crate::spectrogram::Shape;

    /// A model of two sources, 3 bins.
    pub(crate) fn small() -> Model {
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
            normalize: Some(Norm::L1),
            training: Training {
                seed: 3,
                engine: "reference".into(),
                version: "0".into(),
                sources: vec![summary("voice", 2), summary("piano", 1)],
            },
        }
    }

    #[test]
    fn a_model_comes_back_the_same_and_its_bytes_do_not_change() {
        let model = small();
        let bytes = model.to_bytes().unwrap();
        assert_eq!(Model::from_bytes(Path::new("a model"), &bytes).unwrap(), model);
        for _ in 0..8 {
            assert_eq!(model.to_bytes().unwrap(), bytes);
        }
        let (bases, ranges) = model.bases();
        assert_eq!((bases.dim(), ranges), ((3, 3), vec![0..2, 2..3]));
        assert_eq!(bases.row(0).to_vec(), [1.0, 0.5, 0.5]);
    }

    /// The same with mixtures of two components.
    fn with_mixtures() -> Model {
        let mut model = small();
        for source in &mut model.sources {
            let rank = source.bases.ncols();
            let at = |(c, k): (usize, usize)| -0.5 - c as f64 - 0.25 * k as f64;
            let means = Array2::from_shape_fn((2, rank), at);
            let mixture = Mixture { weights: array![0.25, 0.75], variances: means.mapv(|mean| -mean), means };
            source.mixture = Some(mixture);
        }
        model
    }

    #[test]
    fn mixtures_come_back_the_same_and_are_checked() {
        let model = with_mixtures();
        let bytes = model.to_bytes().unwrap();
        assert_eq!(Model::parse(&bytes).unwrap(), model);
        assert_eq!((model.method(), small().method()), ("gain-prior", "nmf"));
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
        // A method and tensors that do not fit each other.
        let patch = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            Model::parse(&[&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()).unwrap_err()
        };
        assert!(patch("piano.gmm.means", "piano.gmm.meams").contains("no tensor 'piano.gmm.means'"));
        assert!(patch("\"gain-prior\"", "\"nmf\"       ").contains("8 tensors for 2 sources"));
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

    /// The bytes of the small model with one piece of its header replaced by another of the same length.
    fn patched(from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let bytes = small().to_bytes().unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_fault() {
        let refused = |bytes: &[u8], reason: &str| {
            let error = Model::from_bytes(Path::new("a model"), bytes).unwrap_err().to_string();
            assert!(error.starts_with("a model: ") && error.contains(reason) && error.lines().count() == 1, "{error}");
        };
        let bytes = small().to_bytes().unwrap();
        refused(b"", "is not a safetensors file");
        refused(b"RIFF\0\0\0\0WAVEfmt ", "is not a safetensors file");
        refused(&bytes[..bytes.len() - 1], "is not a safetensors file");
        refused(&patched("partwise/1", "partwise/9"), "has format 'partwise/9'");
        refused(&patched("\"nmf\"", "\"vbn\""), "has method 'vbn'");
        refused(&patched("linear", "mel:80"), "has bands 'mel:80'");
        refused(&patched("beta:0.5", "beta:9.5"), "β must be between");
        refused(&patched("\"16000\"", "\"16x00\""), "sample rate");
        refused(&patched("spectrum", "spectral"), "has no 'spectrum'");
        refused(&patched("piano.bases", "organ.bases"), "has no tensor 'piano.bases'");
        refused(&patched("\"F32\"", "\"I32\""), "of type I32");
        refused(&patched("sqrt-hann", "sqrt-hanx"), "has a damaged 'stft'");
        let mut nan = bytes.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        refused(&nan, "has NaN in the bases");
    }

    #[test]
    fn a_missing_file_is_an_io_error_that_names_it() {
        let error = Model::load(Path::new("no/such/model.safetensors")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().starts_with("no/such/model.safetensors"));
    }
}
