//! Models, and what jobs may say.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answers::blocking;
use super::caller::Client;
use crate::job::{Separation, SeparationMethod, Training};
use crate::serve::models::{ModelDetail, ModelInfo};
use crate::serve::options::schema;
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;

/// All models of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// By name.
    pub models: Vec<ModelInfo>,
}

/// What options there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OptionSchemas {
    /// The JSON schema of the options of a separation.
    #[schema(value_type = Object)]
    pub separation: Value,
    /// The JSON schema of the options of a training.
    #[schema(value_type = Object)]
    pub training: Value,
}

/// What a client may ask for, and how full the queue is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitsView {
    /// The version of the service.
    pub version: String,
    /// The engine that jobs run on.
    pub engine: String,
    /// Whether calls need a token.
    pub needs_token: bool,
    /// Methods that need no model.
    pub methods_without_model: Vec<String>,
    /// Bytes of all uploads of one job.
    pub max_upload_bytes: u64,
    /// Seconds of a recording.
    pub max_recording_seconds: f64,
    /// Seconds of audio that the queue may hold.
    pub queue_seconds: f64,
    /// Bytes of uploads that the queue may hold.
    pub queue_bytes: u64,
    /// Seconds of audio that it holds.
    pub queued_seconds: f64,
    /// Bytes of uploads that it holds.
    pub queued_bytes: u64,
    /// How long a job is kept after its end.
    pub keeps_for_seconds: u64,
}

/// The models that jobs can separate with.
#[utoipa::path(get, path = "/v1/models", tag = "models", security(("token" = [])), responses(
    (status = 200, body = ModelList),
    (status = 401, body = ErrorBody),
))]
pub(super) async fn list(State(service): State<Arc<Service>>, _: Client) -> Result<Json<ModelList>, Refusal> {
    blocking(move || Ok(Json(ModelList { models: service.models.list().map_err(Refusal::internal)? }))).await
}

/// A model, and how it was learned.
#[utoipa::path(get, path = "/v1/models/{name}", tag = "models", params(("name" = String, Path)), security(("token" = [])), responses(
    (status = 200, body = ModelDetail),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn one(
    State(service): State<Arc<Service>>,
    _: Client,
    Path(name): Path<String>,
) -> Result<Json<ModelDetail>, Refusal> {
    let find = move || service.models.get(&name).map(Json).ok_or_else(|| Refusal::not_found("such model"));
    blocking(find).await
}

/// The options of jobs, as JSON schemas: the names, the values and the help of the command line.
#[utoipa::path(get, path = "/v1/options", tag = "models", security(("token" = [])), responses(
    (status = 200, body = OptionSchemas),
    (status = 401, body = ErrorBody),
))]
pub(super) async fn options(_: Client) -> Json<OptionSchemas> {
    Json(OptionSchemas { separation: schema::<Separation>(), training: schema::<Training>() })
}

/// What a client may ask for, and how full the queue is.
#[utoipa::path(get, path = "/v1/limits", tag = "service", security(("token" = [])), responses(
    (status = 200, body = LimitsView),
    (status = 401, body = ErrorBody),
))]
pub(super) async fn limits(State(service): State<Arc<Service>>, _: Client) -> Json<LimitsView> {
    let limits = &service.settings.limits;
    let (_, _, queued_seconds, queued_bytes) = service.queue.load();
    Json(LimitsView {
        version: env!("CARGO_PKG_VERSION").into(),
        engine: service.engine.clone(),
        needs_token: service.settings.tokens.is_some(),
        methods_without_model: SeparationMethod::WITHOUT_MODEL.iter().map(ToString::to_string).collect(),
        max_upload_bytes: limits.upload_bytes,
        max_recording_seconds: limits.recording_seconds,
        queue_seconds: limits.queue_seconds,
        queue_bytes: limits.queue_bytes,
        queued_seconds,
        queued_bytes,
        keeps_for_seconds: limits.keep.as_secs(),
    })
}
