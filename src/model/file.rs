//! A model's file: safetensors with a metadata block, as [`Model::to_bytes`] has it.

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array1, Array2};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{GAIN_PRIOR, Model, NMF, Source};
use crate::kernels::Mixture;
use crate::{Error, Result};

const FORMAT: &str = "partwise/1";
const BASES: &str = "bases";
const WEIGHTS: &str = "gmm.weights";
const MEANS: &str = "gmm.means";
const VARIANCES: &str = "gmm.variances";
/// The largest file read: a model of this size has a rank of a million.
const MAX_BYTES: u64 = 4 << 30;

impl Model {
    /// The bytes of a safetensors file. The same model gives the same bytes.
    ///
    /// Metadata, all text: `format` ("partwise/1"), `method`, `divergence`, `sample_rate`, `stft` (JSON: window, hop, fft,
    /// shape), `spectrum`, `bands`, `sources` (JSON: names in order), `normalize`, `training` (JSON). Tensors, f32, row-major:
    /// `NAME.bases` (F, K) for every source; by the method gain-prior also `NAME.gmm.weights` (C), `NAME.gmm.means` (C, K) and
    /// `NAME.gmm.variances` (C, K), and in the metadata `leakage` (JSON: a row of shares for every source).
    ///
    /// # Errors
    /// [`Error::Input`] for a model that could not be used: the same rules as on loading.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check().map_err(Error::Input)?;
        let unwritable = |cause: &dyn std::fmt::Display| Error::input(format!("the model cannot be written: {cause}"));
        let json = |value: serde_json::Result<String>| value.map_err(|cause| unwritable(&cause));
        let names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        let mut metadata = HashMap::from([
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
        if let Some(leakage) = &self.leakage {
            let rows: Vec<Vec<f64>> = leakage.outer_iter().map(|row| row.to_vec()).collect();
            metadata.insert("leakage".to_string(), json(serde_json::to_string(&rows))?);
        }
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
        let wrong = |key: &'static str| move |cause: serde_json::Error| format!("has a damaged '{key}': {cause}");
        let names: Vec<String> = serde_json::from_str(text("sources")?).map_err(wrong("sources"))?;
        let leakage: Option<Vec<Vec<f64>>> =
            metadata.get("leakage").map(|rows| serde_json::from_str(rows).map_err(wrong("leakage"))).transpose()?;
        let model = Self {
            divergence: text("divergence")?.parse().map_err(|cause: Error| cause.to_string())?,
            sample_rate: text("sample_rate")?.parse().map_err(|_| "has a sample rate that is no number")?,
            stft: serde_json::from_str(text("stft")?).map_err(wrong("stft"))?,
            spectrum: text("spectrum")?.parse().map_err(|cause: Error| cause.to_string())?,
            normalize: match text("normalize")? {
                "none" => None,
                norm => Some(norm.parse().map_err(|cause: Error| cause.to_string())?),
            },
            leakage: leakage.map(|rows| square(&rows)).transpose()?,
            training: serde_json::from_str(text("training")?).map_err(wrong("training"))?,
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

fn square(rows: &[Vec<f64>]) -> std::result::Result<Array2<f64>, String> {
    Array2::from_shape_vec((rows.len(), rows.len()), rows.concat())
        .map_err(|cause| format!("has a damaged 'leakage': {cause}"))
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
mod tests {
    use super::super::tests::{small, with_mixtures};
    use super::*;

    #[test]
    fn a_model_comes_back_the_same_and_its_bytes_do_not_change() {
        for model in [small(), with_mixtures()] {
            let bytes = model.to_bytes().unwrap();
            assert_eq!(Model::parse(&bytes).unwrap(), model);
            for _ in 0..8 {
                assert_eq!(model.to_bytes().unwrap(), bytes);
            }
        }
    }

    /// A model's file with one piece of its header replaced by another.
    fn patched(model: &Model, from: &str, to: &str) -> Vec<u8> {
        let bytes = model.to_bytes().unwrap();
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header = std::str::from_utf8(header).unwrap();
        assert!(header.contains(from), "{header}");
        let header = header.replacen(from, to, 1);
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn assert_refused(bytes: &[u8], reason: &str) {
        let error = Model::from_bytes(Path::new("a model"), bytes).unwrap_err().to_string();
        assert!(error.starts_with("a model: ") && error.contains(reason) && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_fault() {
        let bytes = small().to_bytes().unwrap();
        assert_refused(b"", "is not a safetensors file");
        assert_refused(b"RIFF\0\0\0\0WAVEfmt ", "is not a safetensors file");
        assert_refused(&bytes[..bytes.len() - 1], "is not a safetensors file");
        for (from, to, reason) in [
            ("partwise/1", "partwise/9", "has format 'partwise/9'"),
            ("\"nmf\"", "\"vbn\"", "has method 'vbn'"),
            ("linear", "mel:80", "has bands 'mel:80'"),
            ("beta:0.5", "beta:9.5", "β must be between"),
            ("\"16000\"", "\"16x00\"", "sample rate"),
            ("spectrum", "spectral", "has no 'spectrum'"),
            ("piano.bases", "organ.bases", "has no tensor 'piano.bases'"),
            ("\"F32\"", "\"I32\"", "of type I32"),
            ("sqrt-hann", "sqrt-hanx", "has a damaged 'stft'"),
        ] {
            assert_refused(&patched(&small(), from, to), reason);
        }
        let mut nan = bytes;
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_refused(&nan, "has NaN in the bases");
    }

    #[test]
    fn tensors_that_do_not_fit_the_method_are_refused() {
        for (from, to, reason) in [
            ("piano.gmm.means", "piano.gmm.meams", "has no tensor 'piano.gmm.means'"),
            ("\"gain-prior\"", "\"nmf\"", "holds 8 tensors for 2 sources"),
            ("[[0.9,0.2],[0.1,0.8]]", "[[0.9,0.2],[0.1]]", "has a damaged 'leakage'"),
            ("[[0.9,0.2],[0.1,0.8]]", "[[0.9]]", "not 2 x 2 shares"),
            ("[[0.9,0.2],[0.1,0.8]]", "half", "has a damaged 'leakage'"),
        ] {
            assert_refused(&patched(&with_mixtures(), from, to), reason);
        }
    }

    #[test]
    fn a_tensor_of_other_axes_is_refused() {
        for (from, to, reason) in [
            ("[2]", "[2,1]", "'piano.gmm.weights' of shape [2, 1]; it must be (C)"),
            ("[2]", "[1,2]", "'piano.gmm.weights' of shape [1, 2]; it must be (C)"),
            ("[2,1]", "[2]", "'piano.gmm.means' of shape [2]; it must be (C, K)"),
            ("[3,1]", "[3]", "'piano.bases' of shape [3]; it must be (F, K)"),
            ("[3,1]", "[3,1,1]", "'piano.bases' of shape [3, 1, 1]; it must be (F, K)"),
        ] {
            assert_refused(
                &patched(&with_mixtures(), &format!("\"shape\":{from}"), &format!("\"shape\":{to}")),
                reason,
            );
        }
    }

    #[test]
    fn a_missing_file_is_an_io_error_that_names_it() {
        let error = Model::load(Path::new("no/such/model.safetensors")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().starts_with("no/such/model.safetensors"));
    }
}
