//! Handles Ctrl-C and the signals that ask a process to end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;

static LISTENING: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The files of a job that are begun and not ended.
pub(super) static IN_PROGRESS: AtomicUsize = AtomicUsize::new(0);

/// Handles signals while it exists. The first Ctrl-C (or SIGTERM, SIGHUP) sets a flag, the second ends the program at
/// once. Afterwards, the first one ends the program.
pub(super) struct Interrupts;

impl Interrupts {
    pub(super) fn listen() -> anyhow::Result<Self> {
        handle(note).context("cannot listen for ctrl-c")?;
        LISTENING.store(true, Ordering::Relaxed);
        Ok(Self)
    }

    /// The flag that the first signal sets.
    pub(super) fn noted(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        LISTENING.store(false, Ordering::Relaxed);
    }
}

fn note() {
    if !LISTENING.load(Ordering::Relaxed) || INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    let what = match IN_PROGRESS.load(Ordering::Relaxed) {
        0 => "finishing what is in progress".into(),
        1 => "finishing 1 file in progress".into(),
        files => format!("finishing {files} files in progress"),
    };
    log::warn!("interrupted: {what}; interrupt again to stop at once");
}

/// Calls `note` on a thread of its own for every signal that asks the process to end. A signal that was ignored when
/// the program started stays ignored: `nohup` ignores hang-ups, and shells ignore Ctrl-C for background jobs.
#[cfg(unix)]
fn handle(note: fn()) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = signal_hook::iterator::Signals::new(heeded)?;
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().for_each(|_| note())).map(drop)
}

#[cfg(not(unix))]
fn handle(note: fn()) -> std::io::Result<()> {
    ctrlc::set_handler(note).map_err(std::io::Error::other)
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is set, and the current one is read only after it was written.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
