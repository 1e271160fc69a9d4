//! An .npz: arrays by their names.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use ndarray::ArrayD;
use zip::ZipArchive;

use super::read_from;
use crate::{Error, Result};

/// What a byte of compressed data can become at most.
const DEFLATED: u64 = 1032;

/// An open .npz.
pub struct Archive<R> {
    /// What errors call it.
    name: String,
    zip: ZipArchive<R>,
    /// Of its arrays, in their order.
    names: Vec<String>,
}

impl Archive<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened, [`Error::Input`] where it is no .npz.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        Self::over(&path.display().to_string(), BufReader::new(file))
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Reads from anything, which errors call `name`.
    ///
    /// # Errors
    /// [`Error::Input`] where it is no .npz.
    pub fn over(name: &str, from: R) -> Result<Self> {
        let wrong = || Error::input(format!("{name}: is no .npz file, or a damaged one"));
        let mut zip = ZipArchive::new(from).map_err(|_| wrong())?;
        let mut names = Vec::with_capacity(zip.len());
        for place in 0..zip.len() {
            let entry = zip.by_index_raw(place).map_err(|_| wrong())?;
            names.push(entry.name().strip_suffix(".npy").unwrap_or(entry.name()).escape_debug().to_string());
        }
        Ok(Self { name: name.into(), zip, names })
    }

    /// The names of its arrays.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The array of a name.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none, or as [`super::read`].
    pub fn read(&mut self, array: &str) -> Result<ArrayD<f64>> {
        let name = format!("{}: {array}", self.name);
        let Some(place) = self.names.iter().position(|known| known == array) else {
            return Err(Error::input(format!("{}: holds no {array}", self.name)));
        };
        let entry =
            self.zip.by_index(place).map_err(|cause| Error::input(format!("{name} cannot be read: {cause}")))?;
        let (size, packed) = (entry.size(), entry.compressed_size());
        if size > packed.saturating_mul(DEFLATED) {
            return Err(Error::input(format!("{name} is said to be {size} bytes in {packed}; copy it again")));
        }
        read_from(&name, entry, size)
    }
}
