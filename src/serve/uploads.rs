//! From what a client sent to a job in the store: files are read from end to end and options are checked before a job is accepted,
//! so that what is accepted can be done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::clock::now;
use super::folders;
use super::hex::hex;
use super::job::{File, Kind, ModelRef, Outcome, Record, Request, SourceFiles, State};
use super::models::Models;
use super::names;
use super::options;
use super::queue::Reservation;
use super::refusal::Refusal;
use super::service::Service;
use super::store::{Added, Identity};
use crate::Error;
use crate::audio::{FormatChoice, Reader};

/// The body of a job that names recordings on the server.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJob {
    /// What the job does.
    #[serde(default)]
    pub kind: Kind,
    /// The model to separate with.
    pub model: Option<String>,
    /// The options, see `GET /v1/options`.
    #[schema(value_type = Option<Object>)]
    pub options: Option<Value>,
    /// Of a training: the model to make.
    pub name: Option<String>,
    /// Of a training: whether it may replace a model of this name.
    #[serde(default)]
    pub replace: bool,
    /// The recording to separate: a path on the server, below a folder that the service was started with.
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
    /// Recordings of each source alone: paths on the server.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub sources: BTreeMap<String, Vec<PathBuf>>,
}

/// A file of a request, before it is read.
#[derive(Debug)]
pub(super) struct Received {
    /// The name that the client gave it.
    pub(super) name: String,
    /// Where it lies now.
    pub(super) path: PathBuf,
    /// SHA-256; none for files of the server.
    pub(super) hash: Option<[u8; 32]>,
}

/// All that a client sent.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) new: NewJob,
    pub(super) recording: Option<Received>,
    pub(super) sources: Vec<(String, Vec<Received>)>,
}

impl Upload {
    /// Adds a recording of a source.
    pub(super) fn add_source(&mut self, name: String, file: Received) {
        match self.sources.iter_mut().find(|(known, _)| *known == name) {
            Some((_, files)) => files.push(file),
            None => self.sources.push((name, vec![file])),
        }
    }

    /// SHA-256 of all that was sent, whatever the order of its parts.
    fn fingerprint(&self) -> String {
        let NewJob { kind, model, options, name, replace, .. } = &self.new;
        let mut parts = vec![format!("{kind:?} {model:?} {} {name:?} {replace}", options.clone().unwrap_or_default())];
        let file = |file: &Received| {
            format!("{:?} {:?}", file.name, file.hash.map_or(file.path.display().to_string(), |hash| hex(&hash)))
        };
        parts.extend(self.recording.iter().map(|received| format!("recording {}", file(received))));
        let sources = self.sources.iter();
        let mut of_sources: Vec<String> = sources
            .flat_map(|(name, files)| files.iter().map(move |received| format!("source {name:?} {}", file(received))))
            .collect();
        of_sources.sort();
        parts.extend(of_sources);
        hex(&Sha256::digest(parts.join("\n")))
    }
}

/// A folder for what is being uploaded. It is removed unless it becomes a job's.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) folder: PathBuf,
}

impl Draft {
    /// Makes the folder.
    pub(super) fn new(service: &Service) -> Result<Self, Refusal> {
        let id = uuid::Uuid::now_v7().to_string();
        let folder = service.folders.upload(&id);
        std::fs::create_dir_all(&folder).map_err(Refusal::io)?;
        Ok(Self { id, folder })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(cause) = folders::remove(&self.folder) {
            log::warn!("{cause}");
        }
    }
}

/// A job that was accepted now, or before under the same key.
pub(super) struct Accepted {
    pub(super) record: Record,
    pub(super) is_new: bool,
}

/// Accepts a job: once this returns, a kill of the service loses nothing of it.
pub(super) fn accept(
    service: &Arc<Service>,
    client: &str,
    key: Option<&str>,
    upload: Upload,
    draft: Draft,
    mut reservation: Reservation,
) -> Result<Accepted, Refusal> {
    let fingerprint = upload.fingerprint();
    let identity = Identity { key, fingerprint: &fingerprint };
    if let Some(known) = service.store.known(client, identity)? {
        return again(known, &fingerprint);
    }
    let Upload { new, recording, sources } = upload;
    let given = new.options.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    // Options that no job can have are refused before anything is decoded. Whether they go with the model shows later.
    let format = match new.kind {
        Kind::Separate => {
            options::separation(&given, &[]).map_err(|error| unusable(&error, std::iter::empty()))?.format
        }
        Kind::Train => FormatChoice::default(),
    };
    let mut reading = Reading { service, draft: &draft, reservation: &mut reservation };
    let recording = match (new.kind, recording) {
        (Kind::Separate, None) => {
            return Err(Refusal::bad("recording: send the file to separate in a part of this name"));
        }
        (Kind::Train, Some(_)) => {
            return Err(Refusal::bad("recording: a training learns from parts called source:NAME alone"));
        }
        (Kind::Separate, Some(received)) => Some(reading.file(received, "recording".into(), format)?),
        (Kind::Train, None) => None,
    };
    let sources = sources
        .into_iter()
        .enumerate()
        .map(|(place, (name, files))| Ok(SourceFiles { name, files: reading.source(place, files)? }))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let mut request = Request {
        kind: new.kind,
        model: None,
        given,
        options: Value::Null,
        recording,
        sources,
        name: None,
        replace: new.replace,
        desk: String::new(),
    };
    match new.kind {
        Kind::Separate => check_separation(service, &draft, &new, &mut request)?,
        Kind::Train => check_training(service, new, &mut request)?,
    }
    let uploaded = request.files().filter(|file| file.path.is_relative()).map(|file| file.bytes).sum();
    let record = Record {
        id: draft.id.clone(),
        client: client.to_owned(),
        state: State::Queued,
        created: now(),
        started: None,
        ended: None,
        bytes: uploaded,
        request,
        outcome: Outcome::default(),
    };
    let folder = service.folders.job(&record.id);
    std::fs::rename(&draft.folder, &folder).map_err(Refusal::io)?;
    // From here on, a folder without a row is removed by the next start.
    let added = service.store.add(&record, identity);
    let refused = match added {
        Ok(Added::New) => {
            service.metrics.accepted();
            service.queue.push(&record, Some(reservation));
            return Ok(Accepted { record, is_new: true });
        }
        Ok(known) => again(known, &fingerprint),
        Err(cause) => Err(cause.into()),
    };
    if let Err(cause) = folders::remove(&folder) {
        log::warn!("{cause}");
    }
    refused
}

/// The job that a key has made before.
fn again(known: Added, fingerprint: &str) -> Result<Accepted, Refusal> {
    match known {
        Added::Known(record, of) if of == fingerprint => Ok(Accepted { record: *record, is_new: false }),
        _ => Err(Refusal::conflict("Idempotency-Key: it was used before, with another job; take a new key")),
    }
}

fn check_separation(service: &Service, draft: &Draft, new: &NewJob, request: &mut Request) -> Result<(), Refusal> {
    for (field, given) in [("name", new.name.is_some()), ("replace", new.replace)] {
        if given {
            return Err(Refusal::bad(format!("{field}: is for trainings; a separation makes no model")));
        }
    }
    let model = match &new.model {
        None => None,
        Some(name) => {
            let detail = service.models.get(name).ok_or_else(|| Refusal::not_found("such model"))?;
            if let Some(error) = detail.model.error {
                return Err(Refusal::unusable(format!("model '{name}': {error}")));
            }
            Some(ModelRef { name: name.clone(), sha256: detail.model.sha256 })
        }
    };
    let path = |file: &File| draft.folder.join(&file.path);
    let sources: Vec<(String, Vec<PathBuf>)> =
        request.sources.iter().map(|source| (source.name.clone(), source.files.iter().map(path).collect())).collect();
    let of = model.as_ref().map(|model| (model.name.as_str(), model.sha256.as_str()));
    let checked = service.checks.separation(&service.models, of, &request.given, &options::named(&sources));
    let checked = checked.map_err(|error| unusable(&error, request.files().map(|file| (path(file), &file.name))))?;
    (request.model, request.options, request.desk) = (model, checked.options, checked.desk);
    Ok(())
}

fn check_training(service: &Service, new: NewJob, request: &mut Request) -> Result<(), Refusal> {
    if new.model.is_some() {
        return Err(Refusal::bad("model: is for separations; call the model to make name"));
    }
    let name = new.name.ok_or_else(|| Refusal::bad("name: a training needs a name for its model"))?;
    if !Models::is_name(&name) {
        return Err(Refusal::unusable(format!("name '{name}': use up to 100 letters, digits, spaces, . _ and -")));
    }
    if !request.replace && service.models.get(&name).is_some() {
        return Err(Refusal::conflict(format!(
            "there is a model called '{name}'; choose another name, or send replace"
        )));
    }
    let names: Vec<&str> = request.sources.iter().map(|source| source.name.as_str()).collect();
    let (_, checked) =
        options::training(&request.given, &names).map_err(|error| unusable(&error, std::iter::empty()))?;
    (request.name, request.options, request.desk) = (Some(name), checked.options, checked.desk);
    Ok(())
}

/// An error of the library in the words of the client.
fn unusable<'a>(error: &Error, files: impl Iterator<Item = (PathBuf, &'a String)>) -> Refusal {
    if error.is_full() {
        return Refusal::disk_full();
    }
    let message =
        files.fold(error.to_string(), |message, (path, name)| message.replace(&*path.to_string_lossy(), name));
    match error {
        Error::Io { .. } | Error::Engine(_) => Refusal::internal(message),
        _ => Refusal::unusable(message),
    }
}

/// Reads the files of a request.
struct Reading<'a> {
    service: &'a Service,
    draft: &'a Draft,
    reservation: &'a mut Reservation,
}

impl Reading<'_> {
    /// The recordings of a source, in the order of their names, as a command has them.
    fn source(&mut self, place: usize, mut files: Vec<Received>) -> Result<Vec<File>, Refusal> {
        files.sort_by(|one, other| one.name.cmp(&other.name));
        let folder = Path::new("sources").join(place.to_string());
        if files.iter().any(|received| received.hash.is_some()) {
            std::fs::create_dir_all(self.draft.folder.join(&folder)).map_err(Refusal::io)?;
        }
        let file =
            |(number, received)| self.file(received, folder.join(format!("{number:06}")), FormatChoice::default());
        files.into_iter().enumerate().map(file).collect()
    }

    /// Reads a file from end to end, and brings it to its place in the job's folder if it was uploaded.
    fn file(&mut self, received: Received, place: PathBuf, format: FormatChoice) -> Result<File, Refusal> {
        let Received { name, path, hash } = received;
        let name = names::safe(&name);
        let uploaded = hash.is_some();
        let most = self.service.settings.limits.recording_seconds;
        let read = || -> crate::Result<Option<(f64, usize, u32)>> {
            let mut reader = Reader::open(&path)?;
            if let Some(reason) = format.of(reader.bits()).refuses(reader.channels(), reader.sample_rate()) {
                return Err(Error::audio(&path, reason));
            }
            let (mut frames, mut block) = (0_u64, Vec::new());
            let rate = reader.sample_rate();
            while reader.read(&mut block)? {
                frames += block.first().map_or(0, Vec::len) as u64;
                if frames as f64 > most * f64::from(rate) {
                    return Ok(None);
                }
            }
            if frames == 0 {
                return Err(Error::audio(&path, "holds no audio: 0 samples"));
            }
            Ok(Some((frames as f64 / f64::from(rate), reader.channels(), rate)))
        };
        let found = read().map_err(|error| unusable(&error, [(path.clone(), &name)].into_iter()))?;
        let Some((seconds, channels, sample_rate)) = found else {
            return Err(Refusal::too_large(format!(
                "{name}: is longer than {most} s, the most that this service takes"
            )));
        };
        self.reservation.add_seconds(seconds)?;
        let bytes = std::fs::metadata(&path).map_err(Refusal::io)?.len();
        let path = if uploaded {
            std::fs::rename(&path, self.draft.folder.join(&place)).map_err(Refusal::io)?;
            place
        } else {
            path
        };
        Ok(File { name, path, bytes, seconds, channels, sample_rate })
    }
}

/// A recording on the server that a client may name.
pub(super) fn on_server(service: &Service, path: &Path) -> Result<Received, Refusal> {
    let inputs = &service.settings.inputs;
    if inputs.is_empty() {
        return Err(Refusal::forbidden("path: this service takes uploads alone; it was started without --inputs"));
    }
    // What lies elsewhere and what is not there get the same answer, so a client learns nothing about other folders.
    let outside = || Refusal::forbidden("path: there is no such file below the folders that this service may read");
    if !path.is_absolute() {
        return Err(outside());
    }
    let real = path.canonicalize().map_err(|_| outside())?;
    let allowed = inputs.iter().filter_map(|folder| folder.canonicalize().ok()).any(|folder| real.starts_with(folder));
    if !allowed || !real.is_file() {
        return Err(outside());
    }
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Received { name, path: real, hash: None })
}
