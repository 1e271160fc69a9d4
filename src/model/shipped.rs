//! The models that come with the program.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use crate::tensors::read_file;
use crate::{Error, Result};

/// A model that comes with the program.
pub struct Shipped {
    /// What it is called: `--model speech+noise`.
    pub name: &'static str,
    /// Its file.
    pub bytes: &'static [u8],
    /// What it was learned from, under which licences, and how well it separates. Markdown.
    pub card: &'static str,
}

macro_rules! shipped {
    ($($name:literal),*) => {
        [$(Shipped {
            name: $name,
            bytes: include_bytes!(concat!("../../models/", $name, ".safetensors")),
            card: include_str!(concat!("../../models/", $name, ".md")),
        }),*]
    };
}

/// All of them. `models/make` in the repository makes them.
pub const SHIPPED: [Shipped; 4] = shipped!["speech+noise", "speech+piano", "speech", "piano"];

/// The bytes of a model's file, or where there is no such file, of the model of this name that comes with the program.
///
/// # Errors
/// [`Error::Io`]; [`Error::Model`] for a file that is longer than `most`, and for what is neither a file nor such a name.
pub(super) fn read(path: &Path, most: u64) -> Result<Cow<'static, [u8]>> {
    match read_file(path, most) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound && is_name(path) => {
            let known = SHIPPED.iter().find(|shipped| Path::new(shipped.name) == path);
            let names = SHIPPED.map(|shipped| shipped.name).join(", ");
            let unknown = || Error::model(path, format!("is no file, and no model that comes with partwise: {names}"));
            known.map(|shipped| Cow::Borrowed(shipped.bytes)).ok_or_else(unknown)
        }
        read => read.map(Cow::Owned),
    }
}

/// Whether this could be a name: no folder, and no file name's end.
fn is_name(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn every_model_that_comes_along_is_small_and_has_a_card() {
        let mut bytes = 0;
        for shipped in &SHIPPED {
            let model = Model::load(shipped.name.as_ref()).unwrap();
            assert_eq!(model.names().join("+"), shipped.name);
            for heading in ["## Learned from", "## Licences", "## Measured"] {
                assert!(shipped.card.contains(heading), "{}: {heading}", shipped.name);
            }
            bytes += shipped.bytes.len();
        }
        assert!(bytes <= 3_000_000, "{bytes}");
    }

    #[test]
    fn a_file_goes_before_a_name_and_an_unknown_name_is_told_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&folder.path().join("speech+noise"), 9).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        std::fs::write(folder.path().join("speech+noise"), "mine").unwrap();
        assert_eq!(*read(&folder.path().join("speech+noise"), 9).unwrap(), *b"mine");
        let error = read("speech+nose".as_ref(), 9).unwrap_err().to_string();
        assert!(error.contains("speech+nose") && error.contains("speech+noise, speech+piano"), "{error}");
        let error = read("speech.safetensors".as_ref(), 9).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
