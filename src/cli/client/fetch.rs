//! `partwise client fetch`

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::super::common::heading::{FILES, JOBS};
use super::super::interrupt::Interrupts;
use super::super::{Common, Ending, examples, progress, shown};
use super::address::Address;
use super::jobs::{Job, each};
use super::saving::Saving;
use super::service::Patience;

/// Save the stems of jobs that are done as files
#[derive(Args)]
#[command(after_long_help = examples::FETCH)]
pub(super) struct Fetch {
    /// The jobs
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// The folder for the stems
    #[arg(short, long, value_name = "DIR", help_heading = FILES)]
    output: PathBuf,
    /// Replace files that are there and differ
    #[arg(long, help_heading = FILES)]
    replace: bool,
    /// Seconds in which a call is tried again when the service is busy or cannot be reached
    #[arg(long, value_name = "S", default_value_t = 300, help_heading = JOBS)]
    patience: u32,
}

#[derive(Serialize)]
struct Fetched {
    files: Vec<PathBuf>,
}

impl Fetch {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let service = address.service()?;
        let interrupts = Interrupts::listen()?;
        let patience = Patience { most: Duration::from_secs(self.patience.into()), stop: interrupts.noted() };
        let mut saving = Saving {
            service: &service,
            folder: &self.output,
            replace: self.replace,
            patience,
            written: HashSet::new(),
        };
        let bar = progress::bar(common, self.ids.len() as u64, "fetching");
        let fetched = each(&self.ids, |id| {
            if patience.is_over() {
                bail!("interrupted before it was fetched");
            }
            let (job, _) = patience.keep(|| Job::get(&service, id))?;
            progress::advanced(&bar, saving.stems(&job, Path::new("")))
        });
        bar.finish_and_clear();
        if patience.is_over() {
            return Ok(Ending::Interrupted);
        }
        let (files, ending) = fetched?;
        let fetched = Fetched { files: files.concat() };
        common.conclude(&fetched, || fetched.files.iter().map(|file| format!("{}\n", shown(file))).collect())?;
        Ok(ending)
    }
}
