//! Reports how files end: to the manifest, to the watcher and in the outcome.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::append::Manifest;
use super::manifest::{FileReport, Status};
use super::outputs::{Pending, publish};
use super::unfinished::Run;
use super::{File, Files, Input, Job, Masked, OnError, Track};
use crate::{Error, Result};

/// Observes a job. Called from several threads, but one at a time. A file's index is that among the inputs of its batch, or the one
/// that it was given for a live run.
pub trait Watch: Send {
    /// A file is read from now on.
    fn begun(&mut self, index: usize, input: &Path) {
        let _ = (index, input);
    }
    /// `bytes` more bytes of a file are done, with so many seconds of its sound.
    fn advanced(&mut self, index: usize, bytes: u64, seconds: f64);
    /// A file of so many bytes was done by an earlier run.
    fn resumed(&mut self, index: usize, bytes: u64, report: &FileReport) {
        let _ = report;
        self.advanced(index, bytes, 0.0);
    }
    /// A file is done or has failed, by this error.
    fn finished(&mut self, index: usize, report: &FileReport, error: Option<&Error>);
}

/// The outcome of a job.
#[derive(Debug)]
pub struct Outcome {
    /// One report per started file, in the order in which they ended.
    pub reports: Vec<FileReport>,
    /// Reports of files that an earlier run finished.
    pub resumed: Vec<FileReport>,
    /// The number of files that were not started or not finished because the job was stopped.
    pub left: usize,
    /// Whether the job stopped because the disk is full. Files in progress then also count as `left`.
    pub full: bool,
    /// The share of time in which the engines were computing, averaged over the stations.
    pub busy: f64,
    /// Why the job ended early, unless it was asked to: no engine is left, or the manifest cannot be written.
    pub failure: Option<Error>,
}

impl Outcome {
    /// How many files this run has separated, and how many seconds of audio they hold.
    pub fn done(&self) -> (usize, f64) {
        let done = self.reports.iter().filter(|report| report.status == Status::Done);
        done.fold((0, 0.0), |(files, seconds), report| (files + 1, seconds + report.seconds))
    }
}

/// What a finished track amounts to.
#[derive(Default)]
pub(super) struct Finished {
    /// The objective of all its columns.
    pub(super) objective: f64,
    /// The most updates that any of its columns took.
    pub(super) iterations: usize,
    /// What it was computed on, one after the other.
    pub(super) engines: Vec<String>,
    /// Samples beyond full scale that the format could not hold.
    pub(super) clipped: u64,
    /// The sizes of its files.
    pub(super) bytes: Vec<u64>,
}

/// Collects how files end, from all threads.
pub(super) struct Reports<'a> {
    job: &'a Job<'a>,
    files: &'a dyn Files,
    /// No more files are started.
    stop: AtomicBool,
    /// The disk is full: no more files are finished.
    full: AtomicBool,
    run: Run,
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
    pub(super) fn new(job: &'a Job<'a>, files: &'a dyn Files, watch: &'a mut dyn Watch) -> Result<Self> {
        let mut manifest = Manifest::open(&job.naming.folder)?;
        let run = manifest.locked(|_| Run::begin(&job.naming.folder))?;
        let ledger = Ledger { manifest, ended: Vec::new(), resumed: Vec::new(), failure: None, watch };
        let [stop, full] = [false; 2].map(AtomicBool::new);
        Ok(Self { job, files, stop, full, run, ledger: Mutex::new(ledger) })
    }

    /// The run that names this job's unfinished files.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// Whether no more files should be started.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.job.stop.load(Ordering::Relaxed)
    }

    /// Whether not even started files should be finished.
    pub(super) fn aborted(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Fails if nobody wants a file any more.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) fn wanted(&self, index: usize) -> Result<()> {
        if self.files.is_dropped(index) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Makes the job start no more files.
    pub(super) fn stop(&self) {
        if !self.stop.swap(true, Ordering::Relaxed) {
            self.files.stopped();
        }
    }

    /// Ends the job early with an error.
    pub(super) fn give_up(&self, failure: Error) {
        self.stop();
        self.ledger().failure.get_or_insert(failure);
    }

    /// Reports that a file is begun.
    pub(super) fn begun(&self, file: &File) {
        self.ledger().watch.begun(file.index, &file.input.path);
    }

    pub(super) fn advanced(&self, masked: &Masked) {
        let piece = &masked.piece;
        let share = |frame: usize| (u128::from(piece.track.bytes) * frame as u128 / piece.of.max(1) as u128) as u64;
        let seconds = piece.track.seconds() * piece.frames.len() as f64 / piece.of.max(1) as f64;
        self.ledger().watch.advanced(piece.track.index, share(piece.frames.end) - share(piece.frames.start), seconds);
    }

    /// Reports a file that an earlier run finished.
    pub(super) fn resumed(&self, index: usize, bytes: u64, report: FileReport) {
        let mut ledger = self.ledger();
        ledger.watch.resumed(index, bytes, &report);
        ledger.resumed.push(report);
    }

    /// Reports a file without readable samples.
    pub(super) fn unreadable(&self, file: &File, error: &Error) {
        self.fail(file.index, self.blank(&file.input), error);
    }

    /// Reports a file whose outputs are complete: renames them and adds the manifest line, in one step for all
    /// processes that write to the folder. So the last line of an output says which run wrote it. If files are
    /// replaced, a line that says so is added first. If the run is then killed, no older line vouches for the replaced
    /// files.
    ///
    /// # Errors
    /// The error of renaming. None of the outputs exists then.
    pub(super) fn done(&self, track: &Track, finished: Finished, files: Vec<Pending>) -> Result<()> {
        let mut report = self.known(track);
        report.status = Status::Done;
        report.outputs = track.outputs.clone();
        report.objective = Some(finished.objective);
        report.iterations = finished.iterations;
        report.engine = finished.engines.join(", then ");
        if finished.clipped > 0 {
            report.warnings.push(format!(
                "{} samples were clipped, because they exceed the full scale of {}",
                finished.clipped, track.format
            ));
        }
        let mut ledger = self.ledger();
        let mut named = false;
        let added = ledger.manifest.locked(|lines| {
            if files.iter().any(Pending::replaces) {
                let error = Some("was interrupted while its outputs were replaced; separate it again".into());
                lines.add(&FileReport { status: Status::Begun, error, ..report.clone() })?;
            }
            publish(files)?;
            named = true;
            report.bytes = finished.bytes;
            lines.add(&report)
        });
        if !named {
            return added;
        }
        self.end(&mut ledger, track.index, (report, None), added);
        Ok(())
    }

    /// Reports a failed file once. If the disk is full, this stops the job, and other started files are left.
    pub(super) fn failed(&self, track: &Track, error: &Error) {
        let left = if error.is_full() { self.full.swap(true, Ordering::Relaxed) } else { self.aborted() };
        if !left && !track.failed.swap(true, Ordering::Relaxed) {
            self.fail(track.index, self.known(track), error);
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

    /// A report without any data about the file.
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
            parameters: self.job.parameters.clone().into(),
        }
    }

    /// Ends a file by an error. One that was dropped is no fault, so it stops nothing.
    fn fail(&self, index: usize, report: FileReport, error: &Error) {
        let report = FileReport { error: Some(error.to_string()), ..report };
        let mut ledger = self.ledger();
        let added = ledger.manifest.add(&report);
        if self.job.on_error == OnError::Stop && !matches!(error, Error::Cancelled) {
            self.stop();
        }
        self.end(&mut ledger, index, (report, Some(error)), added);
    }

    /// Ends a file: its line is in the manifest, or could not be added.
    fn end(&self, ledger: &mut Ledger, index: usize, (report, error): (FileReport, Option<&Error>), added: Result<()>) {
        if self.aborted() || added.is_err() {
            self.stop();
        }
        if let Err(cause) = added {
            self.full.fetch_or(cause.is_full(), Ordering::Relaxed);
            ledger.failure.get_or_insert(cause);
        }
        ledger.watch.finished(index, &report, error);
        ledger.ended.push(report);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<'a>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome for `begun` files.
    pub(super) fn outcome(self, begun: usize, busy: f64) -> Outcome {
        let ledger = self.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = begun - ledger.ended.len() - ledger.resumed.len();
        let full = self.full.into_inner();
        Outcome { reports: ledger.ended, resumed: ledger.resumed, left, full, busy, failure: ledger.failure }
    }
}
