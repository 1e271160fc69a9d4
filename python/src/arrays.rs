//! numpy arrays ↔ what the library takes.

use numpy::ndarray::{Array, Array2, ArrayView2, CowArray, Dimension, Ix2};
use numpy::{Element, PyArray2, PyReadonlyArray2};
use partwise::engine::Real;
use partwise::methods::nmf;
use partwise::{Error, Recording, Result};
use pyo3::prelude::*;

/// Samples (C, N) in f32, as Python gives them.
pub(crate) type Samples<'py> = PyReadonlyArray2<'py, f32>;

/// A recording with these samples. It is checked where it is used.
pub(crate) fn recording(samples: &Samples, sample_rate: u32) -> Recording {
    let channels = samples.as_array().outer_iter().map(|channel| channel.to_vec()).collect();
    Recording { channels, sample_rate, warnings: Vec::new() }
}

/// The samples (C, N) of a recording.
pub(crate) fn samples<'py>(py: Python<'py>, recording: &Recording) -> PyResult<Bound<'py, PyArray2<f32>>> {
    Ok(PyArray2::from_vec2(py, &recording.channels)?)
}

/// A number that is not converted on the way.
pub(crate) trait Number: Real + Element {}

impl Number for f32 {}
impl Number for f64 {}

/// A matrix of such numbers.
#[derive(FromPyObject)]
pub(crate) enum Matrix<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
}

impl Matrix<'_> {
    /// A copy in f64: factors to start from are small.
    pub(crate) fn wide(&self) -> Array2<f64> {
        match self {
            Self::F32(matrix) => matrix.as_array().mapv(f64::from),
            Self::F64(matrix) => matrix.as_array().to_owned(),
        }
    }
}

/// Data X (N, F) that were checked.
pub(crate) struct Data<'a, T> {
    values: CowArray<'a, T, Ix2>,
    /// What they were divided by for the engines: 1 for data of an ordinary level, which are not copied.
    pub(crate) level: f64,
}

impl<'a, T: Number> Data<'a, T> {
    /// Checks that all entries are finite and not negative.
    ///
    /// # Errors
    /// [`Error::Input`] names the first entry that is not.
    pub(crate) fn of(given: ArrayView2<'a, T>) -> Result<Self> {
        // The order of a fold is that of the memory.
        let (largest, sound) = given.fold((0.0f64, true), |(largest, sound), x| {
            let x = x.to_f64();
            (largest.max(x), sound & is_sound(x))
        });
        if !sound {
            return Err(unsound(given));
        }
        let level = nmf::level(largest);
        let divided = || given.mapv(|x| T::from_f64(x.to_f64() / level)).into();
        Ok(Self { values: if level == 1.0 { given.into() } else { divided() }, level })
    }

    /// The data as engines take them, V = Xᵀ (F, N).
    pub(crate) fn view(&self) -> ArrayView2<'_, T> {
        self.values.t()
    }

    /// Gains of the divided data as those of the given ones.
    pub(crate) fn raised<D: Dimension>(&self, gains: Array<T, D>) -> Array<T, D> {
        if self.level == 1.0 { gains } else { gains.mapv_into(|gain| T::from_f64(gain.to_f64() * self.level)) }
    }
}

fn is_sound(x: f64) -> bool {
    (0.0..f64::INFINITY).contains(&x)
}

/// The error that names the first entry which is negative or not finite.
fn unsound<T: Number>(data: ArrayView2<T>) -> Error {
    let first = data.indexed_iter().map(|(place, x)| (place, x.to_f64())).find(|&(_, x)| !is_sound(x));
    let ((row, column), x) = first.unwrap_or_default();
    let wrong = if x < 0.0 { "Negative values in data" } else { "Values in data that are not finite" };
    Error::input(format!(
        "{wrong}: X has {x} in row {row}, column {column}; all entries must be finite and not negative"
    ))
}

/// Checks that a factor stayed within the range of its type.
///
/// # Errors
/// [`Error::Input`] where it did not.
pub(crate) fn check_factor<T: Number, D: Dimension>(name: &str, factor: &Array<T, D>) -> Result<()> {
    if factor.iter().all(|x| x.to_f64().is_finite()) {
        return Ok(());
    }
    Err(Error::input(format!("{name} would have entries out of the range of its type; scale the data")))
}
