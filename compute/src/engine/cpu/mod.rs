//! The CPU engine: f32, all cores, explicit SIMD chosen at run time.
//!
//! A panel is stored in strips of [`STRIP`] columns. Each strip is row-major and zero-padded to a multiple of
//! [`ROW_BLOCK`] rows. The same code computes every strip at full width, so there are no edge cases: a column's bits do
//! not depend on its place, and any free thread can take any strip. Every segment of a panel begins with a new strip.

mod buffer;
pub(crate) mod math;
mod matrix;
pub(crate) mod tile;

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder};
use rayon::prelude::*;

pub(crate) use buffer::{Scratch, Shelf};
pub use matrix::CpuMatrix;
pub(crate) use matrix::Packed;
pub(crate) use tile::{ROW_BLOCK, STRIP, padded};

use super::{Engine, Real, packed_shape, stacked_shape};
use crate::{Error, Result};

/// The CPU engine.
pub struct Cpu {
    pool: rayon::ThreadPool,
    shelf: Shelf,
}

impl Cpu {
    /// Starts an engine on `threads` threads, or on all cores.
    ///
    /// # Errors
    /// [`Error::Input`] if the system refuses the threads, or on a processor for PCs without SSE4.2.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        if tile::instruction_set().is_none() {
            return Err(Error::input(
                "this processor is too old for the cpu engine, which needs SSE4.2; use another `--engine`",
            ));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .thread_name(|i| format!("partwise-cpu-{i}"))
            .build()
            .map(|pool| Self { pool, shelf: Shelf::default() })
            .map_err(|cause| Error::input(format!("cannot start the cpu engine's threads: {cause}")))
    }

    /// Runs `work` on the engine's threads.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let (mut work, mut result) = (Some(work), None);
        self.enter(&mut || result = work.take().map(|work| work()));
        result.expect("rayon's `install` returns when the work is done")
    }

    /// Compiled once, and not once per kernel.
    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        self.pool.install(work);
    }

    /// Scratch memory that updates reuse.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// Segments with `rows` rows, in strips.
pub struct CpuPanel {
    rows: usize,
    /// The columns of each segment.
    segments: Vec<usize>,
    /// (strips, padded rows, STRIP)
    values: Scratch,
}

/// The place of a strip in its panel.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    /// Columns without padding.
    pub(crate) columns: usize,
}

impl CpuPanel {
    /// A panel with unspecified contents, for kernels that write all numbers of its strips.
    pub(crate) fn any(shelf: &Shelf, rows: usize, segments: Vec<usize>) -> Self {
        let strips: usize = segments.iter().map(|columns| columns.div_ceil(STRIP)).sum();
        Self { rows, segments, values: shelf.take(strips * padded(rows) * STRIP) }
    }

    /// A panel of zeros.
    pub(crate) fn zeros(shelf: &Shelf, rows: usize, segments: Vec<usize>) -> Self {
        let mut panel = Self::any(shelf, rows, segments);
        panel.values.fill(0.0);
        panel
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns of each segment.
    pub(crate) fn segments(&self) -> &[usize] {
        &self.segments
    }

    /// The number of rows, and the columns of each segment.
    pub(crate) fn extent(&self) -> (usize, &[usize]) {
        (self.rows, &self.segments)
    }

    /// The strips of each segment.
    pub(crate) fn strips_of_segments(&self) -> impl Iterator<Item = Range<usize>> {
        self.segments.iter().scan(0, |end, columns| {
            let start = std::mem::replace(end, *end + columns.div_ceil(STRIP));
            Some(start..*end)
        })
    }

    /// The place of each strip.
    pub(crate) fn places(&self) -> Vec<Place> {
        let of_segment = |(segment, &columns): (usize, &usize)| {
            (0..columns).step_by(STRIP).map(move |first| Place { segment, columns: STRIP.min(columns - first) })
        };
        self.segments.iter().enumerate().flat_map(of_segment).collect()
    }

    /// All strips, concatenated.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All strips, concatenated and mutable.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Numbers per strip: padded rows times [`STRIP`].
    pub(crate) fn strip_len(&self) -> usize {
        padded(self.rows) * STRIP
    }

    /// The strips, each (padded rows, STRIP).
    pub(crate) fn strips(&self) -> rayon::slice::Chunks<'_, f32> {
        self.values.par_chunks(self.strip_len())
    }

    /// The strips, mutable.
    pub(crate) fn strips_mut(&mut self) -> rayon::slice::ChunksMut<'_, f32> {
        let len = self.strip_len();
        self.values.par_chunks_mut(len)
    }

    /// One strip.
    pub(crate) fn strip(&self, index: usize) -> &[f32] {
        let len = self.strip_len();
        &self.values[index * len..(index + 1) * len]
    }

    /// The number of strips.
    pub(crate) fn strip_count(&self) -> usize {
        self.segments.iter().map(|columns| columns.div_ceil(STRIP)).sum()
    }
}

impl Engine for Cpu {
    type Matrix = CpuMatrix;
    type Panel = CpuPanel;

    fn describe(&self) -> String {
        format!("cpu ({}, {} threads)", tile::instruction_set().unwrap_or_default(), self.pool.current_num_threads())
    }

    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.install(work)
    }

    fn matrices(&self, stack: &CpuMatrix) -> usize {
        stack.len()
    }

    fn segments(&self, panel: &CpuPanel) -> (usize, Vec<usize>) {
        (panel.rows, panel.segments.clone())
    }

    fn stack<T: Real>(&self, matrices: &[ArrayView2<T>]) -> Result<CpuMatrix> {
        stacked_shape(matrices)?;
        let row_major = |values: &ArrayView2<T>| values.as_standard_layout().mapv(|value| value.to_f64() as f32);
        Ok(matrices.iter().map(row_major).collect())
    }

    fn packed<T: Real>(&self, segments: &[ArrayView2<T>]) -> Result<CpuPanel> {
        let (rows, columns) = packed_shape(segments)?;
        let mut panel = CpuPanel::zeros(&self.shelf, rows, columns);
        let pieces: Vec<ArrayView2<T>> =
            segments.iter().flat_map(|segment| segment.axis_chunks_iter(Axis(1), STRIP)).collect();
        self.install(|| {
            panel.strips_mut().zip(&pieces).for_each(|(strip, piece)| {
                for (column, frame) in piece.columns().into_iter().enumerate() {
                    for (row, value) in frame.iter().enumerate() {
                        strip[row * STRIP + column] = value.to_f64() as f32;
                    }
                }
            });
        });
        Ok(panel)
    }

    fn read_matrix<T: Real>(&self, matrix: &CpuMatrix) -> Result<Array2<T>> {
        let (rows, columns) = matrix.first().map_or((0, 0), Array2::dim);
        let entry = |(row, column): (usize, usize)| T::from_f64(f64::from(matrix[row / rows][(row % rows, column)]));
        Ok(Array2::from_shape_fn((matrix.len() * rows, columns), entry))
    }

    fn read_panel<T: Real>(&self, panel: &CpuPanel) -> Result<Array2<T>> {
        let (rows, columns) = self.shape(panel);
        let mut values = vec![T::default(); rows * columns];
        let mut rest = values.as_mut_slice();
        let mut pieces = Vec::with_capacity(panel.strip_count());
        for place in panel.places() {
            pieces.push(rest.split_off_mut(..place.columns * rows).unwrap_or_default());
        }
        self.install(|| {
            pieces.into_par_iter().zip(panel.strips()).for_each(|(frames, strip)| {
                for (column, frame) in frames.chunks_mut(rows).enumerate() {
                    for (row, value) in frame.iter_mut().enumerate() {
                        *value = T::from_f64(f64::from(strip[row * STRIP + column]));
                    }
                }
            });
        });
        Array2::from_shape_vec((rows, columns).f(), values)
            .map_err(|cause| Error::input(format!("panel of {rows} x {columns}: {cause}")))
    }
}
