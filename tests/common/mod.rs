//! Helpers shared by several test files.
#![allow(dead_code, reason = "each test file is a program of its own and takes what it needs")]

pub(crate) mod http;
pub(crate) mod server;
#[cfg(feature = "serve")]
pub(crate) mod service;
#[cfg(unix)]
pub(crate) mod terminal;
pub(crate) mod world;

use std::io::Write;

use partwise::engine::{Gpu, GpuChoice};

/// The best GPU, software adapters included. Without one, the test reports SKIPPED, or fails if `PARTWISE_REQUIRE_GPU`
/// is 1.
pub(crate) fn gpu() -> Option<Gpu> {
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
