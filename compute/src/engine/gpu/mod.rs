//! The GPU engine: WGSL compute shaders through wgpu.
//!
//! Matrices are row-major in vec4s, with rows padded to a multiple of four entries. Panels are cut by columns into
//! chunks. The chunk width depends only on the engine, so all panels of the same N are cut alike and a kernel runs
//! chunk by chunk.
//!
//! A chunk is a row of strips of 32 columns, each row-major in vec4s. The columns of every segment are padded to whole
//! strips. So a tile is contiguous, and no stride depends on the panel's width. (With rows as long as a chunk, strides
//! were powers of two, and a large card took up to four times as long.)
//!
//! The padding of bases and gains is zero, or is masked where it matters. Every matrix of a stack begins at an offset
//! that a device can bind: a kernel sees one of them.

mod adapters;
mod answer;
mod clock;
mod device;
mod layout;
mod memory;
mod operands;
mod pipeline_cache;
mod pipelines;
pub(crate) mod shader;
mod staging;
mod tiling;
mod worker;

use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use ndarray::{Array2, ArrayView2, Axis, Slice};

pub use adapters::{Adapter, AdapterKind, GpuChoice, adapters};
pub(crate) use layout::TILE;
use memory::IDLE_BYTES;
pub(crate) use memory::Storage;
pub(crate) use operands::{ALIGNMENT, Chunk, MATRIX_SLACK, PerMatrix, Piece, QUAD};
pub use operands::{GpuMatrix, GpuPanel};
pub use pipeline_cache::{Compiled, PipelineCache};
pub use tiling::Tuning;
pub(crate) use tiling::{RANKS, Tiling};

use self::clock::Clock;
use self::device::Device;
use self::pipeline_cache::Keeping;
use self::shader::{Kernel, Source, Uniform};
use self::staging::STAGING_BYTES;
use self::worker::{Dispatch, Worker};
use super::{Engine, Real, Timing, packed_shape, stacked_shape};
use crate::{EngineError, Error, Result};

/// vec4s of stored fields: 64 MiB for P and the same for Q. Larger panels are updated window by window, and a window
/// needs enough columns to fill a card. Windows of 16 MiB, which fit the L2 cache of a large card, did not fill it.
const FIELD_QUADS: usize = 64 << 20 >> 4;
/// The number of host buffers kept for panel uploads.
const SPARE: usize = 3;
/// The most rows of a panel or matrix, and the most columns of a matrix. A shader must be able to bind a whole chunk.
/// With this bound, the width of a chunk does not depend on the panel's number of rows.
const MAX_ROWS: usize = 4096;
/// The most columns of a chunk: enough workgroups for any device, but no dispatch that a driver takes for a hang.
const MAX_CHUNK_COLUMNS: usize = 65_536;

/// The GPU engine.
pub struct Gpu {
    device: Device,
    adapter: Adapter,
    chunk_columns: usize,
    /// Bytes of workgroup memory available to a kernel.
    pub(crate) workgroup_bytes: u32,
    pub(crate) tuning: Tuning,
    /// vec4s that a kernel can bind as one storage.
    pub(crate) binding_quads: usize,
    /// vec4s available to P, and to Q, if they are stored.
    pub(crate) field_quads: usize,
    /// The most multiply-adds per dispatch, once measured.
    pub(crate) dispatch_work: OnceLock<usize>,
    /// Host buffers from earlier uploads, for reuse.
    spare: Arc<Mutex<Vec<Vec<f32>>>>,
    /// Tables, each with what it was made of.
    kept: Mutex<Vec<(Weak<dyn Any + Send + Sync>, Storage)>>,
}

/// A run of a kernel, with its storages in the order of their bindings.
pub(crate) struct Run<'a, U> {
    pub(crate) kernel: &'static Kernel,
    /// The file with the functions that the kernel leaves open.
    pub(crate) filling: Option<&'static Source>,
    pub(crate) constants: &'a [u32],
    pub(crate) uniform: U,
    pub(crate) storages: &'a [&'a Storage],
    pub(crate) workgroups: usize,
    /// Approximate multiply-adds, by which long submissions are divided.
    pub(crate) work: usize,
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] if none matches, or its driver refuses.
    pub fn open(choice: &GpuChoice) -> Result<Self> {
        let (chosen, adapter) = adapters::choose(choice)?;
        let limits = chosen.limits();
        let wanted = wgpu::Limits {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            ..wgpu::Limits::default()
        };
        let request = chosen.request_device(&wgpu::DeviceDescriptor {
            label: Some("partwise"),
            required_features: (Clock::FEATURES | wgpu::Features::PIPELINE_CACHE) & chosen.features(),
            required_limits: wanted.or_worse_values_from(&limits),
            ..wgpu::DeviceDescriptor::default()
        });
        let (device, queue) =
            pollster::block_on(request).map_err(|cause| EngineError::NoAdapter(format!("{adapter}: {cause}")))?;
        let longest = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let columns = usize::try_from(longest).unwrap_or(usize::MAX) / size_of::<f32>() / MAX_ROWS;
        let chunk_columns = (columns / TILE * TILE).clamp(TILE, MAX_CHUNK_COLUMNS);
        let tuning = Tuning::all(Tiling::SMALLEST);
        let workgroup_bytes = limits.max_compute_workgroup_storage_size;
        // P, Q and the cells' costs share one storage, and a kernel must be able to bind it.
        let binding_quads = usize::try_from(longest).unwrap_or(usize::MAX) / size_of::<[f32; QUAD]>();
        let field_quads = FIELD_QUADS.min(binding_quads / 3);
        // Allocating and freeing memory of a card takes longer than most kernels, and a panel's masks are large.
        let idle_bytes = match adapter.kind {
            AdapterKind::Discrete => IDLE_BYTES.max(limits.max_buffer_size),
            _ => IDLE_BYTES,
        };
        Ok(Self {
            device: Device::start(device, queue, idle_bytes)?,
            adapter,
            chunk_columns,
            workgroup_bytes,
            tuning,
            binding_quads,
            field_quads,
            dispatch_work: OnceLock::new(),
            spare: Arc::default(),
            kept: Mutex::default(),
        })
    }

    /// The adapter that was opened.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Applies a [`Gpu::tune`] result from an earlier run on this device.
    ///
    /// # Errors
    /// [`Error::Input`] if it belongs to another version of the shaders. Nothing changes then.
    pub fn set_tuning(&mut self, tuning: Tuning) -> Result<()> {
        if !tuning.is_known() {
            return Err(Error::input("the tuning is for other shaders; tune again"));
        }
        self.tuning = tuning;
        Ok(())
    }

    /// Compiles pipelines with the help of `kept`, the cache of an earlier run. When this engine is dropped, calls the
    /// listener with the time that pipelines took and the cache to keep now.
    ///
    /// `kept` may be empty. Damaged bytes, and bytes of another device, driver or version, are ignored. Call this once,
    /// before any computation.
    pub fn keep_pipelines(&self, kept: &[u8], listener: impl FnOnce(Compiled) + Send + Sync + 'static) {
        let description = format!("{}, partwise {}", self.adapter.key(), env!("CARGO_PKG_VERSION"));
        self.device.pipelines.keep(Keeping::new(description, kept, Box::new(listener)));
    }

    /// Allocates a storage of `quads` vec4s with unspecified contents.
    pub(crate) fn storage(&self, quads: usize) -> Result<Storage> {
        self.device.storage((quads * QUAD * size_of::<f32>()) as u64)
    }

    /// Allocates rows of `pitch` vec4s with unspecified contents. Kernels read components in fours, so up to three rows
    /// follow that they must not use.
    pub(crate) fn rows(&self, rows: usize, pitch: usize) -> Result<Storage> {
        self.storage(rows.next_multiple_of(QUAD) * pitch)
    }

    /// Allocates `count` matrices with unspecified contents.
    pub(crate) fn new_stack(&self, count: usize, rows: usize, columns: usize) -> Result<GpuMatrix> {
        let one = rows * columns.div_ceil(QUAD);
        let storage = self.storage((count - 1) * one.next_multiple_of(ALIGNMENT) + one + MATRIX_SLACK)?;
        Ok(GpuMatrix { rows, columns, count, storage, row_sums: OnceLock::new() })
    }

    /// Allocates a panel with unspecified contents.
    pub(crate) fn new_panel(&self, rows: usize, segments: Vec<usize>) -> Result<GpuPanel> {
        let all: usize = segments.iter().map(|columns| columns.div_ceil(TILE)).sum();
        let width = self.chunk_columns / TILE;
        let chunk = |first_tile: usize| {
            let tiles = width.min(all - first_tile);
            Ok(Chunk { first_tile, tiles, storage: self.rows(rows, tiles * TILE / QUAD)? })
        };
        let chunks: Result<Vec<Chunk>> = (0..all).step_by(width).map(chunk).collect();
        Ok(GpuPanel { rows, segments, chunks: chunks? })
    }

    /// Records a run of a kernel. If it fails, the next answer of the engine is its error.
    pub(crate) fn run<U: Uniform>(&self, run: Run<U>) -> Result<()> {
        self.device.pipelines.begin(run.kernel, run.filling, run.constants);
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

    /// A storage with rows of numbers of 32 bits, integers or not, that a kernel looks up.
    pub(crate) fn table<Row: bytemuck::NoUninit>(&self, rows: &[Row]) -> Result<Storage> {
        let numbers: &[f32] = bytemuck::cast_slice(rows);
        let storage = self.storage(numbers.len().div_ceil(QUAD))?;
        self.upload(&storage, 0, numbers.to_vec())?;
        Ok(storage)
    }

    /// A table that is made of something once, and kept as long as that is.
    pub(crate) fn kept_table<T: Send + Sync + 'static, Row: bytemuck::NoUninit>(
        &self,
        of: &Arc<T>,
        rows: impl FnOnce(&T) -> Vec<Row>,
    ) -> Result<Storage> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| of.strong_count() > 0);
        let is_same = |known: &Weak<dyn Any + Send + Sync>| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(of));
        if let Some((_, table)) = kept.iter().find(|(known, _)| is_same(known)) {
            return Ok(table.clone());
        }
        let table = self.table(&rows(of))?;
        let of: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(of);
        kept.push((Arc::downgrade(&of), table.clone()));
        Ok(table)
    }

    /// Allocates `quads` vec4s for each of `count` matrices, with unspecified contents.
    pub(crate) fn per_matrix(&self, count: usize, quads: usize) -> Result<PerMatrix> {
        let stride = quads.next_multiple_of(ALIGNMENT);
        Ok(PerMatrix { storage: self.storage(count * stride)?, stride })
    }

    /// Waits until all earlier commands are done.
    pub(crate) fn settle(&self) -> Result<()> {
        self.device.ask(Worker::settle)
    }

    /// Uploads numbers to a storage from its number `first` on. Keeps their buffer for the next upload.
    fn upload(&self, storage: &Storage, first: usize, values: Vec<f32>) -> Result<()> {
        let (storage, spare) = (storage.clone(), Arc::clone(&self.spare));
        self.device.post(move |worker| {
            let uploaded = worker.upload(&storage, first, &values);
            let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE {
                spare.push(values);
            }
            uploaded
        })
    }

    /// A host buffer of `length` numbers with unspecified contents. Reuse matters because fresh memory comes from the
    /// system page by page.
    fn spare(&self, length: usize) -> Vec<f32> {
        let mut values = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        values.resize(length, 0.0);
        values
    }

    /// Strips of `rows` rows per upload or download.
    fn strips_at_once(rows: usize) -> usize {
        (STAGING_BYTES as usize / size_of::<f32>() / (rows * TILE)).max(1)
    }
}

impl Engine for Gpu {
    type Matrix = GpuMatrix;
    type Panel = GpuPanel;

    fn describe(&self) -> String {
        format!("gpu ({}, {})", self.adapter.name, self.adapter.backend)
    }

    fn matrices(&self, stack: &GpuMatrix) -> usize {
        stack.count
    }

    fn segments(&self, panel: &GpuPanel) -> (usize, Vec<usize>) {
        (panel.rows, panel.segments.clone())
    }

    fn stack<T: Real>(&self, matrices: &[ArrayView2<T>]) -> Result<GpuMatrix> {
        let (rows, columns) = stacked_shape(matrices)?;
        check_size("matrix", rows, columns, rows.max(columns))?;
        let stack = self.new_stack(matrices.len(), rows, columns)?;
        let (pitch, stride) = (stack.pitch() * QUAD, stack.stride() * QUAD);
        let mut packed = vec![0.0; (matrices.len() - 1) * stride + rows * pitch];
        for (matrix, &values) in matrices.iter().enumerate() {
            layout::pack_rows(values, &mut packed[matrix * stride..][..rows * pitch], pitch);
        }
        self.upload(&stack.storage, 0, packed)?;
        Ok(stack)
    }

    fn packed<T: Real>(&self, segments: &[ArrayView2<T>]) -> Result<GpuPanel> {
        let (rows, columns) = packed_shape(segments)?;
        check_size("panel", rows, columns.iter().sum(), rows)?;
        let panel = self.new_panel(rows, columns)?;
        let pieces = panel.pieces();
        for (index, chunk) in panel.chunks.iter().enumerate() {
            let pieces: Vec<&Piece> = pieces.iter().filter(|piece| piece.chunk == index).collect();
            for first in (0..chunk.tiles).step_by(Self::strips_at_once(rows)) {
                let strips = Self::strips_at_once(rows).min(chunk.tiles - first);
                let mut packed = self.spare(rows * strips * TILE);
                for piece in &pieces {
                    // The strips of the piece in this range.
                    let begin = piece.tile.max(first);
                    let end = (piece.tile + piece.columns.div_ceil(TILE)).min(first + strips);
                    if begin >= end {
                        continue;
                    }
                    let before = (begin - piece.tile) * TILE;
                    let columns = ((end - begin) * TILE).min(piece.columns - before);
                    let of_segment = Slice::from(piece.first + before..piece.first + before + columns);
                    let values = segments[piece.segment].slice_axis(Axis(1), of_segment);
                    let place = rows * TILE * (begin - first)..rows * TILE * (end - first);
                    layout::pack_strips(values, &mut packed[place]);
                }
                self.upload(&chunk.storage, first * rows * TILE, packed)?;
            }
        }
        Ok(panel)
    }

    fn read_matrix<T: Real>(&self, matrix: &GpuMatrix) -> Result<Array2<T>> {
        let (rows, stride) = (matrix.rows, matrix.stride() * QUAD);
        let mut values = Array2::from_elem((matrix.count * rows, matrix.columns), T::default());
        let mut packed = Vec::new();
        let all = matrix.storage.bytes() as usize / size_of::<f32>();
        let piece = all.min(STAGING_BYTES as usize / size_of::<f32>());
        self.device.read(&matrix.storage, piece, |_, values| packed.extend_from_slice(values))?;
        for (packed, values) in packed.chunks(stride).zip(values.axis_chunks_iter_mut(Axis(0), rows)) {
            layout::unpack_rows(packed, matrix.pitch() * QUAD, values);
        }
        Ok(values)
    }

    fn read_panel<T: Real>(&self, panel: &GpuPanel) -> Result<Array2<T>> {
        let (rows, columns) = self.shape(panel);
        let mut values = layout::column_major(rows, columns)?;
        let pieces = panel.pieces();
        // The column at which each piece begins.
        let before: Vec<usize> =
            pieces.iter().scan(0, |before, piece| Some(std::mem::replace(before, *before + piece.columns))).collect();
        let strip = rows * TILE;
        for (index, chunk) in panel.chunks.iter().enumerate() {
            let all = std::iter::zip(&pieces, &before).filter(|(piece, _)| piece.chunk == index);
            let of_chunk: Vec<(&Piece, usize)> = all.map(|(piece, &before)| (piece, before)).collect();
            let storage = chunk.storage.part(0, (chunk.tiles * strip * size_of::<f32>()) as u64);
            self.device.read(&storage, Self::strips_at_once(rows) * strip, |first, packed| {
                let strips = first / strip..(first + packed.len()) / strip;
                for &(piece, before) in &of_chunk {
                    let begin = piece.tile.max(strips.start);
                    let end = (piece.tile + piece.columns.div_ceil(TILE)).min(strips.end);
                    if begin >= end {
                        continue;
                    }
                    let skipped = (begin - piece.tile) * TILE;
                    let columns = ((end - begin) * TILE).min(piece.columns - skipped);
                    let of_piece = Slice::from(before + skipped..before + skipped + columns);
                    let packed = &packed[(begin - strips.start) * strip..(end - strips.start) * strip];
                    layout::unpack_strips(packed, values.slice_axis_mut(Axis(1), of_piece));
                }
            })?;
        }
        Ok(values)
    }

    fn selects_cheaply(&self) -> bool {
        false
    }

    fn reads_cheaply(&self) -> bool {
        false
    }

    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<Timing> {
        self.device.ask(Worker::start_clock)?;
        let timing = Timing::of(|| {
            work()?;
            self.settle()
        })?;
        Ok(Timing { device: self.device.ask(Worker::stop_clock)?, ..timing })
    }
}

fn check_size(what: &str, rows: usize, columns: usize, longest: usize) -> Result<()> {
    if longest > MAX_ROWS {
        return Err(Error::input(format!(
            "a {what} of {rows} x {columns} is too large for the gpu engine, whose limit is {MAX_ROWS}; use `--engine cpu`"
        )));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod shader_check;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
pub(crate) mod tests;
