//! Bases and frames on the device: where their numbers lie.

use std::sync::OnceLock;

use super::layout::TILE;
use super::memory::Storage;

/// Entries of a vec4.
pub(crate) const QUAD: usize = 4;
/// vec4s of padding after a matrix. The blocks of a workgroup's last components read them but must not use them.
pub(crate) const MATRIX_SLACK: usize = 128;
/// The alignment in vec4s of the matrices of a stack: 256 bytes, the portable bound.
pub(crate) const ALIGNMENT: usize = 16;

/// Bases on the device.
pub struct GpuMatrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// The number of matrices of this shape, one after another.
    pub(crate) count: usize,
    pub(crate) storage: Storage,
    /// Sums over the rows of every matrix, if a kernel has formed them (kernels/products/gpu.rs).
    pub(crate) row_sums: OnceLock<PerMatrix>,
}

/// Numbers of every matrix of a stack, one matrix after another.
#[derive(Clone)]
pub(crate) struct PerMatrix {
    pub(crate) storage: Storage,
    /// vec4s per matrix, a multiple of [`ALIGNMENT`].
    pub(crate) stride: usize,
}

/// Frames on the device.
pub struct GpuPanel {
    pub(crate) rows: usize,
    /// The columns of each segment.
    pub(crate) segments: Vec<usize>,
    pub(crate) chunks: Vec<Chunk>,
}

/// Consecutive tiles of a panel in one buffer.
pub(crate) struct Chunk {
    /// The number of tiles before it.
    pub(crate) first_tile: usize,
    pub(crate) tiles: usize,
    pub(crate) storage: Storage,
}

/// The columns of a segment in one chunk.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) segment: usize,
    /// The segment's columns before it, whole tiles.
    pub(crate) first: usize,
    pub(crate) columns: usize,
    pub(crate) chunk: usize,
    /// The index of its first tile in the chunk.
    pub(crate) tile: usize,
}

impl GpuMatrix {
    /// vec4s per row.
    pub(crate) fn pitch(&self) -> usize {
        self.columns.div_ceil(QUAD)
    }

    /// vec4s per matrix.
    pub(crate) fn stride(&self) -> usize {
        (self.rows * self.pitch()).next_multiple_of(ALIGNMENT)
    }

    /// The number and the shape of the matrices.
    pub(crate) fn extent(&self) -> (usize, (usize, usize)) {
        (self.count, (self.rows, self.columns))
    }

    /// The matrix of a segment: its own, or the shared one.
    pub(crate) fn of(&self, segment: usize) -> Self {
        self.part(segment % self.count, 1)
    }

    /// vec4s from the first to the last number of `count` consecutive matrices.
    pub(crate) fn quads(&self, count: usize) -> usize {
        (count - 1) * self.stride() + self.rows * self.pitch()
    }

    /// The stack in parts of at most `quads` vec4s, each with the index of its first matrix. `length` matrices stay
    /// together.
    pub(crate) fn parts(&self, length: usize, quads: usize) -> impl Iterator<Item = (usize, Self)> {
        let more = quads.saturating_sub(self.quads(length) + MATRIX_SLACK) / (length * self.stride());
        let most = length * (1 + more);
        (0..self.count).step_by(most).map(move |first| (first, self.part(first, most.min(self.count - first))))
    }

    /// Consecutive matrices of the stack.
    pub(crate) fn part(&self, first: usize, count: usize) -> Self {
        let vec4 = (QUAD * size_of::<f32>()) as u64;
        let bytes = (self.quads(count) + MATRIX_SLACK) as u64 * vec4;
        let storage = self.storage.part((first * self.stride()) as u64 * vec4, bytes);
        let row_sums = self.row_sums.get().map(|all| all.part(first, count));
        let row_sums = row_sums.map_or_else(OnceLock::new, OnceLock::from);
        Self { count, storage, row_sums, ..*self }
    }

    /// Forgets what was derived from the numbers. Every function that changes them must call it.
    pub(crate) fn changes(&mut self) {
        self.row_sums.take();
    }
}

impl PerMatrix {
    /// The numbers of consecutive matrices.
    pub(crate) fn part(&self, first: usize, count: usize) -> Self {
        let bytes = (self.stride * QUAD * size_of::<f32>()) as u64;
        Self { storage: self.storage.part(first as u64 * bytes, count as u64 * bytes), stride: self.stride }
    }
}

impl GpuPanel {
    /// The number of rows, and the columns of each segment.
    pub(crate) fn extent(&self) -> (usize, &[usize]) {
        (self.rows, &self.segments)
    }

    /// The segments, cut at the ends of chunks.
    pub(crate) fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.segments.len());
        // All chunks but the last have the same width.
        let width = self.chunks.first().map_or(1, |chunk| chunk.tiles);
        let mut tile = 0;
        for (segment, &columns) in self.segments.iter().enumerate() {
            let mut first = 0;
            while first < columns {
                let at = tile % width;
                let piece = (columns - first).min((width - at) * TILE);
                pieces.push(Piece { segment, first, columns: piece, chunk: tile / width, tile: at });
                first += piece;
                tile += piece.div_ceil(TILE);
            }
        }
        pieces
    }
}

impl Chunk {
    /// vec4s per row, over all strips.
    pub(crate) fn quads(&self) -> usize {
        self.tiles * TILE / QUAD
    }
}
