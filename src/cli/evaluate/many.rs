//! The scores of many recordings, and what they are on average.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use partwise::evaluate::{self, Measures, Scores};
use serde::Serialize;

use super::super::{Common, Ending, escaped, print, progress, table};
use super::clips::{Clip, HERE, LeftOut, Matched};
use super::columns::{Beside, VALUES, VARIANT, quoted};
use super::rows::{csv_rows, left_out, left_out_text, windows_text};
use super::scoring::{Files, How, Scored, Seconds, Windows, score};

/// Files that are left out are named one by one up to so many.
const NAMED: usize = 10;

#[derive(Serialize)]
struct Results {
    variant: &'static str,
    clips: Vec<ClipScores>,
    /// What each source has on average, by name.
    sources: Vec<Summary>,
    /// What all of them have.
    all: Summary,
    failed: Vec<Failure>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct ClipScores {
    clip: String,
    channels: usize,
    sources: Vec<SourceScores>,
}

#[derive(Serialize)]
struct SourceScores {
    source: String,
    reference: PathBuf,
    estimate_file: PathBuf,
    #[serde(flatten)]
    scores: Scores,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Windows>,
}

/// Means and medians over recordings.
#[derive(Serialize)]
struct Summary {
    /// None for all sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// How many scores it is of.
    count: usize,
    mean: Measures,
    median: Measures,
    /// Over those that have a mixture.
    mean_improvement: Option<Measures>,
    median_improvement: Option<Measures>,
    /// Of the medians over windows, if windows were scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows_mean: Option<Measures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows_median: Option<Measures>,
    /// For every measure that is not finite for some of them: the number of those.
    left_out: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Failure {
    clip: String,
    error: String,
}

/// Scores recordings one after the other, and prints the results.
pub(super) fn run(common: &Common, matched: Matched, how: &How, csv: bool) -> anyhow::Result<Ending> {
    let Matched { clips, left_out } = matched;
    for LeftOut { path, reason } in left_out.iter().take(NAMED) {
        log::warn!("{}: {reason}; it is left out", path.display());
    }
    if left_out.len() > NAMED {
        log::warn!("{} more files are left out; --json names all of them", left_out.len() - NAMED);
    }
    let (count, mut scored, mut failed) = (clips.len(), Vec::new(), Vec::new());
    let bar = progress::bar(common, count as u64, "scoring");
    for clip in clips {
        bar.set_message(escaped(&clip.name).into_owned());
        let name = clip.name.clone();
        let mut warn = |warning: String| bar.suspend(|| log::warn!("{warning}"));
        match clip_scores(clip, how, &mut warn) {
            Ok(scores) => scored.push(scores),
            Err(error) => {
                let error = format!("{error:#}");
                bar.suspend(|| log::error!("{name}: {error}"));
                failed.push(Failure { clip: name, error });
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if scored.is_empty() {
        bail!("{count} of {count} recordings cannot be scored");
    }
    let ending = if failed.is_empty() && left_out.is_empty() { Ending::Done } else { Ending::Partial };
    let results = Results::new(scored, failed, left_out);
    print(common.json, &results, || if csv { results.csv(how) } else { results.text(how) })?;
    Ok(ending)
}

fn clip_scores(clip: Clip, how: &How, warn: &mut dyn FnMut(String)) -> anyhow::Result<ClipScores> {
    let Clip { name, sources, references, estimates, mixture } = clip;
    let files = Files { references: &references, estimates: &estimates, mixture: mixture.as_deref() };
    let Scored { channels, sources: scores, doubt } = score(&files, how, warn)?;
    if let Some(doubt) = doubt {
        warn(format!("{name}: {doubt}"));
    }
    let all = sources.into_iter().zip(references).zip(scores);
    let sources = all.map(|((source, reference), (scores, windows))| SourceScores {
        source,
        reference,
        estimate_file: estimates[scores.estimate].clone(),
        scores,
        windows,
    });
    Ok(ClipScores { clip: name, channels, sources: sources.collect() })
}

impl Summary {
    fn new(source: Option<String>, all: &[&SourceScores]) -> Self {
        let measures = all.iter().map(|one| &one.scores.measures);
        let gains: Vec<&Measures> = all.iter().filter_map(|one| one.scores.improvement.as_ref()).collect();
        let windows: Vec<&Measures> = all.iter().filter_map(|one| one.windows.as_ref()).map(|of| &of.median).collect();
        let mean = |of: &[&Measures]| (!of.is_empty()).then(|| evaluate::mean(of.iter().copied()));
        let median = |of: &[&Measures]| (!of.is_empty()).then(|| evaluate::median(of.iter().copied()));
        Self {
            source,
            count: all.len(),
            mean: evaluate::mean(measures.clone()),
            median: evaluate::median(measures.clone()),
            mean_improvement: mean(&gains),
            median_improvement: median(&gains),
            windows_mean: mean(&windows),
            windows_median: median(&windows),
            left_out: left_out(measures),
        }
    }

    /// The rows of the mean and the median.
    fn rows(&self, beside: Beside) -> [Vec<String>; 2] {
        let name = |what: &str| match &self.source {
            Some(source) => format!("{what} of {source}"),
            None => what.to_string(),
        };
        let Self { mean, median, mean_improvement, median_improvement, windows_mean, windows_median, .. } = self;
        [
            beside.row(name("mean"), mean, mean_improvement.as_ref(), windows_mean.as_ref()),
            beside.row(name("median"), median, median_improvement.as_ref(), windows_median.as_ref()),
        ]
    }
}

impl Results {
    fn new(clips: Vec<ClipScores>, failed: Vec<Failure>, left_out: Vec<LeftOut>) -> Self {
        let all: Vec<&SourceScores> = clips.iter().flat_map(|clip| &clip.sources).collect();
        let mut by_source: BTreeMap<&str, Vec<&SourceScores>> = BTreeMap::new();
        all.iter().for_each(|one| by_source.entry(&one.source).or_default().push(one));
        let sources = by_source.into_iter().map(|(source, all)| Summary::new(Some(source.into()), &all)).collect();
        Self { variant: VARIANT, sources, all: Summary::new(None, &all), clips, failed, left_out }
    }

    fn text(&self, how: &How) -> String {
        let beside =
            Beside { gains: self.all.mean_improvement.is_some(), windows: how.frames.map(|Seconds(seconds)| seconds) };
        let mut rows = vec![beside.heading()];
        let each = || self.clips.iter().flat_map(|clip| clip.sources.iter().map(move |one| (&clip.clip, one)));
        for (clip, SourceScores { source, scores, windows, .. }) in each() {
            let name = if clip == HERE { source.clone() } else { format!("{clip}: {source}") };
            let median = windows.as_ref().map(|windows| &windows.median);
            rows.push(beside.row(name, &scores.measures, scores.improvement.as_ref(), median));
        }
        self.sources.iter().for_each(|summary| rows.extend(summary.rows(beside)));
        if self.sources.len() > 1 {
            rows.extend(self.all.rows(beside));
        }
        let mut text = format!("{}{VARIANT}", table(&rows));
        if self.clips.iter().any(|clip| clip.channels > 1) {
            text += ", energies of all channels summed";
        }
        text += &left_out_text(&self.all.left_out, self.all.count);
        text += &windows_text(each().filter_map(|(_, one)| one.windows.as_ref()));
        text += &format!("\n{} recordings scored", self.clips.len());
        let counts = [(self.failed.len(), "failed"), (self.left_out.len(), "files left out")];
        counts.iter().filter(|(count, _)| *count > 0).for_each(|(count, what)| text += &format!(", {count} {what}"));
        text + "\n"
    }

    /// A row for each recording and source, and with windows one for each of them too.
    fn csv(&self, how: &How) -> String {
        let windows = if how.frames.is_some() { "start,seconds," } else { "" };
        let mut text = format!("clip,source,reference,estimate,{windows}{VALUES}\n");
        for clip in &self.clips {
            for SourceScores { source, reference, estimate_file, scores, windows } in &clip.sources {
                let files = [reference, estimate_file].map(|path| quoted(&path.to_string_lossy()));
                let names = format!("{},{},{},{}", quoted(&clip.clip), quoted(source), files[0], files[1]);
                text += &csv_rows(&names, scores, windows.as_ref());
            }
        }
        text
    }
}
