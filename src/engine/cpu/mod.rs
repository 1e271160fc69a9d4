//! The native engine: f32, all cores, explicit SIMD chosen at run time.
//!
//! A panel is stored in strips of [`STRIP`] columns, each strip row-major and zero-padded to a multiple of [`ROW_BLOCK`]
//! rows. Every strip is computed by the same code at full width, so there are no edges: a column gets the same bits
//! wherever it stands, and strips go to whichever thread is free.

mod buffer;
pub(crate) mod math;
pub(crate) mod tile;

use ndarray::{Array2, ArrayView2, ShapeBuilder};
use rayon::prelude::*;

pub(crate) use buffer::{Buffer, Scratch, Shelf};

use super::{Engine, Real};
use crate::{Error, Result};

/// Columns in a strip: three vectors of AVX-512, six of AVX2, twelve of NEON.
pub(crate) const STRIP: usize = 48;
/// Rows of a strip are padded to a multiple of this, the tallest register tile.
pub(crate) const ROW_BLOCK: usize = 8;

/// The native engine.
pub struct Cpu {
    pool: rayon::ThreadPool,
    shelf: Shelf,
}

impl Cpu {
    /// An engine on `threads` threads, or on all cores.
    ///
    /// # Errors
    /// The system refuses the threads.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .thread_name(|i| format!("partwise-cpu-{i}"))
            .build()
            .map(|pool| Self { pool, shelf: Shelf::default() })
            .map_err(|cause| Error::input(format!("cannot start the cpu engine's threads: {cause}")))
    }

    /// Runs `work` on the engine's threads.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Work space that is used again from one update to the next.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// N columns of `rows` rows, in strips.
pub struct CpuPanel {
    rows: usize,
    columns: usize,
    /// (strips, padded rows, STRIP)
    values: Buffer,
}

impl CpuPanel {
    /// A panel of zeros.
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        let values = Buffer::zeros(columns.div_ceil(STRIP) * padded(rows) * STRIP);
        Self { rows, columns, values }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// All strips, one after another.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All strips, one after another, to write.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Numbers in a strip: padded rows times [`STRIP`].
    pub(crate) fn strip_len(&self) -> usize {
        padded(self.rows) * STRIP
    }

    /// The strips, each (padded rows, STRIP).
    pub(crate) fn strips(&self) -> rayon::slice::Chunks<'_, f32> {
        self.values.par_chunks(self.strip_len())
    }

    /// The strips, to write.
    pub(crate) fn strips_mut(&mut self) -> rayon::slice::ChunksMut<'_, f32> {
        let len = self.strip_len();
        self.values.par_chunks_mut(len)
    }

    /// One strip.
    pub(crate) fn strip(&self, index: usize) -> &[f32] {
        let len = self.strip_len();
        &self.values[index * len..(index + 1) * len]
    }

    /// How many strips there are.
    pub(crate) fn strip_count(&self) -> usize {
        self.columns.div_ceil(STRIP)
    }
}

/// `rows` rounded up to the height strips are padded to.
pub(crate) fn padded(rows: usize) -> usize {
    rows.next_multiple_of(ROW_BLOCK)
}

impl Engine for Cpu {
    type Matrix = Array2<f32>;
    type Panel = CpuPanel;

    fn describe(&self) -> String {
        format!("cpu ({}, {} threads)", tile::instruction_set(), self.pool.current_num_threads())
    }

    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.install(work)
    }

    fn shape(&self, panel: &CpuPanel) -> (usize, usize) {
        (panel.rows, panel.columns)
    }

    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<Array2<f32>> {
        Ok(Array2::from_shape_fn(values.dim(), |at| values[at].to_f64() as f32))
    }

    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<CpuPanel> {
        let (rows, columns) = values.dim();
        let mut panel = CpuPanel::zeros(rows, columns);
        self.install(|| {
            panel.strips_mut().enumerate().for_each(|(index, strip)| {
                let first = index * STRIP;
                for column in first..columns.min(first + STRIP) {
                    for row in 0..rows {
                        strip[row * STRIP + column - first] = values[(row, column)].to_f64() as f32;
                    }
                }
            });
        });
        Ok(panel)
    }

    fn read_matrix<T: Real>(&self, matrix: &Array2<f32>) -> Result<Array2<T>> {
        Ok(Array2::from_shape_fn(matrix.dim(), |at| T::from_f64(f64::from(matrix[at]))))
    }

    fn read_panel<T: Real>(&self, panel: &CpuPanel) -> Result<Array2<T>> {
        let (rows, columns) = (panel.rows, panel.columns);
        let mut values = vec![T::default(); rows * columns];
        self.install(|| {
            values.par_chunks_mut(STRIP * rows.max(1)).enumerate().for_each(|(index, frames)| {
                let strip = panel.strip(index);
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
