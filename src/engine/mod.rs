//! Where arithmetic runs. An engine by itself offers only memory: matrices (bases) and panels (frames), up and down.
//! What can be computed on it is said by the kernel families in [`crate::kernels`].

mod cpu;
pub(crate) mod gpu;
mod reference;
mod timing;

pub use cpu::Cpu;
pub(crate) use cpu::{CpuPanel, ROW_BLOCK, STRIP, Scratch, Shelf, math, padded, tile};
pub use gpu::{Adapter, AdapterKind, Gpu, GpuChoice, GpuMatrix, GpuPanel, Tuning, adapters};
pub use reference::Reference;
pub use timing::Timing;

use ndarray::{Array2, ArrayView2};

use crate::Result;

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
/// A *matrix* is small and whole (bases, F x K). A *panel* is wide: N columns, the frames of one or many recordings side
/// by side (data F x N, gains K x N). Kernels that update gains treat every column alike and alone, so a column's result
/// depends neither on its neighbours nor on its place in the panel, to the bit.
pub trait Engine: Send + Sync {
    /// Bases, F x K.
    type Matrix: Send + Sync;
    /// Data F x N, or gains K x N.
    type Panel: Send + Sync;

    /// Which engine, and on what, for people and manifests: "cpu (avx512, 8 threads)".
    fn describe(&self) -> String;

    /// Runs `work`, which calls the engine many times, from where that is cheapest: on the cpu engine from one of its own
    /// threads, since to hand each call over would take as long as a small update.
    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        work()
    }

    /// Rows and columns of a panel.
    fn shape(&self, panel: &Self::Panel) -> (usize, usize);

    /// Brings a matrix up. Any strides; nothing may be empty.
    ///
    /// # Errors
    /// The device is out of memory or lost.
    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Matrix>;

    /// Brings a panel up. Any strides: the transpose of frame-major data is as good as the row-major form.
    ///
    /// # Errors
    /// The device is out of memory or lost.
    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<Self::Panel>;

    /// Brings a matrix down, row-major.
    ///
    /// # Errors
    /// The device is lost, or refused an earlier command.
    fn read_matrix<T: Real>(&self, matrix: &Self::Matrix) -> Result<Array2<T>>;

    /// Brings a panel down: shape (rows, N), stored column by column, so that its transpose is contiguous frame by frame.
    ///
    /// # Errors
    /// The device is lost, or refused an earlier command.
    fn read_panel<T: Real>(&self, panel: &Self::Panel) -> Result<Array2<T>>;

    /// Does some work and waits until all that it asked of the engine is done. Work that others ask of the engine
    /// meanwhile is counted with it.
    ///
    /// # Errors
    /// Those of the work; the device is lost, or refused a command.
    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        Timing::of(work)
    }
}
