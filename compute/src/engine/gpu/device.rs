//! The thread that owns the device. Other threads post work to it, or ask it and wait for the answer.
//!
//! One owner is needed because the device's error scopes are per thread, and because the order of commands decides when
//! memory can be reused. Only pipelines are compiled on other threads. A posted command returns at once; if it fails,
//! the next answer is its error.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::answer::{Answer, engine_error};
use super::memory::{Pool, Storage};
use super::pipelines::Pipelines;
use super::worker::Worker;
use crate::{EngineError, Error, Result};

/// The most commands that wait for the thread. Further posts block.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// A handle of the device thread. Dropping it ends the thread.
pub(super) struct Device {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    faults: Faults,
    pool: Arc<Pool>,
    pub(super) pipelines: Pipelines,
}

impl Device {
    /// Starts the thread, with a pool that keeps at most `idle_bytes` of unused memory.
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

    /// Posts a job without waiting. If it fails, the next answer is its error.
    pub(super) fn post(&self, job: impl FnOnce(&mut Worker) -> Answer<()> + Send + 'static) -> Result<()> {
        let faults = self.faults.clone();
        self.send(Box::new(move |worker| {
            if let Err(error) = job(worker) {
                faults.note(faults.cause(error, worker));
            }
        }))
    }

    /// Runs a job and waits for its answer, or for the error of an earlier command.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Worker) -> Answer<R> + Send + 'static,
    ) -> Result<R> {
        let (reply, answer) = channel();
        let faults = self.faults.clone();
        self.send(Box::new(move |worker| {
            let result = job(worker).map_err(|error| faults.cause(error, worker));
            // The receiver may be gone.
            let _ = reply.send(faults.tell().and(result));
        }))?;
        Ok(answer.recv().map_err(|_| ended())??)
    }

    /// Reads a storage in pieces of at most `piece` numbers and calls `take` with each in order, while the next pieces
    /// are downloaded.
    pub(super) fn read(&self, storage: &Storage, piece: usize, mut take: impl FnMut(usize, &[f32])) -> Result<()> {
        let (pieces, received) = channel();
        let (reply, answer) = channel();
        let (storage, faults) = (storage.clone(), self.faults.clone());
        self.send(Box::new(move |worker| {
            let result = worker.bring_down(&storage, (piece * size_of::<f32>()) as u64, &pieces);
            let result = result.map_err(|error| faults.cause(error, worker));
            drop(pieces);
            // The receiver may be gone.
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

    /// Allocates a storage of `bytes` with unspecified contents. It asks the thread only if the pool has none.
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
            // A panicked thread has printed its message, and every later command has failed.
            let _ = thread.join();
        }
    }
}

fn ended() -> EngineError {
    EngineError::Lost("its thread has ended".into())
}

/// The faults so far, noted by the thread and by the device's callbacks.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Fault>>);

#[derive(Default)]
struct Fault {
    /// Why the device was lost. This never resets.
    lost: Option<String>,
    /// The first failure not yet reported.
    untold: Option<EngineError>,
}

impl Faults {
    /// Notes the loss of the device and the errors it reports outside error scopes.
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

    /// The cause of a failure. A lost device may refuse commands before it reports the loss, so this asks it first.
    fn cause(&self, error: EngineError, worker: &Worker) -> EngineError {
        worker.ask_state();
        self.check_lost().err().unwrap_or(error)
    }

    /// Reports a loss first, because other failures follow from it.
    fn tell(&self) -> Answer<()> {
        self.check_lost()?;
        self.lock().untold.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
