//! The pipeline: threads that decode, one that packs, the engines, and threads that encode.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::batch::List;
use super::decode::{self, Begun, Opened, Stand, Views};
use super::encode::Encoder;
use super::manifest::Record;
use super::memory::{at_once, bytes_for, panel_columns};
use super::pack::{Packer, Panel};
use super::relay::{Busy, Relay, Station};
use super::reports::{Outcome, Reports, Watch};
use super::{Batch, File, Files, Job, Masked, Piece, Step, Track};
use crate::audio::Reader;
use crate::separate::Separated;
use crate::{Error, Result};

/// Separates all files of a batch. A file's outputs have the same bytes in every job: they depend neither on the other files, nor on
/// their order, the width of panels or the number of threads.
///
/// # Errors
/// [`Error::Input`] if names collide, if the manifest is another program's, or if a thread cannot be started. [`Error::Io`] if the
/// folder or the manifest cannot be written to. A job that has begun returns no error: its outcome reports files that failed, and
/// why it ended early.
pub fn run(stations: &mut [Station], job: &Job, batch: &Batch, watch: &mut dyn Watch) -> Result<Outcome> {
    // Names are planned for all shards together, so that they do not depend on the number of shards.
    let mut files = job.files(batch.inputs)?;
    files.retain(|file| batch.shard.is_none_or(|shard| shard.holds(file.index)));
    let record = if batch.resume { Some(Record::read(&job.naming.folder)?) } else { None };
    run_files(stations, job, files, record.as_ref(), watch)
}

/// Separates files that were planned by [`Job::files`], perhaps in another process, and skips those that `record` proves done. Their
/// outputs have the same bytes as those of [`run`].
///
/// # Errors
/// Those of [`run`], except for names that collide.
pub fn run_files(
    stations: &mut [Station],
    job: &Job,
    files: Vec<File>,
    record: Option<&Record>,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    let list = List::of(files);
    let feed = Feed { files: &list, most: list.left(), record, patience: Duration::MAX };
    let outcome = separate(stations, job, &feed, watch)?;
    Ok(Outcome { left: outcome.left + list.left(), ..outcome })
}

/// Separates files as they come, until there are no more. A file's outputs have the same bytes as those of [`run`].
///
/// A panel that is not full goes to an engine when no further part of a file has come for the time `patience`. A short patience
/// ends a lone file early; a longer one fills panels better. Between files, memory holds their reports and nothing else, so
/// a caller that never runs out of files lets a run end now and then, and starts another one with the same stations.
/// Recordings that are separated as a whole are read one at a time, as in a batch, and a long one holds those behind it back.
///
/// # Errors
/// Those of [`run`], except for names that collide.
pub fn run_live(
    stations: &mut [Station],
    job: &Job,
    files: &dyn Files,
    patience: Duration,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    separate(stations, job, &Feed { files, most: usize::MAX, record: None, patience }, watch)
}

/// What sets a batch and a live run apart.
struct Feed<'a> {
    files: &'a dyn Files,
    /// There are no more files than these.
    most: usize,
    /// What earlier runs have done, if that is skipped.
    record: Option<&'a Record>,
    /// How long a panel that is not full waits for a further piece.
    patience: Duration,
}

fn separate(stations: &mut [Station], job: &Job, feed: &Feed, watch: &mut dyn Watch) -> Result<Outcome> {
    let panels_at_once = at_once(job.scheme, stations.iter().map(Station::lanes).sum(), feed.most);
    let reports = Reports::new(job, feed.files, watch)?;
    // A recording that is separated as a whole fills memory by itself, so none is read ahead.
    let (threads, ahead) =
        if job.scheme.stretch.is_none() { (1, 0) } else { (job.threads.max(1), 2 * job.threads.max(1)) };
    let views = Views::new(job.scheme);
    let decoder = Decoder { job, feed, views: &views, panels_at_once, begun: AtomicUsize::new(0) };
    let started = Instant::now();
    thread::scope(|scope| {
        let (reports, decoder) = (&reports, &decoder);
        let (pieces, to_pack) = sync_channel::<Step<Piece>>(ahead);
        let (panels, packed) = sync_channel::<Step<Panel>>(1);
        let begin = || -> Result<()> {
            let encode = |_| {
                let (masked, queue) = sync_channel(1);
                let encoder = Encoder::new(&job.wanted, reports);
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
            let (scheme, memory, patience) = (job.scheme, job.memory, feed.patience);
            let packer = Packer { scheme, memory, panels: panels_at_once, patience };
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
    Ok(reports.outcome(decoder.begun.into_inner(), busy))
}

/// Starts a thread of a job.
fn spawn<'s>(scope: &'s Scope<'s, '_>, work: impl FnOnce() + Send + 's) -> Result<()> {
    let begun = thread::Builder::new().spawn_scoped(scope, work);
    begun.map(drop).map_err(|cause| Error::input(format!("cannot start a thread: {cause}; give fewer --threads")))
}

/// The state that decoding threads share.
struct Decoder<'a> {
    job: &'a Job<'a>,
    feed: &'a Feed<'a>,
    views: &'a Views<'a>,
    panels_at_once: u64,
    /// The number of files that were begun.
    begun: AtomicUsize,
}

impl Decoder<'_> {
    /// Reads files, one after the other, and sends their pieces.
    fn run(&self, reports: &Reports, pieces: &SyncSender<Step<Piece>>) {
        while !reports.stopped() {
            let Some(file) = self.feed.files.next() else { return };
            self.begun.fetch_add(1, Ordering::Relaxed);
            reports.begun(&file);
            match self.open(&file, reports) {
                Ok(None) => {}
                Ok(Some((opened, columns))) => {
                    decode::pieces(opened, columns, self.job.wanted.residual, |piece| {
                        !reports.aborted() && pieces.send(piece).is_ok()
                    });
                }
                Err(error) => reports.unreadable(&file, &error),
            }
        }
    }

    /// Opens a file. Returns it with the most columns of its panels, or `None` if an earlier run has done it.
    fn open(&self, file: &File, reports: &Reports) -> Result<Option<(Opened, usize)>> {
        let File { index, input, outputs } = file;
        let wanted = || reports.wanted(*index);
        if let Some(problem) = &input.problem {
            return Err(Error::input(problem.as_str()));
        }
        // The reader comes first: it refuses what cannot be read, and does not wait at a pipe for a writer.
        let (stand, reader) = (Stand::of(&input.path)?, Reader::open(&input.path)?);
        let hash = decode::hash_while(&input.path, wanted)?;
        let record = self.feed.record;
        if let Some(report) = record.and_then(|record| record.proves(&hash, &self.job.parameters, outputs)) {
            reports.resumed(*index, stand.bytes(), report.clone());
            return Ok(None);
        }
        let opened = decode::open(Begun { file, stand, reader, hash }, self.job, self.views, wanted)?;
        let (scheme, view) = (self.job.scheme, &opened.track.view);
        let columns = panel_columns(self.job.memory, scheme, view, self.panels_at_once);
        let needed = view.stft.frames(opened.track.signal_length) * opened.track.channels;
        if scheme.stretch.is_none() && needed > columns {
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
            let is_wanted = |track: &Track| reports.wanted(track.index).is_ok();
            match step {
                Step::Broken(track, error) => queues[queue(&track)].push(Step::Broken(track, error)),
                Step::Part(Panel { pieces, .. }) if !pieces.iter().any(|piece| is_wanted(&piece.track)) => {
                    for Piece { track, .. } in pieces {
                        queues[queue(&track)].push(Step::Broken(track, Error::Cancelled));
                    }
                }
                Step::Part(Panel { pieces, data, segments }) => {
                    let started = Instant::now();
                    match busy.during(|| relay.separate(data.view(), &segments)) {
                        Ok(separated) => {
                            log::debug!(
                                "panel of {} columns from {} file(s): up to {} passes in {:.1} ms on {}",
                                data.nrows(),
                                files(&pieces),
                                separated.iterations.iter().max().unwrap_or(&0),
                                1e3 * started.elapsed().as_secs_f64(),
                                relay.engine()
                            );
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

/// How many files pieces are of.
fn files(pieces: &[Piece]) -> usize {
    let mut indices: Vec<usize> = pieces.iter().map(|piece| piece.track.index).collect();
    indices.sort_unstable();
    indices.dedup();
    indices.len()
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
