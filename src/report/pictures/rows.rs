//! Where the rows of a matrix lie on an axis.

use ndarray::{Array2, ArrayView2, Axis as Direction};

use super::super::Axis;

/// Where the rows of a matrix lie on the vertical axis of its picture.
#[derive(Debug, Clone)]
pub struct Rows {
    pub(super) axis: Axis,
    /// Row f lies between edges f and f + 1, in the unit of the axis.
    edges: Vec<f64>,
}

/// The rows of a picture: more would not be seen.
pub(super) const SHOWN: usize = 256;

impl Rows {
    /// Rows without a unit, from 0.
    pub fn numbered(name: &str, rows: usize) -> Self {
        Self { axis: Axis::count(name, rows), edges: (0..=rows).map(|edge| edge as f64).collect() }
    }

    /// The bins of a transform, from 0 Hz to half the sample rate.
    pub fn bins(sample_rate: f64, bins: usize) -> Self {
        let distance = sample_rate / 2.0 / bins.saturating_sub(1).max(1) as f64;
        Self::at(&(0..bins).map(|bin| bin as f64 * distance).collect::<Vec<_>>())
    }

    /// Rows whose middles lie at these frequencies in Hz, as those of bins and bands do: logarithmic bands on a logarithmic
    /// axis, all others on a linear one. A row reaches halfway to its neighbours.
    pub fn at(middles: &[f64]) -> Self {
        let (Some(&first), Some(&last)) = (middles.first(), middles.last()) else {
            return Self::numbered("frequency", 0);
        };
        let pairs = || middles.windows(2).map(|pair| (pair[0], pair[1]));
        let ratios: Vec<f64> = pairs().map(|(low, high)| high / low).collect();
        let even = |&ratio: &f64| (ratio / ratios[0] - 1.0).abs() < 1e-6;
        if first > 0.0 && ratios.len() > 1 && ratios.iter().all(even) {
            let half = ratios[0].sqrt();
            let edges: Vec<f64> = std::iter::once(first / half).chain(middles.iter().map(|hz| hz * half)).collect();
            let axis = Axis::log("frequency in Hz", edges[0]..edges[edges.len() - 1]);
            return Self { axis, edges };
        }
        let between = pairs().map(|(low, high)| (low + high) / 2.0);
        // Of the bins from 0 Hz to half the sample rate, those at the ends have one half.
        let (begin, end) = match (middles, first == 0.0) {
            ([_], _) => (0.0, 2.0 * last),
            (_, true) => (0.0, last),
            (middles, false) => {
                let half = |low: f64, high: f64| (high - low) / 2.0;
                let above = half(middles[middles.len() - 2], last);
                ((first - half(first, middles[1])).max(0.0), last + above)
            }
        };
        let edges: Vec<f64> = std::iter::once(begin).chain(between).chain([end]).map(|hz| hz / 1000.0).collect();
        Self { axis: Axis::new("frequency in kHz", 0.0..edges[edges.len() - 1].max(f64::MIN_POSITIVE)), edges }
    }

    /// The matrix (F, N) as rows at equal distances along the axis: each is the mean of those that it touches. Where there
    /// are none, it is NaN.
    pub(super) fn shown(&self, values: ArrayView2<f32>) -> Array2<f32> {
        let mut shown = Array2::from_elem((SHOWN, values.ncols()), f32::NAN);
        let place = |edge: f64| self.axis.share(edge) * SHOWN as f64;
        let edges: Vec<f64> = self.edges.iter().take(values.nrows() + 1).map(|&edge| place(edge)).collect();
        for (row, mut pixels) in shown.outer_iter_mut().enumerate() {
            let (low, high) = (row as f64 + 1e-9, (row + 1) as f64 - 1e-9);
            let first = edges.partition_point(|&edge| edge <= low);
            let last = edges.partition_point(|&edge| edge < high).min(edges.len().saturating_sub(1));
            let first = first.saturating_sub(1);
            if first < last
                && edges[first] < high
                && let Some(mean) = values.slice(ndarray::s![first..last, ..]).mean_axis(Direction(0))
            {
                pixels.assign(&mean);
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_of_equal_height_fill_the_axis() {
        let shown = Rows::numbered("row", 2).shown(array![[1.0, 2.0], [3.0, 4.0]].view());
        assert_eq!((shown[[0, 0]], shown[[127, 1]], shown[[128, 0]], shown[[255, 1]]), (1.0, 2.0, 3.0, 4.0));
        // Four rows of the matrix on one of the picture.
        let many = Array2::from_shape_fn((1024, 1), |(row, _)| row as f32);
        let shown = Rows::numbered("row", 1024).shown(many.view());
        assert_eq!((shown[[0, 0]], shown[[255, 0]]), (1.5, 1021.5));
    }

    #[test]
    fn bins_and_bands_lie_at_their_frequencies() {
        let at = |rows: &Rows, count: usize, frequency: f64| {
            let numbers = Array2::from_shape_fn((count, 1), |(row, _)| row as f32);
            rows.shown(numbers.view())[[((rows.axis.share(frequency) * SHOWN as f64) as usize).min(SHOWN - 1), 0]]
        };
        let bins = Rows::bins(8000.0, 5);
        assert_eq!([0.1, 1.0, 2.0, 3.9].map(|khz| at(&bins, 5, khz)), [0.0, 1.0, 2.0, 4.0]);
        let log = Rows::at(&[141.4, 282.8, 565.6, 1131.2]);
        assert_eq!([101.0, 250.0, 1500.0].map(|hz| at(&log, 4, hz)), [0.0, 1.0, 3.0]);
        assert!(log.axis.logarithmic && (log.axis.range.start - 100.0).abs() < 0.1, "{:?}", log.axis);
        let narrow = Rows::at(&[500.0, 700.0, 1000.0]);
        assert_eq!([0.5, 0.7, 1.1].map(|khz| at(&narrow, 3, khz)), [0.0, 1.0, 2.0]);
        assert!(!narrow.axis.logarithmic && at(&narrow, 3, 0.1).is_nan(), "nothing is known there");
        // A recording of a lower rate has fewer rows.
        assert!(at(&bins, 3, 3.9).is_nan());
    }
}
