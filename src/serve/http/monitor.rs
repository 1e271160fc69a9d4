//! What those who run the service ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{blocking, typed};
use super::caller::Client;
use crate::serve::metrics::Gauges;
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    pub status: &'static str,
}

/// Whether jobs are accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether they are.
    pub ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// The engine that jobs run on.
    pub engine: String,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether jobs are accepted.
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, body = Readiness),
    (status = 503, body = Readiness),
))]
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Result<(StatusCode, Json<Readiness>), Refusal> {
    blocking(move || {
        let reason = if service.queue.is_stopped() {
            Some("the service is about to stop".into())
        } else if service.queue.is_paused() {
            Some("there is no room on the disk".into())
        } else {
            service.store.is_writable().err().map(|cause| cause.to_string())
        };
        let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok((status, Json(Readiness { ready: reason.is_none(), reason, engine: service.engine.clone() })))
    })
    .await
}

/// Counters and gauges, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "service", security(("token" = [])), responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 401, body = ErrorBody),
))]
pub(super) async fn metrics(State(service): State<Arc<Service>>, _: Client) -> Response {
    let (waiting, running, seconds, bytes) = service.queue.load();
    let gauges = Gauges { waiting, running, seconds, bytes, paused: service.queue.is_paused() };
    typed("text/plain; version=0.0.4; charset=utf-8", service.metrics.text(&gauges, &service.engine))
}
