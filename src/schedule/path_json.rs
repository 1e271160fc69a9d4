//! Paths in JSON. A Unicode path is a string; any other has the system's own form, such as `{"Unix": [97, 255]}`. So
//! every path can be stored, and different paths stay different.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    System(OsString),
}

impl From<&Path> for Form {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(|| Self::System(path.into()), |text| Self::Text(text.into()))
    }
}

impl From<Form> for PathBuf {
    fn from(form: Form) -> Self {
        match form {
            Form::Text(text) => text.into(),
            Form::System(path) => path.into(),
        }
    }
}

pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    Form::from(path).serialize(to)
}

pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<PathBuf, D::Error> {
    Form::deserialize(from).map(PathBuf::from)
}

/// The same for a list of paths.
pub(super) mod list {
    use super::*;

    pub(in crate::schedule) fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| Form::from(path.as_path())))
    }

    pub(in crate::schedule) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Form>::deserialize(from)?.into_iter().map(PathBuf::from).collect())
    }
}
