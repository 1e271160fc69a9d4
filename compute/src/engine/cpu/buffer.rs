//! Buffers for the tiles: aligned to cache lines and reused.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// A cache line, the size of an AVX-512 vector. A vector across two lines costs two accesses.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([f32; 16]);

/// A buffer that begins on a cache line.
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// A pool of buffers. The system provides fresh memory page by page, which takes longer than a small update.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Vec<Buffer>>>);

impl Shelf {
    /// Takes a buffer of `len` numbers with unspecified contents. It returns to the shelf when dropped.
    pub(crate) fn take(&self, len: usize) -> Scratch {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Buffer| buffer.lines.len() * 16 >= len;
        let best = (0..waiting.len()).filter(|&i| fits(&waiting[i])).min_by_key(|&i| waiting[i].lines.len());
        let buffer = best.map(|i| Buffer { len, ..waiting.swap_remove(i) });
        drop(waiting);
        Scratch { buffer: buffer.unwrap_or_else(|| Buffer::zeros(len)), shelf: self.clone() }
    }

    /// Takes a buffer of zeros.
    pub(crate) fn zeros(&self, len: usize) -> Scratch {
        let mut scratch = self.take(len);
        scratch.fill(0.0);
        scratch
    }
}

/// The most buffers on a shelf: what the threads of a large machine use at once, and the packed factors.
const SHELF: usize = 256;

/// A buffer borrowed from a [`Shelf`].
pub(crate) struct Scratch {
    buffer: Buffer,
    shelf: Shelf,
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::replace(&mut self.buffer, Buffer { lines: Vec::new(), len: 0 });
        let mut waiting = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < SHELF {
            waiting.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_lends_the_smallest_buffer_that_fits() {
        let shelf = Shelf::default();
        let (large, small) = (shelf.zeros(1000), shelf.zeros(20));
        let at = small.as_ptr();
        assert!(at.addr().is_multiple_of(64) && large.as_ptr().addr().is_multiple_of(64));
        drop((large, small));
        let again = shelf.take(17);
        assert_eq!((again.len(), again.as_ptr()), (17, at));
        assert!(shelf.zeros(900).iter().all(|&x| x == 0.0));
        assert_eq!(shelf.take(2000).len(), 2000);
    }
}
