//! Ctrl-C, and the signal by which systems ask a process to end.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on, the first Ctrl-C (or SIGTERM, SIGHUP) sets this flag, and the second ends the program at once.
pub(super) fn flag() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        log::warn!("interrupted: what is in flight is finished; once more to stop at once");
    })
    .context("cannot listen for ctrl-c")?;
    Ok(&INTERRUPTED)
}
