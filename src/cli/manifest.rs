//! `partwise manifest`

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use partwise::schedule::{FileReport, MANIFEST, Status, read_manifest};
use serde::Serialize;

use super::common::heading::FILES;
use super::{Common, Ending, escaped, examples, say, shown, table, write_whole};

/// Work with the manifests of separation runs
#[derive(Args)]
pub(super) struct Manifest {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Merge(Merge),
}

/// Join manifests, such as those of shards, into one with the latest line of every input
#[derive(Args)]
#[command(after_long_help = examples::MERGE)]
struct Merge {
    /// Manifests, or folders of results; if several contain a file, the last one counts
    #[arg(required = true, value_name = "MANIFEST|DIR")]
    manifests: Vec<PathBuf>,
    /// The file to write; a summary then goes to stdout; may be one of the inputs [default: stdout, and no summary]
    #[arg(short, long, value_name = "OUT.jsonl", help_heading = FILES)]
    output: Option<PathBuf>,
}

/// The summary of a manifest.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    files: usize,
    done: usize,
    failed: usize,
    /// Hours of the finished recordings.
    audio_hours: f64,
    failures: Vec<String>,
}

impl Manifest {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let Action::Merge(merge) = self.action;
        merge.run(common)
    }
}

impl Merge {
    fn run(self, common: &Common) -> anyhow::Result<Ending> {
        if common.json && self.output.is_none() {
            bail!("--json: stdout is taken by the manifest; name a file for it with -o");
        }
        let mut lines = Vec::new();
        for given in &self.manifests {
            let path = if given.is_dir() { given.join(MANIFEST) } else { given.clone() };
            lines.extend(read_manifest(&path)?);
        }
        let merged = merge(lines);
        let text = merged.iter().map(FileReport::to_line).collect::<Result<String, _>>()?;
        match &self.output {
            None => say(&text)?,
            Some(path) => {
                write_whole(path, |partial| std::fs::write(partial, &text))?;
                let summary = summarize(&merged);
                common.conclude(&summary, || summary.text() + &format!("wrote {}\n", shown(path)))?;
            }
        }
        Ok(Ending::Done)
    }
}

/// The last line of every pair of input and results folder, in order.
pub(super) fn merge(lines: Vec<FileReport>) -> Vec<FileReport> {
    let keyed = lines.into_iter().map(|line| ((line.input.clone(), line.folder.clone()), line));
    keyed.collect::<BTreeMap<_, _>>().into_values().collect()
}

pub(super) fn summarize(lines: &[FileReport]) -> Summary {
    let (done, failed): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.status == Status::Done);
    Summary {
        files: lines.len(),
        done: done.len(),
        failed: failed.len(),
        audio_hours: done.iter().fold(0.0, |sum, line| sum + line.seconds) / 3600.0,
        failures: failed.iter().filter_map(|line| line.error.clone()).collect(),
    }
}

impl Summary {
    pub(super) fn text(&self) -> String {
        let heading = ["files", "done", "failed", "audio hours"].map(String::from).to_vec();
        let counts = [self.files, self.done, self.failed].map(|count| count.to_string());
        let row = counts.into_iter().chain([format!("{:.2}", self.audio_hours)]).collect();
        let failures: String = self.failures.iter().map(|error| format!("failed: {}\n", escaped(error))).collect();
        table(&[heading, row]) + &failures
    }
}
