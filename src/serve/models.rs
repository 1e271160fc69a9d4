//! The models of a service: the files of a folder, each under its name without `.safetensors`.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::Model;
use crate::schedule;
use crate::{Error, Result};

const EXTENSION: &str = "safetensors";
/// The longest name of a model.
const LONGEST: usize = 100;

/// A model that jobs can separate with.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ModelInfo {
    /// What jobs call it.
    pub name: String,
    /// The sources that it separates, in order.
    pub sources: Vec<String>,
    /// The method that it was trained with.
    #[schema(example = "nmf")]
    pub method: String,
    /// What its fit was measured by.
    #[schema(example = "kl")]
    pub divergence: String,
    /// Hz.
    pub sample_rate: u32,
    /// The size of its file.
    pub bytes: u64,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// Why the file cannot be used; then it has no sources.
    pub error: Option<String>,
}

/// A model and how it was learned.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ModelDetail {
    /// The model.
    #[serde(flatten)]
    pub model: ModelInfo,
    /// How the training went, source by source.
    #[schema(value_type = Object)]
    pub training: Value,
    /// The description of the training, if the file has one.
    #[schema(value_type = Option<Object>)]
    pub options: Value,
}

/// The folder of models. What is known of a file holds as long as its size and time do.
pub(super) struct Models {
    folder: PathBuf,
    known: Mutex<HashMap<String, (Stand, ModelDetail)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stand(u64, Option<SystemTime>);

impl Stand {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.len(), metadata.modified().ok())
    }
}

impl Models {
    /// The models of a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be made or read.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        std::fs::read_dir(folder).map_err(Error::io(folder, "read"))?;
        Ok(Self { folder: folder.into(), known: Mutex::default() })
    }

    /// Where a model of this name lies, or is to lie.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{EXTENSION}"))
    }

    /// Whether a model may have this name.
    pub(super) fn is_name(name: &str) -> bool {
        let fits = |c: char| c.is_alphanumeric() || "._- ".contains(c);
        !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits) && !name.starts_with(['.', ' ', '-'])
    }

    /// All models, by name.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read.
    pub(super) fn list(&self) -> Result<Vec<ModelInfo>> {
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io(&self.folder, "read"))?;
        let paths = entries.flatten().map(|entry| entry.path());
        let name = |path: PathBuf| {
            let is_model = path.extension().is_some_and(|extension| extension == EXTENSION);
            Some(path.file_stem()?.to_str()?.to_owned()).filter(|name| is_model && Self::is_name(name))
        };
        let mut names: Vec<String> = paths.filter_map(name).collect();
        names.sort();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(name));
        Ok(names.iter().filter_map(|name| self.get(name)).map(|detail| detail.model).collect())
    }

    /// A model; `None` if there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<ModelDetail> {
        if !Self::is_name(name) {
            return None;
        }
        let path = self.path(name);
        let stand = Stand::of(&std::fs::metadata(&path).ok().filter(Metadata::is_file)?);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, detail)) = known().get(name)
            && *of == stand
        {
            return Some(detail.clone());
        }
        let detail = read(name, &path, stand.0);
        known().insert(name.to_owned(), (stand, detail.clone()));
        Some(detail)
    }

    /// Loads a model, as it was when it had this hash.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Model`] if it cannot be read, or is another one now.
    pub(super) fn load(&self, name: &str, sha256: &str) -> Result<Model> {
        let path = self.path(name);
        let changed =
            || Error::input(format!("model '{name}' was replaced after the job was accepted; submit it again"));
        if schedule::hash(&path)? != sha256 {
            return Err(changed());
        }
        let model = Model::load(&path)?;
        // Between the two readings, another file may have come.
        if schedule::hash(&path)? == sha256 { Ok(model) } else { Err(changed()) }
    }
}

fn read(name: &str, path: &Path, bytes: u64) -> ModelDetail {
    let model = ModelInfo {
        name: name.into(),
        sources: Vec::new(),
        method: String::new(),
        divergence: String::new(),
        sample_rate: 0,
        bytes,
        sha256: String::new(),
        error: None,
    };
    let of_file = schedule::hash(path).and_then(|sha256| Ok((sha256, Model::load(path)?)));
    match of_file {
        Ok((sha256, loaded)) => {
            let model = ModelInfo {
                sources: loaded.names().into_iter().map(str::to_owned).collect(),
                method: loaded.parts.method().into(),
                divergence: loaded.divergence.to_string(),
                sample_rate: loaded.sample_rate,
                sha256,
                ..model
            };
            let (training, options) = (serde_json::to_value(&loaded.training), serde_json::to_value(&loaded.options));
            ModelDetail { model, training: training.unwrap_or_default(), options: options.unwrap_or_default() }
        }
        Err(error) => {
            let path = format!("{}: ", path.display());
            let text = error.to_string();
            let error = Some(text.strip_prefix(&path).unwrap_or(&text).to_owned());
            ModelDetail { model: ModelInfo { error, ..model }, training: Value::Null, options: Value::Null }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        for name in ["speech", "speech-piano.v2", "Sprache und Klavier", "ä"] {
            assert!(Models::is_name(name), "{name}");
        }
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-rf", "a\0", "a\n", &"x".repeat(101)] {
            assert!(!Models::is_name(name), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_no_model_is_listed_with_its_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.safetensors"), b"no model").unwrap();
        std::fs::write(folder.path().join("readme.txt"), b"text").unwrap();
        std::fs::create_dir(folder.path().join("folder.safetensors")).unwrap();
        let models = Models::open(folder.path()).unwrap();
        let listed = models.list().unwrap();
        assert_eq!(listed.len(), 1);
        let error = listed[0].error.as_deref().unwrap();
        assert!(listed[0].name == "broken" && !error.contains("broken.safetensors"), "{error}");
        assert!(models.get("absent").is_none() && models.get("../broken").is_none());
    }
}
