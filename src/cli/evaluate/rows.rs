//! What one recording and many have in common in what is printed.

use std::collections::BTreeMap;

use partwise::evaluate::{Measures, Scores};

use super::columns::{COLUMNS, values};
use super::scoring::Windows;

/// For every measure that is not finite for some source: the number of those sources.
pub(super) fn left_out<'a>(all: impl Iterator<Item = &'a Measures> + Clone) -> BTreeMap<&'static str, usize> {
    let count = |value: fn(&Measures) -> f64| all.clone().filter(|measures| !value(measures).is_finite()).count();
    COLUMNS.iter().map(|&(name, value)| (name, count(value))).filter(|(_, count)| *count > 0).collect()
}

/// A line of what means of so many sources leave out. A mean over only infinite values leaves nothing out.
pub(super) fn left_out_text(left_out: &BTreeMap<&'static str, usize>, sources: usize) -> String {
    let part = left_out.iter().filter(|(_, count)| **count < sources);
    let part: Vec<String> = part.map(|(name, count)| format!("{count} of {name}")).collect();
    if part.is_empty() {
        return String::new();
    }
    format!("\nthe means leave out what is infinite or undefined: {}", part.join(", "))
}

/// A line of the windows of sources, if any were scored.
pub(super) fn windows_text<'a>(all: impl Iterator<Item = &'a Windows> + Clone) -> String {
    let Some(Windows { seconds, .. }) = all.clone().next() else { return String::new() };
    let (count, silent) =
        all.fold((0, 0), |(count, silent), windows| (count + windows.scores.len(), silent + windows.silent));
    let mut text = format!("\n{seconds}s: medians over windows of {seconds} s, each with filters of its own");
    if count == 0 {
        text += "; no recording is as long as one";
    }
    if silent > 0 {
        text += &format!("; {silent} of {count} are silent and have no SDR");
    }
    text
}

/// The rows of a source after its `names`: the whole recording, and every window if they were scored. Those have two values more,
/// their start and their length.
pub(super) fn csv_rows(names: &str, scores: &Scores, windows: Option<&Windows>) -> String {
    let whole = values(&scores.measures, scores.improvement.as_ref());
    let Some(windows) = windows else { return format!("{names},{whole}\n") };
    let of_window = windows
        .scores
        .iter()
        .map(|window| format!("{names},{},{},{}\n", window.start, windows.seconds, values(&window.measures, None)));
    std::iter::once(format!("{names},,,{whole}\n")).chain(of_window).collect()
}
