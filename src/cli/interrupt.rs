//! Ctrl-C, and the signals by which systems ask a process to end.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

static LISTENING: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Listens as long as it is there: the first Ctrl-C (or SIGTERM, SIGHUP) is noted, and the second ends the program at once. After
/// that, the first does.
pub(super) struct Interrupts;

impl Interrupts {
    pub(super) fn listen() -> anyhow::Result<Self> {
        ctrlc::set_handler(|| {
            if !LISTENING.load(Ordering::Relaxed) || INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            log::warn!("interrupted: what is in flight is finished; once more to stop at once");
        })
        .context("cannot listen for ctrl-c")?;
        LISTENING.store(true, Ordering::Relaxed);
        Ok(Self)
    }

    /// Set by the first.
    pub(super) fn noted(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        LISTENING.store(false, Ordering::Relaxed);
    }
}
