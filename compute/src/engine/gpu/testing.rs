//! Helpers for tests on a device, here and in other packages.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;

use super::{Compiled, Gpu, GpuChoice};

/// The pipeline cache shared by the tests. Each test opens its own device, and all need about the same pipelines.
static COMPILED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The best GPU, with the skip policy of tests/common.
pub fn gpu() -> Option<Gpu> {
    let gpu = unprepared()?;
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    gpu.keep_pipelines(&compiled(), move |Compiled { cache, .. }| {
        let mut kept = compiled();
        if let Some(cache) = cache.filter(|cache| cache.outdoes(&kept)) {
            *kept = cache.bytes().to_vec();
        }
    });
    Some(gpu)
}

/// The same without compiled pipelines.
pub(super) fn unprepared() -> Option<Gpu> {
    match Gpu::open(&GpuChoice::Best) {
        Ok(gpu) => Some(gpu),
        Err(cause) if std::env::var("PARTWISE_REQUIRE_GPU").is_ok_and(|value| value == "1") => {
            panic!("PARTWISE_REQUIRE_GPU is 1, and {cause}")
        }
        Err(cause) => {
            // Not eprintln!, because the test harness hides it if a test passes.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: {}: {cause}", std::thread::current().name().unwrap_or("a test"));
            None
        }
    }
}

/// Numbers between 0.1 and 1.1. They depend only on the seed.
pub fn numbers(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    let mut state = seed;
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.1 + (state >> 8) as f32 / (1 << 24) as f32
    })
}

impl Gpu {
    /// Returns a function that destroys the device, like a driver reset, whoever owns this engine by then.
    pub fn destroyer(&self) -> impl Fn() + Send + Sync + use<> {
        let device = self.device.ask(|worker| Ok(worker.raw())).expect("a device that answers");
        move || device.destroy()
    }
}
