//! The report of a separation that has just ended.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use partwise::schedule::FileReport;
use partwise::separate::{Plan, Separator};

use super::super::Common;
use super::super::pictures::{Explainer, SECONDS};
use super::entry::Entry;
use super::places::INDEX;
use super::write::{Written, write};

/// Writes the pages of the recordings of a run, explained by its plan. What ends them early is told, and is no fault of the run.
pub(in crate::cli) fn of_run<'a>(
    folder: &Path,
    results: &Path,
    reports: impl Iterator<Item = &'a FileReport>,
    (plan, separator): (&Plan, &dyn Separator),
    stop: &AtomicBool,
    common: &Common,
) -> Written {
    let entries: Vec<Entry> = reports.map(|report| Entry::of(report, results)).collect();
    let count = entries.len();
    let explainer = Explainer { plan, separator, seconds: SECONDS, stop };
    write(folder, entries, Some(&explainer), stop, common).unwrap_or_else(|error| {
        log::error!("the report: {error}");
        Written { index: folder.join(INDEX), pages: 0, failed: 0, left: count, error: Some(error.to_string()) }
    })
}
