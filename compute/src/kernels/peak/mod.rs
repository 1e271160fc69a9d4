//! Measures the peaks of an engine: multiply-adds in registers and copies in memory. No method uses them. They are the
//! scale for the times of the kernels.

mod cpu;
mod gpu;
mod reference;

use std::time::Duration;

use crate::Result;
use crate::engine::Engine;

/// The highest rates measured on an engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations per second. A multiply-add counts as two.
    pub flops: f64,
    /// Bytes read and written per second by a copy of buffers far larger than the caches.
    pub bytes: f64,
}

impl Peaks {
    /// The higher value of each peak.
    pub fn max(self, other: Self) -> Self {
        Self { flops: self.flops.max(other.flops), bytes: self.bytes.max(other.bytes) }
    }
}

/// An engine with measurable peaks.
pub trait Peak: Engine {
    /// Measures each peak for at least `least`. The result is the best of many short runs, so other load on the machine
    /// has little effect. None for the reference, which is not built for speed.
    ///
    /// # Errors
    /// [`Error::Engine`](crate::Error::Engine) if the device fails.
    fn peaks(&self, least: Duration) -> Result<Option<Peaks>>;
}
