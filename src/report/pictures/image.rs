//! Matrices as images one above the other.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis as Direction};

use super::super::grid::{Drawing, Strip, Tile, sketch};
use super::super::shapes::Sketch;
use super::super::{Axis, heatmap};
use crate::Result;

/// A matrix and what it is, for the title of its image.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// For example the name of a source.
    pub title: String,
    /// One row per frequency or component.
    pub values: Array2<f32>,
}

/// The width of images, and the most columns that they have.
pub(super) const WIDTH: usize = 600;

/// What images one above the other have in common: their height, and the range of the colours with their axis.
pub(super) struct Look {
    pub(super) height: f64,
    pub(super) range: Range<f32>,
    pub(super) scale: Axis,
    /// Whether pixels keep their edges.
    pub(super) sharp: bool,
}

impl Look {
    /// A share from 0 to 1.
    pub(super) fn share(name: &str, height: f64) -> Self {
        Self { height, range: 0.0..1.0, scale: Axis::new(name, 0.0..1.0), sharp: false }
    }

    /// Levels in dB down to `-range`.
    pub(super) fn decibels(name: &str, range: f32, height: f64) -> Self {
        Self { height, range: -range..0.0, scale: Axis::new(name, f64::from(-range)..0.0), sharp: false }
    }

    /// The images of matrices, each with its vertical axis, over one horizontal axis.
    pub(super) fn images(&self, parts: &[(String, Array2<f32>, Axis)], x: &Axis) -> Result<Sketch> {
        let rows: Vec<Strip> = parts.iter().map(|(.., y)| Strip { size: self.height, axis: y.clone() }).collect();
        let tile = |(row, (title, values, _)): (usize, &(String, Array2<f32>, Axis))| {
            let png = heatmap(values.view(), self.range.clone())?;
            let drawing = if self.sharp { Drawing::Cells(png) } else { Drawing::Picture(png) };
            Ok(Tile { place: (row, 0), title: fitted(title), drawing })
        };
        let tiles = parts.iter().enumerate().map(tile).collect::<Result<Vec<_>>>()?;
        sketch(&rows, &[Strip { size: WIDTH as f64, axis: x.clone() }], &tiles, Some(&self.scale))
    }
}

/// A title that fits over an image: the middle of a long one is left out.
pub(super) fn fitted(title: &str) -> String {
    const MOST: usize = 72;
    let letters: Vec<char> = title.chars().collect();
    if letters.len() <= MOST {
        return title.into();
    }
    let half = (MOST - 1) / 2;
    let ends = [&letters[..half], &['…'], &letters[letters.len() - half..]];
    ends.concat().into_iter().collect()
}

/// The matrix with at most so many columns: each is the mean of several neighbours.
pub(super) fn narrowed(values: ArrayView2<f32>, most: usize) -> Array2<f32> {
    let group = values.ncols().div_ceil(most).max(1);
    if group == 1 {
        return values.to_owned();
    }
    let mut narrow = Array2::zeros((values.nrows(), values.ncols().div_ceil(group)));
    for (mut column, wide) in narrow.axis_iter_mut(Direction(1)).zip(values.axis_chunks_iter(Direction(1), group)) {
        column.assign(&(wide.sum_axis(Direction(1)) / wide.ncols() as f32));
    }
    narrow
}

/// Values, at exponent 1 powers and at 2 magnitudes, in dB relative to `loudest`. Zero is negative infinity.
pub(super) fn decibels(values: &mut Array2<f32>, loudest: f32, exponent: f64) {
    let loudest = if loudest > 0.0 { loudest } else { 1.0 };
    values.mapv_inplace(|value| 10.0 * exponent as f32 * (value / loudest).log10());
}

/// The largest of all values; 0 of none.
pub(super) fn loudest<'a>(values: impl IntoIterator<Item = &'a Array2<f32>>) -> f32 {
    values.into_iter().flatten().copied().fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn wide_matrices_become_the_means_of_neighbours() {
        let values = array![[1.0, 3.0, 5.0, 7.0, 9.0]];
        assert_eq!(narrowed(values.view(), 3), array![[2.0, 6.0, 9.0]]);
        assert_eq!(narrowed(values.view(), 5), values);
        assert_eq!(narrowed(Array2::zeros((2, 0)).view(), 5).dim(), (2, 0));
    }

    #[test]
    fn levels_follow_the_exponent() {
        let level = |exponent| {
            let mut values = array![[10.0, 1.0, 0.0]];
            decibels(&mut values, 10.0, exponent);
            values.into_raw_vec_and_offset().0
        };
        assert_eq!(level(1.0), [0.0, -10.0, f32::NEG_INFINITY]);
        assert_eq!(level(2.0), [0.0, -20.0, f32::NEG_INFINITY]);
    }

    #[test]
    fn long_titles_lose_their_middle() {
        assert_eq!(fitted("mix.wav"), "mix.wav");
        let long = fitted(&format!("begin{}end.wav", "x".repeat(100)));
        assert_eq!(long.chars().count(), 71);
        assert!(long.starts_with("begin") && long.contains('…') && long.ends_with("end.wav"), "{long}");
    }
}
