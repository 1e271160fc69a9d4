//! The thread that owns the device. Everybody else posts it work, or asks it for an answer.
//!
//! Error scopes of the device are per thread, and the order of commands decides what memory may be used again: both
//! want a single owner, but for pipelines, which are made beside each other. Commands that are only recorded return at once; if one fails, the next answer is its error.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::answer::{Answer, engine_error};
use super::memory::{Pool, Storage};
use super::pipelines::Pipelines;
use super::worker::Worker;
use crate::{EngineError, Error, Result};

/// Commands that may wait for the thread; who posts more waits too.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// A handle on the device thread. Dropped, it ends the thread.
pub(super) struct Device {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    faults: Faults,
    pool: Arc<Pool>,
    pub(super) pipelines: Pipelines,
}

impl Device {
    /// Starts the thread, with a pool that keeps so many bytes that nobody uses.
    pub(super) fn start(device: wgpu::Device, queue: wgpu::Queue, idle_bytes: u64) -> Result<Self> {
        let faults = Faults::default();
        faults.watch(&device);
        let (jobs, received) = sync_channel::<Job>(QUEUE);
        let pool = Arc::new(Pool::new(idle_bytes));
        let pipelines = Pipelines::new(device.clone());
        let mut worker = Worker::new(device, queue, pool.clone(), pipelines.clone());
        let mut run = move |received: Receiver<Job>| received.into_iter().for_each(|job| job(&mut worker));
        let thread = std::thread::Builder::new()
            .name("partwise-gpu".into())
            .spawn(move || run(received))
            .map_err(|cause| Error::input(format!("cannot start the gpu's thread: {cause}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), faults, pool, pipelines })
    }

    /// Has the thread do something, without waiting. What fails is told by the next answer.
    pub(super) fn post(&self, job: impl FnOnce(&mut Worker) -> Answer<()> + Send + 'static) -> Result<()> {
        let faults = self.faults.clone();
        self.send(Box::new(move |worker| {
            if let Err(error) = job(worker) {
                faults.note(faults.cause(error, worker));
            }
        }))
    }

    /// Has the thread do something and waits for its answer, or for the error of anything before it.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Answer<R> + Send + 'static,
    ) -> Result<R> {
        let (reply, answer) = channel();
        let faults = self.faults.clone();
        self.send(Box::new(move |worker| {
            let result = job(worker).map_err(|error| faults.cause(error, worker));
            // Nobody listens where the asker has gone.
            let _ = reply.send(faults.tell().and(result));
        }))?;
        Ok(answer.recv().map_err(|_| ended())??)
    }

    /// Hands the numbers of a storage to `take` in order, at most `piece` of them at a time, while the next ones come down.
    pub(super) fn read(&self, storage: &Storage, piece: usize, mut take: impl FnMut(usize, &[f32])) -> Result<()> {
        let (pieces, received) = channel();
        let (reply, answer) = channel();
        let (storage, faults) = (storage.clone(), self.faults.clone());
        self.send(Box::new(move |worker| {
            let result = worker.bring_down(&storage, (piece * size_of::<f32>()) as u64, &pieces);
            let result = result.map_err(|error| faults.cause(error, worker));
            drop(pieces);
            // Nobody listens where the asker has gone.
            let _ = reply.send(faults.tell().and(result));
        }))?;
        let mut first = 0;
        for mapped in received {
            mapped.with(|values: &[f32]| {
                take(first, values);
                first += values.len();
            })?;
        }
        Ok(answer.recv().map_err(|_| ended())??)
    }

    /// A storage of `bytes`, whatever it holds. The thread is only asked where none waits in the pool.
    pub(super) fn storage(&self, bytes: u64) -> Result<Storage> {
        self.faults.check_lost()?;
        match Storage::pooled(&self.pool, bytes) {
            Some(storage) => Ok(storage),
            None => self.ask(move |worker| worker.allocate(bytes)),
        }
    }

    fn send(&self, job: Job) -> Result<()> {
        self.faults.check_lost()?;
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        Ok(jobs.send(job).map_err(|_| ended())?)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that ended by a panic has printed it, and every later command has failed.
            let _ = thread.join();
        }
    }
}

fn ended() -> EngineError {
    EngineError::Lost("its thread has ended".into())
}

/// What went wrong, where the thread and the device's own callbacks can note it.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Fault>>);

#[derive(Default)]
struct Fault {
    /// Why the device was lost. It stays so.
    lost: Option<String>,
    /// The first failure that nobody has been told of.
    untold: Option<EngineError>,
}

impl Faults {
    /// Keeps what the device reports outside any error scope, and its loss.
    fn watch(&self, device: &wgpu::Device) {
        let faults = self.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| faults.note(engine_error(&error))));
        let faults = self.clone();
        device.set_device_lost_callback(move |reason, message| {
            faults.lock().lost = Some(if message.is_empty() { format!("{reason:?}").to_lowercase() } else { message });
        });
    }

    fn note(&self, error: EngineError) {
        log::debug!("gpu: {error}");
        self.lock().untold.get_or_insert(error);
    }

    fn check_lost(&self) -> Answer<()> {
        self.lock().lost.clone().map_or(Ok(()), |cause| Err(EngineError::Lost(cause)))
    }

    /// What a failure comes of. A device that is lost refuses commands before it says so: it is asked.
    fn cause(&self, error: EngineError, worker: &Worker) -> EngineError {
        worker.ask_state();
        self.check_lost().err().unwrap_or(error)
    }

    /// A loss before anything else: what fails after it fails because of it.
    fn tell(&self) -> Answer<()> {
        self.check_lost()?;
        self.lock().untold.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
