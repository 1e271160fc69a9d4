//! Numbers on their way down, in staging buffers: the device fills one while the host empties another.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::answer::{Answer, guarded};
use crate::EngineError;

/// Bytes of a staging buffer.
pub(super) const STAGING_BYTES: u64 = 32 << 20;
/// How many there are: one that the device fills, one on its way, one that the host empties.
const BUFFERS: usize = 3;

/// The staging buffers, made when they are first needed.
pub(super) struct Staging {
    made: usize,
    home: Sender<wgpu::Buffer>,
    returned: Receiver<wgpu::Buffer>,
}

/// A staging buffer that is being filled or read. Dropped, it goes home.
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
    /// A buffer for so many bytes that nobody uses, or a new one; waits for one where there are enough.
    pub(super) fn take(&mut self, device: &wgpu::Device, bytes: u64) -> Answer<Staged> {
        let buffer = self.buffer(device)?;
        Ok(Staged { device: device.clone(), buffer, bytes, home: self.home.clone() })
    }

    fn buffer(&mut self, device: &wgpu::Device) -> Answer<wgpu::Buffer> {
        if let Ok(buffer) = self.returned.try_recv() {
            return Ok(buffer);
        }
        if self.made == BUFFERS {
            // Never closed: `home` is here.
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

    /// Hands the numbers to `take`.
    ///
    /// # Errors
    /// [`EngineError::Refused`] where the buffer is not mapped.
    pub(super) fn with<T: bytemuck::AnyBitPattern>(&self, take: impl FnOnce(&[T])) -> Answer<()> {
        let refused = |cause: String| EngineError::Refused(format!("reading {} bytes back: {cause}", self.bytes));
        let view = self.buffer.get_mapped_range(0..self.bytes).map_err(|cause| refused(cause.to_string()))?;
        take(bytemuck::try_cast_slice(&view).map_err(|cause| refused(cause.to_string()))?);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A lost device refuses, which is told where the numbers were asked for.
        let _ = guarded(&self.device, || self.buffer.unmap());
        // The device's thread may have ended.
        let _ = self.home.send(self.buffer.clone());
    }
}
