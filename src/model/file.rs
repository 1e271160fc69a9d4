//! A model's file: safetensors with a metadata block, as [`Model::to_bytes`] has it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{Model, Parts, Source, shipped};
use crate::job::is_later;
use crate::tensors::{self, Tensor, Tensors};
use crate::{Error, Result};

/// The format of the files that are written, and the newest that is read.
const FORMAT: &str = "partwise/1";
const BASES: &str = "bases";
const PRE_EMPHASIS: &str = "pre_emphasis";
/// The largest file read: a model of this size has a rank of a million.
const MAX_BYTES: u64 = 4 << 30;

impl Model {
    /// The bytes of a safetensors file. The same model gives the same bytes.
    ///
    /// Metadata, all text: `format` ("partwise/1"), `method`, `divergence`, `sample_rate`, `stft` (JSON: window, hop, fft,
    /// shape), `spectrum`, `bands`, `pre_emphasis` (a number, if it is not 0), `sources` (JSON: names in order), `normalize`, `training` (JSON: a [`Summary`](super::Summary)),
    /// `options` (JSON: a [`Training`](crate::Training)). Tensors, f32, row-major: `NAME.bases` (F, K) for every source, and those
    /// of the method: see its `Learned`.
    ///
    /// # Errors
    /// [`Error::Input`] for a model that could not be used: the same rules as on loading.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check().map_err(Error::Input)?;
        let json = |value: serde_json::Result<String>| {
            value.map_err(|cause| Error::input(format!("the model cannot be written: {cause}")))
        };
        let names = self.names();
        let mut texts = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("method".to_string(), self.parts.method().to_string()),
            ("divergence".to_string(), self.divergence.to_string()),
            ("sample_rate".to_string(), self.sample_rate.to_string()),
            ("stft".to_string(), json(serde_json::to_string(&self.stft))?),
            ("spectrum".to_string(), self.spectrum.to_string()),
            ("bands".to_string(), self.bands.to_string()),
            ("sources".to_string(), json(serde_json::to_string(&names))?),
            ("normalize".to_string(), self.normalize.map_or("none".to_string(), |norm| norm.to_string())),
            ("training".to_string(), json(serde_json::to_string(&self.training))?),
        ]);
        if self.pre_emphasis != 0.0 {
            texts.insert(PRE_EMPHASIS.to_string(), self.pre_emphasis.to_string());
        }
        if let Some(options) = &self.options {
            texts.insert("options".to_string(), json(serde_json::to_string(options))?);
        }
        let bases = |source: &Source| Tensor::new(format!("{}.{BASES}", source.name), &source.bases);
        let mut all: Vec<Tensor> = self.sources.iter().map(bases).collect();
        let (of_method, more) =
            self.parts.write(&names).map_err(|cause| Error::input(format!("the model cannot be written: {cause}")))?;
        all.extend(of_method);
        texts.extend(more);
        tensors::to_bytes(texts, &all)
    }

    /// Writes the model's file under a hidden name and renames it, so that it is complete or absent.
    ///
    /// # Errors
    /// Those of [`to_bytes`](Self::to_bytes); [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let hidden =
            tempfile::Builder::new().prefix(".").suffix(".partial").make_in(folder, |path| File::create_new(path));
        let written = hidden.and_then(|mut file| {
            file.write_all(&bytes)?;
            file.persist(path).map(drop).map_err(|kept| kept.error)
        });
        written.map_err(Error::io(path, "write"))
    }

    /// Reads a model and checks everything in it. Where there is no such file, `path` may be the name of a model that comes with
    /// the program: one of [`SHIPPED`](super::SHIPPED).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] with what is wrong in the file.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(path, &Self::read(path)?)
    }

    /// The bytes of the model that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Model`] for a file that is too long, and for what is neither a file nor the name of a model.
    pub fn read(path: &Path) -> Result<Cow<'static, [u8]>> {
        shipped::read(path, MAX_BYTES)
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
        let file = Tensors::read(bytes)?;
        check_format(&file)?;
        let names: Vec<String> = file.json("sources")?;
        let source = |name: &String| {
            let bases = file.matrix(&format!("{name}.{BASES}"), "(F, K)")?;
            Ok(Source { name: name.clone(), bases })
        };
        let parts = Parts::read(file.text("method")?, &file, &names)?;
        // A learned cost has no name: it is among the parts.
        let divergence = parts.divergence().unwrap_or_else(|| file.text("divergence").map_err(Error::Input)?.parse());
        let model = Self {
            divergence: divergence.map_err(|cause| cause.to_string())?,
            sample_rate: file.text("sample_rate")?.parse().map_err(|_| "has a sample rate that is no number")?,
            stft: file.json("stft")?,
            spectrum: file.text("spectrum")?.parse().map_err(|cause: Error| cause.to_string())?,
            bands: file.text("bands")?.parse().map_err(|cause: Error| cause.to_string())?,
            pre_emphasis: file.given_json(PRE_EMPHASIS)?.unwrap_or_default(),
            normalize: match file.text("normalize")? {
                "none" => None,
                norm => Some(norm.parse().map_err(|cause: Error| cause.to_string())?),
            },
            training: file.json("training")?,
            options: file.given_json("options").map_err(|fault| of_later_version(&file).unwrap_or(fault))?,
            sources: names.iter().map(source).collect::<std::result::Result<_, String>>()?,
            parts,
        };
        model.check()?;
        if file.has_more() {
            return Err(format!("holds {} tensors for {} sources", file.count(), model.sources.len()));
        }
        Ok(model)
    }
}

/// The reason for a part that cannot be read, if a later version wrote the file.
fn of_later_version(file: &Tensors) -> Option<String> {
    let version = writer(file).filter(|version| is_later(version))?;
    Some(format!("was written by partwise {version}; use that version or a later one"))
}

/// The version that wrote a file.
fn writer(file: &Tensors) -> Option<String> {
    let training = file.given_json::<serde_json::Value>("training").ok().flatten()?;
    Some(training.get("version")?.as_str()?.to_string())
}

/// Checks that a file is of a format that is read. One of a later format was written by a later version, whose name it has.
fn check_format(file: &Tensors) -> std::result::Result<(), String> {
    let format = file.text("format")?;
    if format == FORMAT {
        return Ok(());
    }
    let needed = match (format.starts_with("partwise/"), writer(file)) {
        (true, Some(version)) => format!("; it takes partwise {version} or later"),
        (true, None) => "; it takes a later version of partwise".to_string(),
        (false, _) => String::new(),
    };
    Err(format!("has format '{format}'; partwise {} reads '{FORMAT}'{needed}", env!("CARGO_PKG_VERSION")))
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
            ("partwise/1", "partwise/9", "reads 'partwise/1'; it takes partwise 0 or later"),
            ("partwise/1", "sound/1", "has format 'sound/1'; partwise "),
            ("\"nmf\"", "\"vbn\"", "has method 'vbn'"),
            ("linear", "mel:80", "bands 'mel:80' are unknown"),
            ("beta:0.5", "beta:9.5", "β must be between"),
            ("\"16000\"", "\"16x00\"", "sample rate"),
            ("\"spectrum\":", "\"spectral\":", "has no 'spectrum'"),
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
    fn a_saved_model_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.safetensors");
        std::fs::write(&path, "an older one").unwrap();
        small().save(&path).unwrap();
        assert_eq!(Model::load(&path).unwrap(), small());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = small().save(&folder.path().join("no/such.safetensors")).unwrap_err();
        assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
    }

    #[test]
    fn a_missing_file_is_an_io_error_that_names_it() {
        let error = Model::load(Path::new("no/such/model.safetensors")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().starts_with("no/such/model.safetensors"));
    }
}
