//! The reference engine: f64, one thread, every kernel a few lines close to the paper. Never optimized.

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, concatenate};

use super::{Engine, Real, packed_shape, stacked_shape};
use crate::{Error, Result};

/// The f64 engine that defines the right results. Its stacks and panels are lists of matrices and segments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl Engine for Reference {
    type Matrix = Vec<Array2<f64>>;
    type Panel = Vec<Array2<f64>>;

    fn describe(&self) -> String {
        "reference (f64)".into()
    }

    fn matrices(&self, stack: &Vec<Array2<f64>>) -> usize {
        stack.len()
    }

    fn segments(&self, panel: &Vec<Array2<f64>>) -> (usize, Vec<usize>) {
        (panel.first().map_or(0, Array2::nrows), panel.iter().map(Array2::ncols).collect())
    }

    fn stack<T: Real>(&self, matrices: &[ArrayView2<T>]) -> Result<Vec<Array2<f64>>> {
        stacked_shape(matrices)?;
        Ok(matrices.iter().map(|values| values.mapv(Real::to_f64)).collect())
    }

    fn packed<T: Real>(&self, segments: &[ArrayView2<T>]) -> Result<Vec<Array2<f64>>> {
        packed_shape(segments)?;
        Ok(segments.iter().map(|values| values.mapv(Real::to_f64)).collect())
    }

    fn read_matrix<T: Real>(&self, matrix: &Vec<Array2<f64>>) -> Result<Array2<T>> {
        let matrix = joined(Axis(0), matrix)?;
        Ok(Array2::from_shape_fn(matrix.dim(), |at| T::from_f64(matrix[at])))
    }

    fn read_panel<T: Real>(&self, panel: &Vec<Array2<f64>>) -> Result<Array2<T>> {
        let panel = joined(Axis(1), panel)?;
        Ok(Array2::from_shape_fn(panel.dim().f(), |at| T::from_f64(panel[at])))
    }
}

fn joined(axis: Axis, parts: &[Array2<f64>]) -> Result<Array2<f64>> {
    let views: Vec<ArrayView2<f64>> = parts.iter().map(|part| part.view()).collect();
    concatenate(axis, &views).map_err(|cause| Error::input(format!("{} parts: {cause}", parts.len())))
}
