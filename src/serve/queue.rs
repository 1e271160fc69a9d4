//! The jobs that wait and run: who is next, what still fits, and how long it takes.
//!
//! The store says which jobs there are; this is the order of those that have not ended, in memory. Jobs of one *desk* have the same
//! model and the same options, so they share panels.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::job::{Kind, Record, Request};

/// A run gives way to another desk after this long, so that a stream of jobs with one model does not stop all others.
const SLICE: Duration = Duration::from_secs(2);
/// A run waits this long for more jobs. Ending it costs little; this only saves threads from starting for every job.
const IDLE: Duration = Duration::from_secs(1);
/// Progress of so many seconds is what speed is measured by.
const WINDOW: usize = 20;
/// How long nothing is begun after the disk was full.
const PAUSE: Duration = Duration::from_secs(5);

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) request: Arc<Request>,
    /// Seconds of audio.
    pub(super) seconds: f64,
    /// Bytes of its files.
    pub(super) bytes: u64,
    /// Its owner does not want it any more.
    pub(super) cancelled: AtomicBool,
    /// It is not in the store any more: whoever ends it removes its files.
    pub(super) removed: AtomicBool,
    /// No other job may begin after it in the same run: one of those that it was in progress with has made the run panic.
    pub(super) alone: AtomicBool,
    /// When work at it began, in milliseconds since 1970; 0: not yet.
    pub(super) started: AtomicI64,
    /// When its progress was last told, likewise.
    advanced: AtomicI64,
    /// The share that is done. Whoever follows a job hears of every change.
    progress: watch::Sender<f64>,
}

impl Ticket {
    pub(super) fn new(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            client: record.client.clone(),
            request: Arc::new(record.request.clone()),
            seconds: record.request.seconds(),
            bytes: record.bytes,
            cancelled: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            started: AtomicI64::new(0),
            advanced: AtomicI64::new(0),
            progress: watch::Sender::new(0.0),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// When work at it began.
    pub(super) fn started(&self) -> Option<i64> {
        Some(self.started.load(Ordering::Relaxed)).filter(|&started| started > 0)
    }

    pub(super) fn progress(&self) -> f64 {
        *self.progress.borrow()
    }

    /// Hears of every change, until the job has ended.
    pub(super) fn follow(&self) -> watch::Receiver<f64> {
        self.progress.subscribe()
    }
}

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

#[derive(Default)]
struct Lines {
    /// By the order of acceptance.
    waiting: BTreeMap<u64, Arc<Ticket>>,
    /// All that have not ended, with their place in that order.
    open: HashMap<String, (u64, Arc<Ticket>)>,
    next: u64,
    /// Seconds of audio that each client was given so far, as fair shares count them.
    served: HashMap<String, f64>,
    /// Seconds and bytes of `open`, and of what is still being uploaded.
    held: HashMap<String, (f64, u64)>,
    desks: HashMap<String, Desk>,
    opened: u64,
    speed: Speed,
    paused: Option<Instant>,
}

#[derive(Default)]
struct Desk {
    running: bool,
    /// Another desk takes its place.
    leaves: bool,
    /// When it last ended a run, as a count.
    used: u64,
}

/// Seconds of audio that were done in each of the last seconds.
#[derive(Default)]
struct Speed {
    done: VecDeque<(Instant, f64)>,
    /// What it was before the queue was last empty.
    known: Option<f64>,
}

impl Speed {
    fn add(&mut self, seconds: f64) {
        match self.done.back_mut() {
            Some((since, sum)) if since.elapsed() < Duration::from_secs(1) => *sum += seconds,
            _ => self.done.push_back((Instant::now(), seconds)),
        }
        if self.done.len() > WINDOW {
            self.done.pop_front();
        }
        let since = self.done.front().map_or(0.0, |(since, _)| since.elapsed().as_secs_f64());
        if since >= 1.0 {
            self.known = Some(self.done.iter().map(|(_, seconds)| seconds).sum::<f64>() / since);
        }
    }

    /// Nothing is left to do: the time until there is something again does not count.
    fn rest(&mut self) {
        self.done.clear();
    }
}

impl Lines {
    fn sums(&self) -> (f64, u64) {
        self.held.values().fold((0.0, 0), |sum, held| (sum.0 + held.0, sum.1.saturating_add(held.1)))
    }

    fn hold(&mut self, client: &str, seconds: f64, bytes: u64) {
        let held = self.held.entry(client.to_owned()).or_default();
        *held = (held.0 + seconds, held.1.saturating_add(bytes));
    }

    fn release(&mut self, client: &str, seconds: f64, bytes: u64) {
        if let Some(held) = self.held.get_mut(client) {
            *held = ((held.0 - seconds).max(0.0), held.1.saturating_sub(bytes));
            // Sums of seconds may keep a rounding error.
            if held.1 == 0 && held.0 < 1e-6 {
                self.held.remove(client);
            }
        }
    }

    /// How long nothing is begun yet, if nothing is.
    fn pause(&mut self) -> Option<Duration> {
        let left = self.paused.and_then(|until| until.checked_duration_since(Instant::now()));
        if left.is_none() {
            self.paused = None;
        }
        left
    }

    fn running(&self) -> usize {
        self.desks.iter().filter(|(name, desk)| desk.running && *name != TRAINING).count()
    }

    fn is_running(&self, desk: &str) -> bool {
        self.desks.get(desk).is_some_and(|desk| desk.running)
    }

    fn waits(&self, desk: &str) -> bool {
        self.waiting.values().any(|ticket| ticket.request.desk == desk)
    }

    /// The desk that should run next.
    fn next_desk(&self) -> Option<&str> {
        let idle = |ticket: &&Arc<Ticket>| ticket.request.desk != TRAINING && !self.is_running(&ticket.request.desk);
        self.waiting.values().find(idle).map(|ticket| ticket.request.desk.as_str())
    }

    /// The oldest job that has no desk, if one can be opened now. The desk that has rested for longest makes room for it.
    fn desk_to_open(&mut self, most: usize) -> Option<Arc<Ticket>> {
        let ticket = self.waiting.values().find(|ticket| !self.desks.contains_key(&ticket.request.desk)).cloned()?;
        let staying = || self.desks.iter().filter(|(name, desk)| !desk.leaves && *name != TRAINING);
        if ticket.request.kind == Kind::Separate && staying().count() >= most {
            let idle = staying().filter(|(name, desk)| !desk.running && !self.waits(name));
            let longest = idle.min_by_key(|(_, desk)| desk.used).map(|(name, _)| name.clone())?;
            self.desks.get_mut(&longest)?.leaves = true;
        }
        Some(ticket)
    }

    /// The next job of a desk: the oldest of the client that was given the least.
    fn take(&mut self, desk: &str) -> Option<Arc<Ticket>> {
        let served = |ticket: &Ticket| self.served.get(&ticket.client).copied().unwrap_or_default();
        let of_desk = self.waiting.iter().filter(|(_, ticket)| ticket.request.desk == desk);
        let (&place, _) = of_desk.min_by(|one, other| served(one.1).total_cmp(&served(other.1)))?;
        let ticket = self.waiting.remove(&place)?;
        *self.served.entry(ticket.client.clone()).or_default() += ticket.seconds;
        Some(ticket)
    }

    fn push(&mut self, place: u64, ticket: Arc<Ticket>) {
        // A client that comes back was not given less: it had asked for nothing.
        if !self.waiting.values().any(|waiting| waiting.client == ticket.client) {
            let clients = self.waiting.values().map(|waiting| &waiting.client);
            let least = clients.filter_map(|client| self.served.get(client)).copied().reduce(f64::min).unwrap_or(0.0);
            let served = self.served.entry(ticket.client.clone()).or_default();
            *served = served.max(least);
        }
        self.open.insert(ticket.id.clone(), (place, Arc::clone(&ticket)));
        self.waiting.insert(place, ticket);
    }
}

/// The desk of all trainings.
pub(super) const TRAINING: &str = "training";

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

#[cfg(test)]
mod tests {
    use std::thread;

    use serde_json::Value;

    use super::super::job::{File, Outcome, State};
    use super::*;

    const BOUNDS: Bounds = Bounds { seconds: 100.0, bytes: 1000, share: 1.0, running: 1, loaded: 2 };

    fn record(id: &str, client: &str, desk: &str, seconds: f64) -> Record {
        let recording =
            File { name: id.into(), path: "recording".into(), bytes: 10, seconds, channels: 1, sample_rate: 8000 };
        let request = Request {
            kind: if desk == TRAINING { Kind::Train } else { Kind::Separate },
            model: None,
            given: Value::Null,
            options: Value::Null,
            recording: Some(recording),
            sources: Vec::new(),
            name: None,
            replace: false,
            desk: desk.into(),
        };
        Record {
            id: id.into(),
            client: client.into(),
            state: State::Queued,
            created: 0,
            started: None,
            ended: None,
            bytes: 10,
            request,
            outcome: Outcome::default(),
        }
    }

    /// The ids of the jobs that a desk is given, in order, until it would have to wait.
    fn order(queue: &Queue, desk: &str) -> String {
        let mut order = String::new();
        while queue.lines().waits(desk) {
            order += &queue.take(desk, Instant::now()).unwrap().id;
        }
        order
    }

    #[test]
    fn clients_take_turns_by_what_they_were_given() {
        let queue = Queue::new(BOUNDS);
        for id in ["1", "2", "3", "4"] {
            queue.push(&record(id, "busy", "a", 2.0), None);
        }
        queue.push(&record("x", "other", "a", 3.0), None);
        queue.push(&record("y", "other", "a", 3.0), None);
        assert_eq!(order(&queue, "a"), "1x2y34");
        // Who comes late was not given less: it has no claim on the past.
        for id in ["5", "6", "7"] {
            queue.push(&record(id, "busy", "a", 2.0), None);
        }
        queue.push(&record("z", "late", "a", 2.0), None);
        queue.push(&record("w", "late", "a", 2.0), None);
        assert_eq!(order(&queue, "a"), "5z6w7");
    }

    #[test]
    fn what_does_not_fit_is_refused_until_there_is_room() {
        let queue = Arc::new(Queue::new(Bounds { share: 0.5, ..BOUNDS }));
        let mut one = queue.reserve("a", 600).unwrap();
        assert!(queue.reserve("b", 500).err().unwrap().retry_after.is_some());
        let large = queue.reserve("b", 1001).err().unwrap();
        assert!(large.reason.contains("more than 1000 bytes") && large.retry_after.is_none(), "{large:?}");
        one.add_seconds(50.0).unwrap();
        let full = queue.reserve("a", 0).unwrap().add_seconds(1.0).unwrap_err();
        assert!(full.reason.contains("of one client") && full.retry_after >= Some(1), "{full:?}");
        let mut two = queue.reserve("b", 0).unwrap();
        let large = two.add_seconds(50.5).unwrap_err();
        assert!(large.reason.contains("more than 50 seconds") && large.retry_after.is_none(), "{large:?}");
        two.add_seconds(50.0).unwrap();
        let reason = queue.reserve("c", 0).unwrap().add_seconds(1.0).unwrap_err().reason;
        assert!(reason.contains("seconds of audio as it may"), "{reason}");
        // An upload that was given up holds nothing.
        drop(two);
        assert_eq!(queue.load(), (0, 0, 50.0, 600));
        let ticket = queue.push(&record("1", "a", "d", 20.0), Some(one));
        assert_eq!(queue.load(), (1, 0, 20.0, 10));
        queue.take("d", Instant::now()).unwrap();
        assert_eq!(queue.load(), (0, 1, 20.0, 10));
        queue.end(&ticket);
        queue.end(&ticket);
        assert_eq!(queue.load(), (0, 0, 0.0, 0));
    }

    #[test]
    fn the_desk_that_rested_longest_makes_room() {
        let queue = Queue::new(BOUNDS);
        let open = |id: &str, desk: &str| {
            let ticket = queue.push(&record(id, "a", desk, 1.0), None);
            assert_eq!(queue.wait_desk().unwrap().id, id);
            assert_eq!(queue.wait_turn(desk), Turn::Run);
            queue.take(desk, Instant::now()).unwrap();
            queue.rest(desk);
            queue.end(&ticket);
        };
        open("1", "a");
        open("2", "b");
        let again = queue.push(&record("3", "a", "a", 1.0), None);
        assert_eq!((queue.wait_turn("a"), queue.take("a", Instant::now()).unwrap().id.as_str()), (Turn::Run, "3"));
        queue.rest("a");
        queue.end(&again);
        open("4", "c");
        assert_eq!(queue.wait_turn("b"), Turn::Leave);
        queue.leave("b");
        // The trainings' desk takes no place.
        open("5", TRAINING);
        assert!(!queue.lines().desks["a"].leaves);
    }

    #[test]
    fn a_run_gives_way_to_a_desk_that_waits() {
        let queue = Queue::new(BOUNDS);
        queue.push(&record("1", "a", "a", 1.0), None);
        queue.push(&record("2", "a", "a", 1.0), None);
        queue.wait_desk().unwrap();
        assert_eq!(queue.wait_turn("a"), Turn::Run);
        let began = Instant::now();
        assert_eq!(queue.take("a", began).unwrap().id, "1");
        queue.push(&record("3", "a", "b", 1.0), None);
        queue.wait_desk().unwrap();
        // One run at a time: the other desk waits, at first for the rest of a slice.
        assert_eq!(queue.take("a", began).unwrap().id, "2");
        let asked = Instant::now();
        assert!(queue.take("a", began).is_none() && asked.elapsed() < IDLE);
        queue.push(&record("4", "a", "a", 1.0), None);
        assert!(queue.take("a", began.checked_sub(SLICE).unwrap()).is_none(), "the slice is over");
        thread::scope(|scope| {
            let turn = scope.spawn(|| queue.wait_turn("b"));
            queue.rest("a");
            assert_eq!(turn.join().unwrap(), Turn::Run);
        });
    }

    #[test]
    fn a_cancelled_job_is_not_begun_and_a_job_that_is_put_back_keeps_its_place() {
        let queue = Queue::new(BOUNDS);
        for id in ["1", "2", "3"] {
            queue.push(&record(id, "a", "d", 1.0), None);
        }
        assert_eq!(["1", "2", "3", "4"].map(|id| queue.position(id)), [Some(0), Some(1), Some(2), None]);
        assert!(matches!(queue.cancel("2"), Some(Cancelled::Waiting(ticket)) if ticket.id == "2"));
        let first = queue.take("d", Instant::now()).unwrap();
        assert!(matches!(queue.cancel("1"), Some(Cancelled::Running(_))) && first.is_cancelled());
        assert!(queue.cancel("9").is_none());
        queue.advance(&first, 0.5, 1);
        queue.put_back(&first);
        assert_eq!((queue.position("1"), first.progress()), (Some(0), 0.0));
        assert_eq!(order(&queue, "d"), "13");
    }

    #[test]
    fn a_stop_wakes_everybody() {
        let queue = Queue::new(BOUNDS);
        thread::scope(|scope| {
            let opens = scope.spawn(|| queue.wait_desk().is_none());
            let waits = scope.spawn(|| queue.wait_turn("a"));
            let sleeps = scope.spawn(|| queue.sleep(Duration::from_secs(600)));
            let takes = scope.spawn(|| queue.take("a", Instant::now()).is_none());
            queue.stop();
            assert!(opens.join().unwrap() && takes.join().unwrap());
            sleeps.join().unwrap();
            assert_eq!(waits.join().unwrap(), Turn::Leave);
        });
    }

    #[test]
    fn the_time_that_is_left_follows_the_progress() {
        let queue = Queue::new(BOUNDS);
        let ticket = queue.push(&record("1", "a", "d", 10.0), None);
        assert_eq!(queue.eta(&ticket, 0), None, "nothing is known of the speed");
        queue.take("d", Instant::now()).unwrap();
        ticket.started.store(1000, Ordering::Relaxed);
        queue.advance(&ticket, 0.25, 3000);
        assert_eq!([3000, 5000, 99_000].map(|now| queue.eta(&ticket, now)), [Some(6.0), Some(4.0), Some(0.0)]);
        queue.lines().speed.known = Some(4.0);
        let second = queue.push(&record("2", "a", "d", 10.0), None);
        assert_eq!(queue.eta(&second, 3000), Some((7.5 + 10.0) / 4.0));
    }
}
