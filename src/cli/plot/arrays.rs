//! `partwise plot` of factors in an .npz.

use std::path::Path;

use anyhow::bail;
use ndarray::{Array2, Array3, ArrayD, Axis as Direction, Ix2, Ix3};
use partwise::arrays::Archive;
use partwise::report::Axis;
use partwise::report::pictures::{self, Matrix, Rows, by_centroid};

use super::super::pictures::{Drawn, What, of_explained};
use super::super::shown;
use super::found;

/// Their levels are those of magnitudes.
const EXPONENT: f64 = 2.0;

/// The bases W, the gains H and the objective, those of them that there are.
pub(super) fn drawn(path: &Path) -> anyhow::Result<Vec<Drawn>> {
    let mut archive = Archive::open(path)?;
    if found::is_found(&archive) {
        let found = found::read(&mut archive).map_err(|cause| anyhow::anyhow!("{}: {cause:#}", shown(path)))?;
        return Ok(of_explained(&found, EXPONENT)?);
    }
    let mut read = |name: &str| -> anyhow::Result<Option<ArrayD<f64>>> {
        if !archive.names().iter().any(|known| known == name) {
            return Ok(None);
        }
        let array = archive.read(name)?;
        if array.is_empty() {
            bail!("{}: {name} is empty", shown(path));
        }
        Ok(Some(array))
    };
    let (bases, gains, objective) = (read("W")?, read("H")?, read("objective")?);
    let mut drawn = Vec::new();
    let mut order = None;
    let unfit = |name: &str, axes: usize| anyhow::anyhow!("{}: {name} has {axes} axes, not 2 or 3", shown(path));
    let whole = |array: ArrayD<f64>| array.mapv(|value| value as f32);
    if let Some(bases) = bases {
        let axes = bases.ndim();
        let picture = match axes {
            2 => {
                let bases: Array2<f32> = whole(bases).into_dimensionality::<Ix2>()?;
                order = Some(by_centroid(bases.view()));
                let rows = Rows::numbered("row", bases.nrows());
                let parts = [Matrix { title: "W".into(), values: bases }];
                pictures::bases("Bases", "", &parts, &rows, EXPONENT)?
            }
            3 => {
                let bases: Array3<f32> = whole(bases).into_dimensionality::<Ix3>()?;
                let rows = Rows::numbered("row", bases.len_of(Direction(1)));
                pictures::patterns("Patterns", bases.view(), &rows)?
            }
            _ => return Err(unfit("W", axes)),
        };
        drawn.push(Drawn::new(What::Bases, picture));
    }
    if let Some(gains) = gains {
        let (axes, gains) = (gains.ndim(), whole(gains));
        let (gains, note) = match axes {
            2 => {
                let gains = gains.into_dimensionality::<Ix2>()?;
                match order.filter(|order| order.len() == gains.nrows()) {
                    Some(order) => (
                        gains.select(Direction(0), &order),
                        "The components are in the order of the bases, from low to high.",
                    ),
                    None => (gains, "The components are in the order of the file."),
                }
            }
            3 => (
                side_by_side(gains.into_dimensionality::<Ix3>()?),
                "Each component takes one row for every place to which it moves.",
            ),
            _ => return Err(unfit("H", axes)),
        };
        let time = Axis::count("column", gains.ncols());
        let parts = [Matrix { title: "H".into(), values: gains }];
        drawn.push(Drawn::new(What::Gains, pictures::gains("Gains", note, &parts, &time, EXPONENT)?));
    }
    if let Some(values) = objective {
        let values: Vec<f64> = values.into_iter().collect();
        let note = "Before the first iteration, and then at every --trace-every iterations.";
        drawn.push(Drawn::new(What::Objective, pictures::objective("Objective", note, &values)?));
    }
    if drawn.is_empty() {
        bail!(
            "{}: has none of W, H and objective, as `partwise factorize` writes them, nor what `separate --gains` writes",
            shown(path)
        );
    }
    Ok(drawn)
}

/// Gains (P, K, N) as rows (KP, N): the places of a component stand side by side.
fn side_by_side(gains: Array3<f32>) -> Array2<f32> {
    let (places, components, columns) = gains.dim();
    let at = |(row, column): (usize, usize)| gains[(row % places, row / places, column)];
    Array2::from_shape_fn((places * components, columns), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_component_stand_side_by_side() {
        let gains = Array3::from_shape_fn((3, 2, 1), |(place, component, _)| (10 * component + place) as f32);
        assert_eq!(side_by_side(gains).column(0).to_vec(), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    }
}
