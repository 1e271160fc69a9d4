//! The engines, which run the arithmetic. An engine by itself only offers memory: it uploads and downloads matrices
//! (bases) and panels (frames). The kernel families in [`crate::kernels`] define the computations.

mod cpu;
pub(crate) mod gpu;
mod reference;
mod timing;

pub use cpu::{Cpu, CpuMatrix};
pub(crate) use cpu::{CpuPanel, Packed, Place, ROW_BLOCK, STRIP, Scratch, Shelf, math, padded, tile};
#[cfg(any(test, feature = "testing"))]
pub use gpu::testing;
pub use gpu::{Adapter, AdapterKind, Compiled, Gpu, GpuChoice, GpuMatrix, GpuPanel, PipelineCache, Tuning, adapters};
pub use reference::Reference;
pub use timing::{Median, Timing, median};

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::{Error, Result};

/// A number type of the host: f32 or f64. Engines convert on upload and download.
pub trait Real: Copy + Default + Send + Sync + 'static {
    /// Rounds to the nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// Converts to f64, exactly.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// The memory of a place where arithmetic runs, and its clock.
///
/// A *matrix* is small and whole: bases F x K, or a stack of several of the same shape. A *panel* is wide: N columns,
/// the frames of one or many recordings side by side (data F x N, gains K x N). Kernels that update gains treat every
/// column alike and independently. So a column's result depends neither on its neighbours nor on its place in the
/// panel, to the bit.
///
/// A panel may consist of several *segments*. One matrix is then shared by all of them, or a stack has one matrix per
/// segment. With a stack, segment s is computed from matrix s alone, with the bits that it would have without the
/// others.
pub trait Engine: Send + Sync {
    /// Bases F x K, or a stack of them.
    type Matrix: Send + Sync;
    /// Data F x N or gains K x N, in one segment or several.
    type Panel: Send + Sync;

    /// The engine and its hardware, for people and manifests: for example "cpu (avx512, 8 threads)".
    fn describe(&self) -> String;

    /// Runs `work`, which calls the engine many times, where this is cheapest. The CPU engine uses one of its own
    /// threads, because passing on each call would take as long as a small update.
    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        work()
    }

    /// The rows of a panel, and the total columns of its segments.
    fn shape(&self, panel: &Self::Panel) -> (usize, usize) {
        let (rows, segments) = self.segments(panel);
        (rows, segments.iter().sum())
    }

    /// The number of matrices in a stack.
    fn matrices(&self, stack: &Self::Matrix) -> usize;

    /// The rows of a panel, and the columns of each of its segments.
    fn segments(&self, panel: &Self::Panel) -> (usize, Vec<usize>);

    /// Uploads matrices of one shape as a stack. Strides may be arbitrary. Nothing may be empty.
    ///
    /// # Errors
    /// [`Error::Input`] if shapes differ or are empty; [`Error::Engine`] if the device is out of memory or lost.
    fn stack<T: Real>(&self, matrices: &[ArrayView2<T>]) -> Result<Self::Matrix>;

    /// Uploads segments with the same number of rows and any numbers of columns, side by side in a panel. Strides may
    /// be arbitrary: the transpose of frame-major data works as well as row-major data. Nothing may be empty.
    ///
    /// # Errors
    /// [`Error::Input`] if rows differ or a segment is empty; [`Error::Engine`] if the device is out of memory or lost.
    fn packed<T: Real>(&self, segments: &[ArrayView2<T>]) -> Result<Self::Panel>;

    /// Uploads a matrix, as a stack of one.
    ///
    /// # Errors
    /// See [`Engine::stack`].
    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Matrix> {
        self.stack(&[values])
    }

    /// Uploads a panel of one segment.
    ///
    /// # Errors
    /// See [`Engine::packed`].
    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Panel> {
        self.packed(&[values])
    }

    /// Uploads `values` (rows, N) with the segments of another panel of N columns.
    ///
    /// # Errors
    /// See [`Engine::packed`]; also [`Error::Input`] if the numbers of columns differ.
    fn panel_like<T: Real>(&self, panel: &Self::Panel, values: ArrayView2<T>) -> Result<Self::Panel> {
        let (_, columns) = self.shape(panel);
        if columns != values.ncols() {
            return Err(Error::input(format!("{} columns do not fit a panel of {columns}", values.ncols())));
        }
        self.packed(&cut(values, &self.segments(panel).1))
    }

    /// Downloads a matrix, row-major. The matrices of a stack are concatenated by rows: shape (S F, K).
    ///
    /// # Errors
    /// [`Error::Engine`] if the device is lost, or refused an earlier command.
    fn read_matrix<T: Real>(&self, matrix: &Self::Matrix) -> Result<Array2<T>>;

    /// Downloads a panel of shape (rows, N) with its segments side by side. It is stored column by column, so its
    /// transpose is contiguous frame by frame.
    ///
    /// # Errors
    /// [`Error::Engine`] if the device is lost, or refused an earlier command.
    fn read_panel<T: Real>(&self, panel: &Self::Panel) -> Result<Array2<T>>;

    /// Copies ranges of a panel's columns, one after another, to a panel of one segment. The numbers keep their bits.
    /// At least one column is required.
    ///
    /// # Errors
    /// [`Error::Input`] if a column does not exist; also the errors of [`Engine::packed`] and [`Engine::read_panel`].
    fn select(&self, panel: &Self::Panel, columns: &[Range<usize>]) -> Result<Self::Panel> {
        let all = self.read_panel::<f64>(panel)?;
        if let Some(beyond) = columns.iter().find(|range| range.start > range.end || range.end > all.ncols()) {
            return Err(Error::input(format!("columns {beyond:?} do not exist in a panel of {}", all.ncols())));
        }
        let ranges: Vec<_> = columns.iter().map(|range| all.slice(s![.., range.clone()])).collect();
        let selected = concatenate(Axis(1), &ranges).map_err(|cause| Error::input(format!("columns: {cause}")))?;
        self.panel(selected.view())
    }

    /// Whether the host reads a panel about as fast as the engine computes one. If not, callers avoid reading values
    /// that they can derive from other panels.
    fn reads_cheaply(&self) -> bool {
        true
    }

    /// Whether [`Engine::select`] takes no longer than some updates of the columns left out. It does not if the data
    /// must be downloaded and uploaded again.
    fn selects_cheaply(&self) -> bool {
        true
    }

    /// Runs `work` and waits until all that it asked of the engine is done. The time includes work that other threads
    /// ask of the engine meanwhile.
    ///
    /// # Errors
    /// The errors of `work`; [`Error::Engine`] if the device is lost, or refused a command.
    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        Timing::of(work)
    }
}

/// The shape (F, K) of the matrices of a stack.
/// Cuts values (rows, N) into segments of these numbers of columns, N in all.
///
/// # Panics
/// If there are fewer columns.
pub fn cut<'a, T>(values: ArrayView2<'a, T>, segments: &[usize]) -> Vec<ArrayView2<'a, T>> {
    let mut rest = values;
    let one = |&columns: &usize| {
        let (segment, after) = rest.split_at(Axis(1), columns);
        rest = after;
        segment
    };
    segments.iter().map(one).collect()
}

fn stacked_shape<T>(matrices: &[ArrayView2<T>]) -> Result<(usize, usize)> {
    let Some(first) = matrices.first().filter(|first| !first.is_empty()) else {
        return Err(Error::input("a stack needs at least one matrix, and no empty ones"));
    };
    match matrices.iter().find(|matrix| matrix.dim() != first.dim()) {
        None => Ok(first.dim()),
        Some(other) => Err(Error::input(format!(
            "matrices {} x {} and {} x {} do not stack; use one shape for all",
            first.nrows(),
            first.ncols(),
            other.nrows(),
            other.ncols()
        ))),
    }
}

/// The rows of a panel's segments, and the columns of each.
fn packed_shape<T>(segments: &[ArrayView2<T>]) -> Result<(usize, Vec<usize>)> {
    let rows = segments.first().map_or(0, ArrayView2::nrows);
    if rows == 0 || segments.iter().any(ArrayView2::is_empty) {
        return Err(Error::input("a panel needs at least one segment, and no empty ones"));
    }
    if let Some(other) = segments.iter().find(|segment| segment.nrows() != rows) {
        return Err(Error::input(format!("segments of {rows} and {} rows do not fit one panel", other.nrows())));
    }
    Ok((rows, segments.iter().map(ArrayView2::ncols).collect()))
}
