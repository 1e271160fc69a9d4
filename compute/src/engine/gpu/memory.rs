//! Device memory: storages that return to a pool when they are dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The pool keeps at most so many bytes that nobody uses, where the device's memory is also the host's.
pub(super) const IDLE_BYTES: u64 = 1 << 30;

/// A piece of device memory. What it holds at first is whatever its last owner left there.
#[derive(Clone)]
pub(crate) struct Storage {
    owned: Arc<Owned>,
    offset: u64,
    /// Bytes in use; the buffer may be longer.
    bytes: u64,
}

struct Owned {
    buffer: wgpu::Buffer,
    pool: Arc<Pool>,
}

impl Storage {
    pub(super) fn new(buffer: wgpu::Buffer, bytes: u64, pool: Arc<Pool>) -> Self {
        Self { owned: Arc::new(Owned { buffer, pool }), offset: 0, bytes }
    }

    /// A storage of `bytes` from the pool, if a buffer of its size waits there.
    pub(super) fn pooled(pool: &Arc<Pool>, bytes: u64) -> Option<Self> {
        pool.take(Pool::size_class(bytes)).map(|buffer| Self::new(buffer, bytes, pool.clone()))
    }

    /// Some of its bytes. They begin at a multiple of 256, as every device can bind them.
    pub(super) fn part(&self, first: u64, bytes: u64) -> Self {
        Self { owned: self.owned.clone(), offset: self.offset + first, bytes }
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.owned.buffer
    }

    /// Where its first byte stands in the buffer.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes in use, as a shader sees them: a read past the end never meets another owner's numbers.
    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = wgpu::BufferSize::new(self.bytes());
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: self.buffer(), offset: self.offset, size })
    }
}

impl Drop for Owned {
    // A recorded command may still use the buffer: commands hold their storages until they are recorded, not longer.
    // That is safe, since what its next owner does with it is recorded later.
    fn drop(&mut self) {
        self.pool.put(self.buffer.clone());
    }
}

/// Buffers that wait for a new owner, by size.
pub(super) struct Pool {
    /// Bytes that may wait, at most.
    most: u64,
    idle: Mutex<BTreeMap<u64, Vec<wgpu::Buffer>>>,
}

impl Pool {
    pub(super) fn new(most: u64) -> Self {
        Self { most, idle: Mutex::default() }
    }

    /// The size of the buffer that holds `bytes`: one of four steps between two powers of two, so that panels of about
    /// the same width share buffers, and at most a quarter is wasted.
    pub(super) fn size_class(bytes: u64) -> u64 {
        let step = (bytes.next_power_of_two() / 8).max(1024);
        bytes.next_multiple_of(step)
    }

    /// A buffer of a size class, if one waits.
    fn take(&self, class: u64) -> Option<wgpu::Buffer> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&class)?.pop()
    }

    /// Gives all waiting buffers back to the device.
    pub(super) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn put(&self, buffer: wgpu::Buffer) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let held: u64 = idle.iter().map(|(class, buffers)| class * buffers.len() as u64).sum();
        if held + buffer.size() <= self.most {
            idle.entry(buffer.size()).or_default().push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_hold_what_is_asked_and_waste_little() {
        for bytes in [1, 4, 1023, 1024, 1025, 5000, 70_000, 1 << 20, (1 << 20) + 1, 100_000_000, 1 << 31] {
            let class = Pool::size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4));
            assert!(class - bytes < (bytes / 4).max(1024), "{bytes} takes {class}");
            assert_eq!(Pool::size_class(class), class);
        }
    }
}
