//! How files end: to the manifest, to whoever watches, and into the outcome.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::encode::Finished;
use super::manifest::{FileReport, Manifest, Status};
use super::{Input, Job, Masked, OnError, Track};
use crate::{Error, Result};

/// Hears how a job goes. Called from several threads, one at a time.
pub trait Watch: Send {
    /// So many more bytes of the inputs are done.
    fn advanced(&mut self, bytes: u64);
    /// A file is done or has failed.
    fn finished(&mut self, report: &FileReport);
}

/// What a job amounts to.
#[derive(Debug)]
pub struct Outcome {
    /// One for every file that was begun, in the order in which they ended.
    pub reports: Vec<FileReport>,
    /// Files that an earlier run had done.
    pub resumed: Vec<FileReport>,
    /// Files that were not begun, because the job was stopped.
    pub left: usize,
    /// The share of the time that the engines were computing, on average over the stations.
    pub busy: f64,
    /// Why it ended before its end, if not because it was asked to: no engine is left, or the manifest cannot be written.
    pub failure: Option<Error>,
}

/// Where every thread says how files end.
pub(super) struct Reports<'a> {
    job: &'a Job<'a>,
    /// No file is begun any more.
    stop: AtomicBool,
    ledger: Mutex<Ledger<'a>>,
}

struct Ledger<'a> {
    manifest: Manifest,
    ended: Vec<FileReport>,
    resumed: Vec<FileReport>,
    failure: Option<Error>,
    watch: &'a mut dyn Watch,
}

impl<'a> Reports<'a> {
    pub(super) fn new(job: &'a Job<'a>, watch: &'a mut dyn Watch) -> Result<Self> {
        let manifest = Manifest::open(&job.naming.folder)?;
        let ledger = Ledger { manifest, ended: Vec::new(), resumed: Vec::new(), failure: None, watch };
        Ok(Self { job, stop: AtomicBool::new(false), ledger: Mutex::new(ledger) })
    }

    /// Whether no more files are to be begun.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.job.stop.load(Ordering::Relaxed)
    }

    /// Ends the job before its end.
    pub(super) fn give_up(&self, failure: Error) {
        self.stop.store(true, Ordering::Relaxed);
        self.ledger().failure.get_or_insert(failure);
    }

    pub(super) fn advanced(&self, masked: &Masked) {
        let piece = &masked.piece;
        let share = |frame: usize| (u128::from(piece.track.bytes) * frame as u128 / piece.of.max(1) as u128) as u64;
        self.ledger().watch.advanced(share(piece.frames.end) - share(piece.frames.start));
    }

    /// A file that an earlier run has done.
    pub(super) fn resumed(&self, bytes: u64, report: FileReport) {
        let mut ledger = self.ledger();
        ledger.watch.advanced(bytes);
        ledger.resumed.push(report);
    }

    /// A file of which no samples could be had.
    pub(super) fn unreadable(&self, input: &Input, error: &Error) {
        self.add(FileReport { error: Some(error.to_string()), ..self.blank(input) });
    }

    /// A file that is whole on disk.
    pub(super) fn done(&self, track: &Track, finished: Finished) {
        let mut report = self.known(track);
        report.status = Status::Done;
        report.outputs = track.outputs.clone();
        report.bytes = finished.bytes;
        report.objective = Some(finished.objective);
        report.iterations = finished.iterations;
        report.engine = finished.engines.join(", then ");
        if finished.clipped > 0 {
            report.warnings.push(format!(
                "{} samples are beyond full scale and were clipped; {} cannot hold them",
                finished.clipped, track.format
            ));
        }
        self.add(report);
    }

    /// A file that failed on its way; told once.
    pub(super) fn failed(&self, track: &Track, error: &Error) {
        if !track.failed.swap(true, Ordering::Relaxed) {
            self.add(FileReport { error: Some(error.to_string()), ..self.known(track) });
        }
    }

    fn known(&self, track: &Track) -> FileReport {
        FileReport {
            hash: Some(track.hash.clone()),
            seconds: track.seconds(),
            channels: track.channels,
            sample_rate: track.sample_rate,
            warnings: track.warnings.clone(),
            ..self.blank(&track.input)
        }
    }

    /// A report that knows nothing of the file yet.
    fn blank(&self, input: &Input) -> FileReport {
        FileReport {
            input: input.path.clone(),
            hash: None,
            folder: self.job.naming.folder.clone(),
            outputs: Vec::<PathBuf>::new(),
            bytes: Vec::new(),
            seconds: 0.0,
            channels: 0,
            sample_rate: 0,
            engine: String::new(),
            iterations: 0,
            objective: None,
            status: Status::Failed,
            error: None,
            warnings: Vec::new(),
            parameters: self.job.parameters.clone(),
        }
    }

    fn add(&self, report: FileReport) {
        if report.status == Status::Failed && self.job.on_error == OnError::Stop {
            self.stop.store(true, Ordering::Relaxed);
        }
        let mut ledger = self.ledger();
        if let Err(error) = ledger.manifest.add(&report) {
            self.stop.store(true, Ordering::Relaxed);
            ledger.failure.get_or_insert(error);
        }
        ledger.watch.finished(&report);
        ledger.ended.push(report);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<'a>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it all amounts to, of so many files.
    pub(super) fn outcome(self, files: usize, busy: f64) -> Outcome {
        let ledger = self.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = files - ledger.ended.len() - ledger.resumed.len();
        Outcome { reports: ledger.ended, resumed: ledger.resumed, left, busy, failure: ledger.failure }
    }
}
