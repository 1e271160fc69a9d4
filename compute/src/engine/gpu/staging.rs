//! Downloads through staging buffers: the device fills one while the host reads another.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::answer::{Answer, guarded};
use crate::EngineError;

/// Bytes per staging buffer.
pub(super) const STAGING_BYTES: u64 = 32 << 20;
/// The number of staging buffers: one that the device fills, one in flight, one that the host reads.
const BUFFERS: usize = 3;

/// The staging buffers, created when first needed.
pub(super) struct Staging {
    made: usize,
    home: Sender<wgpu::Buffer>,
    returned: Receiver<wgpu::Buffer>,
}

/// A staging buffer in use. It returns to the pool when dropped.
pub(super) struct Staged {
    device: wgpu::Device,
    buffer: wgpu::Buffer,
    bytes: u64,
    home: Sender<wgpu::Buffer>,
}

impl Default for Staging {
    fn default() -> Self {
        let (home, returned) = channel();
        Self { made: 0, home, returned }
    }
}

impl Staging {
    /// Takes an unused buffer for `bytes`, or creates one. Waits if all exist and are in use.
    pub(super) fn take(&mut self, device: &wgpu::Device, bytes: u64) -> Answer<Staged> {
        let buffer = self.buffer(device)?;
        Ok(Staged { device: device.clone(), buffer, bytes, home: self.home.clone() })
    }

    fn buffer(&mut self, device: &wgpu::Device) -> Answer<wgpu::Buffer> {
        if let Ok(buffer) = self.returned.try_recv() {
            return Ok(buffer);
        }
        if self.made == BUFFERS {
            // The channel never closes, because `home` is here.
            return self.returned.recv().map_err(|cause| EngineError::Refused(cause.to_string()));
        }
        let (buffer, failed) = guarded(device, || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: STAGING_BYTES,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        failed.map_or(Ok(()), Err)?;
        self.made += 1;
        Ok(buffer)
    }
}

impl Staged {
    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Calls `take` with the numbers.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if the buffer is not mapped.
    pub(super) fn with<T: bytemuck::AnyBitPattern>(&self, take: impl FnOnce(&[T])) -> Answer<()> {
        let refused = |cause: String| EngineError::Refused(format!("reading {} bytes back: {cause}", self.bytes));
        let view = self.buffer.get_mapped_range(0..self.bytes).map_err(|cause| refused(cause.to_string()))?;
        take(bytemuck::try_cast_slice(&view).map_err(|cause| refused(cause.to_string()))?);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A lost device refuses; the download reports that.
        let _ = guarded(&self.device, || self.buffer.unmap());
        // The device's thread may have ended.
        let _ = self.home.send(self.buffer.clone());
    }
}
