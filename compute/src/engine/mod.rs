//! Where arithmetic runs. An engine by itself offers only memory: matrices (bases) and panels (frames), up and down.
//! What can be computed on it is said by the kernel families in [`crate::kernels`].

mod cpu;
pub(crate) mod gpu;
mod reference;
mod timing;

pub use cpu::Cpu;
pub(crate) use cpu::{CpuPanel, Place, ROW_BLOCK, STRIP, Scratch, Shelf, math, padded, tile};
#[cfg(any(test, feature = "testing"))]
pub use gpu::testing;
pub use gpu::{Adapter, AdapterKind, Compiled, Gpu, GpuChoice, GpuMatrix, GpuPanel, PipelineCache, Tuning, adapters};
pub use reference::Reference;
pub use timing::Timing;

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::{Error, Result};

/// A number of the host: f32 or f64. Engines convert on the way up and down.
pub trait Real: Copy + Default + Send + Sync + 'static {
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The number as f64, exactly.
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

/// Memory on the place where arithmetic runs, and its clock.
///
/// A *matrix* is small and whole: bases, F x K, or a stack of several of the same shape. A *panel* is wide: N columns, the
/// frames of one or many recordings side by side (data F x N, gains K x N). Kernels that update gains treat every column
/// alike and alone, so a column's result depends neither on its neighbours nor on its place in the panel, to the bit.
///
/// A panel may be *packed* of several segments. One matrix is then shared by all of them, and a stack of as many has one
/// for each: segment s is computed from matrix s alone, to the bit as if there were no other.
pub trait Engine: Send + Sync {
    /// Bases, F x K, or a stack of them.
    type Matrix: Send + Sync;
    /// Data F x N, or gains K x N, in one segment or several.
    type Panel: Send + Sync;

    /// Which engine, and on what, for people and manifests: "cpu (avx512, 8 threads)".
    fn describe(&self) -> String;

    /// Runs `work`, which calls the engine many times, from where that is cheapest: on the cpu engine from one of its own
    /// threads, since to hand each call over would take as long as a small update.
    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        work()
    }

    /// Rows of a panel, and columns of all its segments together.
    fn shape(&self, panel: &Self::Panel) -> (usize, usize) {
        let (rows, segments) = self.segments(panel);
        (rows, segments.iter().sum())
    }

    /// How many matrices a stack has.
    fn matrices(&self, stack: &Self::Matrix) -> usize;

    /// Rows of a panel, and the columns of each of its segments.
    fn segments(&self, panel: &Self::Panel) -> (usize, Vec<usize>);

    /// Brings matrices of one shape up, as a stack. Any strides; nothing may be empty.
    ///
    /// # Errors
    /// [`Error::Input`] where shapes differ or hold nothing; the device is out of memory or lost.
    fn stack<T: Real>(&self, matrices: &[ArrayView2<T>]) -> Result<Self::Matrix>;

    /// Brings segments of as many rows and any number of columns up, side by side in a panel. Any strides: the transpose of
    /// frame-major data is as good as the row-major form; nothing may be empty.
    ///
    /// # Errors
    /// [`Error::Input`] where rows differ or a segment holds nothing; the device is out of memory or lost.
    fn packed<T: Real>(&self, segments: &[ArrayView2<T>]) -> Result<Self::Panel>;

    /// Brings a matrix up: a stack of one.
    ///
    /// # Errors
    /// As [`Engine::stack`].
    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Matrix> {
        self.stack(&[values])
    }

    /// Brings a panel up, of one segment.
    ///
    /// # Errors
    /// As [`Engine::packed`].
    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Panel> {
        self.packed(&[values])
    }

    /// Brings `values` (rows, N) up in the segments of another panel of N columns.
    ///
    /// # Errors
    /// As [`Engine::packed`], and [`Error::Input`] where the columns are not as many.
    fn panel_like<T: Real>(&self, panel: &Self::Panel, values: ArrayView2<T>) -> Result<Self::Panel> {
        let (_, columns) = self.shape(panel);
        if columns != values.ncols() {
            return Err(Error::input(format!("{} columns beside a panel of {columns}", values.ncols())));
        }
        let mut rest = values;
        let mut segments = Vec::new();
        for columns in self.segments(panel).1 {
            let (segment, after) = rest.split_at(Axis(1), columns);
            segments.push(segment);
            rest = after;
        }
        self.packed(&segments)
    }

    /// Brings a matrix down, row-major; those of a stack one below another: shape (S F, K).
    ///
    /// # Errors
    /// The device is lost, or refused an earlier command.
    fn read_matrix<T: Real>(&self, matrix: &Self::Matrix) -> Result<Array2<T>>;

    /// Brings a panel down: shape (rows, N), its segments side by side, stored column by column, so that its transpose is
    /// contiguous frame by frame.
    ///
    /// # Errors
    /// The device is lost, or refused an earlier command.
    fn read_panel<T: Real>(&self, panel: &Self::Panel) -> Result<Array2<T>>;

    /// Some of a panel's columns, one range after the other, as a panel of one segment. At least one column; numbers stay what
    /// they are, to the bit.
    ///
    /// # Errors
    /// [`Error::Input`] where there is no such column, and as [`Engine::packed`] and [`Engine::read_panel`].
    fn select(&self, panel: &Self::Panel, columns: &[Range<usize>]) -> Result<Self::Panel> {
        let all = self.read_panel::<f64>(panel)?;
        if let Some(beyond) = columns.iter().find(|range| range.start > range.end || range.end > all.ncols()) {
            return Err(Error::input(format!("columns {beyond:?} of a panel of {}", all.ncols())));
        }
        let ranges: Vec<_> = columns.iter().map(|range| all.slice(s![.., range.clone()])).collect();
        let selected = concatenate(Axis(1), &ranges).map_err(|cause| Error::input(format!("columns: {cause}")))?;
        self.panel(selected.view())
    }

    /// Whether the host reads a panel about as fast as it computes one. Where it does not, what follows from other panels is not
    /// read.
    fn reads_cheaply(&self) -> bool {
        true
    }

    /// Whether [`Engine::select`] takes no longer than some updates of the columns that are left out: not where data come down
    /// for it and go up again.
    fn selects_cheaply(&self) -> bool {
        true
    }

    /// Does some work and waits until all that it asked of the engine is done. Work that others ask of the engine
    /// meanwhile is counted with it.
    ///
    /// # Errors
    /// Those of the work; the device is lost, or refused a command.
    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        Timing::of(work)
    }
}

/// The shape (F, K) of the matrices of a stack.
fn stacked_shape<T>(matrices: &[ArrayView2<T>]) -> Result<(usize, usize)> {
    let Some(first) = matrices.first().filter(|first| !first.is_empty()) else {
        return Err(Error::input("a stack of matrices that holds nothing"));
    };
    match matrices.iter().find(|matrix| matrix.dim() != first.dim()) {
        None => Ok(first.dim()),
        Some(other) => Err(Error::input(format!(
            "matrices {} x {} and {} x {} do not stack: one shape for all",
            first.nrows(),
            first.ncols(),
            other.nrows(),
            other.ncols()
        ))),
    }
}

/// The rows of the segments of a panel, and the columns of each.
fn packed_shape<T>(segments: &[ArrayView2<T>]) -> Result<(usize, Vec<usize>)> {
    let rows = segments.first().map_or(0, ArrayView2::nrows);
    if rows == 0 || segments.iter().any(ArrayView2::is_empty) {
        return Err(Error::input("a panel, or a segment of one, that holds nothing"));
    }
    if let Some(other) = segments.iter().find(|segment| segment.nrows() != rows) {
        return Err(Error::input(format!("segments of {rows} and of {} rows in one panel", other.nrows())));
    }
    Ok((rows, segments.iter().map(ArrayView2::ncols).collect()))
}
