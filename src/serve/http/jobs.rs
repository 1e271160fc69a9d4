//! Jobs: list, status, cancel, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::blocking;
use super::caller::Client;
use super::view::JobView;
use crate::serve::job::{self, Record};
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;
use crate::serve::store::Page;

/// The most jobs of one answer.
const MOST: usize = 200;
const USUAL: usize = 50;

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobList {
    /// The newest first.
    pub jobs: Vec<JobView>,
    /// What `after` is for the next page; null on the last one.
    pub next: Option<String>,
}

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Jobs in these states alone, with commas between them.
    #[param(
        example = "queued,running",
        pattern = "^(queued|running|done|failed|cancelled)(,(queued|running|done|failed|cancelled))*$"
    )]
    state: Option<String>,
    /// The most jobs, from 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Jobs that are older than this one: `next` of the page before.
    #[param(format = "uuid")]
    after: Option<String>,
}

/// A client's job.
pub(super) fn find(service: &Service, client: &Client, id: &str) -> Result<Record, Refusal> {
    service.store.get(&client.0, id)?.ok_or_else(|| Refusal::not_found("such job"))
}

/// The caller's jobs.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(Which), security(("token" = [])), responses(
    (status = 200, body = JobList),
    (status = 400, body = ErrorBody, description = "a state, a limit or a job that there cannot be"),
    (status = 401, body = ErrorBody),
))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    client: Client,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<JobList>, Refusal> {
    let Query(which) = which.map_err(|cause| Refusal::bad(cause.body_text()))?;
    let words = which.state.as_deref().into_iter().flat_map(|words| words.split(','));
    let states = words
        .map(|word| job::State::of(word).ok_or_else(|| Refusal::bad(format!("state: there is no state '{word}'"))))
        .collect::<Result<Vec<_>, _>>()?;
    let limit = which.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::bad(format!("limit: must be between 1 and {MOST}")));
    }
    let after = which.after.map(|after| uuid::Uuid::try_parse(&after).map(|id| id.to_string())).transpose();
    let mut after = after.map_err(|_| Refusal::bad("after: must be the `next` of the page before"))?;
    blocking(move || {
        // The store does not tell waiting jobs from running ones, so these are told apart here, page by page.
        let mut stored = states.clone();
        if stored.contains(&job::State::Running) && !stored.contains(&job::State::Queued) {
            stored.push(job::State::Queued);
        }
        let mut jobs = Vec::new();
        loop {
            // One more than is asked for tells whether there is a next page.
            let page = Page { client: &client.0, states: &stored, after: after.as_deref(), limit: limit + 1 };
            let records = service.store.list(page)?;
            for record in &records {
                after = Some(record.id.clone());
                let view = JobView::of(&service, record);
                if states.is_empty() || states.contains(&view.state) {
                    jobs.push(view);
                }
                if jobs.len() > limit {
                    jobs.truncate(limit);
                    let next = jobs.last().map(|job| job.id.clone());
                    return Ok(Json(JobList { jobs, next }));
                }
            }
            if records.len() <= limit {
                return Ok(Json(JobList { jobs, next: None }));
            }
        }
    })
    .await
}

/// How far a job is.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = "uuid")), security(("token" = [])), responses(
    (status = 200, body = JobView),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Refusal> {
    blocking(move || Ok(Json(JobView::of(&service, &find(&service, &client, &id)?)))).await
}

/// Ends a job before its time.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path, format = "uuid")), security(("token" = [])), responses(
    (status = 200, body = JobView),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "it has ended already"),
))]
pub(super) async fn cancel(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Refusal> {
    blocking(move || {
        let record = find(&service, &client, &id)?;
        if record.state.is_final() {
            return Err(Refusal::conflict(format!("the job has ended: it is {}", record.state.word())));
        }
        service.cancel(&id)?;
        Ok(Json(JobView::of(&service, &find(&service, &client, &id)?)))
    })
    .await
}

/// Removes a job with its recordings and results. A job in progress is cancelled before.
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = "uuid")), security(("token" = [])), responses(
    (status = 204),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    blocking(move || {
        find(&service, &client, &id)?;
        service.remove(&id)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
