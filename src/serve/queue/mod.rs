//! The jobs that wait and run: who is next, what still fits, and how long it takes.
//!
//! The store says which jobs there are; this is the order of those that have not ended, in memory. Jobs of one *desk* have the same
//! model and the same options, so they share panels.

mod lines;
mod tests;
mod ticket;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::Record;
use lines::{Desk, Lines};

pub(super) use lines::TRAINING;
pub(super) use ticket::Ticket;

/// A run gives way to another desk after this long, so that a stream of jobs with one model does not stop all others.
const SLICE: Duration = Duration::from_secs(2);
/// A run waits this long for more jobs. Ending it costs little; this only saves threads from starting for every job.
const IDLE: Duration = Duration::from_secs(1);
/// How long nothing is begun after the disk was full.
const PAUSE: Duration = Duration::from_secs(5);

/// What the queue may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Seconds of audio of all jobs that have not ended.
    pub(super) seconds: f64,
    /// Bytes of their files.
    pub(super) bytes: u64,
    /// The share of the seconds that one client may have, from 0 to 1.
    pub(super) share: f64,
    /// Desks that run at the same time.
    pub(super) running: usize,
    /// Desks that keep a model and an engine.
    pub(super) loaded: usize,
}

/// There is no room in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Full {
    /// After so many seconds there may be room again; `None`: never, since the job alone is too large.
    pub(super) retry_after: Option<u64>,
    pub(super) reason: String,
}

/// What a desk does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It begins a run.
    Run,
    /// It closes: others need its place, or the service stops.
    Leave,
}

/// Where a cancelled job was.
#[derive(Debug)]
pub(super) enum Cancelled {
    /// Nobody has begun it, and now nobody will.
    Waiting(Arc<Ticket>),
    /// It is being worked at, and ends at its next step.
    Running(Arc<Ticket>),
}

/// The queue.
pub(super) struct Queue {
    bounds: Bounds,
    lines: Mutex<Lines>,
    changed: Condvar,
    /// Nothing is begun any more.
    stop: AtomicBool,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, lines: Mutex::default(), changed: Condvar::new(), stop: AtomicBool::new(false) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to take in a job of a client. What it needs is held until it is a ticket, or is given up.
    pub(super) fn reserve(self: &Arc<Self>, client: &str, bytes: u64) -> Result<Reservation, Full> {
        let mut reservation =
            Reservation { queue: Arc::clone(self), client: client.to_owned(), seconds: 0.0, bytes: 0 };
        reservation.add_bytes(bytes)?;
        reservation.add_seconds(0.0)?;
        Ok(reservation)
    }

    /// Adds a job that is in the store.
    pub(super) fn push(&self, record: &Record, reservation: Option<Reservation>) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::new(record));
        let mut lines = self.lines();
        lines.hold(&ticket.client, ticket.seconds, ticket.bytes);
        let place = lines.next;
        lines.next += 1;
        lines.push(place, Arc::clone(&ticket));
        drop(lines);
        drop(reservation);
        self.changed.notify_all();
        ticket
    }

    /// Puts a job back that was begun and not finished.
    pub(super) fn put_back(&self, ticket: &Arc<Ticket>) {
        ticket.started.store(0, Ordering::Relaxed);
        ticket.progress.send_replace(0.0);
        let mut lines = self.lines();
        if let Some(place) = lines.open.get(&ticket.id).map(|(place, _)| *place) {
            lines.push(place, Arc::clone(ticket));
        }
        drop(lines);
        self.changed.notify_all();
    }

    /// A job that has not ended.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Ticket>> {
        self.lines().open.get(id).map(|(_, ticket)| Arc::clone(ticket))
    }

    /// Tells how far a job is, at a time in milliseconds since 1970.
    pub(super) fn advance(&self, ticket: &Ticket, share: f64, now: i64) {
        ticket.advanced.store(now, Ordering::Relaxed);
        self.lines().speed.add(ticket.seconds * share);
        ticket.progress.send_modify(|progress| *progress = (*progress + share).min(1.0));
    }

    /// Forgets a job that has ended. The store must say so before.
    pub(super) fn end(&self, ticket: &Ticket) {
        let mut lines = self.lines();
        if lines.open.remove(&ticket.id).is_some() {
            lines.release(&ticket.client, ticket.seconds, ticket.bytes);
        }
        if lines.open.is_empty() {
            lines.speed.rest();
            lines.served.clear();
        }
        drop(lines);
        ticket.progress.send_replace(1.0);
        self.changed.notify_all();
    }

    /// Cancels a job.
    pub(super) fn cancel(&self, id: &str) -> Option<Cancelled> {
        let mut lines = self.lines();
        let (place, ticket) = lines.open.get(id).map(|(place, ticket)| (*place, Arc::clone(ticket)))?;
        ticket.cancelled.store(true, Ordering::Relaxed);
        Some(match lines.waiting.remove(&place) {
            Some(waiting) => Cancelled::Waiting(waiting),
            None => Cancelled::Running(ticket),
        })
    }

    /// The number of jobs that were accepted before a waiting one and wait too; `None` if it does not wait.
    pub(super) fn position(&self, id: &str) -> Option<usize> {
        let lines = self.lines();
        let (place, _) = lines.open.get(id)?;
        lines.waiting.contains_key(place).then(|| lines.waiting.range(..place).count())
    }

    /// Seconds until a job is done, as far as the speed of the last ones tells.
    pub(super) fn eta(&self, ticket: &Ticket, now: i64) -> Option<f64> {
        let progress = ticket.progress();
        if let Some(started) = ticket.started().filter(|_| progress > 0.02) {
            // Between two steps the time goes on, and what is left of it shrinks.
            let took = (ticket.advanced.load(Ordering::Relaxed) - started) as f64 / 1e3;
            return Some((took / progress - (now - started) as f64 / 1e3).max(0.0));
        }
        let lines = self.lines();
        let (speed, (place, _)) = (lines.speed.known.filter(|&speed| speed > 0.0)?, lines.open.get(&ticket.id)?);
        let left = |(of, other): &(u64, Arc<Ticket>)| {
            if of > place { 0.0 } else { other.seconds * (1.0 - other.progress()) }
        };
        Some(lines.open.values().map(left).sum::<f64>() / speed)
    }

    /// Jobs that wait, jobs that run, and seconds and bytes of both and of uploads.
    pub(super) fn load(&self) -> (usize, usize, f64, u64) {
        let lines = self.lines();
        let (seconds, bytes) = lines.sums();
        (lines.waiting.len(), lines.open.len() - lines.waiting.len(), seconds, bytes)
    }

    /// Waits until a desk has to be opened, and returns a job of it. The caller opens it, or takes that back by [`Queue::leave`].
    /// `None`: nothing is begun any more.
    pub(super) fn wait_desk(&self) -> Option<Arc<Ticket>> {
        let mut lines = self.lines();
        loop {
            if self.is_stopped() {
                return None;
            }
            if let Some(ticket) = lines.desk_to_open(self.bounds.loaded) {
                lines.desks.insert(ticket.request.desk.clone(), Desk::default());
                drop(lines);
                // Another desk may have to leave.
                self.changed.notify_all();
                return Some(ticket);
            }
            lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until a desk may run, or has to close.
    pub(super) fn wait_turn(&self, desk: &str) -> Turn {
        let mut lines = self.lines();
        loop {
            if self.is_stopped() {
                return Turn::Leave;
            }
            let paused = lines.pause();
            if paused.is_none() && lines.waits(desk) {
                let free = lines.running() < self.bounds.running && lines.next_desk() == Some(desk);
                if desk == TRAINING || free {
                    if let Some(desk) = lines.desks.get_mut(desk) {
                        desk.running = true;
                    }
                    return Turn::Run;
                }
            } else if !lines.waits(desk) && lines.desks.get(desk).is_none_or(|desk| desk.leaves) {
                return Turn::Leave;
            }
            let wait = paused.unwrap_or(Duration::from_secs(60));
            lines = self.changed.wait_timeout(lines, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The next job for a desk's run that began at `since`; waits a while for one. `None` ends the run.
    pub(super) fn take(&self, desk: &str, since: Instant) -> Option<Arc<Ticket>> {
        let mut lines = self.lines();
        let asked = Instant::now();
        loop {
            let others = lines.running() >= self.bounds.running && lines.next_desk().is_some();
            if self.is_stopped() || lines.pause().is_some() || (others && since.elapsed() >= SLICE) {
                return None;
            }
            if let Some(ticket) = lines.take(desk) {
                return Some(ticket);
            }
            let left = IDLE.checked_sub(asked.elapsed()).filter(|_| !others)?;
            lines = self.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A desk has ended its run.
    pub(super) fn rest(&self, desk: &str) {
        let mut lines = self.lines();
        lines.opened += 1;
        let used = lines.opened;
        if let Some(desk) = lines.desks.get_mut(desk) {
            (desk.running, desk.used) = (false, used);
        }
        drop(lines);
        self.changed.notify_all();
    }

    /// A desk has closed. Its jobs, if there are any, wait for another one.
    pub(super) fn leave(&self, desk: &str) {
        self.lines().desks.remove(desk);
        self.changed.notify_all();
    }

    /// All waiting jobs of a desk; they wait no more.
    pub(super) fn drain(&self, desk: &str) -> Vec<Arc<Ticket>> {
        let mut lines = self.lines();
        let places: Vec<u64> =
            lines.waiting.iter().filter(|(_, ticket)| ticket.request.desk == desk).map(|(&place, _)| place).collect();
        places.iter().filter_map(|place| lines.waiting.remove(place)).collect()
    }

    /// Begins nothing for a while: the disk is full.
    pub(super) fn pause(&self) {
        self.lines().paused = Some(Instant::now() + PAUSE);
        self.changed.notify_all();
    }

    /// Whether nothing is begun because the disk was full.
    pub(super) fn is_paused(&self) -> bool {
        self.lines().pause().is_some()
    }

    /// Waits for so long, or until nothing is begun any more.
    pub(super) fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut lines = self.lines();
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !self.is_stopped()) {
            lines = self.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Begins nothing any more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whoever is between its look at the flag and its wait holds the lock.
        drop(self.lines());
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Once set, running jobs are finished and no more are begun.
    pub(super) fn stop_flag(&self) -> &AtomicBool {
        &self.stop
    }
}

/// Room in the queue for a job that is being taken in.
pub(super) struct Reservation {
    queue: Arc<Queue>,
    client: String,
    seconds: f64,
    bytes: u64,
}

impl Reservation {
    /// Holds more bytes.
    pub(super) fn add_bytes(&mut self, bytes: u64) -> Result<(), Full> {
        let mut lines = self.queue.lines();
        let (own, most) = (self.bytes.saturating_add(bytes), self.queue.bounds.bytes);
        if own > most {
            return Err(too_large(&format!("{most} bytes of recordings")));
        }
        if lines.sums().1.saturating_add(bytes) > most {
            return Err(full(&lines, "bytes of recordings", 1.0));
        }
        lines.hold(&self.client, 0.0, bytes);
        drop(lines);
        self.bytes += bytes;
        Ok(())
    }

    /// Holds more seconds of audio.
    pub(super) fn add_seconds(&mut self, seconds: f64) -> Result<(), Full> {
        let mut lines = self.queue.lines();
        let (held, bounds) = (lines.sums().0 + seconds, self.queue.bounds);
        let most = bounds.seconds * bounds.share;
        if self.seconds + seconds > most {
            return Err(too_large(&format!("{most} seconds of audio")));
        }
        if held > bounds.seconds {
            return Err(full(&lines, "seconds of audio", held - bounds.seconds));
        }
        let own = lines.held.get(&self.client).map_or(0.0, |held| held.0) + seconds;
        if own > most {
            return Err(full(&lines, "seconds of audio of one client", own - most));
        }
        lines.hold(&self.client, seconds, 0);
        drop(lines);
        self.seconds += seconds;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.queue.lines().release(&self.client, self.seconds, self.bytes);
    }
}

/// The refusal of a job that would not fit into an empty queue.
fn too_large(most: &str) -> Full {
    Full {
        retry_after: None,
        reason: format!("the job has more than {most}, the most that this service's queue takes"),
    }
}

/// The refusal of a job: `over` seconds of audio must be done before there is room.
fn full(lines: &Lines, of_what: &str, over: f64) -> Full {
    let retry_after = lines.speed.known.map_or(5.0, |speed| over / speed.max(0.1)).clamp(1.0, 600.0).ceil() as u64;
    Full {
        retry_after: Some(retry_after),
        reason: format!("the queue holds as many {of_what} as it may; try again in {retry_after} s"),
    }
}
