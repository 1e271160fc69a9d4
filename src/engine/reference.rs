//! The judge: f64, one thread, every kernel a few lines that read like the paper. Never optimised.

use ndarray::{Array2, ArrayView2, ShapeBuilder};

use super::{Engine, Real};
use crate::Result;

/// The f64 engine that says what the right answer is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Engine for Reference {
    type Matrix = Array2<f64>;
    type Panel = Array2<f64>;

    fn describe(&self) -> String {
        "reference (f64)".into()
    }

    fn shape(&self, panel: &Array2<f64>) -> (usize, usize) {
        panel.dim()
    }

    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<Array2<f64>> {
        Ok(values.mapv(Real::to_f64))
    }

    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<Array2<f64>> {
        Ok(values.mapv(Real::to_f64))
    }

    fn read_matrix<T: Real>(&self, matrix: &Array2<f64>) -> Result<Array2<T>> {
        Ok(Array2::from_shape_fn(matrix.dim(), |at| T::from_f64(matrix[at])))
    }

    fn read_panel<T: Real>(&self, panel: &Array2<f64>) -> Result<Array2<T>> {
        Ok(Array2::from_shape_fn(panel.dim().f(), |at| T::from_f64(panel[at])))
    }
}
