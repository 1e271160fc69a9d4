//! What comes of the files of a run.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use partwise::schedule::Input;
use partwise::serve::State;
use serde::Serialize;
use serde_json::Value;

use super::super::{escaped, shown};
use super::jobs::Job;
use super::saving::Saving;

/// What came of a file.
#[derive(Serialize)]
pub(super) struct Sent {
    pub(super) input: PathBuf,
    #[serde(skip)]
    pub(super) below: PathBuf,
    /// Of its file.
    #[serde(skip)]
    pub(super) bytes: u64,
    /// Why it cannot be read.
    #[serde(skip)]
    pub(super) problem: Option<String>,
    /// The last that the service told of it.
    pub(super) job: Option<Value>,
    #[serde(skip)]
    state: Option<State>,
    /// Its end was seen.
    #[serde(skip)]
    settled: bool,
    #[serde(skip)]
    pub(super) progress: f64,
    /// There is no other file, so its error is that of the command.
    #[serde(skip)]
    alone: bool,
    /// Why it was not accepted, not done or not fetched.
    pub(super) error: Option<String>,
    /// Its stems.
    files: Vec<PathBuf>,
}

impl Sent {
    /// A file of several, or one that is alone.
    pub(super) fn of(input: &Input, alone: bool) -> Self {
        Self {
            input: input.path.clone(),
            below: input.below.clone(),
            bytes: std::fs::metadata(&input.path).map_or(0, |there| there.len()),
            problem: input.problem.clone(),
            job: None,
            state: None,
            settled: false,
            progress: 0.0,
            alone,
            error: None,
            files: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.job.as_ref()?["id"].as_str()
    }

    /// Whether its job is to be waited for.
    pub(super) fn is_open(&self) -> bool {
        self.job.is_some() && !self.settled
    }

    /// The service has told of its job.
    pub(super) fn take(&mut self, job: &Job, answer: Value) {
        (self.state, self.progress, self.job) = (Some(job.state), job.progress, Some(answer));
    }

    /// Nothing more will come of it.
    pub(super) fn fail(&mut self, bar: &ProgressBar, error: String) {
        // The service names the file first.
        let name = self.input.file_name().map(|name| format!("{}: ", name.to_string_lossy()));
        let error = name.and_then(|name| error.strip_prefix(&name).map(str::to_owned)).unwrap_or(error);
        if !self.alone {
            bar.suspend(|| log::error!("{}: {error}", self.input.display()));
        }
        (self.error, self.settled) = (Some(error), true);
    }

    /// Its job has ended.
    pub(super) fn end(&mut self, job: &Job, saving: Option<&mut Saving>, bar: &ProgressBar) {
        self.settled = true;
        for warning in &job.warnings {
            bar.suspend(|| log::warn!("{}: {warning}", self.input.display()));
        }
        match (job.state, saving) {
            (State::Done, Some(saving)) => match saving.stems(job, &self.below) {
                Ok(files) => self.files = files,
                Err(error) => self.fail(bar, error.to_string()),
            },
            (State::Done, None) => {}
            _ => self.fail(bar, job.error.clone().unwrap_or_else(|| format!("the job was {}", job.state.word()))),
        }
    }
}

/// What a run amounts to.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) files: usize,
    pub(super) accepted: usize,
    /// Of those that were waited for.
    pub(super) done: usize,
    pub(super) failed: usize,
    /// Not sent, or not waited for to the end.
    pub(super) left: usize,
    pub(super) interrupted: bool,
    pub(super) jobs: Vec<Sent>,
}

impl Summary {
    /// Of files whose jobs were waited for, or were not.
    pub(super) fn of(jobs: Vec<Sent>, waited: bool, interrupted: bool) -> Self {
        let count = |fits: &dyn Fn(&Sent) -> bool| jobs.iter().filter(|one| fits(one)).count();
        Self {
            files: jobs.len(),
            accepted: count(&|one| one.job.is_some()),
            done: count(&|one| one.error.is_none() && one.state == Some(State::Done)),
            failed: count(&|one| one.error.is_some()),
            left: count(&|one| one.error.is_none() && (one.job.is_none() || waited && one.is_open())),
            interrupted,
            jobs,
        }
    }

    pub(super) fn text(&self, server: &str, output: Option<&Path>) -> String {
        let Self { files, done, failed, left, .. } = self;
        let counts: Vec<String> = [(*failed, "failed"), (*left, "left")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        let mut text = format!("{done} of {files} files separated{} by {}\n", counts.concat(), escaped(server));
        let saved: usize = self.jobs.iter().map(|job| job.files.len()).sum();
        if let Some(folder) = output {
            text.push_str(&format!("wrote {saved} files in {}\n", shown(folder)));
        }
        if self.jobs.iter().any(Sent::is_open) {
            text.push_str("the service goes on with the jobs that it has; see `partwise client status`\n");
        }
        text
    }
}
