//! An engine at work, and what becomes of a panel when it fails.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::separate::{Separated, Separator};
use crate::{EngineError, Error, Result};

/// Who is asked to take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// The same device, opened anew: after it was lost.
    Reopened,
    /// Another engine, that does not fail in this way: where the device cannot be opened, or fails again at the same panel.
    Other,
}

/// Opens a successor; `None` where there is none of this kind.
type Open<'a> = dyn Fn(Successor) -> Option<Result<Box<dyn Separator + 'a>>> + Send + Sync + 'a;

/// An engine, and those that take over from it. A panel that does not fit its memory is done again in halves; a device that was
/// lost is opened anew; after that, and after any other failure, another engine goes on. Since columns are independent, a
/// panel's halves have its bits.
pub struct Relay<'a> {
    separator: Box<dyn Separator + 'a>,
    open: Box<Open<'a>>,
    engine: Arc<str>,
    /// Columns of a panel at most, once one did not fit.
    widest: usize,
    /// Whether it has been opened anew and has not done a panel since.
    reopened: bool,
    /// Whether the last successor is at work.
    last: bool,
}

impl<'a> Relay<'a> {
    /// Begins with `first`.
    pub fn new(
        first: Box<dyn Separator + 'a>,
        open: impl Fn(Successor) -> Option<Result<Box<dyn Separator + 'a>>> + Send + Sync + 'a,
    ) -> Self {
        let engine = first.describe().into();
        Self { separator: first, open: Box::new(open), engine, widest: usize::MAX, reopened: false, last: false }
    }

    /// What it computes on now.
    pub(super) fn engine(&self) -> Arc<str> {
        Arc::clone(&self.engine)
    }

    /// The masks of a panel, see [`Separator::separate`].
    ///
    /// # Errors
    /// The engine's, where nobody can take over; any other at once.
    pub(super) fn separate(&mut self, data: ArrayView2<f32>, segments: &[usize]) -> Result<Separated> {
        loop {
            match in_parts(&*self.separator, data, segments, self.widest) {
                Err(Error::Engine(cause)) => self.mend(cause, data.nrows(), segments)?,
                done => {
                    self.reopened = false;
                    return done;
                }
            }
        }
    }

    /// Sees to it that another attempt makes sense. There is an end to it: parts become narrower, a device is opened anew once a
    /// panel, and the last successor has none.
    fn mend(&mut self, cause: EngineError, columns: usize, segments: &[usize]) -> Result<()> {
        let widest = columns.min(self.widest);
        let divisible = self.separator.by_segment() && segments.iter().any(|&segment| segment < widest);
        if matches!(cause, EngineError::OutOfMemory(_)) && divisible {
            self.widest = widest / 2;
            log::warn!("{}: {cause}; its panels are halved, to {} columns", self.engine, self.widest);
            return Ok(());
        }
        if self.last {
            return Err(cause.into());
        }
        let lost = matches!(cause, EngineError::Lost(_) | EngineError::Timeout(_));
        if lost && !self.reopened {
            match (self.open)(Successor::Reopened) {
                Some(Ok(separator)) => {
                    log::warn!("{}: {cause}; it is opened anew and goes on", self.engine);
                    self.reopened = true;
                    self.hand_over(separator);
                    return Ok(());
                }
                Some(Err(why)) => log::warn!("{}: cannot be opened anew: {why}", self.engine),
                None => {}
            }
        }
        match (self.open)(Successor::Other) {
            Some(Ok(separator)) => {
                log::warn!("{}: {cause}; {} takes over", self.engine, separator.describe());
                self.last = true;
                self.widest = usize::MAX;
                self.hand_over(separator);
                Ok(())
            }
            Some(Err(why)) => {
                log::warn!("nothing can take over from {}: {why}", self.engine);
                Err(cause.into())
            }
            None => Err(cause.into()),
        }
    }

    fn hand_over(&mut self, separator: Box<dyn Separator + 'a>) {
        self.engine = separator.describe().into();
        self.separator = separator;
    }
}

/// A device and the lanes on it: two keep it busy where it would wait while a panel is brought up and its masks down. Every
/// lane has an engine of its own, so that it is told of its own failures.
pub struct Station<'a> {
    pub(super) lanes: Vec<Relay<'a>>,
    pub(super) busy: Busy,
}

impl<'a> Station<'a> {
    /// A device with these lanes.
    pub fn new(lanes: Vec<Relay<'a>>) -> Self {
        Self { lanes, busy: Busy::default() }
    }

    /// What its lanes compute on.
    pub fn describe(&self) -> String {
        self.lanes.first().map_or_else(String::new, |lane| lane.engine.to_string())
    }

    /// How many lanes it has.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }
}

/// How long at least one lane of a station has been computing.
#[derive(Default)]
pub(super) struct Busy(Mutex<Meter>);

#[derive(Default)]
struct Meter {
    lanes: usize,
    since: Option<Instant>,
    sum: Duration,
}

impl Busy {
    pub(super) fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut meter = lock();
            meter.lanes += 1;
            meter.since.get_or_insert_with(Instant::now);
        }
        let done = work();
        let mut meter = lock();
        meter.lanes -= 1;
        if meter.lanes == 0
            && let Some(since) = meter.since.take()
        {
            meter.sum += since.elapsed();
        }
        done
    }

    /// The time until now; it begins anew.
    pub(super) fn take(&mut self) -> Duration {
        std::mem::take(&mut self.0.get_mut().unwrap_or_else(PoisonError::into_inner).sum)
    }
}

/// Separates a panel in parts of whole segments and at most `widest` columns, or of one segment.
fn in_parts(separator: &dyn Separator, data: ArrayView2<f32>, segments: &[usize], widest: usize) -> Result<Separated> {
    if data.nrows() <= widest || !separator.by_segment() {
        return separator.separate(data, segments);
    }
    let mut whole: Option<Separated> = None;
    let mut column = 0;
    for part in parts(segments, widest) {
        let columns: usize = segments[part.clone()].iter().sum();
        let next = separator.separate(data.slice(s![column..column + columns, ..]), &segments[part])?;
        column += columns;
        whole = Some(match whole {
            None => next,
            Some(mut whole) => {
                for (mask, next) in whole.masks.iter_mut().zip(next.masks) {
                    *mask = beside(mask, &next);
                }
                whole.costs.extend(next.costs);
                whole.iterations.extend(next.iterations);
                whole
            }
        });
    }
    whole.ok_or_else(|| Error::input("a panel without a segment"))
}

/// Masks (F, N) and (F, M) as one (F, N + M), stored frame by frame as they are.
fn beside(left: &Array2<f32>, right: &Array2<f32>) -> Array2<f32> {
    let mut frames = Array2::zeros((left.ncols() + right.ncols(), left.nrows()));
    let (mut first, mut second) = frames.view_mut().split_at(Axis(0), left.ncols());
    first.assign(&left.t());
    second.assign(&right.t());
    frames.reversed_axes()
}

/// The segments in runs of at most `widest` columns, or of one segment.
fn parts(segments: &[usize], widest: usize) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut width = 0;
    for (index, &columns) in segments.iter().enumerate() {
        match parts.last_mut() {
            Some(part) if width + columns <= widest => {
                part.end = index + 1;
                width += columns;
            }
            _ => {
                parts.push(index..index + 1);
                width = columns;
            }
        }
    }
    parts
}
