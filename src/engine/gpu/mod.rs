//! The gpu engine: WGSL compute shaders through wgpu.
//!
//! Matrices are row-major in vec4s, rows padded to a multiple of four entries. Panels are cut by columns into chunks of
//! a width that is the engine's alone, so that all panels of the same N are cut alike and a kernel runs chunk by chunk.
//! A chunk is row-major in vec4s too, its columns padded to whole tiles. The padding of bases and gains is zero, and
//! every kernel keeps it so.

mod adapters;
mod clock;
mod device;
mod layout;
mod memory;
mod pipelines;
pub(crate) mod shader;
mod tiling;
mod worker;

use ndarray::{Array2, ArrayView2, Axis, Slice};

pub use adapters::{Adapter, AdapterKind, GpuChoice, adapters};
pub(crate) use memory::Storage;
pub use tiling::Tuning;
pub(crate) use tiling::{RANKS, Tiling};

use self::clock::Clock;
use self::device::Device;
use self::shader::{Kernel, Source, Uniform};
use self::worker::{Dispatch, Worker};
use super::{Engine, Real, Timing};
use crate::{EngineError, Error, Result};

/// Rows and columns of the tiles that the kernels work on (shaders/lib/tile.wgsl).
pub(crate) const TILE: usize = 32;
/// Entries of a vec4.
pub(crate) const QUAD: usize = 4;
/// vec4s after a matrix that the kernels may read and must not use: the blocks of a workgroup's last components reach so far.
const MATRIX_SLACK: usize = 128;
/// Rows that a panel or matrix may have, and columns that a matrix may have: a chunk of a panel must not be longer than
/// a shader can see, and with this bound its width does not depend on how many rows the panel has.
const MAX_ROWS: usize = 4096;
/// Columns of a chunk, at most: enough workgroups for any device, and no dispatch that a driver takes for a hang.
const MAX_CHUNK_COLUMNS: usize = 65_536;

/// The gpu engine.
pub struct Gpu {
    device: Device,
    adapter: Adapter,
    chunk_columns: usize,
    pub(crate) tuning: Tuning,
}

/// Bases on the device.
pub struct GpuMatrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) storage: Storage,
}

/// Frames on the device.
pub struct GpuPanel {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) chunks: Vec<Chunk>,
}

/// Columns `first..first + columns` of a panel.
pub(crate) struct Chunk {
    pub(crate) first: usize,
    pub(crate) columns: usize,
    pub(crate) storage: Storage,
}

/// A run of a kernel over its storages, in the order of its bindings.
pub(crate) struct Run<'a, U> {
    pub(crate) kernel: &'static Kernel,
    /// The file of the functions that the kernel leaves open.
    pub(crate) filling: Option<&'static Source>,
    pub(crate) constants: &'a [u32],
    pub(crate) uniform: U,
    pub(crate) storages: &'a [&'a Storage],
    pub(crate) workgroups: usize,
    /// Multiply-adds, about: long submissions are divided by it.
    pub(crate) work: usize,
}

impl GpuMatrix {
    /// vec4s from one row to the next.
    pub(crate) fn pitch(&self) -> usize {
        self.columns.div_ceil(QUAD)
    }
}

impl Chunk {
    /// vec4s from one row to the next.
    pub(crate) fn pitch(&self) -> usize {
        self.tiles() * TILE / QUAD
    }

    /// Tiles of columns.
    pub(crate) fn tiles(&self) -> usize {
        self.columns.div_ceil(TILE)
    }
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] where none matches, or its driver refuses.
    pub fn open(choice: &GpuChoice) -> Result<Self> {
        let (chosen, adapter) = adapters::choose(choice)?;
        let limits = chosen.limits();
        let wanted = wgpu::Limits {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            ..wgpu::Limits::default()
        };
        let request = chosen.request_device(&wgpu::DeviceDescriptor {
            label: Some("partwise"),
            required_features: Clock::FEATURES & chosen.features(),
            required_limits: wanted.or_worse_values_from(&limits),
            ..wgpu::DeviceDescriptor::default()
        });
        let (device, queue) =
            pollster::block_on(request).map_err(|cause| EngineError::NoAdapter(format!("{adapter}: {cause}")))?;
        let longest = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let columns = usize::try_from(longest).unwrap_or(usize::MAX) / size_of::<f32>() / MAX_ROWS;
        let chunk_columns = (columns / TILE * TILE).clamp(TILE, MAX_CHUNK_COLUMNS);
        let tuning = Tuning::all(Tiling::SMALLEST);
        Ok(Self { device: Device::start(device, queue)?, adapter, chunk_columns, tuning })
    }

    /// The adapter that was opened.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Takes what [`Gpu::tune`] measured on this device before.
    ///
    /// # Errors
    /// [`Error::Input`] where it is of another version of the shaders; nothing has changed then.
    pub fn set_tuning(&mut self, tuning: Tuning) -> Result<()> {
        if !tuning.is_known() {
            return Err(Error::input("a tuning of shaders that are not there"));
        }
        self.tuning = tuning;
        Ok(())
    }

    /// A storage of so many vec4s, whatever they hold.
    pub(crate) fn storage(&self, quads: usize) -> Result<Storage> {
        self.device.storage((quads * QUAD * size_of::<f32>()) as u64)
    }

    /// A storage of rows of `pitch` vec4s, whatever they hold. The last four components are read together: up to three rows
    /// may follow that must not be used.
    pub(crate) fn rows(&self, rows: usize, pitch: usize) -> Result<Storage> {
        self.storage(rows.next_multiple_of(QUAD) * pitch)
    }

    /// A matrix, whatever it holds.
    pub(crate) fn new_matrix(&self, rows: usize, columns: usize) -> Result<GpuMatrix> {
        let storage = self.storage(rows * columns.div_ceil(QUAD) + MATRIX_SLACK)?;
        Ok(GpuMatrix { rows, columns, storage })
    }

    /// A panel, whatever it holds.
    pub(crate) fn new_panel(&self, rows: usize, columns: usize) -> Result<GpuPanel> {
        check_size("panel", rows, columns, rows)?;
        let chunk = |first: usize| {
            let chunk_columns = self.chunk_columns.min(columns - first);
            let storage = self.rows(rows, chunk_columns.next_multiple_of(TILE) / QUAD)?;
            Ok(Chunk { first, columns: chunk_columns, storage })
        };
        let chunks: Result<Vec<Chunk>> = (0..columns).step_by(self.chunk_columns).map(chunk).collect();
        Ok(GpuPanel { rows, columns, chunks: chunks? })
    }

    /// Records a run of a kernel. What fails is told by the next answer of the engine.
    pub(crate) fn run<U: Uniform>(&self, run: Run<U>) -> Result<()> {
        let dispatch = Dispatch {
            kernel: run.kernel,
            filling: run.filling,
            constants: run.constants.to_vec(),
            uniform: bytemuck::bytes_of(&run.uniform).to_vec(),
            storages: run.storages.iter().map(|&storage| storage.clone()).collect(),
            workgroups: run.workgroups,
            work: run.work as u64,
        };
        self.device.post(move |worker| worker.dispatch(&dispatch))
    }

    fn upload(&self, storage: &Storage, values: Vec<f32>) -> Result<()> {
        let storage = storage.clone();
        self.device.post(move |worker| worker.upload(&storage, &values))
    }

    fn read(&self, storage: &Storage) -> Result<Vec<f32>> {
        let storage = storage.clone();
        self.device.ask(move |worker| worker.read(&storage))
    }
}

impl Engine for Gpu {
    type Matrix = GpuMatrix;
    type Panel = GpuPanel;

    fn describe(&self) -> String {
        format!("gpu ({}, {})", self.adapter.name, self.adapter.backend)
    }

    fn shape(&self, panel: &GpuPanel) -> (usize, usize) {
        (panel.rows, panel.columns)
    }

    fn matrix<T: Real>(&self, values: ArrayView2<T>) -> Result<GpuMatrix> {
        let (rows, columns) = values.dim();
        check_size("matrix", rows, columns, rows.max(columns))?;
        let pitch = columns.next_multiple_of(QUAD);
        let matrix = self.new_matrix(rows, columns)?;
        self.upload(&matrix.storage, layout::pack(values, pitch))?;
        Ok(matrix)
    }

    fn panel<T: Real>(&self, values: ArrayView2<T>) -> Result<GpuPanel> {
        let panel = self.new_panel(values.nrows(), values.ncols())?;
        for chunk in &panel.chunks {
            let columns = Slice::from(chunk.first..chunk.first + chunk.columns);
            let packed = layout::pack(values.slice_axis(Axis(1), columns), chunk.pitch() * QUAD);
            self.upload(&chunk.storage, packed)?;
        }
        Ok(panel)
    }

    fn read_matrix<T: Real>(&self, matrix: &GpuMatrix) -> Result<Array2<T>> {
        let mut values = Array2::from_elem((matrix.rows, matrix.columns), T::default());
        layout::unpack(&self.read(&matrix.storage)?, matrix.pitch() * QUAD, values.view_mut());
        Ok(values)
    }

    fn read_panel<T: Real>(&self, panel: &GpuPanel) -> Result<Array2<T>> {
        let mut values = layout::column_major(panel.rows, panel.columns)?;
        for chunk in &panel.chunks {
            let columns = Slice::from(chunk.first..chunk.first + chunk.columns);
            let packed = self.read(&chunk.storage)?;
            layout::unpack(&packed, chunk.pitch() * QUAD, values.slice_axis_mut(Axis(1), columns));
        }
        Ok(values)
    }

    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        self.device.ask(Worker::start_clock)?;
        let timing = Timing::of(|| {
            work()?;
            self.device.ask(Worker::settle)
        })?;
        Ok(Timing { device: self.device.ask(Worker::stop_clock)?, ..timing })
    }
}

fn check_size(what: &str, rows: usize, columns: usize, longest: usize) -> Result<()> {
    if rows * columns == 0 {
        return Err(Error::input(format!("a {what} of {rows} x {columns} holds nothing")));
    }
    if longest > MAX_ROWS {
        return Err(Error::input(format!(
            "a {what} of {rows} x {columns} is too large for the gpu engine, which takes {MAX_ROWS}; use `--engine cpu`"
        )));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod shader_check;
#[cfg(test)]
pub(crate) mod tests;
