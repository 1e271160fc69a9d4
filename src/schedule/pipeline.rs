//! The pipeline itself: threads that decode, the engine, threads that encode.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ndarray::{Array2, Axis, concatenate};

use super::encode::{Finished, Outputs};
use super::manifest::Manifest;
use super::{FileReport, Input, Masked, Naming, Piece, Status, Track, decode};
use crate::audio::FormatChoice;
use crate::kernels::{Glue, Mask, Momentum, Products};
use crate::model::Model;
use crate::separate::{Bases, Updates, separate};
use crate::spectrogram::Stft;
use crate::{Error, Result};

/// Columns of a piece, about: small enough that packing loses little, large enough that handing it on costs nothing.
const PIECE_COLUMNS: usize = 1024;

/// What to do with the other files when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Do them.
    Continue,
    /// Finish what is in flight, begin no more.
    Stop,
}

/// A separation job.
pub struct Job<'a> {
    /// The model.
    pub model: &'a Model,
    /// The files, see [`super::list`].
    pub inputs: &'a [Input],
    /// Where results go.
    pub naming: Naming,
    /// The source to write; all of them if it is missing.
    pub only: Option<usize>,
    /// Updates of the gains.
    pub iterations: usize,
    /// How the gains are updated.
    pub updates: Updates,
    /// How cells are shared.
    pub mask: Mask,
    /// What a failure means for the rest.
    pub on_error: OnError,
    /// Threads that decode and threads that encode, each; beside those of the engine.
    pub threads: usize,
    /// The panel's data take at most about this many bytes.
    pub panel_bytes: usize,
}

/// Hears how a job goes. Called from several threads, one at a time.
pub trait Watch: Send {
    /// So many more bytes of the inputs are done.
    fn advanced(&mut self, bytes: u64);
    /// A file is done or has failed.
    fn finished(&mut self, report: &FileReport);
}

/// Separates all files of a job; one report a file that was begun, in the order in which they ended. A file's outputs are the
/// same bytes whatever else is in the job, whatever the order and the number of threads.
///
/// # Errors
/// [`Error::Input`] where names would collide, [`Error::Io`] where the manifest cannot be written, the engine's. A file that
/// fails is no error: its report says why.
pub fn run<E: Products + Momentum + Glue>(engine: &E, job: &Job, watch: &mut dyn Watch) -> Result<Vec<FileReport>> {
    let names: Vec<&str> = job.model.sources.iter().map(|source| source.name.as_str()).collect();
    let written: Vec<usize> = job.only.map_or_else(|| (0..names.len()).collect(), |only| vec![only]);
    let plan = job.naming.plan(job.inputs, &written.iter().map(|&source| names[source]).collect::<Vec<_>>())?;
    let stft = Stft::new(job.model.stft.clone())?;
    let reports = Reports {
        job,
        engine: engine.describe(),
        stop: AtomicBool::new(false),
        ledger: Mutex::new(Ledger {
            manifest: Manifest::open(&job.naming.folder)?,
            done: Vec::new(),
            lost: None,
            watch,
        }),
    };
    let threads = job.threads.max(1);
    let next = AtomicUsize::new(0);
    let outcome = thread::scope(|scope| {
        let (pieces, panel) = sync_channel::<Piece>(2 * threads);
        for _ in 0..threads {
            let pieces = pieces.clone();
            scope.spawn(|| decode_all(job, &plan, &stft, &next, &reports, pieces));
        }
        drop(pieces);
        let encoders: Vec<SyncSender<Masked>> = (0..threads)
            .map(|_| {
                let (masked, queue) = sync_channel::<Masked>(2);
                scope.spawn(|| encode_all(&written, &stft, &reports, queue));
                masked
            })
            .collect();
        compute_all(engine, job, panel, &encoders)
    });
    let ledger = reports.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome?;
    ledger.lost.map_or(Ok(ledger.done), Err)
}

/// Reads files, one after the other, and hands on their pieces.
fn decode_all(
    job: &Job,
    plan: &[Vec<PathBuf>],
    stft: &Stft<f32>,
    next: &AtomicUsize,
    reports: &Reports,
    pieces: SyncSender<Piece>,
) {
    while !reports.stop.load(Ordering::Relaxed) {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(input) = job.inputs.get(index) else { return };
        match decode::open(index, input, &plan[index], job.model) {
            Ok(track) => {
                let mut open = true;
                decode::pieces(track, stft, job.model, PIECE_COLUMNS, |piece| {
                    open = pieces.send(piece).is_ok();
                    open
                });
                if !open {
                    return;
                }
            }
            Err(error) => reports.unreadable(input, &error),
        }
    }
}

/// Packs pieces into panels, computes their masks, and sends them to the encoder of their track.
fn compute_all<E: Products + Momentum + Glue>(
    engine: &E,
    job: &Job,
    pieces: Receiver<Piece>,
    encoders: &[SyncSender<Masked>],
) -> Result<()> {
    let columns = (job.panel_bytes / (4 * job.model.bins())).max(PIECE_COLUMNS);
    let mut bases: HashMap<usize, Bases<E>> = HashMap::new();
    let mut waiting = None;
    while let Some(first) = waiting.take().or_else(|| pieces.recv().ok()) {
        let bins = first.data.ncols();
        let mut packed = vec![first];
        let mut width = packed[0].columns();
        for piece in pieces.iter() {
            if width + piece.columns() > columns || piece.data.ncols() != bins {
                waiting = Some(piece);
                break;
            }
            width += piece.columns();
            packed.push(piece);
        }
        let bases = match bases.entry(bins) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Bases::new(engine, job.model, bins)?),
        };
        let views: Vec<_> = packed.iter().map(|piece| piece.data.view()).collect();
        let data = concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros((0, bins)));
        let separated = separate(engine, data.t(), bases, job.updates, job.iterations, job.mask)?;
        let masks = Arc::new(separated.masks);
        let mut first = 0;
        for piece in packed {
            let columns = piece.columns();
            let cost = separated.costs.iter().skip(first).take(columns).sum();
            let encoder = &encoders[piece.track.index % encoders.len()];
            // An encoder ends after all senders; were it gone, its panic would end the scope.
            let _ = encoder.send(Masked { piece, masks: Arc::clone(&masks), first, cost });
            first += columns;
        }
    }
    Ok(())
}

/// Writes the outputs of tracks whose pieces come in, each track's in order.
fn encode_all(written: &[usize], stft: &Stft<f32>, reports: &Reports, queue: Receiver<Masked>) {
    let mut open: HashMap<usize, Outputs> = HashMap::new();
    for masked in queue {
        let track = Arc::clone(&masked.piece.track);
        if track.failed.load(Ordering::Relaxed) {
            continue;
        }
        let outputs = open.remove(&track.index).map_or_else(
            || Outputs::create(&track, written, reports.job.model.sources.len(), stft, reports.job.naming.format),
            Ok,
        );
        let result = outputs.and_then(|mut outputs| {
            outputs.push(&masked)?;
            if masked.piece.is_last() {
                return outputs.finish(&track).map(Some);
            }
            open.insert(track.index, outputs);
            Ok(None)
        });
        match result {
            Ok(None) => reports.advanced(&masked),
            Ok(Some(finished)) => {
                reports.advanced(&masked);
                reports.ended(&track, Ok(finished));
            }
            Err(error) => {
                track.failed.store(true, Ordering::Relaxed);
                reports.ended(&track, Err(error));
            }
        }
    }
}

/// Where every thread says how files end.
struct Reports<'a> {
    job: &'a Job<'a>,
    engine: String,
    stop: AtomicBool,
    ledger: Mutex<Ledger<'a>>,
}

struct Ledger<'a> {
    manifest: Manifest,
    done: Vec<FileReport>,
    /// Why the manifest could not be written.
    lost: Option<Error>,
    watch: &'a mut dyn Watch,
}

impl Reports<'_> {
    fn advanced(&self, masked: &Masked) {
        let piece = &masked.piece;
        let share = |frame: usize| (piece.track.bytes as u128 * frame as u128 / piece.of.max(1) as u128) as u64;
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.watch.advanced(share(piece.frames.end) - share(piece.frames.start));
    }

    fn ended(&self, track: &Track, result: Result<Finished>) {
        let mut report = self.report(&track.input);
        report.hash = Some(track.hash.clone());
        report.seconds = track.recording.seconds();
        report.channels = track.recording.channels.len();
        report.sample_rate = track.recording.sample_rate;
        report.warnings = track.recording.warnings.clone();
        match result {
            Ok(Finished { objective, clipped }) => {
                report.status = Status::Done;
                report.outputs = track.outputs.clone();
                report.objective = Some(objective);
                if clipped > 0 {
                    let format: FormatChoice = self.job.naming.format;
                    report.warnings.push(format!(
                        "{clipped} samples are beyond full scale and were clipped; {format} cannot hold them"
                    ));
                }
            }
            Err(error) => report.error = Some(error.to_string()),
        }
        self.add(report);
    }

    fn unreadable(&self, input: &Input, error: &Error) {
        let mut report = self.report(input);
        report.error = Some(error.to_string());
        self.add(report);
    }

    /// A report that knows nothing of the file yet.
    fn report(&self, input: &Input) -> FileReport {
        FileReport {
            input: input.path.clone(),
            hash: None,
            outputs: Vec::new(),
            seconds: 0.0,
            channels: 0,
            sample_rate: 0,
            engine: self.engine.clone(),
            iterations: self.job.iterations,
            objective: None,
            status: Status::Failed,
            error: None,
            warnings: Vec::new(),
        }
    }

    fn add(&self, report: FileReport) {
        if report.status == Status::Failed && self.job.on_error == OnError::Stop {
            self.stop.store(true, Ordering::Relaxed);
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = ledger.manifest.add(&report) {
            self.stop.store(true, Ordering::Relaxed);
            ledger.lost.get_or_insert(error);
        }
        ledger.watch.finished(&report);
        ledger.done.push(report);
    }
}
