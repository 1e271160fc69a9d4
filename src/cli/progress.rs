//! Progress bars on stderr, if that is a terminal.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use log::Level;
use partwise::Error;
use partwise::schedule::{FileReport, Status, Watch};

use super::interrupt::IN_PROGRESS;
use super::{Common, escaped};

/// A bar of `length` units, with the time that is left once it can be told.
pub(super) fn bar(common: &Common, length: u64, what: &str) -> ProgressBar {
    if common.no_progress || common.quiet {
        return ProgressBar::hidden();
    }
    // Indicatif draws nothing if stderr is not a terminal.
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:24!} {wide_bar} {percent:>3} %  {elapsed} elapsed{left}");
    // The first guess comes with the first step.
    let left = |state: &ProgressState, out: &mut dyn Write| {
        if state.pos() > 0 {
            let _ = write!(out, ", {} left", rounded(state.eta().as_secs_f64()));
        }
    };
    let style = style.map(|style| style.with_key("left", left));
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
    /// Those that are begun and not ended, the latest last.
    open: Vec<(usize, String)>,
    started: Instant,
    /// What this run has done; an earlier run may have done more.
    bytes: u64,
    seconds: f64,
}

impl JobBar {
    pub(super) fn new(common: &Common, bytes: u64, files: usize) -> Self {
        let bar = bar(common, bytes, "");
        let style = ProgressStyle::with_template("{prefix:30!} {wide_bar} {percent:>3} %{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut progress =
            Self { bar, files, ended: 0, open: Vec::new(), started: Instant::now(), bytes: 0, seconds: 0.0 };
        progress.show();
        progress
    }

    fn show(&mut self) {
        let name = self.open.last().map_or(String::new(), |(_, name)| format!(": {name}"));
        self.bar.set_prefix(format!("{} of {}{name}", self.ended, self.files));
        let left = self.bar.length().unwrap_or_default().saturating_sub(self.bar.position());
        self.bar.set_message(pace(self.started.elapsed().as_secs_f64(), self.seconds, self.bytes, left));
    }

    fn end(&mut self, index: usize) {
        self.ended += 1;
        self.open.retain(|(open, _)| *open != index);
        IN_PROGRESS.store(self.open.len(), Ordering::Relaxed);
        self.show();
    }

    /// Logs beside the bar.
    fn log(&self, level: Level, line: &str) {
        if log::log_enabled!(level) {
            self.bar.suspend(|| log::log!(level, "{line}"));
        }
    }
}

impl Watch for JobBar {
    fn begun(&mut self, index: usize, input: &Path) {
        let name = input.file_name().unwrap_or(input.as_os_str());
        self.open.push((index, escaped(&name.to_string_lossy()).into_owned()));
        IN_PROGRESS.store(self.open.len(), Ordering::Relaxed);
        self.show();
        self.log(Level::Info, &format!("{}: begins", input.display()));
    }

    fn advanced(&mut self, _: usize, bytes: u64, seconds: f64) {
        self.bar.inc(bytes);
        self.bytes += bytes;
        self.seconds += seconds;
        self.show();
    }

    fn resumed(&mut self, index: usize, bytes: u64, report: &FileReport) {
        self.bar.inc(bytes);
        self.end(index);
        self.log(Level::Info, &format!("{}: done before", report.input.display()));
    }

    fn finished(&mut self, index: usize, report: &FileReport, _: Option<&Error>) {
        self.end(index);
        let input = report.input.display();
        for warning in &report.warnings {
            self.log(Level::Warn, &format!("{input}: {warning}"));
        }
        match (&report.status, &report.error) {
            (Status::Failed, Some(error)) => self.log(Level::Error, error),
            _ => self.log(Level::Info, &format!("{input}: done, {:.1} s of audio", report.seconds)),
        }
    }
}

impl Drop for JobBar {
    fn drop(&mut self) {
        IN_PROGRESS.store(0, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

/// How fast a job is, and how long it will take, once this can be said: of a job that has done so many seconds of audio and bytes
/// in this time, and has so many bytes left.
fn pace(elapsed: f64, seconds: f64, bytes: u64, left: u64) -> String {
    // Before, the start of engines and threads is most of it.
    if elapsed < 1.0 || bytes == 0 {
        return String::new();
    }
    let speed = format!("  {:.0} times real time", seconds / elapsed);
    match left {
        0 => speed,
        left => format!("{speed}, {} left", rounded(elapsed * left as f64 / bytes as f64)),
    }
}

/// A time to wait: "40 s", "12 min" or "3.5 h".
fn rounded(seconds: f64) -> String {
    match seconds {
        _ if seconds < 90.0 => format!("{seconds:.0} s"),
        _ if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_names_the_latest_open_file_and_counts_the_open_ones() {
        let mut bar = JobBar::new(&Common { no_progress: true, ..Common::default() }, 100, 3);
        let shown = |bar: &JobBar| (bar.bar.prefix(), IN_PROGRESS.load(Ordering::Relaxed));
        assert_eq!(shown(&bar), ("0 of 3".into(), 0));
        bar.begun(0, Path::new("in/a.wav"));
        bar.begun(1, Path::new("in/b\n.wav"));
        assert_eq!(shown(&bar), ("0 of 3: b\\n.wav".into(), 2));
        bar.end(1);
        assert_eq!(shown(&bar), ("1 of 3: a.wav".into(), 1));
        bar.advanced(0, 40, 8.0);
        assert_eq!((bar.bar.position(), bar.seconds), (40, 8.0));
        drop(bar);
        assert_eq!(IN_PROGRESS.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_pace_is_shown_once_there_is_one() {
        assert_eq!(pace(0.5, 100.0, 1000, 1000), "");
        assert_eq!(pace(60.0, 0.0, 0, 1000), "");
        assert_eq!(pace(10.0, 850.0, 1000, 3000), "  85 times real time, 30 s left");
        assert_eq!(pace(10.0, 850.0, 1000, 0), "  85 times real time");
        // An hour of work is left, whatever an earlier run has done.
        assert_eq!(pace(60.0, 600.0, 1000, 60_000), "  10 times real time, 60 min left");
        assert_eq!(["89 s", "2 min", "1.5 h"].map(String::from), [89.0, 90.0, 5400.0].map(rounded));
    }
}
