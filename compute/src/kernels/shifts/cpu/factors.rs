//! A segment's factors and data as rows, in the layout of the products.

use std::ops::Range;

use ndarray::Array2;

use crate::engine::{CpuPanel, STRIP, Scratch, Shelf};
use crate::kernels::products::shape_of;
use crate::kernels::shifts::Lags;

/// Row lengths are a multiple of this: whole vectors of every instruction set, and whole cache lines.
pub(super) const WIDTH: usize = 16;

pub(super) fn padded(numbers: usize) -> usize {
    numbers.next_multiple_of(WIDTH)
}

/// One factor of a segment. For each of its copies (T or Φ) and each component it has a row of numbers (F or N).
pub(super) struct Factor {
    pub(super) copies: usize,
    pub(super) components: usize,
    pub(super) len: usize,
    /// Zeros before each row, as many as the other factor's copies can shift it.
    pub(super) lead: usize,
    pub(super) pitch: usize,
    pub(super) values: Scratch,
}

impl Factor {
    fn zeros(shelf: &Shelf, copies: usize, components: usize, len: usize, shifts: usize) -> Self {
        let lead = shifts - 1;
        let pitch = padded(lead + padded(len));
        Self { copies, components, len, lead, pitch, values: shelf.zeros(copies * components * pitch) }
    }

    /// From T matrices F x D.
    pub(super) fn of_bases(shelf: &Shelf, bases: &[Array2<f32>], lags: Lags) -> Self {
        let (rows, components) = shape_of(bases);
        let mut factor = Self::zeros(shelf, lags.time, components, rows, lags.pitch);
        for (copy, basis) in bases.iter().enumerate() {
            for (component, column) in basis.columns().into_iter().enumerate() {
                factor.row_mut(copy, component).iter_mut().zip(column).for_each(|(to, &w)| *to = w);
            }
        }
        factor
    }

    pub(super) fn write_bases(&self, bases: &mut [Array2<f32>]) {
        for (copy, basis) in bases.iter_mut().enumerate() {
            for (component, column) in basis.columns_mut().into_iter().enumerate() {
                column.into_iter().zip(self.row(copy, component)).for_each(|(w, &from)| *w = from);
            }
        }
    }

    /// From the strips of a segment of gains.
    pub(super) fn of_gains(shelf: &Shelf, strips: &[f32], components: usize, columns: usize, lags: Lags) -> Self {
        let mut factor = Self::zeros(shelf, lags.pitch, components, columns, lags.time);
        let strip_len = strips.len() / columns.div_ceil(STRIP);
        for row in 0..lags.pitch * components {
            let to = factor.row_mut(row / components, row % components);
            for (to, strip) in to.chunks_mut(STRIP).zip(strips.chunks_exact(strip_len)) {
                to.copy_from_slice(&strip[row * STRIP..][..to.len()]);
            }
        }
        factor
    }

    pub(super) fn write_gains(&self, strips: &mut [f32]) {
        let strip_len = strips.len() / self.len.div_ceil(STRIP);
        for row in 0..self.copies * self.components {
            let from = self.row(row / self.components, row % self.components);
            for (from, strip) in from.chunks(STRIP).zip(strips.chunks_exact_mut(strip_len)) {
                strip[row * STRIP..][..from.len()].copy_from_slice(from);
            }
        }
    }

    /// The start of a row, after its leading zeros.
    pub(super) fn at(&self, copy: usize, component: usize) -> usize {
        (copy * self.components + component) * self.pitch + self.lead
    }

    pub(super) fn row(&self, copy: usize, component: usize) -> &[f32] {
        &self.values[self.at(copy, component)..][..self.len]
    }

    /// Each component's sum over all its copies.
    pub(super) fn totals(&self) -> Vec<f64> {
        let of_row = |row: &[f32]| row.iter().map(|&x| f64::from(x)).sum::<f64>();
        let of = |component| (0..self.copies).map(|copy| of_row(self.row(copy, component))).sum();
        (0..self.components).map(of).collect()
    }

    fn row_mut(&mut self, copy: usize, component: usize) -> &mut [f32] {
        let (at, len) = (self.at(copy, component), self.len);
        &mut self.values[at..at + len]
    }
}

/// V of a segment, or its transpose, as rows.
pub(super) struct Data {
    pub(super) pitch: usize,
    pub(super) values: Scratch,
}

impl Data {
    pub(super) fn rows(shelf: &Shelf, v: &CpuPanel, strips: Range<usize>, columns: usize) -> Self {
        let pitch = padded(columns);
        let mut values = shelf.take(v.rows() * pitch);
        for (row, to) in values.chunks_exact_mut(pitch).enumerate() {
            for (to, strip) in to[..columns].chunks_mut(STRIP).zip(strips.clone()) {
                to.copy_from_slice(&v.strip(strip)[row * STRIP..][..to.len()]);
            }
        }
        Self { pitch, values }
    }

    pub(super) fn columns(shelf: &Shelf, v: &CpuPanel, strips: Range<usize>, columns: usize) -> Self {
        let pitch = padded(v.rows());
        let mut values = shelf.take(columns * pitch);
        for (to, strip) in values.chunks_mut(STRIP * pitch).zip(strips) {
            let rows = v.strip(strip).as_chunks::<STRIP>().0;
            for (column, to) in to.chunks_exact_mut(pitch).enumerate() {
                to.iter_mut().zip(&rows[..v.rows()]).for_each(|(to, row)| *to = row[column]);
            }
        }
        Self { pitch, values }
    }
}
