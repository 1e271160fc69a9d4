//! Reads .npz files: arrays by name.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use ndarray::ArrayD;
use zip::ZipArchive;
use zip::read::ZipFile;

use super::npy::{read_from, read_texts_from};
use crate::{Error, Result};

/// The largest expansion of one byte of deflated data.
const DEFLATED: u64 = 1032;

/// An open .npz.
pub struct Archive<R> {
    /// Its name in error messages.
    name: String,
    zip: ZipArchive<R>,
    /// The names of its arrays, in file order.
    names: Vec<String>,
}

impl Archive<BufReader<File>> {
    /// Opens an .npz file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened, [`Error::Input`] if it is not an .npz.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        Self::over(&path.display().to_string(), BufReader::new(file))
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Opens any seekable source. Error messages use `name`.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not an .npz.
    pub fn over(name: &str, from: R) -> Result<Self> {
        let wrong = || Error::input(format!("{name}: is not an .npz file, or is damaged"));
        let mut zip = ZipArchive::new(from).map_err(|_| wrong())?;
        let mut names = Vec::with_capacity(zip.len());
        for place in 0..zip.len() {
            let entry = zip.by_index_raw(place).map_err(|_| wrong())?;
            names.push(entry.name().strip_suffix(".npy").unwrap_or(entry.name()).escape_debug().to_string());
        }
        Ok(Self { name: name.into(), zip, names })
    }

    /// The names of the arrays.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the array `array`.
    ///
    /// # Errors
    /// [`Error::Input`] if the archive has no such array, or for the reasons of [`super::read`].
    pub fn read(&mut self, array: &str) -> Result<ArrayD<f64>> {
        self.entry(array, |name, entry, size| read_from(name, entry, size))
    }

    /// Reads the texts of the array `array`, in order.
    ///
    /// # Errors
    /// As [`Archive::read`]; [`Error::Input`] for an array of anything but texts.
    pub fn texts(&mut self, array: &str) -> Result<Vec<String>> {
        self.entry(array, |name, entry, size| read_texts_from(name, entry, size))
    }

    /// Opens the array `array`, and has it read under its name in error messages.
    fn entry<T>(&mut self, array: &str, read: impl FnOnce(&str, ZipFile<R>, u64) -> Result<T>) -> Result<T> {
        let name = format!("{}: {array}", self.name);
        let Some(place) = self.names.iter().position(|known| known == array) else {
            return Err(Error::input(format!("{}: has no array {array}", self.name)));
        };
        let entry =
            self.zip.by_index(place).map_err(|cause| Error::input(format!("{name} cannot be read: {cause}")))?;
        let (size, packed) = (entry.size(), entry.compressed_size());
        if size > packed.saturating_mul(DEFLATED) {
            return Err(Error::input(format!("{name} claims to expand from {packed} bytes to {size}; copy it again")));
        }
        read(&name, entry, size)
    }
}
