//! The work of the device thread: it allocates, uploads, downloads, records dispatches and submits them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::answer::{Answer, guarded};
use super::clock::Clock;
use super::memory::{Pool, Storage};
use super::pipelines::{Pipelines, UNIFORM_SLOT};
use super::shader::{Kernel, Source};
use super::staging::{STAGING_BYTES, Staged, Staging};
use crate::EngineError;

/// The most dispatches per submission.
const SUBMISSION_DISPATCHES: u64 = 256;
/// Approximate multiply-adds per submission: about a millisecond on a card, and less than a second on the slowest
/// integrated device, whose driver resets it after two busy seconds. A dispatch is not divided; the chunk width of a
/// panel bounds it.
const SUBMISSION_WORK: u64 = 1 << 33;
/// The most submissions queued on the device. It never waits for the next one, and staging memory stays bounded.
const SUBMISSIONS_AHEAD: usize = 3;
/// The time limit of a submission. A software device on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pieces of a storage in flight while an earlier one is read.
const PIECES_AHEAD: usize = 2;
/// The most workgroups per grid dimension.
const GRID: usize = 65_535;

/// One run of a kernel.
pub(super) struct Dispatch {
    pub(super) kernel: &'static Kernel,
    pub(super) filling: Option<&'static Source>,
    pub(super) constants: Vec<u32>,
    pub(super) uniform: Vec<u8>,
    pub(super) storages: Vec<Storage>,
    pub(super) workgroups: usize,
    /// Approximate multiply-adds.
    pub(super) work: u64,
}

/// The state of the thread.
pub(super) struct Worker {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: Pipelines,
    pool: Arc<Pool>,
    uniforms: wgpu::Buffer,
    staging: Staging,
    clock: Option<Clock>,
    recording: Option<Recording>,
    submitted: VecDeque<wgpu::SubmissionIndex>,
}

/// A piece of a storage being downloaded.
struct OnTheWay {
    staged: Staged,
    submission: wgpu::SubmissionIndex,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

/// Dispatches not yet submitted.
struct Recording {
    encoder: wgpu::CommandEncoder,
    pass: wgpu::ComputePass<'static>,
    uniforms: Vec<u8>,
    dispatches: u64,
    work: u64,
}

impl Worker {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue, pool: Arc<Pool>, pipelines: Pipelines) -> Self {
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = buffer("uniforms", SUBMISSION_DISPATCHES * UNIFORM_SLOT, uniform);
        Self {
            clock: Clock::new(&device, &queue),
            device,
            queue,
            pipelines,
            pool,
            uniforms,
            staging: Staging::default(),
            recording: None,
            submitted: VecDeque::new(),
        }
    }

    /// Allocates a storage of `bytes` with unspecified contents.
    pub(super) fn allocate(&mut self, bytes: u64) -> Answer<Storage> {
        if let Some(storage) = Storage::pooled(&self.pool, bytes) {
            return Ok(storage);
        }
        let class = Pool::size_class(bytes);
        let most = self.device.limits().max_buffer_size;
        if class > most {
            return Err(EngineError::OutOfMemory(format!(
                "one buffer of {class} bytes exceeds the device's limit of {most}"
            )));
        }
        let buffer = self.create(class).or_else(|_| {
            // Unused buffers in the pool, or buffers still used by submitted work, may make room.
            self.settle()?;
            self.pool.clear();
            self.create(class)
        })?;
        Ok(Storage::new(buffer, bytes, self.pool.clone()))
    }

    fn create(&self, size: u64) -> Answer<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let descriptor = wgpu::BufferDescriptor { label: Some("storage"), size, usage, mapped_at_creation: false };
        let (buffer, failed) = guarded(&self.device, || self.device.create_buffer(&descriptor));
        failed.map_or(Ok(buffer), Err)
    }

    /// Uploads numbers to a storage from its number `first` on.
    pub(super) fn upload(&mut self, storage: &Storage, first: usize, values: &[f32]) -> Answer<()> {
        // The queue writes before any work that is not submitted yet, and that work may use the storage for its last
        // owner.
        self.submit()?;
        for (piece, values) in values.chunks(STAGING_BYTES as usize / size_of::<f32>()).enumerate() {
            let offset = storage.offset() + (first * size_of::<f32>()) as u64 + piece as u64 * STAGING_BYTES;
            let write = || self.queue.write_buffer(storage.buffer(), offset, bytemuck::cast_slice(values));
            let ((), failed) = guarded(&self.device, write);
            failed.map_or(Ok(()), Err)?;
            self.send(None)?;
        }
        Ok(())
    }

    /// Sends the bytes of a storage in pieces of `piece` bytes, a multiple of four. The next pieces are downloaded
    /// meanwhile.
    pub(super) fn bring_down(&mut self, storage: &Storage, piece: u64, pieces: &Sender<Staged>) -> Answer<()> {
        self.submit()?;
        self.copy_down(storage.buffer(), storage.offset(), storage.bytes(), piece, pieces)
    }

    /// The same for a buffer's bytes from `first` on, as far as submitted work has written them.
    fn copy_down(
        &mut self,
        buffer: &wgpu::Buffer,
        first: u64,
        bytes: u64,
        piece: u64,
        pieces: &Sender<Staged>,
    ) -> Answer<()> {
        let mut ahead: VecDeque<OnTheWay> = VecDeque::new();
        for offset in (0..bytes).step_by(piece as usize) {
            let bytes = piece.min(bytes - offset);
            if ahead.len() == PIECES_AHEAD
                && let Some(oldest) = ahead.pop_front()
            {
                self.arrive(oldest, pieces)?;
            }
            let staged = self.staging.take(&self.device, bytes)?;
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, first + offset, staged.buffer(), 0, bytes);
            let submission = self.send(Some(encoder))?;
            let (report, mapped) = channel();
            let ((), failed) = guarded(&self.device, || {
                staged.buffer().map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
                    // The receiver may be gone if the wait failed.
                    let _ = report.send(result);
                });
            });
            failed.map_or(Ok(()), Err)?;
            ahead.push_back(OnTheWay { staged, submission, mapped });
        }
        ahead.into_iter().try_for_each(|next| self.arrive(next, pieces))
    }

    /// Waits for a piece and passes it on.
    fn arrive(&self, piece: OnTheWay, pieces: &Sender<Staged>) -> Answer<()> {
        self.wait(piece.submission)?;
        let refused = |cause: String| EngineError::Refused(format!("reading back: {cause}"));
        let mapped = piece.mapped.try_recv().map_err(|cause| refused(cause.to_string()))?;
        mapped.map_err(|cause| refused(cause.to_string()))?;
        // The receiver may be gone.
        let _ = pieces.send(piece.staged);
        Ok(())
    }

    /// Records a dispatch. Submits the recording once it is large enough.
    pub(super) fn dispatch(&mut self, dispatch: &Dispatch) -> Answer<()> {
        let Dispatch { kernel, filling, constants, .. } = dispatch;
        let pipeline = self.pipelines.get(kernel, *filling, constants)?;
        let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.uniforms,
            offset: 0,
            size: wgpu::BufferSize::new(dispatch.uniform.len() as u64),
        });
        let resources = std::iter::once(uniform).chain(dispatch.storages.iter().map(Storage::binding));
        let entries: Vec<wgpu::BindGroupEntry> = resources
            .enumerate()
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
            .collect();
        let (bindings, failed) = guarded(&self.device, || {
            self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.source.path),
                layout: &pipeline.bindings,
                entries: &entries,
            })
        });
        failed.map_or(Ok(()), Err)?;

        let recording = self.recording.get_or_insert_with(|| {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let timestamp_writes = self.clock.as_mut().and_then(Clock::stamps);
            let descriptor = wgpu::ComputePassDescriptor { timestamp_writes, ..Default::default() };
            let pass = encoder.begin_compute_pass(&descriptor).forget_lifetime();
            Recording { encoder, pass, uniforms: Vec::new(), dispatches: 0, work: 0 }
        });
        let offset = recording.dispatches * UNIFORM_SLOT;
        recording.uniforms.extend_from_slice(&dispatch.uniform);
        recording.uniforms.resize((offset + UNIFORM_SLOT) as usize, 0);
        recording.pass.set_pipeline(&pipeline.pipeline);
        recording.pass.set_bind_group(0, &bindings, &[offset as u32]);
        let (x, y) = (dispatch.workgroups.min(GRID), dispatch.workgroups.div_ceil(GRID));
        recording.pass.dispatch_workgroups(x as u32, y as u32, 1);
        recording.dispatches += 1;
        recording.work += dispatch.work;
        if recording.dispatches == SUBMISSION_DISPATCHES || recording.work >= SUBMISSION_WORK {
            self.submit()?;
        }
        Ok(())
    }

    /// Waits for all recorded and submitted work.
    pub(super) fn settle(&mut self) -> Answer<()> {
        self.submit()?;
        self.finish()
    }

    /// Makes the clock stamp every pass from here on.
    pub(super) fn start_clock(&mut self) -> Answer<()> {
        self.settle()?;
        self.clock.iter_mut().for_each(Clock::start);
        Ok(())
    }

    /// The total seconds of the passes since the clock was started.
    pub(super) fn stop_clock(&mut self) -> Answer<Option<f64>> {
        self.submit()?;
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let stopped = self.clock.as_mut().and_then(|clock| clock.stop(&mut encoder));
        let Some((resolved, passes)) = stopped else { return Ok(None) };
        self.send(Some(encoder))?;
        let (pieces, received) = channel();
        let bytes = u64::from(passes) * size_of::<[u64; 2]>() as u64;
        self.copy_down(&resolved, 0, bytes, STAGING_BYTES, &pieces)?;
        drop(pieces);
        let mut stamps: Vec<[u64; 2]> = Vec::with_capacity(passes as usize);
        received.into_iter().try_for_each(|piece| piece.with(|values| stamps.extend_from_slice(values)))?;
        Ok(self.clock.as_ref().and_then(|clock| clock.sum(&stamps)))
    }

    /// Submits the recording.
    fn submit(&mut self) -> Answer<()> {
        let Some(Recording { encoder, pass, uniforms, .. }) = self.recording.take() else { return Ok(()) };
        let ((), failed) = guarded(&self.device, || {
            drop(pass);
            self.queue.write_buffer(&self.uniforms, 0, &uniforms);
        });
        failed.map_or(Ok(()), Err)?;
        self.send(Some(encoder)).map(drop)
    }

    /// Sends commands to the device. Waits while it has too many queued.
    fn send(&mut self, encoder: Option<wgpu::CommandEncoder>) -> Answer<wgpu::SubmissionIndex> {
        let (index, failed) = guarded(&self.device, || self.queue.submit(encoder.map(wgpu::CommandEncoder::finish)));
        failed.map_or(Ok(()), Err)?;
        self.submitted.push_back(index.clone());
        if self.submitted.len() > SUBMISSIONS_AHEAD
            && let Some(oldest) = self.submitted.pop_front()
        {
            self.wait(oldest)?;
        }
        Ok(index)
    }

    /// Waits for all submitted work.
    fn finish(&mut self) -> Answer<()> {
        while let Some(oldest) = self.submitted.pop_front() {
            self.wait(oldest)?;
        }
        Ok(())
    }

    /// Makes the device report its state through its callbacks. A lost device reports when all its work has ended.
    pub(super) fn ask_state(&self) {
        // The failed command reports any other answer.
        let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) });
    }

    fn wait(&self, submission: wgpu::SubmissionIndex) -> Answer<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        match self.device.poll(wait) {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(EngineError::Timeout(PATIENCE.as_secs())),
            Err(cause) => Err(EngineError::Refused(cause.to_string())),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Worker {
    /// The device itself.
    pub(super) fn raw(&self) -> wgpu::Device {
        self.device.clone()
    }
}

#[cfg(test)]
impl Worker {
    /// Makes shaders check their indices from now on.
    pub(super) fn check_indices(&mut self) {
        self.pipelines.check();
    }
}
