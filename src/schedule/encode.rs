//! Pieces with masks → files.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use super::outputs::Pending;
use super::reports::{Finished, Reports};
use super::{Masked, Piece, Step, Track};
use crate::separate::{Estimates, Wanted};
use crate::{Error, Result};

/// Receives the pieces of tracks, and writes their outputs.
pub(super) struct Encoder<'a, 'r> {
    wanted: &'a Wanted,
    reports: &'a Reports<'r>,
    open: HashMap<usize, Open>,
}

/// A track whose last piece has not come yet.
struct Open {
    outputs: Outputs,
    /// The next frame to write.
    next: usize,
    /// Pieces that came early, from a faster engine, by their first frame.
    early: BTreeMap<usize, Masked>,
}

impl<'a, 'r> Encoder<'a, 'r> {
    pub(super) fn new(wanted: &'a Wanted, reports: &'a Reports<'r>) -> Self {
        Self { wanted, reports, open: HashMap::new() }
    }

    /// Receives pieces until all senders are gone.
    pub(super) fn run(mut self, queue: Receiver<Vec<Step<Masked>>>) {
        for step in queue.into_iter().flatten() {
            let (track, ended) = match step {
                Step::Broken(track, error) => (track, Err(error)),
                Step::Part(masked) => {
                    let track = Arc::clone(&masked.piece.track);
                    if track.failed.load(Ordering::Relaxed) || self.reports.aborted() {
                        continue;
                    }
                    let taken = self.reports.wanted(track.index).and_then(|()| self.take(&track, masked));
                    (track, taken)
                }
            };
            if self.reports.aborted() {
                // No open track is finished any more.
                self.open.clear();
            }
            if let Err(error) = ended {
                // This removes its partial files before the failure is reported.
                self.open.remove(&track.index);
                self.reports.failed(&track, &error);
            }
        }
    }

    /// Takes a piece, and then all pieces that waited for it.
    fn take(&mut self, track: &Track, masked: Masked) -> Result<()> {
        let mut open = match self.open.remove(&track.index) {
            Some(open) => open,
            None => {
                Open { outputs: Outputs::create(track, self.wanted, self.reports)?, next: 0, early: BTreeMap::new() }
            }
        };
        open.early.insert(masked.piece.frames.start, masked);
        while let Some(masked) = open.early.remove(&open.next) {
            open.next = masked.piece.frames.end;
            let last = masked.piece.is_last();
            self.reports.advanced(&masked);
            open.outputs.push(masked)?;
            if last {
                let (finished, files) = open.outputs.finish()?;
                return self.reports.done(track, finished, files);
            }
        }
        self.open.insert(track.index, open);
        Ok(())
    }
}

/// The outputs of one open track.
struct Outputs {
    estimates: Estimates,
    /// One file per stem, in their order.
    files: Vec<Pending>,
    finished: Finished,
}

impl Outputs {
    /// Opens the files of a track.
    fn create(track: &Track, wanted: &Wanted, reports: &Reports) -> Result<Self> {
        let recording = (track.channels, track.sample_rate);
        let mut estimates = Estimates::new(&track.view, recording, wanted, track.format.step())?;
        estimates.end(track.signal_length)?;
        let file = |path: &PathBuf| Pending::create(path, track, reports.run());
        Ok(Self {
            estimates,
            files: track.outputs.iter().map(file).collect::<Result<_>>()?,
            finished: Finished::default(),
        })
    }

    /// Takes the next piece of the track.
    fn push(&mut self, masked: Masked) -> Result<()> {
        let Masked { piece, separated, column, segment, engine } = masked;
        let (columns, segments) = (column..column + piece.columns(), piece.segments().count());
        let Piece { track, spectra, .. } = piece;
        let cost: f64 = separated.costs[columns].iter().sum();
        if !cost.is_finite() || !self.estimates.push(spectra, &separated.masks, column)? {
            let what = track.input.path.display();
            return Err(Error::input(format!("{what}: the model gives no finite gains for it; train another model")));
        }
        let finished = &mut self.finished;
        finished.objective += cost;
        let iterations = separated.iterations.iter().skip(segment).take(segments);
        finished.iterations = iterations.fold(finished.iterations, |most, &its| most.max(its));
        if finished.engines.last().is_none_or(|last| **last != *engine) {
            finished.engines.push(engine.to_string());
        }
        self.write()
    }

    /// Closes all files. They get their names together, later.
    fn finish(mut self) -> Result<(Finished, Vec<Pending>)> {
        self.estimates.finish()?;
        self.write()?;
        let Self { mut files, mut finished, .. } = self;
        for file in &mut files {
            let (size, clipped) = file.close()?;
            finished.bytes.push(size);
            finished.clipped += clipped;
        }
        Ok((finished, files))
    }

    /// Writes all samples that are ready.
    fn write(&mut self) -> Result<()> {
        self.files.iter_mut().zip(self.estimates.take()).try_for_each(|(file, block)| file.write(&block))
    }
}
