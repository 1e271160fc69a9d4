//! Jobs as the service tells of them.

use anyhow::{anyhow, bail};
use partwise::serve::{Kind, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Ending, escaped, table};
use super::service::{Failure, Service, encoded};

/// A job, as far as this client reads of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) model: Option<String>,
    /// Of a training: the model that it makes.
    pub(super) name: Option<String>,
    pub(super) recording: Option<Recording>,
    /// From 0 to 1.
    pub(super) progress: f64,
    pub(super) position: Option<usize>,
    pub(super) eta_seconds: Option<f64>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    #[serde(default)]
    pub(super) results: Vec<Stem>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Recording {
    pub(super) name: String,
}

/// A stem that can be fetched.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stem {
    pub(super) source: String,
    /// The name that the service has for its file.
    pub(super) file: String,
    pub(super) bytes: u64,
}

/// The path of a job.
pub(super) fn path(id: &str) -> String {
    format!("/v1/jobs/{}", encoded(id))
}

impl Job {
    /// Reads an answer.
    pub(super) fn of(service: &Service, answer: &Value) -> Result<Self, Failure> {
        let other = |cause| Failure::of(format!("{}: its version is another one: a job's {cause}", service.server));
        Self::deserialize(answer).map_err(other)
    }

    /// Asks for a job.
    pub(super) fn get(service: &Service, id: &str) -> Result<(Self, Value), Failure> {
        let answer = service.get(&path(id))?;
        Ok((Self::of(service, &answer)?, answer))
    }
}

/// Does something to each job. One that fails does not stop the others: its error is reported, and the ending tells.
pub(super) fn each<T>(
    ids: &[String],
    mut act: impl FnMut(&str) -> anyhow::Result<T>,
) -> anyhow::Result<(Vec<T>, Ending)> {
    let mut acted = Vec::new();
    for id in ids {
        match act(id) {
            Ok(value) => acted.push(value),
            Err(error) if ids.len() == 1 => return Err(anyhow!("{id}: {error}")),
            Err(error) => log::error!("{id}: {error}"),
        }
    }
    match ids.len() - acted.len() {
        0 => Ok((acted, Ending::Done)),
        failed if acted.is_empty() => bail!("none of {failed} jobs could be handled"),
        _ => Ok((acted, Ending::Partial)),
    }
}

/// What `--json` prints of jobs.
#[derive(Serialize)]
pub(super) struct Answers {
    pub(super) jobs: Vec<Value>,
}

/// A table of jobs, and why those failed that did.
pub(super) fn text(jobs: &[Job]) -> String {
    let mut rows = vec![["job", "what", "model", "state", "done", "left"].map(String::from).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        let (what, model) = match (job.kind, &job.recording) {
            (Kind::Train, _) => ("training".into(), job.name.clone()),
            (Kind::Separate, recording) => {
                (recording.as_ref().map_or("-".into(), |recording| recording.name.clone()), job.model.clone())
            }
        };
        let left = match (job.state, job.eta_seconds, job.position) {
            (State::Queued | State::Running, Some(seconds), _) => format!("{seconds:.0} s"),
            (State::Queued, None, Some(0)) => "is next".into(),
            (State::Queued, None, Some(before)) => format!("{before} before it"),
            _ => "-".into(),
        };
        let done = format!("{:.0} %", 100.0 * job.progress);
        vec![job.id.clone(), what, model.unwrap_or("-".into()), job.state.word().into(), done, left]
    }));
    let failed = jobs.iter().filter_map(|job| Some((&job.id, job.error.as_ref()?)));
    let failed: String = failed.map(|(id, error)| format!("failed: {}  {}\n", escaped(id), escaped(error))).collect();
    table(&rows) + &failed
}
