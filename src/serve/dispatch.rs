//! Opens a desk for every kind of job that waits and has none, and removes old results.

use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use super::job::Kind;
use super::service::Service;
use super::{desk, training};

/// How often results are looked through for old ones, at most and at least; between these, as often as their time is over.
const SWEEPS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Starts the work of a service. It ends when the queue is stopped.
///
/// # Errors
/// Those of starting a thread.
pub(super) fn start(service: &Arc<Service>) -> Result<()> {
    let opening = Arc::clone(service);
    service.work(move || {
        while let Some(first) = opening.queue.wait_desk() {
            let (service, ticket) = (Arc::clone(&opening), Arc::clone(&first));
            let begun = opening.work(move || match ticket.request.kind {
                Kind::Separate => desk::run(&service, &ticket),
                Kind::Train => training::run(&service),
            });
            if let Err(cause) = begun {
                for ticket in opening.queue.drain(&first.request.desk) {
                    opening.fail(&ticket, format!("the service cannot start a thread: {cause}"));
                }
                opening.queue.leave(&first.request.desk);
            }
        }
    })?;
    let sweeping = Arc::clone(service);
    let often = service.settings.limits.keep.clamp(SWEEPS.0, SWEEPS.1);
    service.work(move || {
        while !sweeping.queue.is_stopped() {
            sweeping.sweep();
            sweeping.queue.sleep(often);
        }
    })
}
