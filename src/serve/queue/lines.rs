//! The order of jobs: who comes next, and what all of them hold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ticket::Ticket;
use crate::serve::job::Kind;

/// The desk of all trainings.
pub(in crate::serve) const TRAINING: &str = "training";
/// Progress of so many seconds is what speed is measured by.
const WINDOW: usize = 20;

/// Who waits, who runs, and what they hold.
#[derive(Default)]
pub(super) struct Lines {
    /// By the order of acceptance.
    pub(super) waiting: BTreeMap<u64, Arc<Ticket>>,
    /// All that have not ended, with their place in that order.
    pub(super) open: HashMap<String, (u64, Arc<Ticket>)>,
    pub(super) next: u64,
    /// Seconds of audio that each client was given so far, as fair shares count them.
    pub(super) served: HashMap<String, f64>,
    /// Seconds and bytes of `open`, and of what is still being uploaded.
    pub(super) held: HashMap<String, (f64, u64)>,
    pub(super) desks: HashMap<String, Desk>,
    pub(super) opened: u64,
    pub(super) speed: Speed,
    pub(super) paused: Option<Instant>,
}

/// A desk, as the queue knows it.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) running: bool,
    /// Another desk takes its place.
    pub(super) leaves: bool,
    /// When it last ended a run, as a count.
    pub(super) used: u64,
}

/// Seconds of audio that were done in each of the last seconds.
#[derive(Default)]
pub(super) struct Speed {
    pub(super) done: VecDeque<(Instant, f64)>,
    /// What it was before the queue was last empty.
    pub(super) known: Option<f64>,
}

impl Speed {
    pub(super) fn add(&mut self, seconds: f64) {
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
    pub(super) fn rest(&mut self) {
        self.done.clear();
    }
}

impl Lines {
    pub(super) fn sums(&self) -> (f64, u64) {
        self.held.values().fold((0.0, 0), |sum, held| (sum.0 + held.0, sum.1.saturating_add(held.1)))
    }

    pub(super) fn hold(&mut self, client: &str, seconds: f64, bytes: u64) {
        let held = self.held.entry(client.to_owned()).or_default();
        *held = (held.0 + seconds, held.1.saturating_add(bytes));
    }

    pub(super) fn release(&mut self, client: &str, seconds: f64, bytes: u64) {
        if let Some(held) = self.held.get_mut(client) {
            *held = ((held.0 - seconds).max(0.0), held.1.saturating_sub(bytes));
            // Sums of seconds may keep a rounding error.
            if held.1 == 0 && held.0 < 1e-6 {
                self.held.remove(client);
            }
        }
    }

    /// How long nothing is begun yet, if nothing is.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let left = self.paused.and_then(|until| until.checked_duration_since(Instant::now()));
        if left.is_none() {
            self.paused = None;
        }
        left
    }

    pub(super) fn running(&self) -> usize {
        self.desks.iter().filter(|(name, desk)| desk.running && *name != TRAINING).count()
    }

    pub(super) fn is_running(&self, desk: &str) -> bool {
        self.desks.get(desk).is_some_and(|desk| desk.running)
    }

    pub(super) fn waits(&self, desk: &str) -> bool {
        self.waiting.values().any(|ticket| ticket.request.desk == desk)
    }

    /// The desk that should run next.
    pub(super) fn next_desk(&self) -> Option<&str> {
        let idle = |ticket: &&Arc<Ticket>| ticket.request.desk != TRAINING && !self.is_running(&ticket.request.desk);
        self.waiting.values().find(idle).map(|ticket| ticket.request.desk.as_str())
    }

    /// The oldest job that has no desk, if one can be opened now. The desk that has rested for longest makes room for it.
    pub(super) fn desk_to_open(&mut self, most: usize) -> Option<Arc<Ticket>> {
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
    pub(super) fn take(&mut self, desk: &str) -> Option<Arc<Ticket>> {
        let served = |ticket: &Ticket| self.served.get(&ticket.client).copied().unwrap_or_default();
        let of_desk = self.waiting.iter().filter(|(_, ticket)| ticket.request.desk == desk);
        let (&place, _) = of_desk.min_by(|one, other| served(one.1).total_cmp(&served(other.1)))?;
        let ticket = self.waiting.remove(&place)?;
        *self.served.entry(ticket.client.clone()).or_default() += ticket.seconds;
        Some(ticket)
    }

    pub(super) fn push(&mut self, place: u64, ticket: Arc<Ticket>) {
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
