//! What an engine could do at most: multiply-adds in registers, and copies in memory. No method asks for it; it is what
//! the times of the kernels are held against.

mod cpu;
mod gpu;
mod reference;

use std::time::Duration;

use crate::Result;
use crate::engine::Engine;

/// The most that was measured of an engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations a second; a multiply-add is two.
    pub flops: f64,
    /// Bytes read and written a second by a copy of buffers far larger than the caches.
    pub bytes: f64,
}

impl Peaks {
    /// The higher of two measurements, each for itself.
    pub fn max(self, other: Self) -> Self {
        Self { flops: self.flops.max(other.flops), bytes: self.bytes.max(other.bytes) }
    }
}

/// An engine whose peaks can be measured.
pub trait Peak: Engine {
    /// Measures each peak for at least `least`: the best of many short runs, so that what else the machine does for a
    /// while does not count. None for the reference, which is not made to be fast.
    ///
    /// # Errors
    /// [`Error::Engine`](crate::Error::Engine) where the device fails.
    fn peaks(&self, least: Duration) -> Result<Option<Peaks>>;
}
