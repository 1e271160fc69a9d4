//! A job's progress as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use super::answers::blocking;
use super::caller::Client;
use super::jobs::find;
use super::view::JobView;
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;

/// Progress is told no more often than this.
const OFTEN: Duration = Duration::from_millis(200);
/// And no more rarely than this while a job waits: its place in the queue changes.
const RARELY: Duration = Duration::from_secs(1);

/// Who follows a job, and what was told last.
struct Follower {
    service: Arc<Service>,
    client: Client,
    id: String,
    progress: Option<watch::Receiver<f64>>,
    told: Option<String>,
    ended: bool,
}

/// An event of a job.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes events that are written field by field")]
pub(super) struct JobEvent {
    /// `job`.
    event: String,
    /// The job as JSON.
    data: String,
}

/// A job's progress, as events called `job` whose data are the job. The last one has a final state.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", params(("id" = String, Path, format = "uuid")), security(("token" = [])), responses(
    (status = 200, body = JobEvent, content_type = "text/event-stream"),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn events(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    {
        let (service, client, id) = (Arc::clone(&service), client.clone(), id.clone());
        blocking(move || find(&service, &client, &id)).await?;
    }
    let progress = service.queue.find(&id).map(|ticket| ticket.follow());
    let follower = Follower { service, client, id, progress, told: None, ended: false };
    Ok(Sse::new(unfold(follower, next)).keep_alive(KeepAlive::default()))
}

/// The next event; `None` once the end was told, the job is deleted, or the service stops before it has begun.
async fn next(mut follower: Follower) -> Option<(Result<Event, Infallible>, Follower)> {
    if follower.ended {
        return None;
    }
    loop {
        if follower.told.is_some() {
            match &mut follower.progress {
                // Whatever ends the wait, the job is looked at again.
                Some(progress) => drop(timeout(RARELY, progress.changed()).await),
                None => sleep(RARELY).await,
            }
            // What waits while the service stops is not begun before its next start.
            let queue = &follower.service.queue;
            if queue.is_stopped() && queue.find(&follower.id).is_none_or(|ticket| ticket.started().is_none()) {
                return None;
            }
        }
        let (service, client, id) = (Arc::clone(&follower.service), follower.client.clone(), follower.id.clone());
        let view = blocking(move || Ok(JobView::of(&service, &find(&service, &client, &id)?))).await.ok()?;
        let data = serde_json::to_string(&view).ok()?;
        if follower.told.as_ref() == Some(&data) {
            continue;
        }
        follower.ended = view.state.is_final();
        if !follower.ended && follower.told.is_some() {
            sleep(OFTEN).await;
        }
        let event = Event::default().event("job").data(&data);
        follower.told = Some(data);
        return Some((Ok(event), follower));
    }
}
