//! A job as clients see it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::serve::clock::{now, text};
use crate::serve::job::{File, Kind, Record, State};
use crate::serve::names;
use crate::serve::service::Service;

/// A job: what was asked for, how far it is, and how it ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// Its name in the API.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// How far it is.
    pub state: State,
    /// The model that it separates with; null without one.
    pub model: Option<String>,
    /// The options in force: those that were given, and the defaults of all others.
    #[schema(value_type = Object)]
    pub options: Value,
    /// The recording that is separated; null for a training.
    pub recording: Option<RecordingView>,
    /// Recordings of single sources: what a training learns from, or what nmf2d starts from.
    pub sources: Vec<SourceView>,
    /// Of a training: the model that it makes.
    pub name: Option<String>,
    /// When it was accepted.
    #[schema(example = "2026-11-28T01:00:00.123Z")]
    pub created: String,
    /// When work at it began.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// The share that is done, from 0 to 1.
    pub progress: f64,
    /// While it waits: the number of jobs that were accepted before it and wait too.
    pub position: Option<usize>,
    /// Seconds until it is done, as far as this can be told.
    pub eta_seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What was odd about its recordings.
    pub warnings: Vec<String>,
    /// The stems of a job that is done.
    pub results: Vec<StemView>,
    /// When it will be removed.
    pub expires: Option<String>,
}

/// A recording.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordingView {
    /// The name that it was uploaded under.
    pub name: String,
    /// The size of its file.
    pub bytes: u64,
    /// Its length.
    pub seconds: f64,
    /// The number of its channels.
    pub channels: usize,
    /// Hz.
    pub sample_rate: u32,
}

/// The recordings of a source alone.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SourceView {
    /// The source.
    pub name: String,
    /// How many recordings of it there are.
    pub recordings: usize,
    /// Their length.
    pub seconds: f64,
}

/// A stem.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StemView {
    /// The source that it has.
    pub source: String,
    /// The name of its file.
    pub file: String,
    /// The size of its file.
    pub bytes: u64,
}

/// The name under which a stem is saved: that of the recording with the source.
pub(super) fn file_name(record: &Record, source: &str, file: &str) -> String {
    let recording = record.request.recording.as_ref().map_or("recording", |file| file.name.as_str());
    let extension = file.rsplit_once('.').map_or("wav", |(_, extension)| extension);
    format!("{}.{source}.{extension}", names::stem(recording))
}

impl JobView {
    /// A job of the store, with what the queue knows of it.
    pub(super) fn of(service: &Service, record: &Record) -> Self {
        let ticket = service.queue.find(&record.id).filter(|_| !record.state.is_final());
        // It may have ended since the record was read. Then a job that was seen to run would be seen to wait.
        let ended = || service.store.get(&record.client, &record.id).ok().flatten();
        let latest = if ticket.is_none() && !record.state.is_final() { ended() } else { None };
        let record = latest.as_ref().unwrap_or(record);
        let started = ticket.as_ref().and_then(|ticket| ticket.started()).or(record.started);
        let state = if ticket.is_some() && started.is_some() { State::Running } else { record.state };
        let progress = match (&ticket, state) {
            (_, State::Done) => 1.0,
            (Some(ticket), _) => ticket.progress(),
            (None, _) => 0.0,
        };
        let recording = |file: &File| RecordingView {
            name: file.name.clone(),
            bytes: file.bytes,
            seconds: file.seconds,
            channels: file.channels,
            sample_rate: file.sample_rate,
        };
        let request = &record.request;
        let sources = request.sources.iter().map(|source| SourceView {
            name: source.name.clone(),
            recordings: source.files.len(),
            seconds: source.files.iter().map(|file| file.seconds).sum(),
        });
        let results = record.outcome.stems.iter().map(|stem| StemView {
            source: stem.source.clone(),
            file: file_name(record, &stem.source, &stem.file),
            bytes: stem.bytes,
        });
        let kept = i64::try_from(service.settings.limits.keep.as_millis()).unwrap_or(i64::MAX);
        Self {
            id: record.id.clone(),
            kind: request.kind,
            state,
            model: request.model.as_ref().map(|model| model.name.clone()),
            options: request.options.clone(),
            recording: request.recording.as_ref().map(recording),
            sources: sources.collect(),
            name: request.name.clone(),
            created: text(record.created),
            started: started.map(text),
            ended: record.ended.map(text),
            progress,
            position: if state == State::Queued { service.queue.position(&record.id) } else { None },
            eta_seconds: ticket.as_ref().and_then(|ticket| service.queue.eta(ticket, now())),
            error: record.outcome.error.clone(),
            warnings: record.outcome.warnings.clone(),
            results: results.collect(),
            expires: record.ended.map(|ended| text(ended.saturating_add(kept))),
        }
    }
}
