//! The scores of one recording by its files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use partwise::evaluate::{self, Measures, Scores};
use serde::Serialize;

use super::super::{Common, progress, shown, sources, table};
use super::columns::{Beside, VALUES, VARIANT, quoted};
use super::rows::{csv_rows, left_out, left_out_text, windows_text};
use super::scoring::{Files, How, Scored, Windows, score};

#[derive(Serialize)]
pub(in crate::cli) struct Evaluation {
    variant: &'static str,
    /// The number of channels of every recording. A ratio is one of energies over all of them.
    channels: usize,
    pub(in crate::cli) sources: Vec<SourceScores>,
    /// The means over the sources with a finite measure. `left_out` counts the others.
    mean: Option<Measures>,
    mean_improvement: Option<Measures>,
    /// For every measure that is not finite for some source: the number of those sources.
    left_out: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
pub(in crate::cli) struct SourceScores {
    reference: PathBuf,
    estimate_file: PathBuf,
    #[serde(flatten)]
    pub(in crate::cli) scores: Scores,
    #[serde(skip_serializing_if = "Option::is_none")]
    windows: Option<Windows>,
}

/// Scores the files that these arguments name: references, estimates and mixture.
pub(super) fn evaluate(
    common: &Common,
    [reference, estimate, mixture]: [&[String]; 3],
    how: &How,
) -> anyhow::Result<Evaluation> {
    let (references, estimates) = (files(reference)?, files(estimate)?);
    if references.len() != estimates.len() {
        bail!("{} references and {} estimates; give one estimate per source", references.len(), estimates.len());
    }
    let mixture = if mixture.is_empty() { Vec::new() } else { files(mixture)? };
    if mixture.len() > 1 {
        bail!("{} mixtures: all references are sources of one recording; give one mixture", mixture.len());
    }
    let spinner = progress::spinner(common, "scoring");
    let of = Files { references: &references, estimates: &estimates, mixture: mixture.first().map(PathBuf::as_path) };
    let scored = score(&of, how, &mut |warning| spinner.suspend(|| log::warn!("{warning}")));
    spinner.finish_and_clear();
    let Scored { channels, sources, doubt } = scored?;
    if let Some(doubt) = doubt {
        log::warn!("{doubt}");
    }
    let improvements: Option<Vec<Measures>> = sources.iter().map(|(scores, _)| scores.improvement).collect();
    Ok(Evaluation {
        variant: VARIANT,
        channels,
        left_out: left_out(sources.iter().map(|(scores, _)| &scores.measures)),
        mean: Some(evaluate::mean(sources.iter().map(|(scores, _)| &scores.measures))),
        mean_improvement: improvements.map(|all| evaluate::mean(all.iter())),
        sources: references
            .into_iter()
            .zip(sources)
            .map(|(reference, (scores, windows))| SourceScores {
                reference,
                estimate_file: estimates[scores.estimate].clone(),
                scores,
                windows,
            })
            .collect(),
    })
}

fn files(arguments: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    // One argument at a time, because the same file may appear twice, for example as its own estimate.
    let each = arguments.iter().map(|argument| sources::files(std::slice::from_ref(argument)));
    Ok(each.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

impl Evaluation {
    /// The length of the windows, where they were scored.
    fn seconds(&self) -> Option<f64> {
        self.sources.first()?.windows.as_ref().map(|windows| windows.seconds)
    }

    pub(super) fn text(&self) -> String {
        let beside = Beside { gains: self.mean_improvement.is_some(), windows: self.seconds() };
        let mut rows = vec![beside.heading()];
        for SourceScores { estimate_file, scores, windows, .. } in &self.sources {
            let median = windows.as_ref().map(|windows| &windows.median);
            rows.push(beside.row(shown(estimate_file), &scores.measures, scores.improvement.as_ref(), median));
        }
        if let (Some(mean), true) = (&self.mean, self.sources.len() > 1) {
            let medians = self.sources.iter().filter_map(|source| source.windows.as_ref()).map(|of| &of.median);
            let windows = beside.windows.map(|_| evaluate::mean(medians));
            rows.push(beside.row("mean".into(), mean, self.mean_improvement.as_ref(), windows.as_ref()));
        }
        let mut text = format!("{}{VARIANT}", table(&rows));
        if self.channels > 1 {
            text += &format!(", energies of {} channels summed", self.channels);
        }
        text += &left_out_text(&self.left_out, self.sources.len());
        text + &windows_text(self.sources.iter().filter_map(|source| source.windows.as_ref())) + "\n"
    }

    pub(super) fn csv(&self) -> String {
        let windowed = self.seconds().is_some();
        let mut text = format!("reference,estimate,{}{VALUES}\n", if windowed { "start,seconds," } else { "" });
        for SourceScores { reference, estimate_file, scores, windows } in &self.sources {
            let names =
                format!("{},{}", quoted(&reference.to_string_lossy()), quoted(&estimate_file.to_string_lossy()));
            text += &csv_rows(&names, scores, windows.as_ref());
        }
        text
    }
}
