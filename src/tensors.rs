//! Named arrays of f32 with a block of texts beside them, as safetensors files hold them.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array1, Array2};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// An array to be written, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

impl Tensor {
    /// From an array of any number of axes.
    pub fn new<D: ndarray::Dimension>(name: String, values: &ndarray::Array<f32, D>) -> Self {
        Self { name, shape: values.shape().to_vec(), values: values.iter().copied().collect() }
    }
}

/// The bytes of a file. The same tensors and texts give the same bytes.
///
/// # Errors
/// [`Error::Input`] where two tensors have one name.
pub(crate) fn to_bytes(texts: HashMap<String, String>, tensors: &[Tensor]) -> Result<Vec<u8>> {
    let unwritable =
        |cause: safetensors::SafeTensorError| Error::input(format!("the model cannot be written: {cause}"));
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|(tensor, bytes)| Ok((&tensor.name, TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(unwritable)?;
    let mut bytes = safetensors::serialize(views, Some(texts)).map_err(unwritable)?;
    sort_header(&mut bytes);
    Ok(bytes)
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

/// A file that was read. Errors are reasons alone, to stand behind the file's name: "has no tensor 'voice.bases'".
pub struct Tensors<'a> {
    tensors: SafeTensors<'a>,
    texts: HashMap<String, String>,
    read: Cell<usize>,
}

impl<'a> Tensors<'a> {
    /// From the bytes of a file.
    ///
    /// # Errors
    /// The reason where they are no safetensors file, or have no texts.
    pub fn read(bytes: &'a [u8]) -> std::result::Result<Self, String> {
        let not_one = |cause| format!("is not a safetensors file ({cause}); models are made by `partwise train`");
        let tensors = SafeTensors::deserialize(bytes).map_err(not_one)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_one)?;
        let texts = header.metadata().clone().ok_or("has no metadata: it is no partwise model")?;
        Ok(Self { tensors, texts, read: Cell::new(0) })
    }

    /// How many tensors there are.
    pub fn count(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are tensors that nobody has read, if each is read once.
    pub fn has_more(&self) -> bool {
        self.read.get() < self.count()
    }

    /// A text, if it is there.
    pub fn given(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// The reason where it is not.
    pub fn text(&self, key: &str) -> std::result::Result<&str, String> {
        self.given(key).ok_or_else(|| format!("has no '{key}' in its metadata"))
    }

    /// A value from a text of JSON, if it is there.
    ///
    /// # Errors
    /// The reason where it is not of this kind.
    pub fn given_json<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<Option<T>, String> {
        let read = |text| serde_json::from_str(text).map_err(|cause| format!("has a damaged '{key}': {cause}"));
        self.given(key).map(read).transpose()
    }

    /// A value from a text of JSON that must be there.
    ///
    /// # Errors
    /// The reason where it is not there, or not of this kind.
    pub fn json<T: DeserializeOwned>(&self, key: &str) -> std::result::Result<T, String> {
        self.text(key)?;
        self.given_json(key)?.ok_or_else(|| format!("has no '{key}' in its metadata"))
    }

    /// A tensor of two axes; `axes` is what they are called: "(F, K)".
    ///
    /// # Errors
    /// The reason where it is not there, or of another type or shape.
    pub fn matrix(&self, name: &str, axes: &str) -> std::result::Result<Array2<f32>, String> {
        let (shape, values) = self.numbers(name)?;
        let [rows, columns] = shape[..] else {
            return Err(format!("has a tensor '{name}' of shape {shape:?}; it must be {axes}"));
        };
        Array2::from_shape_vec((rows, columns), values)
            .map_err(|cause| format!("has a damaged tensor '{name}': {cause}"))
    }

    /// A tensor of one axis; `axis` is what it is called: "(C)".
    ///
    /// # Errors
    /// The reason where it is not there, or of another type or shape.
    pub fn vector(&self, name: &str, axis: &str) -> std::result::Result<Array1<f32>, String> {
        let (shape, values) = self.numbers(name)?;
        match shape.len() {
            1 => Ok(values.into()),
            _ => Err(format!("has a tensor '{name}' of shape {shape:?}; it must be {axis}")),
        }
    }

    /// The shape and the numbers of a tensor.
    fn numbers(&self, name: &str) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
        let tensor = self.tensors.tensor(name).map_err(|_| format!("has no tensor '{name}'"))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("has a tensor '{name}' of type {:?}; it must be F32", tensor.dtype()));
        }
        self.read.set(self.read.get() + 1);
        let values = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Ok((tensor.shape().to_vec(), values))
    }
}

/// Reads the bytes of a file of at most `most` bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Model`] for a file that is longer.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(Error::io(path, "read"))?.len();
    if size > most {
        return Err(Error::model(path, format!("is {size} bytes long; no model is longer than {most}")));
    }
    std::fs::read(path).map_err(Error::io(path, "read"))
}
