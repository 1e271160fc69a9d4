//! A job in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::watch;

use crate::serve::job::{Record, Request};

/// A job that has not ended.
#[derive(Debug)]
pub(in crate::serve) struct Ticket {
    pub(in crate::serve) id: String,
    pub(in crate::serve) client: String,
    pub(in crate::serve) request: Arc<Request>,
    /// Seconds of audio.
    pub(in crate::serve) seconds: f64,
    /// Bytes of its files.
    pub(in crate::serve) bytes: u64,
    /// Its owner does not want it any more.
    pub(in crate::serve) cancelled: AtomicBool,
    /// It is not in the store any more: whoever ends it removes its files.
    pub(in crate::serve) removed: AtomicBool,
    /// No other job may begin after it in the same run: one of those that it was in progress with has made the run panic.
    pub(in crate::serve) alone: AtomicBool,
    /// When work at it began, in milliseconds since 1970; 0: not yet.
    pub(in crate::serve) started: AtomicI64,
    /// When its progress was last told, likewise.
    pub(super) advanced: AtomicI64,
    /// The share that is done. Whoever follows a job hears of every change.
    pub(super) progress: watch::Sender<f64>,
}

impl Ticket {
    pub(in crate::serve) fn new(record: &Record) -> Self {
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

    pub(in crate::serve) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// When work at it began.
    pub(in crate::serve) fn started(&self) -> Option<i64> {
        Some(self.started.load(Ordering::Relaxed)).filter(|&started| started > 0)
    }

    pub(in crate::serve) fn progress(&self) -> f64 {
        *self.progress.borrow()
    }

    /// Hears of every change, until the job has ended.
    pub(in crate::serve) fn follow(&self) -> watch::Receiver<f64> {
        self.progress.subscribe()
    }
}
