//! `partwise client status`, `cancel` and `delete`

use clap::Args;
use serde::Serialize;

use super::super::{Common, Ending, escaped, examples, print};
use super::address::Address;
use super::jobs::{Answers, Job, each, path, text};
use super::service::Failure;

/// Jobs that are listed if none are named.
const NEWEST: usize = 20;

/// Show how far jobs are, and why those failed that did
#[derive(Args)]
#[command(after_long_help = examples::STATUS)]
pub(super) struct Status {
    /// The jobs [default: the newest 20]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
}

/// End jobs before their time
#[derive(Args)]
#[command(after_long_help = examples::CANCEL)]
pub(super) struct Cancel {
    /// The jobs
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// Remove jobs with their recordings and results; those in progress are cancelled before
#[derive(Args)]
#[command(after_long_help = examples::DELETE)]
pub(super) struct Delete {
    /// The jobs
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// What `--json` prints of jobs that are gone.
#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

impl Status {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let service = address.service()?;
        let (jobs, ending) = if self.ids.is_empty() {
            let answer = service.get(&format!("/v1/jobs?limit={NEWEST}"))?;
            let listed = answer["jobs"].as_array().into_iter().flatten();
            let jobs = listed.map(|job| Ok((Job::of(&service, job)?, job.clone()))).collect::<Result<_, Failure>>()?;
            (jobs, Ending::Done)
        } else {
            each(&self.ids, |id| Ok(Job::get(&service, id)?))?
        };
        told(common, jobs)?;
        Ok(ending)
    }
}

impl Cancel {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let service = address.service()?;
        let (jobs, ending) = each(&self.ids, |id| {
            let answer = service.post(&format!("{}/cancel", path(id)))?;
            Ok((Job::of(&service, &answer)?, answer))
        })?;
        told(common, jobs)?;
        Ok(ending)
    }
}

impl Delete {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let service = address.service()?;
        let (deleted, ending) = each(&self.ids, |id| {
            service.delete(&path(id))?;
            Ok(id.to_owned())
        })?;
        print(common.json, &Deleted { deleted: deleted.clone() }, || {
            deleted.iter().map(|id| format!("{}: deleted\n", escaped(id))).collect()
        })?;
        Ok(ending)
    }
}

fn told(common: &Common, jobs: Vec<(Job, serde_json::Value)>) -> anyhow::Result<()> {
    let (jobs, answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    print(common.json, &Answers { jobs: answers }, || text(&jobs))
}
