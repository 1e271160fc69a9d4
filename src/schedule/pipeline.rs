//! The pipeline: threads that decode, one that packs, the engines, and threads that encode.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Instant;

use super::decode::{self, Begun, Opened, Stand, Views};
use super::encode::Encoder;
use super::manifest::Record;
use super::memory::{at_once, bytes_for, panel_columns};
use super::pack::{Packer, Panel};
use super::relay::{Busy, Relay, Station};
use super::reports::{Outcome, Reports, Watch};
use super::{Input, Job, Masked, Piece, Step, Track};
use crate::audio::Reader;
use crate::separate::Separated;
use crate::{Error, Result};

/// Separates all files of a job. A file's outputs have the same bytes in every job: they depend neither on the other files, nor on
/// their order, the width of panels or the number of threads.
///
/// # Errors
/// [`Error::Input`] if names collide, if the manifest is another program's, or if a thread cannot be started. [`Error::Io`] if the
/// folder or the manifest cannot be written to. A job that has begun returns no error: its outcome reports files that failed, and
/// why it ended early.
pub fn run(stations: &mut [Station], job: &Job, watch: &mut dyn Watch) -> Result<Outcome> {
    let names: Vec<&str> = job.scheme.sources.iter().map(String::as_str).collect();
    let written: Vec<usize> = job.only.map_or_else(|| (0..names.len()).collect(), |only| vec![only]);
    // Names are planned for all shards together, so that they do not depend on the number of shards.
    let plan = job.naming.plan(job.inputs, &written.iter().map(|&source| names[source]).collect::<Vec<_>>())?;
    let files: Vec<(usize, &Input, &[PathBuf])> = (job.inputs.iter().zip(&plan).enumerate())
        .filter(|&(index, _)| job.shard.is_none_or(|shard| shard.holds(index)))
        .map(|(index, (input, outputs))| (index, input, outputs.as_slice()))
        .collect();
    let panels_at_once = at_once(job.scheme, stations.iter().map(Station::lanes).sum(), files.len());
    let record = if job.resume { Some(Record::read(&job.naming.folder)?) } else { None };
    let reports = Reports::new(job, watch)?;
    // A recording that is separated as a whole fills memory by itself, so none is read ahead.
    let (threads, ahead) = if job.scheme.whole { (1, 0) } else { (job.threads.max(1), 2 * job.threads.max(1)) };
    let views = Views::new(job.scheme);
    let decoder = Decoder {
        job,
        files: &files,
        record: record.as_ref(),
        views: &views,
        panels_at_once,
        next: AtomicUsize::new(0),
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let (reports, decoder) = (&reports, &decoder);
        let (pieces, to_pack) = sync_channel::<Step<Piece>>(ahead);
        let (panels, packed) = sync_channel::<Step<Panel>>(1);
        let begin = || -> Result<()> {
            let encode = |_| {
                let (masked, queue) = sync_channel(1);
                let encoder = Encoder::new(&written, names.len(), reports);
                spawn(scope, move || encoder.run(queue)).map(|()| masked)
            };
            let encoders = (0..threads).map(encode).collect::<Result<Vec<SyncSender<Vec<Step<Masked>>>>>>()?;
            let packed = Arc::new(Mutex::new(packed));
            for Station { lanes, busy } in &mut *stations {
                let busy = &*busy;
                for relay in lanes {
                    let lane = Lane { relay, busy, panels: Arc::clone(&packed), encoders: encoders.clone(), reports };
                    spawn(scope, move || lane.run())?;
                }
            }
            let packer = Packer { scheme: job.scheme, memory: job.memory, panels: panels_at_once };
            spawn(scope, move || packer.run(to_pack, &panels))?;
            for _ in 0..threads {
                let pieces = pieces.clone();
                spawn(scope, move || decoder.run(reports, &pieces))?;
            }
            Ok(())
        };
        // If one thread cannot start, those that have started end.
        begin().inspect_err(|_| reports.stop())
    })?;
    let (wall, count) = (started.elapsed().as_secs_f64(), stations.len().max(1) as f64);
    let busy: f64 = stations.iter_mut().map(|station| station.busy.take().as_secs_f64() / wall / count).sum();
    Ok(reports.outcome(files.len(), busy))
}

/// Starts a thread of a job.
fn spawn<'s>(scope: &'s Scope<'s, '_>, work: impl FnOnce() + Send + 's) -> Result<()> {
    let begun = thread::Builder::new().spawn_scoped(scope, work);
    begun.map(drop).map_err(|cause| Error::input(format!("cannot start a thread: {cause}; give fewer --threads")))
}

/// The state that decoding threads share.
struct Decoder<'a> {
    job: &'a Job<'a>,
    files: &'a [(usize, &'a Input, &'a [PathBuf])],
    record: Option<&'a Record>,
    views: &'a Views<'a>,
    panels_at_once: u64,
    /// The next file to begin.
    next: AtomicUsize,
}

impl Decoder<'_> {
    /// Reads files, one after the other, and sends their pieces.
    fn run(&self, reports: &Reports, pieces: &SyncSender<Step<Piece>>) {
        while !reports.stopped() {
            let Some(&(index, input, outputs)) = self.files.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            match self.open(index, input, outputs, reports) {
                Ok(None) => {}
                Ok(Some((opened, columns))) => {
                    decode::pieces(opened, columns, |piece| !reports.aborted() && pieces.send(piece).is_ok());
                }
                Err(error) => reports.unreadable(input, &error),
            }
        }
    }

    /// Opens a file. Returns it with the most columns of its panels, or `None` if an earlier run has done it.
    fn open(
        &self,
        index: usize,
        input: &Input,
        outputs: &[PathBuf],
        reports: &Reports,
    ) -> Result<Option<(Opened, usize)>> {
        if let Some(problem) = &input.problem {
            return Err(Error::input(problem.as_str()));
        }
        // The reader comes first: it refuses what cannot be read, and does not wait at a pipe for a writer.
        let (stand, reader) = (Stand::of(&input.path)?, Reader::open(&input.path)?);
        let hash = decode::hash(&input.path)?;
        if let Some(report) = self.record.and_then(|record| record.proves(&hash, &self.job.parameters, outputs)) {
            reports.resumed(stand.bytes(), report.clone());
            return Ok(None);
        }
        let opened = decode::open(Begun { index, input, outputs, stand, reader, hash }, self.job, self.views)?;
        let (scheme, view) = (self.job.scheme, &opened.track.view);
        let columns = panel_columns(self.job.memory, scheme, view, self.panels_at_once);
        let needed = view.stft.frames(opened.track.signal_length) * opened.track.channels;
        if scheme.whole && needed > columns {
            let least = bytes_for(needed, scheme, view, self.panels_at_once).div_ceil(1 << 20);
            return Err(Error::audio(
                &input.path,
                format!(
                    "is separated as a whole, which takes {least} MiB; give as much memory, or a shorter recording"
                ),
            ));
        }
        Ok(Some((opened, columns)))
    }
}

/// A thread that sends panels to an engine.
struct Lane<'a, 's, 'r> {
    relay: &'a mut Relay<'s>,
    busy: &'a Busy,
    panels: Arc<Mutex<Receiver<Step<Panel>>>>,
    encoders: Vec<SyncSender<Vec<Step<Masked>>>>,
    reports: &'a Reports<'r>,
}

impl Lane<'_, '_, '_> {
    /// Computes the masks of panels and sends them to the encoders of their tracks.
    fn run(self) {
        let Self { relay, busy, panels, encoders, reports } = self;
        // Only one lane waits for a panel at a time. The others would find none either.
        let next = || panels.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(step) = next() {
            if reports.aborted() {
                continue;
            }
            let mut queues: Vec<Vec<Step<Masked>>> = encoders.iter().map(|_| Vec::new()).collect();
            let queue = |track: &Track| track.index % encoders.len();
            match step {
                Step::Broken(track, error) => queues[queue(&track)].push(Step::Broken(track, error)),
                Step::Part(Panel { pieces, data, segments }) => {
                    match busy.during(|| relay.separate(data.view(), &segments)) {
                        Ok(separated) => {
                            for masked in hand_out(pieces, Arc::new(separated), &relay.engine()) {
                                queues[queue(&masked.piece.track)].push(Step::Part(masked));
                            }
                        }
                        Err(error) => {
                            for Piece { track, .. } in pieces {
                                let what = format!("{}: {error}", track.input.path.display());
                                queues[queue(&track)].push(Step::Broken(track, Error::input(what)));
                            }
                            if matches!(error, Error::Engine(_)) {
                                reports.give_up(error);
                            }
                        }
                    }
                }
            }
            for (encoder, queue) in encoders.iter().zip(queues).filter(|(_, queue)| !queue.is_empty()) {
                // Encoders end after all lanes. If one is gone, it panicked, and that ends the scope.
                let _ = encoder.send(queue);
            }
        }
    }
}

/// Gives every piece its part of the panel's masks.
fn hand_out(pieces: Vec<Piece>, separated: Arc<Separated>, engine: &Arc<str>) -> Vec<Masked> {
    let (mut column, mut segment) = (0, 0);
    let hand = |piece: Piece| {
        let (columns, segments) = (piece.columns(), piece.segments().count());
        let masked = Masked { piece, separated: Arc::clone(&separated), column, segment, engine: Arc::clone(engine) };
        (column, segment) = (column + columns, segment + segments);
        masked
    };
    pieces.into_iter().map(hand).collect()
}
