//! Progress bars on stderr, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use partwise::Error;
use partwise::schedule::{FileReport, Status, Watch};

use super::Common;

/// A bar of `length` units with an ETA.
pub(super) fn bar(common: &Common, length: u64, what: &str) -> ProgressBar {
    if common.no_progress || common.quiet {
        return ProgressBar::hidden();
    }
    // Indicatif draws nothing if stderr is not a terminal.
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:24!} {wide_bar} {percent:>3} %  {elapsed} elapsed, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_string());
    bar
}

/// A spinner for work of unknown length.
pub(super) fn spinner(common: &Common, what: &str) -> ProgressBar {
    let spinner = bar(common, 0, what);
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    // The spinner's thread would start even if it is hidden, and a failure to start it would end the program.
    if !spinner.is_hidden() && std::thread::Builder::new().spawn(|| ()).is_ok() {
        spinner.enable_steady_tick(Duration::from_millis(200));
    }
    spinner
}

/// Advances the bar by one step and passes the value through.
pub(super) fn advanced<T>(bar: &ProgressBar, value: T) -> T {
    bar.inc(1);
    value
}

/// The progress of a separation job.
pub(super) struct JobBar {
    bar: ProgressBar,
    files: usize,
    ended: usize,
}

impl JobBar {
    pub(super) fn new(common: &Common, bytes: u64, files: usize) -> Self {
        Self { bar: bar(common, bytes, &format!("0 of {files} files")), files, ended: 0 }
    }
}

impl Watch for JobBar {
    fn advanced(&mut self, _: usize, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finished(&mut self, _: usize, report: &FileReport, _: Option<&Error>) {
        self.ended += 1;
        self.bar.set_message(format!("{} of {} files", self.ended, self.files));
        self.bar.suspend(|| {
            for warning in &report.warnings {
                log::warn!("{}: {warning}", report.input.display());
            }
            match (&report.status, &report.error) {
                (Status::Failed, Some(error)) => log::error!("{error}"),
                _ => log::info!("{}: done", report.input.display()),
            }
        });
    }
}

impl Drop for JobBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
