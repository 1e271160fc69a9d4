//! The demo's measurements and their table.

use std::path::PathBuf;

use anyhow::Context;
use partwise::evaluate::{Measures, Scores};
use partwise::model::Summary;
use serde::Serialize;

use super::super::evaluate::Evaluation;
use super::super::{escaped, shown, table};

/// The sources, in the order of the model. The promise is about the gain of the first.
pub(super) const SOURCES: [&str; 2] = ["speech", "piano"];

/// The results of the demo.
#[derive(Serialize)]
pub(super) struct Results {
    pub(super) clips: Vec<ClipScores>,
    /// The means over the clips, by source.
    pub(super) mean: Vec<SourceScores>,
    pub(super) training: Summary,
    pub(super) training_seconds: f64,
    pub(super) separation_seconds: f64,
    pub(super) real_time_factor: f64,
    pub(super) engine: String,
    pub(super) report: PathBuf,
    /// Commands that reproduce the results by hand. Of the evaluations, only the first.
    pub(super) commands: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct ClipScores {
    pub(super) clip: String,
    pub(super) sources: Vec<SourceScores>,
}

/// The scores of a source in dB.
#[derive(Serialize)]
pub(super) struct SourceScores {
    pub(super) source: &'static str,
    pub(super) sdr: Change,
    pub(super) si_sdr: Change,
}

/// The change from the mixture to the estimate.
#[derive(Serialize, Clone, Copy)]
pub(super) struct Change {
    pub(super) mixture: f64,
    pub(super) estimate: f64,
    pub(super) gain: f64,
}

impl ClipScores {
    pub(super) fn new(clip: &str, evaluation: Evaluation) -> anyhow::Result<Self> {
        let scored = SOURCES.into_iter().zip(evaluation.sources).map(|(source, scored)| {
            let Scores { measures, improvement, .. } = scored.scores;
            let improvement = improvement.context("no mixture was given to compare with")?;
            let change = |of: fn(&Measures) -> f64| {
                let (estimate, gain) = (of(&measures), of(&improvement));
                Change { mixture: estimate - gain, estimate, gain }
            };
            Ok(SourceScores { source, sdr: change(|m| m.sdr), si_sdr: change(|m| m.si_sdr) })
        });
        Ok(Self { clip: clip.into(), sources: scored.collect::<anyhow::Result<_>>()? })
    }
}

/// The mean over the clips, for each source.
pub(super) fn mean(clips: &[ClipScores]) -> Vec<SourceScores> {
    let of = |source: usize| {
        let scores: Vec<&SourceScores> = clips.iter().filter_map(|clip| clip.sources.get(source)).collect();
        let mean = |of: fn(&SourceScores) -> Change| {
            let mean = |part: fn(Change) -> f64| {
                scores.iter().map(|scores| part(of(scores))).sum::<f64>() / scores.len() as f64
            };
            Change { mixture: mean(|c| c.mixture), estimate: mean(|c| c.estimate), gain: mean(|c| c.gain) }
        };
        SourceScores { source: SOURCES[source], sdr: mean(|scores| scores.sdr), si_sdr: mean(|scores| scores.si_sdr) }
    };
    (0..SOURCES.len()).map(of).collect()
}

impl Results {
    /// The table: a heading, a row per source of every clip, and the means.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let heading = ["clip", "source", "SDR, mixture", "estimate", "gain", "SI-SDR, mixture", "estimate", "gain"];
        let row = |clip: &str, scores: &SourceScores| {
            let mut row = vec![clip.to_string(), scores.source.to_string()];
            for Change { mixture, estimate, gain } in [scores.sdr, scores.si_sdr] {
                let [mixture, estimate] = [mixture, estimate].map(|level| format!("{:.1}", unsigned_zero(level)));
                row.extend([mixture, estimate, format!("{:+.1}", unsigned_zero(gain))]);
            }
            row
        };
        let clips = self.clips.iter().flat_map(|clip| clip.sources.iter().map(|scores| row(&clip.clip, scores)));
        let means = self.mean.iter().map(|scores| row("mean", scores));
        std::iter::once(heading.map(String::from).to_vec()).chain(clips).chain(means).collect()
    }

    pub(super) fn text(&self) -> String {
        format!(
            "in dB, {} clips that the model has not heard, mixed at 0 dB\n\n{}\n\
             trained in {:.1} s, separated in {:.2} s, {:.0} times real time, on {}\n\
             listen and look: {}\n\nthe same by hand:\n  {}\n\nnext, with recordings of your own:\n  partwise train \
             --source NAME=FOLDER --source NAME=FOLDER -o model.safetensors\n",
            self.clips.len(),
            table(&self.rows()),
            self.training_seconds,
            self.separation_seconds,
            self.real_time_factor,
            self.engine,
            shown(&self.report),
            self.commands.iter().map(|command| escaped(command)).collect::<Vec<_>>().join("\n  ")
        )
    }
}

/// Rounds to a tenth, with 0 instead of -0 for values such as -0.04.
fn unsigned_zero(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_rows_equal_hand_computed_ones() {
        let change = |mixture: f64, estimate: f64| Change { mixture, estimate, gain: estimate - mixture };
        let clip = |speech: f64, piano: f64| ClipScores {
            clip: "c".into(),
            sources: [speech, piano]
                .into_iter()
                .zip(SOURCES)
                .map(|(sdr, source)| SourceScores { source, sdr: change(1.0, sdr), si_sdr: change(-0.5, sdr) })
                .collect(),
        };
        let clips = vec![clip(9.0, 4.0), clip(6.0, -0.04)];
        let results = Results {
            mean: mean(&clips),
            clips,
            training: Summary { seed: 0, engine: "e".into(), version: "v".into(), sources: Vec::new() },
            training_seconds: 1.0,
            separation_seconds: 2.0,
            real_time_factor: 3.0,
            engine: "e".into(),
            report: "r.html".into(),
            commands: Vec::new(),
        };
        let rows = results.rows();
        assert_eq!(rows.len(), 1 + 4 + 2);
        assert_eq!(rows[2], ["c", "piano", "1.0", "4.0", "+3.0", "-0.5", "4.0", "+4.5"]);
        assert_eq!(rows[4], ["c", "piano", "1.0", "0.0", "-1.0", "-0.5", "0.0", "+0.5"]);
        assert_eq!(rows[5], ["mean", "speech", "1.0", "7.5", "+6.5", "-0.5", "7.5", "+8.0"]);
        assert_eq!(rows[6], ["mean", "piano", "1.0", "2.0", "+1.0", "-0.5", "2.0", "+2.5"]);
    }
}
