//! Work of the library on a thread of its own, while the calling thread hears Ctrl-C and tells of the progress.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use partwise::{Error, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raised;

/// Between two looks at signals and progress.
const LOOK: Duration = Duration::from_millis(50);

/// What the work and the thread that waits for it tell each other.
#[derive(Default)]
pub(crate) struct Control {
    /// Set once nobody wants the result.
    pub(crate) stop: AtomicBool,
    share: AtomicU64,
    done: AtomicBool,
}

impl Control {
    /// Takes the share of the work that is done, from 0 to 1, and says whether to go on.
    pub(crate) fn share(&self, share: f64) -> ControlFlow<()> {
        self.share.store(share.to_bits(), Ordering::Relaxed);
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The same, as an error that ends the work.
    pub(crate) fn advanced(&self, share: f64) -> Result<()> {
        match self.share(share) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}

/// Runs `work` without the GIL. `progress`, a callable or None, gets the share that is done. An exception of it, and that of
/// Ctrl-C, cancels the work and is raised once it has ended.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Control) -> Result<T> + Send,
) -> PyResult<T> {
    let mut told = 0.0;
    run_heard(py, work, |control| {
        let share = f64::from_bits(control.share.load(Ordering::Relaxed));
        match progress.filter(|_| share > told) {
            Some(progress) => {
                told = share;
                progress.call1((share,)).map(drop)
            }
            None => Ok(()),
        }
    })
}

/// The same, with `hear` called now and then, and once at the end, with the GIL.
pub(crate) fn run_heard<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Control) -> Result<T> + Send,
    mut hear: impl FnMut(&Control) -> PyResult<()>,
) -> PyResult<T> {
    let control = Control::default();
    let (waiting, result) = thread::scope(|scope| {
        let ending = Ending { control: &control, waiting: thread::current() };
        let of_worker = &control;
        let worker = thread::Builder::new().name("partwise".into()).spawn_scoped(scope, move || {
            // Dropped last, when the work has ended in whatever way.
            let _ending = ending;
            work(of_worker)
        });
        let worker = match worker {
            Ok(worker) => worker,
            Err(cause) => return (Err(PyRuntimeError::new_err(format!("cannot start a thread: {cause}"))), None),
        };
        let mut waiting = Ok(());
        while !control.done.load(Ordering::Acquire) {
            py.detach(|| wait(&control.done));
            if waiting.is_ok() {
                waiting = py.check_signals().and_then(|()| hear(&control));
                control.stop.store(waiting.is_err(), Ordering::Relaxed);
            }
        }
        (waiting, Some(py.detach(|| worker.join())))
    });
    waiting?;
    match result {
        Some(Ok(result)) => result.map_err(|error| raised(py, &error)),
        // A defect of the library: PyO3 makes an exception of it.
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(PyRuntimeError::new_err("the work was not begun")),
    }
}

/// Waits until the work is done, but not for longer than until the next look.
fn wait(done: &AtomicBool) {
    let until = Instant::now() + LOOK;
    while !done.load(Ordering::Acquire) {
        match until.checked_duration_since(Instant::now()) {
            Some(rest) => thread::park_timeout(rest),
            None => return,
        }
    }
}

/// Wakes the waiting thread when the work ends.
struct Ending<'a> {
    control: &'a Control,
    waiting: thread::Thread,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.control.done.store(true, Ordering::Release);
        self.waiting.unpark();
    }
}
