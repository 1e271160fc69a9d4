//! What the jobs of a run have in common, and how a recording goes with it.

use std::path::Path;

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use partwise::options::{Kind, SourceFiles, options};
use partwise::{Error, Separation};
use serde_json::{Map, Value};

use super::super::sources;
use super::form::Form;
use super::service::{Failure, Service};

/// What every job of a run is sent with.
pub(super) struct Order {
    model: Option<String>,
    options: String,
    /// Recordings that the method starts from.
    sources: Vec<SourceFiles>,
    /// What nobody else's keys begin with.
    run: String,
}

impl Order {
    /// The options go as the service takes them: without files' paths, but with the files.
    pub(super) fn of(separation: &Separation, model: Option<String>) -> anyhow::Result<Self> {
        let mut given: Map<String, Value> = match serde_json::to_value(separation)? {
            Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        let mut uploads = Vec::new();
        let files = options::<Separation>().into_iter().filter(|(flag, _)| matches!(flag.kind, Kind::Recordings));
        for value in files.filter_map(|(flag, _)| given.remove(flag.name)) {
            for SourceFiles { name, recordings } in serde_json::from_value::<Vec<SourceFiles>>(value)? {
                let named: Vec<String> = recordings.iter().map(|path| path.to_string_lossy().into_owned()).collect();
                let recordings = sources::files(&named).with_context(|| format!("source '{name}'"))?;
                uploads.push(SourceFiles { name, recordings });
            }
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|cause| anyhow!("the system has no random numbers: {cause}"))?;
        let run = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { model, options: Value::Object(given).to_string(), sources: uploads, run })
    }

    /// Sends the recording with this place in the run. However often it is sent, it makes one job.
    pub(super) fn send(
        &self,
        service: &Service,
        place: usize,
        recording: &Path,
        bar: &ProgressBar,
    ) -> Result<Value, Failure> {
        let form = self.form(recording, bar).map_err(Failure::of)?;
        room(service, &form)?;
        service.send("/v1/jobs", &format!("{}-{place}", self.run), form)
    }

    fn form(&self, recording: &Path, bar: &ProgressBar) -> Result<Form, Error> {
        let mut form = Form::new(&self.run, bar.clone()).text("options", &self.options);
        if let Some(model) = &self.model {
            form = form.text("model", model);
        }
        for source in &self.sources {
            for path in &source.recordings {
                form = form.file(&format!("source:{}", source.name), path)?;
            }
        }
        Ok(form.file("recording", recording)?.end())
    }
}

/// Whether the service has room for the files of a form. An upload that it refuses halfway is a connection that breaks: why it broke is
/// lost on the way.
fn room(service: &Service, form: &Form) -> Result<(), Failure> {
    let limits = service.get("/v1/limits")?;
    let limit = |name: &str, usual: u64| limits[name].as_u64().unwrap_or(usual);
    let (bytes, queue) = (form.bytes(), limit("queue_bytes", u64::MAX));
    let most = limit("max_upload_bytes", u64::MAX).min(queue);
    if bytes > most {
        return Err(Failure::of(format!("has {bytes} bytes, and the service takes {most} at most")));
    }
    if limit("queued_bytes", 0).saturating_add(bytes) > queue {
        return Err(Failure::passing("the service's queue has no room for it; send it later, or with more --patience"));
    }
    Ok(())
}
