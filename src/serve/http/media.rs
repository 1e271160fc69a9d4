//! Results, recordings and pictures.

use std::convert::Infallible;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::mpsc::{Sender, channel};
use tower_http::services::ServeFile;
use utoipa::{IntoParams, ToSchema};

use super::answers::blocking;
use super::caller::Client;
use super::jobs::find;
use super::view::file_name;
use crate::serve::job::{File, Record, State as JobState, Stem};
use crate::serve::media;
use crate::serve::names;
use crate::serve::refusal::{ErrorBody, Refusal};
use crate::serve::service::Service;

/// The stems of a job that is done.
fn stems(record: &Record) -> Result<&[Stem], Refusal> {
    match record.state {
        JobState::Done if record.outcome.stems.is_empty() => {
            Err(Refusal::conflict("the job has made a model, and no stems"))
        }
        JobState::Done => Ok(&record.outcome.stems),
        JobState::Failed => Err(Refusal::unusable(record.outcome.error.clone().unwrap_or_default())),
        JobState::Cancelled => Err(Refusal::conflict("the job was cancelled")),
        JobState::Queued | JobState::Running => Err(Refusal::conflict("the job is not done yet")),
    }
}

fn stem<'a>(record: &'a Record, source: &str) -> Result<&'a Stem, Refusal> {
    let found = stems(record)?.iter().find(|stem| stem.source == source);
    found.ok_or_else(|| Refusal::not_found("such source among the results"))
}

fn recording_of(record: &Record) -> Result<&File, Refusal> {
    record.request.recording.as_ref().ok_or_else(|| Refusal::not_found("recording: the job is a training"))
}

/// A file, or the part of it that the request asks for.
async fn file(request: Request, path: PathBuf, media_type: &'static str, name: Option<&str>) -> Response {
    let served = ServeFile::new(path).try_call(request).await;
    let mut response = match served {
        Ok(response) => response.map(Body::new),
        Err(cause) => return Refusal::io(cause).into_response(),
    };
    if response.status() == axum::http::StatusCode::NOT_FOUND {
        return Refusal::not_found("such file any more").into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(value) = name.and_then(|name| HeaderValue::from_str(&names::disposition(name)).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn media_type(path: &FilePath) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("flac") => "audio/flac",
        _ => "audio/wav",
    }
}

/// One stem.
#[utoipa::path(get, path = "/v1/jobs/{id}/results/{source}", tag = "results", security(("token" = [])),
    params(("id" = String, Path, format = "uuid"), ("source" = String, Path)), responses(
    (status = 200, content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/flac"))),
    (status = 206, content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/flac")), description = "the part that the header Range asks for"),
    (status = 304),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the job is not done"),
    (status = 412),
    (status = 416),
    (status = 422, body = ErrorBody, description = "the job has failed, for this reason"),
))]
pub(super) async fn stem_file(
    State(service): State<Arc<Service>>,
    client: Client,
    Path((id, source)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let (path, name) = blocking(move || {
        let record = find(&service, &client, &id)?;
        let stem = stem(&record, &source)?;
        Ok((service.folders.results(&id).join(&stem.file), file_name(&record, &source, &stem.file)))
    })
    .await?;
    let media_type = media_type(&path);
    Ok(file(request, path, media_type, Some(&name)).await)
}

/// The spectrogram of a stem.
#[utoipa::path(get, path = "/v1/jobs/{id}/results/{source}/spectrogram", tag = "results", security(("token" = [])),
    params(("id" = String, Path, format = "uuid"), ("source" = String, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "image/png"),
    (status = 206, body = Vec<u8>, content_type = "image/png"),
    (status = 304),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the job is not done"),
    (status = 412),
    (status = 416),
    (status = 422, body = ErrorBody, description = "there is nothing to show, for this reason"),
))]
pub(super) async fn stem_picture(
    State(service): State<Arc<Service>>,
    client: Client,
    Path((id, source)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let stem = move |service: &Service, record: &Record| {
        let stem = stem(record, &source)?;
        Ok((service.folders.results(&record.id).join(&stem.file), format!("{}.png", stem.file)))
    };
    picture((service, client, id), request, stem).await
}

/// A picture of what `of` finds among the files of a job: its path, and the name of the picture.
async fn picture(
    (service, client, id): (Arc<Service>, Client, String),
    request: Request,
    of: impl FnOnce(&Service, &Record) -> Result<(PathBuf, String), Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let _turn = service.readers.clone().acquire_owned().await.map_err(Refusal::internal)?;
    let path = blocking(move || {
        let record = find(&service, &client, &id)?;
        let (sound, name) = of(&service, &record)?;
        let made = media::picture(&sound, service.folders.pictures(&id).join(name));
        made.map_err(|error| not_made(&service, &record, &error))
    })
    .await?;
    Ok(file(request, path, "image/png", None).await)
}

/// Which form of a recording is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    /// As it came.
    #[default]
    Original,
    /// As WAV, which every browser plays.
    Wav,
}

/// Which form of a recording is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichForm {
    /// As it came, or as WAV, which every browser plays.
    #[serde(default)]
    #[param(inline)]
    format: Form,
}

/// The recording of a job.
#[utoipa::path(get, path = "/v1/jobs/{id}/recording", tag = "results", security(("token" = [])),
    params(("id" = String, Path, format = "uuid"), WhichForm), responses(
    (status = 200, content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "audio/wav"))),
    (status = 206, content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "audio/wav")), description = "the part that the header Range asks for"),
    (status = 304),
    (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 412),
    (status = 416),
    (status = 422, body = ErrorBody, description = "it cannot be converted, for this reason"),
))]
pub(super) async fn recording(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
    form: Result<Query<WhichForm>, QueryRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let Query(WhichForm { format }) = form.map_err(|cause| Refusal::bad(cause.body_text()))?;
    let _turn = match format {
        Form::Original => None,
        Form::Wav => Some(service.readers.clone().acquire_owned().await.map_err(Refusal::internal)?),
    };
    let (path, name) = blocking(move || {
        let record = find(&service, &client, &id)?;
        let recording = recording_of(&record)?;
        let path = service.path(&id, recording);
        if format == Form::Original {
            return Ok((path, recording.name.clone()));
        }
        let wav = media::as_wav(&path, service.folders.pictures(&id).join("recording.wav"));
        let wav = wav.map_err(|error| not_made(&service, &record, &error))?;
        Ok((wav, format!("{}.wav", names::stem(&recording.name))))
    })
    .await?;
    let media_type = if format == Form::Wav { "audio/wav" } else { "application/octet-stream" };
    Ok(file(request, path, media_type, Some(&name)).await)
}

/// The spectrogram of a job's recording.
#[utoipa::path(get, path = "/v1/jobs/{id}/recording/spectrogram", tag = "results", security(("token" = [])),
    params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, body = Vec<u8>, content_type = "image/png"),
    (status = 206, body = Vec<u8>, content_type = "image/png"),
    (status = 304),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 412),
    (status = 416),
    (status = 422, body = ErrorBody, description = "there is nothing to show, for this reason"),
))]
pub(super) async fn recording_picture(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let recording = |service: &Service, record: &Record| {
        Ok((service.path(&record.id, recording_of(record)?), "recording.png".into()))
    };
    picture((service, client, id), request, recording).await
}

fn not_made(service: &Service, record: &Record, error: &crate::Error) -> Refusal {
    match error {
        error if error.is_full() => Refusal::disk_full(),
        crate::Error::Audio { .. } => {
            Refusal::unusable(service.spoken(&record.id, &record.request, &error.to_string()))
        }
        crate::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Refusal::not_found("such file any more")
        }
        error => Refusal::internal(error),
    }
}

/// All stems as a zip archive.
#[utoipa::path(get, path = "/v1/jobs/{id}/results", tag = "results", security(("token" = [])), params(("id" = String, Path, format = "uuid")), responses(
    (status = 200, body = Vec<u8>, content_type = "application/zip"),
    (status = 401, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the job is not done"),
    (status = 422, body = ErrorBody, description = "the job has failed, for this reason"),
))]
pub(super) async fn archive(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (files, name) = blocking(move || {
        let record = find(&service, &client, &id)?;
        let file =
            |stem: &Stem| (file_name(&record, &stem.source, &stem.file), service.folders.results(&id).join(&stem.file));
        let files: Vec<(String, PathBuf)> = stems(&record)?.iter().map(file).collect();
        Ok((files, format!("{}.zip", names::stem(&recording_of(&record)?.name))))
    })
    .await?;
    // A few blocks at a time are in memory.
    let (send, receive) = channel::<Result<Bytes, Infallible>>(4);
    tokio::task::spawn_blocking(move || {
        if let Err(cause) = media::archive(&files, Blocks(send)) {
            // The archive ends early, without its directory, so no client takes it for a whole one.
            log::warn!("{cause}");
        }
    });
    let body = Body::from_stream(unfold(receive, async |mut receive| Some((receive.recv().await?, receive))));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&names::disposition(&name)).map_err(Refusal::internal)?),
    ];
    Ok((headers, body).into_response())
}

/// Writes into the body of an answer.
struct Blocks(Sender<Result<Bytes, Infallible>>);

impl std::io::Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
