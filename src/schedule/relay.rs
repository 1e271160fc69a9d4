//! Runs an engine, and decides what happens to a panel if the engine fails.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::separate::{Separated, Separator};
use crate::{EngineError, Error, Result};

/// The kind of successor to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// The same device, reopened after it was lost.
    Reopened,
    /// Another engine, which does not fail in this way. Used if the device cannot be reopened, or fails again on the
    /// same panel.
    Other,
}

/// Opens a successor. `None` if there is none of this kind.
type Open<'a> = dyn Fn(Successor) -> Option<Result<Box<dyn Separator + 'a>>> + Send + Sync + 'a;

/// An engine and its successors. A panel that does not fit in the engine's memory is repeated in halves. A lost device
/// is reopened. After that, or after any other failure, another engine takes over. Columns are independent, so a
/// panel's halves give the same bits.
pub struct Relay<'a> {
    separator: Box<dyn Separator + 'a>,
    open: Box<Open<'a>>,
    engine: Arc<str>,
    /// The most columns of a panel, once one did not fit.
    widest: usize,
    /// Whether the device was reopened and has not finished a panel since.
    reopened: bool,
    /// Whether the last successor is running.
    last: bool,
}

impl<'a> Relay<'a> {
    /// Starts with the engine `first`.
    pub fn new(
        first: Box<dyn Separator + 'a>,
        open: impl Fn(Successor) -> Option<Result<Box<dyn Separator + 'a>>> + Send + Sync + 'a,
    ) -> Self {
        let engine = first.describe().into();
        Self { separator: first, open: Box::new(open), engine, widest: usize::MAX, reopened: false, last: false }
    }

    /// The description of the current engine.
    pub(super) fn engine(&self) -> Arc<str> {
        Arc::clone(&self.engine)
    }

    /// Computes the masks of a panel, see [`Separator::separate`].
    ///
    /// # Errors
    /// The engine's error, if no successor can take over; any other error at once.
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

    /// Prepares another attempt. This ends, because parts become narrower, a device is reopened only once per panel,
    /// and the last successor has no successor.
    fn mend(&mut self, cause: EngineError, columns: usize, segments: &[usize]) -> Result<()> {
        let widest = columns.min(self.widest);
        let divisible = self.separator.by_segment() && segments.iter().any(|&segment| segment < widest);
        if matches!(cause, EngineError::OutOfMemory(_)) && divisible {
            self.widest = widest / 2;
            log::warn!("{}: {cause}; halving its panels, to {} columns", self.engine, self.widest);
            return Ok(());
        }
        if self.last {
            return Err(cause.into());
        }
        let lost = matches!(cause, EngineError::Lost(_) | EngineError::Timeout(_));
        if lost && !self.reopened {
            match (self.open)(Successor::Reopened) {
                Some(Ok(separator)) => {
                    log::warn!("{}: {cause}; reopened it", self.engine);
                    self.reopened = true;
                    self.hand_over(separator);
                    return Ok(());
                }
                Some(Err(why)) => log::warn!("{}: cannot be reopened: {why}", self.engine),
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

/// A device and its lanes. Two lanes keep a device busy while a panel is uploaded and masks are downloaded. Every lane
/// has its own engine, so that it receives its own failures.
pub struct Station<'a> {
    pub(super) lanes: Vec<Relay<'a>>,
    pub(super) busy: Busy,
}

impl<'a> Station<'a> {
    /// A device with these lanes.
    pub fn new(lanes: Vec<Relay<'a>>) -> Self {
        Self { lanes, busy: Busy::default() }
    }

    /// The descriptions of its lanes' engines.
    pub fn describe(&self) -> String {
        self.lanes.first().map_or_else(String::new, |lane| lane.engine.to_string())
    }

    /// The engine of its first lane, as it is now: another may have taken over from it.
    pub fn separator(&self) -> Option<&dyn Separator> {
        self.lanes.first().map(|lane| &*lane.separator)
    }

    /// The number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }
}

/// Measures how long at least one lane of a station has been computing.
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

    /// The time since the last call.
    pub(super) fn take(&mut self) -> Duration {
        std::mem::take(&mut self.0.get_mut().unwrap_or_else(PoisonError::into_inner).sum)
    }
}

/// Separates a panel in parts of whole segments. Each part has at most `widest` columns, or a single segment.
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
    whole.ok_or_else(|| Error::input("a panel needs at least one segment"))
}

/// Joins masks (F, N) and (F, M) into (F, N + M), stored frame by frame like them.
fn beside(left: &Array2<f32>, right: &Array2<f32>) -> Array2<f32> {
    let mut frames = Array2::zeros((left.ncols() + right.ncols(), left.nrows()));
    let (mut first, mut second) = frames.view_mut().split_at(Axis(0), left.ncols());
    first.assign(&left.t());
    second.assign(&right.t());
    frames.reversed_axes()
}

/// Divides segments into runs of at most `widest` columns, or of one segment.
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
