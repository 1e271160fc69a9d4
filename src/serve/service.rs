//! The service without its HTTP: what all requests and all desks share.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::clock::now;
use super::folders::{self, Folders};
use super::job::{File, Outcome, Request, State, Stem};
use super::metrics::Metrics;
use super::models::Models;
use super::options::Checks;
use super::queue::{Bounds, Cancelled, Queue, Ticket};
use super::settings::Settings;
use super::store::{Store, StoreError};
use crate::schedule::OnWhich;
use crate::{Error, Result};

/// Desks that run at the same time: a stream of short jobs with one model does not wait for a long job with another. More would
/// share the same engine and take more memory.
const DESKS_RUNNING: usize = 2;
/// Desks that keep their model and engine for the next job.
const DESKS_LOADED: usize = 6;

/// What all parts of a service share.
pub(super) struct Service {
    pub(super) settings: Settings,
    pub(super) folders: Folders,
    pub(super) store: Store,
    pub(super) models: Models,
    pub(super) queue: Arc<Queue>,
    pub(super) checks: Checks,
    pub(super) metrics: Metrics,
    /// The engine that jobs run on.
    pub(super) engine: String,
    /// Turns of those who read whole recordings for a request: each takes memory and a processor.
    pub(super) readers: Arc<Semaphore>,
    /// The number of threads that are still at work, and a signal for their ends.
    working: (Mutex<usize>, Condvar),
}

impl Service {
    /// Opens the folders and the store, and puts all jobs that have not ended back in the queue.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Input`] if a folder or the store cannot be used; [`Error::Engine`] if there is no engine.
    pub(super) fn open(settings: Settings) -> Result<Arc<Self>> {
        let folders = Folders::open(&settings.data)?;
        let store = Store::open(&folders.store()).map_err(|cause| Error::input(cause.to_string()))?;
        let models = Models::open(&settings.models)?;
        let engine = match &settings.engine {
            OnWhich::One(choice) => settings.engines.open(choice)?.describe(),
            OnWhich::EveryCard { .. } => "every gpu".into(),
        };
        let bounds = Bounds {
            seconds: settings.limits.queue_seconds,
            bytes: settings.limits.queue_bytes,
            // One of several clients leaves room for the others.
            share: if settings.tokens.as_ref().is_some_and(|tokens| tokens.clients() > 1) { 0.5 } else { 1.0 },
            running: DESKS_RUNNING,
            loaded: DESKS_LOADED,
        };
        let readers = 2 * settings.stage_threads.max(1);
        let service = Arc::new(Self {
            settings,
            folders,
            store,
            models,
            queue: Arc::new(Queue::new(bounds)),
            checks: Checks::default(),
            metrics: Metrics::default(),
            engine,
            readers: Arc::new(Semaphore::new(readers)),
            working: (Mutex::new(0), Condvar::new()),
        });
        service.restore()?;
        Ok(service)
    }

    /// Puts waiting jobs in the queue, and removes folders of jobs that were never accepted or are deleted.
    fn restore(self: &Arc<Self>) -> Result<()> {
        let failed = |cause: StoreError| Error::input(cause.to_string());
        for id in self.folders.jobs()? {
            if !self.store.has(&id).map_err(failed)? {
                folders::remove(&self.folders.job(&id))?;
            }
        }
        for record in self.store.waiting().map_err(failed)? {
            // A kill may have come between the results and the store.
            folders::remove(&self.folders.results(&record.id))?;
            self.queue.push(&record, None);
        }
        Ok(())
    }

    /// Starts a thread that the end of the service waits for.
    pub(super) fn work(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        /// Counts a thread down however it ends.
        struct Working(Arc<Service>);
        impl Drop for Working {
            fn drop(&mut self) {
                let (count, ended) = &self.0.working;
                *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                ended.notify_all();
            }
        }
        *self.working.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let working = Working(Arc::clone(self));
        thread::Builder::new()
            .spawn(move || {
                let _working = working;
                work();
            })
            .map(drop)
    }

    /// Begins no more jobs, and waits until those in progress are done, for so long at most. Those that are not wait in the store.
    /// Returns whether all were done.
    pub(super) fn drain(&self, most: Duration) -> bool {
        self.queue.stop();
        let (count, ended) = &self.working;
        let until = Instant::now() + most;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            count = ended.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Where a file of a job lies.
    pub(super) fn path(&self, id: &str, file: &File) -> PathBuf {
        // An absolute path, on the server, replaces the folder.
        self.folders.job(id).join(&file.path)
    }

    /// The recordings of single sources of a job.
    pub(super) fn sources(&self, ticket: &Ticket) -> Vec<(String, Vec<PathBuf>)> {
        let paths = |files: &[File]| files.iter().map(|file| self.path(&ticket.id, file)).collect();
        ticket.request.sources.iter().map(|source| (source.name.clone(), paths(&source.files))).collect()
    }

    /// A message of the library in the words of the client: with the names of its files, not with their places.
    pub(super) fn spoken(&self, id: &str, request: &Request, message: &str) -> String {
        request.files().fold(message.to_owned(), |message, file| {
            message.replace(&*self.path(id, file).to_string_lossy(), &file.name)
        })
    }

    /// A job has its results: they are in `folder`, which becomes that of the job.
    pub(super) fn done(&self, ticket: &Ticket, folder: &Path, outcome: Outcome) {
        let results = self.folders.results(&ticket.id);
        let moved = folders::remove(&results)
            .and_then(|()| std::fs::rename(folder, &results).map_err(Error::io(&results, "write")));
        match moved {
            Ok(()) => self.end(ticket, State::Done, outcome),
            Err(error) if error.is_full() => self.put_back_full(ticket),
            Err(error) => self.fail(ticket, error.to_string()),
        }
    }

    /// A job has failed.
    pub(super) fn fail(&self, ticket: &Ticket, error: String) {
        self.end(ticket, State::Failed, Outcome { error: Some(error), ..Outcome::default() });
    }

    /// Ends a job in the store and then in the queue. If the store has no room, the job waits and is done again: nothing that was
    /// accepted is lost.
    pub(super) fn end(&self, ticket: &Ticket, state: State, outcome: Outcome) {
        let state = if ticket.is_cancelled() { State::Cancelled } else { state };
        let outcome = if state == State::Cancelled { Outcome::default() } else { outcome };
        let ended = now();
        match self.store.end(&ticket.id, state, (ticket.started(), ended), &outcome) {
            Ok(_) => {
                if state != State::Done
                    && let Err(cause) = folders::remove(&self.folders.results(&ticket.id))
                {
                    log::warn!("{cause}");
                }
                self.metrics.ended(state, ticket.seconds);
                let took = ticket.started().map_or(0.0, |started| (ended - started) as f64 / 1e3);
                match &outcome.error {
                    Some(error) => log::info!("job {} {}: {error}", ticket.id, state.word()),
                    None => log::info!("job {} {} after {took:.2} s", ticket.id, state.word()),
                }
                self.queue.end(ticket);
                if ticket.removed.load(Ordering::Relaxed)
                    && let Err(cause) = folders::remove(&self.folders.job(&ticket.id))
                {
                    log::warn!("{cause}");
                }
            }
            Err(cause) => {
                log::error!("job {}: its end cannot be kept, so it is done again: {cause}", ticket.id);
                self.put_back_full(ticket);
            }
        }
    }

    /// Puts a job back because there is no room for its results, and begins no other for a while.
    pub(super) fn put_back_full(&self, ticket: &Ticket) {
        self.queue.pause();
        if let Some(ticket) = self.queue.find(&ticket.id) {
            self.queue.put_back(&ticket);
        }
    }

    /// Cancels a job that has not ended. The store says so at once, so that a restart does not begin it again; work at it ends at
    /// its next step.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn cancel(&self, id: &str) -> std::result::Result<(), StoreError> {
        match self.queue.cancel(id) {
            Some(Cancelled::Waiting(ticket)) => self.end(&ticket, State::Cancelled, Outcome::default()),
            Some(Cancelled::Running(ticket)) => {
                self.store.end(id, State::Cancelled, (ticket.started(), now()), &Outcome::default())?;
            }
            None => {}
        }
        Ok(())
    }

    /// Removes a job with all its files. A job in progress is cancelled, and its files go when it ends.
    ///
    /// # Errors
    /// Those of the store and of the file system.
    pub(super) fn remove(&self, id: &str) -> std::result::Result<(), StoreError> {
        if let Some(ticket) = self.queue.find(id) {
            ticket.removed.store(true, Ordering::Relaxed);
        }
        self.cancel(id)?;
        // Without its row, a folder that is left is removed at the next start.
        self.store.remove(id)?;
        if self.queue.find(id).is_some() {
            return Ok(());
        }
        folders::remove(&self.folders.job(id)).map_err(|cause| StoreError::Other(cause.to_string()))
    }

    /// Removes the results whose time is over.
    pub(super) fn sweep(&self) {
        let limits = &self.settings.limits;
        let kept = i64::try_from(limits.keep.as_millis()).unwrap_or(i64::MAX);
        let removed = self.store.expired(now().saturating_sub(kept), limits.keep_bytes).and_then(|expired| {
            // There may be thousands, and the end of the service does not wait for them.
            let expired = expired.iter().take_while(|_| !self.queue.is_stopped());
            expired.map(|id| self.remove(id)).try_fold(0, |count, removed| removed.map(|()| count + 1))
        });
        match removed {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} jobs whose time was over"),
            Err(cause) => log::warn!("{cause}"),
        }
    }
}

/// The stems of a job whose outputs are complete, in the order of their sources.
pub(super) fn stems(sources: &[String], outputs: &[PathBuf], bytes: &[u64]) -> Vec<Stem> {
    let file = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = |((source, path), bytes): ((&String, &PathBuf), &u64)| Stem {
        source: source.clone(),
        file: file(path),
        bytes: *bytes,
    };
    sources.iter().zip(outputs).zip(bytes).map(stem).collect()
}
