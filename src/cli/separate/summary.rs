//! What a run of `separate` amounts to, for programs and for people.

use std::path::PathBuf;

use partwise::schedule::{FileReport, LeftOut, MANIFEST, Outcome};
use serde::Serialize;

use super::super::output::is_seen;
use super::super::pages::Written;
use super::super::{escaped, shown};

/// What a run amounts to.
#[derive(Serialize)]
pub(in crate::cli) struct Summary {
    /// Those of this run's shard.
    pub(super) files: usize,
    pub(super) done: usize,
    /// Done by an earlier run.
    pub(super) resumed: usize,
    pub(in crate::cli) failed: usize,
    /// Not begun, or not finished.
    pub(super) left: usize,
    /// Whether that is because there was no room for results.
    pub(super) full: bool,
    /// Of folders: audio files of kinds that are not read, by the ends of their names.
    pub(super) left_out: LeftOut,
    pub(super) interrupted: bool,
    /// The folder of the results and of manifest.jsonl.
    pub(super) output: PathBuf,
    /// The pages about the results, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<Written>,
    /// The file of bases and gains, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gains: Option<PathBuf>,
    /// Of what this run has done.
    pub(super) audio_seconds: f64,
    pub(in crate::cli) wall_seconds: f64,
    pub(in crate::cli) real_time_factor: f64,
    pub(in crate::cli) engine: String,
    /// The share of the time that the engine was computing.
    pub(super) engine_busy: f64,
    pub(super) results: Vec<FileReport>,
}

impl Summary {
    /// Of an outcome; also, what ended the job early. The caller knows what is left out, and where results are.
    pub(super) fn of(
        outcome: Outcome,
        files: usize,
        engine: String,
        interrupted: bool,
        wall_seconds: f64,
    ) -> (Self, Option<partwise::Error>) {
        let (done, audio_seconds) = outcome.done();
        let Outcome { reports, resumed, left, full, busy, failure } = outcome;
        let summary = Self {
            files,
            done,
            resumed: resumed.len(),
            failed: reports.len() - done,
            left,
            full,
            left_out: LeftOut::default(),
            interrupted,
            output: PathBuf::new(),
            report: None,
            gains: None,
            audio_seconds,
            wall_seconds,
            real_time_factor: audio_seconds / wall_seconds,
            engine,
            engine_busy: busy,
            results: reports,
        };
        (summary, failure)
    }

    pub(super) fn text(&self) -> String {
        let Self { files, done, resumed, failed, left, audio_seconds, wall_seconds, .. } = self;
        let counts: Vec<String> = [(*resumed, "done before"), (*failed, "failed"), (*left, "left")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        // A terminal has shown why files failed.
        let mut text = if is_seen() { String::new() } else { failures(&self.results) };
        text.push_str(&format!(
            "{done} of {files} files separated{}: {} of audio in {}, {:.0} times real time\non {}, busy {:.0} % of the time\n",
            counts.concat(),
            duration(*audio_seconds),
            duration(*wall_seconds),
            self.real_time_factor,
            self.engine,
            100.0 * self.engine_busy,
        ));
        let files: usize = self.results.iter().map(|report| report.outputs.len()).sum();
        let folder = shown(&self.output);
        text.push_str(&match files {
            0 if *resumed > 0 => format!("the results of earlier runs are in {folder}\n"),
            0 => format!("wrote {MANIFEST} alone in {folder}\n"),
            1 => format!("wrote 1 file and {MANIFEST} in {folder}\n"),
            _ => format!("wrote {files} files and {MANIFEST} in {folder}\n"),
        });
        text.push_str(&self.report.as_ref().map_or_else(String::new, Written::text));
        if let Some(gains) = &self.gains {
            text.push_str(&format!("wrote bases and gains in {}\n", shown(gains)));
        }
        if !self.left_out.is_empty() {
            text.push_str(&format!("{}\n", self.left_out));
        }
        if self.full {
            text.push_str("there is no room for more results\n");
        }
        if *left > 0 {
            text.push_str("the same command with --resume does what is left\n");
        }
        text
    }
}

/// A table of the files that failed, and why.
fn failures(results: &[FileReport]) -> String {
    let failed = results.iter().filter_map(|report| {
        let (input, error) = (report.input.display().to_string(), report.error.as_ref()?);
        // An error begins with the file that it is about; the table has it already.
        let reason = error.strip_prefix(&format!("{input}: ")).unwrap_or(error);
        Some((escaped(&input).into_owned(), escaped(reason).into_owned()))
    });
    let failed: Vec<(String, String)> = failed.collect();
    let width = failed.iter().map(|(input, _)| input.chars().count()).max().unwrap_or(0);
    failed.iter().map(|(input, reason)| format!("failed: {input:<width$}  {reason}\n")).collect()
}

/// Seconds, or hours from an hour on.
fn duration(seconds: f64) -> String {
    if seconds < 3600.0 { format!("{seconds:.1} s") } else { format!("{:.2} h", seconds / 3600.0) }
}
