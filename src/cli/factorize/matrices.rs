//! Data and factors: read, held within what the engines and the files can hold, and scaled for them.

use std::path::Path;

use anyhow::{anyhow, bail};
use ndarray::{Array, Array2, ArrayD, Dimension, IntoDimension};
use partwise::arrays;
use partwise::methods::nmf;

/// The divisor that brings data near 1, see [`nmf::level`].
pub(super) fn level(v: &Array2<f64>) -> f64 {
    let largest = v.iter().copied().fold(0.0, f64::max);
    let scale = nmf::level(largest);
    if scale != 1.0 {
        log::info!("the largest entry is {largest:.1e}; dividing the data by {scale:.1e} for the computation");
    }
    scale
}

/// Checks that factors of data at this level fit in f32. With normalized bases, the gains take the whole level;
/// otherwise both factors share it.
pub(super) fn check_level(path: &Path, v: &Array2<f64>, scaled: bool) -> anyhow::Result<()> {
    let largest = v.iter().copied().fold(0.0, f64::max);
    // Divide before summing: the sum of the largest numbers is infinite.
    let mean: f64 = v.iter().map(|x| x / v.len() as f64).sum();
    let of_factor = |level: f64| if scaled { level } else { level.sqrt() };
    if largest == 0.0 || [largest, mean].iter().all(|&level| (LEAST..=MOST).contains(&of_factor(level))) {
        return Ok(());
    }
    let (least, most) = if scaled { (LEAST, MOST) } else { (LEAST * LEAST, MOST * MOST) };
    bail!(
        "{}: its largest entry is {largest:.1e}, but W and H are written as f32, which fits data from {least:.0e} to \
         {most:.0e}; scale the data",
        path.display()
    )
}

/// Checks that a factor in f32 is more than zeros and infinities.
pub(super) fn check_written<D: Dimension>(path: &Path, name: &str, factor: &Array<f64, D>) -> anyhow::Result<()> {
    let largest = factor.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&largest) {
        return Ok(());
    }
    bail!("{}: {name} would reach {largest:.1e}, which is out of the range of f32; scale the data", path.display())
}

/// The level limits of factors. They leave room in f32 for smaller and larger entries.
const LEAST: f64 = 1e-34;
const MOST: f64 = 1e36;

pub(super) fn read_matrix(path: &Path) -> anyhow::Result<Array2<f64>> {
    let matrix: Array2<f64> = of_axes(arrays::read(path)?, &path.display().to_string(), "a matrix")?;
    if matrix.is_empty() {
        bail!("{}: is {} x {}, so there is nothing to factorize", path.display(), matrix.nrows(), matrix.ncols());
    }
    check(&matrix, &path.display().to_string(), ["row", "column"])?;
    Ok(matrix)
}

/// Converts an array to D axes. `wanted` names the expected array in the error.
fn of_axes<D: Dimension>(array: ArrayD<f64>, what: &str, wanted: &str) -> anyhow::Result<Array<f64, D>> {
    let axes = |count: usize| if count == 1 { "1 axis".to_string() } else { format!("{count} axes") };
    let (got, want) = (axes(array.ndim()), D::NDIM.map(|count| count.to_string()).unwrap_or_default());
    array.into_dimensionality().map_err(|_| anyhow!("{what}: has {got}; {wanted} has {want}"))
}

/// Reads W and H from an .npz file; one may be missing. `axes` are the names of the axes of each, for errors.
pub(super) fn read_factors<D: Dimension, const A: usize>(
    path: &Path,
    axes: [[&str; A]; 2],
) -> anyhow::Result<[Option<Array<f64, D>>; 2]> {
    let mut archive = arrays::Archive::open(path)?;
    let mut read = |name: &str, axes| {
        if !archive.names().iter().any(|known| known == name) {
            return Ok(None);
        }
        let what = format!("{}: {name}", path.display());
        let factor = of_axes(archive.read(name)?, &what, "this factor")?;
        check(&factor, &what, axes)?;
        anyhow::Ok(Some(factor))
    };
    let [of_w, of_h] = axes;
    match [read("W", of_w)?, read("H", of_h)?] {
        [None, None] => bail!("{}: has neither W nor H", path.display()),
        factors => Ok(factors),
    }
}

/// Checks that an array is finite and nonnegative. `axes` are the names of its axes, for errors.
fn check<D: Dimension, const A: usize>(array: &Array<f64, D>, what: &str, axes: [&str; A]) -> anyhow::Result<()> {
    let wrong = ndarray::indices_of(array).into_iter().zip(array).find(|(_, x)| !(x.is_finite() && **x >= 0.0));
    let Some((place, x)) = wrong else { return Ok(()) };
    let place = place.into_dimension();
    let place: Vec<String> = axes.iter().zip(place.slice()).map(|(axis, at)| format!("{axis} {at}")).collect();
    bail!("{what}: has {x} at {}; all entries must be finite and nonnegative", place.join(", "))
}
