//! Device memory: storages that return to a pool when dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most unused bytes that the pool keeps if device memory is also host memory.
pub(super) const IDLE_BYTES: u64 = 1 << 30;

/// A piece of device memory. Its initial contents are whatever its last owner left.
#[derive(Clone)]
pub(crate) struct Storage {
    owned: Arc<Owned>,
    offset: u64,
    /// Bytes in use. The buffer may be longer.
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

    /// Takes a storage of `bytes` from the pool, if it has a buffer of that size class.
    pub(super) fn pooled(pool: &Arc<Pool>, bytes: u64) -> Option<Self> {
        pool.take(Pool::size_class(bytes)).map(|buffer| Self::new(buffer, bytes, pool.clone()))
    }

    /// A part of its bytes. `first` must be a multiple of 256, the alignment that every device supports.
    pub(crate) fn part(&self, first: u64, bytes: u64) -> Self {
        Self { owned: self.owned.clone(), offset: self.offset + first, bytes }
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.owned.buffer
    }

    /// The offset of its first byte in the buffer.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes in use, as a binding. A read past the end never reaches another owner's numbers.
    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = wgpu::BufferSize::new(self.bytes());
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: self.buffer(), offset: self.offset, size })
    }
}

impl Drop for Owned {
    // A recorded command may still use the buffer: commands hold their storages only until they are recorded. This is
    // safe because the next owner's commands are recorded later.
    fn drop(&mut self) {
        self.pool.put(self.buffer.clone());
    }
}

/// Unused buffers by size.
pub(super) struct Pool {
    /// The most unused bytes to keep.
    most: u64,
    idle: Mutex<BTreeMap<u64, Vec<wgpu::Buffer>>>,
}

impl Pool {
    pub(super) fn new(most: u64) -> Self {
        Self { most, idle: Mutex::default() }
    }

    /// The buffer size for `bytes`. There are four steps between powers of two, so panels of similar width share
    /// buffers and at most a quarter is wasted.
    pub(super) fn size_class(bytes: u64) -> u64 {
        let step = (bytes.next_power_of_two() / 8).max(1024);
        bytes.next_multiple_of(step)
    }

    /// Takes an unused buffer of a size class, if there is one.
    fn take(&self, class: u64) -> Option<wgpu::Buffer> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&class)?.pop()
    }

    /// Returns all unused buffers to the device.
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
    fn size_classes_fit_the_request_and_waste_little() {
        for bytes in [1, 4, 1023, 1024, 1025, 5000, 70_000, 1 << 20, (1 << 20) + 1, 100_000_000, 1 << 31] {
            let class = Pool::size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4));
            assert!(class - bytes < (bytes / 4).max(1024), "{bytes} takes {class}");
            assert_eq!(Pool::size_class(class), class);
        }
    }
}
