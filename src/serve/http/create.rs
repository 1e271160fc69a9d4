//! Creating a job: an upload is streamed to disk as it comes, so its size costs no memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::answers::blocking;
use super::caller::Client;
use super::view::JobView;
use crate::serve::job::Kind;
use crate::serve::names;
use crate::serve::queue::Reservation;
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;
use crate::serve::uploads::{self, Accepted, Draft, NewJob, Received, Upload};

/// The largest body that is JSON, and the largest part that is text.
const MOST_JSON: usize = 1 << 20;
/// An upload that rests for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most files of one job.
const MOST_FILES: usize = 10_000;
const KEY: &str = "idempotency-key";
/// What the name of a part with a source's recording begins with.
const SOURCE: &str = "source:";

/// A job with uploads. A part `source:NAME` has a recording of the source NAME alone: what a training learns from, or what nmf2d
/// starts from.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes a form that is read part by part")]
pub(super) struct JobForm {
    /// What the job does.
    #[schema(required = false)]
    kind: Kind,
    /// The model to separate with.
    #[schema(required = false)]
    model: String,
    /// The options as JSON, see `GET /v1/options`.
    #[schema(example = "{}", required = false)]
    options: String,
    /// Of a training: the model to make.
    #[schema(required = false)]
    name: String,
    /// Of a training: `true` if it may replace a model of this name.
    #[schema(required = false)]
    replace: bool,
    /// The file to separate.
    #[schema(content_media_type = "application/octet-stream", format = Binary, required = false)]
    recording: String,
}

/// Creates a job: with uploads as a form, or with paths on the server as JSON.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", security(("token" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "The same key makes one job, however often it is sent.", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body(content((JobForm = "multipart/form-data"), (NewJob = "application/json"))),
    responses(
        (status = 202, body = JobView, headers(("location" = String))),
        (status = 200, body = JobView, description = "the key has made this job before"),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "a path on the server that may not be read"),
        (status = 404, body = ErrorBody, description = "there is no such model"),
        (status = 409, body = ErrorBody, description = "the key has made another job, or there is a model of this name"),
        (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "a recording or an option that cannot be used"),
        (status = 429, body = ErrorBody, description = "the queue is full", headers(("retry-after" = u64))),
        (status = 503, body = ErrorBody, description = "the service is about to stop", headers(("retry-after" = u64))),
        (status = 507, body = ErrorBody, description = "the disk is full", headers(("retry-after" = u64))),
    ))]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    client: Client,
    request: Request,
) -> Result<Response, Refusal> {
    let refused = |refusal: Refusal| {
        if refusal.status == StatusCode::TOO_MANY_REQUESTS {
            service.metrics.refused();
        }
        refusal
    };
    if service.queue.is_stopped() {
        return Err(Refusal::not_ready("the service is about to stop; send the job again in a moment"));
    }
    let key = key(request.headers())?;
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_lowercase();
    let reservation = service.queue.reserve(&client.0, 0).map_err(|full| refused(full.into()))?;
    let taken = match media_type.as_str() {
        "multipart/form-data" => form(&service, request, reservation).await,
        "application/json" => json(&service, request, reservation).await,
        _ => Err(Refusal::unsupported(
            "send the job as multipart/form-data, or as application/json with paths on the server",
        )),
    };
    let (upload, draft, reservation) = taken.map_err(refused)?;
    let accepted = {
        let service = Arc::clone(&service);
        let _turn = service.readers.clone().acquire_owned().await.map_err(Refusal::internal)?;
        blocking(move || uploads::accept(&service, &client.0, key.as_deref(), upload, draft, reservation)).await
    };
    let Accepted { record, is_new } = accepted.map_err(refused)?;
    let view = JobView::of(&service, &record);
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let location = format!("/v1/jobs/{}", view.id);
    Ok((status, [(header::LOCATION, location)], Json(view)).into_response())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    let visible = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let refusal = || Refusal::bad("Idempotency-Key: use 1 to 255 visible ASCII characters");
    visible.map(|text| Some(text.to_owned())).ok_or_else(refusal)
}

type Taken = (Upload, Draft, Reservation);

/// Takes a job whose files are on the server.
async fn json(service: &Arc<Service>, request: Request, reservation: Reservation) -> Result<Taken, Refusal> {
    let body = timeout(PATIENCE, to_bytes(request.into_body(), MOST_JSON)).await.map_err(|_| rested())?;
    let body = body.map_err(|_| Refusal::too_large(format!("a job as JSON has {MOST_JSON} bytes at most")))?;
    let new: NewJob = serde_json::from_slice(&body).map_err(|cause| Refusal::bad(format!("the job: {cause}")))?;
    let service = Arc::clone(service);
    blocking(move || {
        let recording = new.path.as_deref().map(|path| uploads::on_server(&service, path)).transpose()?;
        let mut upload = Upload { recording, ..Upload::default() };
        for (name, paths) in &new.sources {
            for path in paths {
                upload.add_source(name.clone(), uploads::on_server(&service, path)?);
            }
        }
        upload.new = new;
        Ok((upload, Draft::new(&service)?, reservation))
    })
    .await
}

/// Takes a job with uploads.
async fn form(service: &Arc<Service>, request: Request, reservation: Reservation) -> Result<Taken, Refusal> {
    let mut form = Multipart::from_request(request, service).await.map_err(|cause| Refusal::bad(cause.body_text()))?;
    let draft = {
        let service = Arc::clone(service);
        blocking(move || Draft::new(&service)).await?
    };
    let mut taking = Taking { most: service.settings.limits.upload_bytes, bytes: 0, files: 0, draft, reservation };
    let mut upload = Upload::default();
    let mut seen = Vec::new();
    while let Some(field) = within(form.next_field()).await? {
        let name = names::from_form(field.name().unwrap_or_default());
        if let Some(source) = name.strip_prefix(SOURCE) {
            let source = source.to_owned();
            upload.add_source(source, taking.file(field).await?);
            continue;
        }
        if seen.contains(&name) {
            return Err(Refusal::bad(format!("{name}: is sent twice")));
        }
        match name.as_str() {
            "recording" => upload.recording = Some(taking.file(field).await?),
            "kind" => upload.new.kind = word(&taking.text(field).await?, "kind")?,
            "model" => upload.new.model = Some(taking.text(field).await?).filter(|model| !model.is_empty()),
            "name" => upload.new.name = Some(taking.text(field).await?).filter(|name| !name.is_empty()),
            "replace" => upload.new.replace = word(&taking.text(field).await?, "replace")?,
            "options" => {
                let text = taking.text(field).await?;
                let options = if text.trim().is_empty() { Ok(None) } else { serde_json::from_str(&text).map(Some) };
                upload.new.options = options.map_err(|cause| Refusal::bad(format!("options: is not JSON: {cause}")))?;
            }
            _ => {
                return Err(Refusal::bad(format!(
                    "there is no part '{name}'; there are kind, model, options, recording, source:NAME, name and replace"
                )));
            }
        }
        seen.push(name);
    }
    Ok((upload, taking.draft, taking.reservation))
}

/// A word that JSON would have in quotes or without.
fn word<T: for<'a> Deserialize<'a>>(text: &str, part: &str) -> Result<T, Refusal> {
    let quoted = serde_json::from_value(Value::String(text.into()));
    quoted.or_else(|_| serde_json::from_str(text)).map_err(|_| Refusal::bad(format!("{part}: cannot be '{text}'")))
}

/// What comes from a client, or the end of our patience.
async fn within<T>(coming: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Refusal> {
    match timeout(PATIENCE, coming).await {
        Ok(Ok(come)) => Ok(come),
        Ok(Err(cause)) => Err(match cause.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large(cause.body_text()),
            _ => Refusal::bad(format!("the form cannot be read: {}", cause.body_text())),
        }),
        Err(_) => Err(rested()),
    }
}

fn rested() -> Refusal {
    Refusal::bad("the upload rested for a minute, and was given up")
}

/// Takes the parts of a form.
struct Taking {
    /// The most bytes of all parts.
    most: u64,
    bytes: u64,
    files: usize,
    draft: Draft,
    reservation: Reservation,
}

impl Taking {
    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes as u64;
        if self.bytes > self.most {
            return Err(Refusal::too_large(format!(
                "the uploads have more than {} bytes, the most that this service takes",
                self.most
            )));
        }
        Ok(self.reservation.add_bytes(bytes as u64)?)
    }

    async fn text(&mut self, mut field: Field<'_>) -> Result<String, Refusal> {
        let name = field.name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = within(field.chunk()).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_JSON {
                return Err(Refusal::too_large(format!("{name}: is longer than {MOST_JSON} bytes")));
            }
        }
        String::from_utf8(bytes).map_err(|_| Refusal::bad(format!("{name}: is not UTF-8")))
    }

    async fn file(&mut self, mut field: Field<'_>) -> Result<Received, Refusal> {
        if self.files >= MOST_FILES {
            return Err(Refusal::too_large(format!("a job has {MOST_FILES} files at most")));
        }
        let name = names::from_form(field.file_name().unwrap_or_default());
        let path: PathBuf = self.draft.folder.join(format!("part-{}", self.files));
        self.files += 1;
        let mut file = File::create(&path).await.map_err(Refusal::io)?;
        let mut hash = Sha256::new();
        while let Some(chunk) = within(field.chunk()).await? {
            self.count(chunk.len())?;
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(Refusal::io)?;
        }
        // A write that failed late is reported by the flush.
        file.flush().await.map_err(Refusal::io)?;
        Ok(Received { name, path, hash: Some(hash.finalize().into()) })
    }
}
