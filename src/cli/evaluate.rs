//! `partwise evaluate`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use partwise::audio;
use partwise::evaluate::{self, Measures, Order, Scores};
use serde::Serialize;

use super::common::heading::FILES;
use super::{Common, Ending, escaped, examples, memory, print, progress, sources, table};

/// By so many dB of mean SI-SDR, another order of the estimates is clearly better.
const CLEARLY_BETTER: f64 = 3.0;

/// Score estimates against the true sources: SDR, SIR, SAR (BSS Eval v3), SI-SDR and SNR, in dB
///
/// Each channel is compared with the same channel of the reference. Every ratio is one of energies summed over all
/// channels.
#[derive(Args)]
#[command(after_long_help = examples::EVALUATE)]
pub(super) struct Evaluate {
    /// The true sources of one recording
    #[arg(long, value_name = "PATH", num_args = 1.., required = true, help_heading = FILES)]
    reference: Vec<String>,
    /// Their estimates, in the same order
    #[arg(long, value_name = "PATH", num_args = 1.., required = true, help_heading = FILES)]
    estimate: Vec<String>,
    /// The recording itself, to report by how much the estimates improve on it
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = FILES)]
    mixture: Vec<String>,
    /// Find the order of the estimates with the best mean SIR, or with the best mean SDR if every SIR is infinite
    #[arg(long, help_heading = "Scores")]
    permute: bool,
    /// Print comma-separated values on stdout instead of a table
    #[arg(long, conflicts_with = "json", help_heading = "Scores")]
    csv: bool,
}

#[derive(Serialize)]
pub(super) struct Evaluation {
    variant: &'static str,
    /// The number of channels of every recording. A ratio is one of energies over all of them.
    channels: usize,
    pub(super) sources: Vec<SourceScores>,
    /// The means over the sources with a finite measure. `left_out` counts the others.
    mean: Option<Measures>,
    mean_improvement: Option<Measures>,
    /// For every measure that is not finite for some source: the number of those sources.
    left_out: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
pub(super) struct SourceScores {
    reference: PathBuf,
    estimate_file: PathBuf,
    #[serde(flatten)]
    pub(super) scores: Scores,
}

impl Evaluate {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let evaluation = self.evaluate(common)?;
        print(common.json, &evaluation, || if self.csv { csv(&evaluation) } else { text(&evaluation) })?;
        Ok(Ending::Done)
    }

    pub(super) fn evaluate(&self, common: &Common) -> anyhow::Result<Evaluation> {
        let (references, estimates) = (files(&self.reference)?, files(&self.estimate)?);
        if references.len() != estimates.len() {
            bail!("{} references and {} estimates; give one estimate per source", references.len(), estimates.len());
        }
        let mixture = if self.mixture.is_empty() { Vec::new() } else { files(&self.mixture)? };
        if mixture.len() > 1 {
            bail!("{} mixtures: all references are sources of one recording; give one mixture", mixture.len());
        }
        announce(&references)?;
        let mut like = None;
        let mut read = |files: &[PathBuf]| -> anyhow::Result<Vec<Vec<Vec<f64>>>> {
            files.iter().map(|file| read(file, &mut like)).collect()
        };
        let (truth, guesses, mix) = (read(&references)?, read(&estimates)?, read(&mixture)?);
        let order = if self.permute { Order::Best } else { Order::Given };
        let spinner = progress::spinner(common, "scoring");
        let scores = evaluate::evaluate(&truth, &guesses, mix.first().map(Vec::as_slice), order)?;
        spinner.finish_and_clear();
        let gain = if self.permute { 0.0 } else { evaluate::better_order(&truth, &guesses) };
        if gain > CLEARLY_BETTER {
            log::warn!(
                "the estimates fit better in another order, by {gain:.1} dB of SI-SDR on average; --permute finds the best order"
            );
        }
        for (reference, scores) in references.iter().zip(&scores) {
            if scores.measures.sdr.is_nan() {
                log::warn!("{}: cannot be scored, because it or its estimate is silent", reference.display());
            }
        }
        let channels = truth.first().map_or(0, Vec::len);
        let count =
            |value: fn(&Measures) -> f64| scores.iter().filter(|scores| !value(&scores.measures).is_finite()).count();
        let counts = COLUMNS.iter().map(|&(name, value)| (name, count(value)));
        Ok(Evaluation {
            variant: "BSS Eval v3, sources, 512 taps",
            channels,
            left_out: counts.filter(|(_, count)| *count > 0).collect(),
            mean: mean(scores.iter().map(|scores| Some(scores.measures))),
            mean_improvement: mean(scores.iter().map(|scores| scores.improvement)),
            sources: references
                .into_iter()
                .zip(scores)
                .map(|(reference, scores)| SourceScores {
                    reference,
                    estimate_file: estimates[scores.estimate].clone(),
                    scores,
                })
                .collect(),
        })
    }
}

fn files(arguments: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    // One argument at a time, because the same file may appear twice, for example as its own estimate.
    let each = arguments.iter().map(|argument| sources::files(std::slice::from_ref(argument)));
    Ok(each.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Announces the memory to score these sources, all as long as the first.
fn announce(references: &[PathBuf]) -> anyhow::Result<()> {
    let Some(first) = references.first() else { return Ok(()) };
    let (mut reader, mut block, mut samples) = (audio::Reader::open(first)?, Vec::new(), 0);
    while reader.read(&mut block)? {
        samples += block.iter().map(Vec::len).sum::<usize>() as u64;
    }
    // The signals; the transforms (at most twice as long) of references, filters and work in progress; the normal
    // equations.
    let (sources, threads) = (references.len() as u64, rayon::current_num_threads() as u64);
    let signals = (2 * sources + 1) * 8 * samples;
    let transforms = (2 * sources + 2 * threads) * 16 * samples;
    let equations = 8 * (512 * sources).pow(2);
    memory::announce(signals + transforms + equations, "score shorter recordings, or fewer sources at a time")
}

/// A file's channels (C, N). All files must have the same sample rate and number of channels.
fn read(file: &Path, like: &mut Option<(u32, usize)>) -> anyhow::Result<Vec<Vec<f64>>> {
    let recording = audio::read(file)?;
    recording.warnings.iter().for_each(|warning| log::warn!("{}: {warning}", file.display()));
    let (rate, channels) = *like.get_or_insert((recording.sample_rate, recording.channels.len()));
    if recording.sample_rate != rate {
        bail!("{}: is at {} Hz, the others at {rate} Hz; resample it", file.display(), recording.sample_rate);
    }
    if recording.channels.len() != channels {
        let count = recording.channels.len();
        bail!("{}: has {count} channel(s), the others {channels}; use the same number for all", file.display());
    }
    let wide = |channel: Vec<f32>| channel.into_iter().map(f64::from).collect();
    Ok(recording.channels.into_iter().map(wide).collect())
}

/// The mean of each measure over the sources with a finite value, or the common value if all are equal and infinite.
/// None if a source has no scores.
fn mean(all: impl Iterator<Item = Option<Measures>>) -> Option<Measures> {
    let all: Vec<Measures> = all.collect::<Option<_>>()?;
    let of = |measure: fn(&Measures) -> f64| {
        let scores: Vec<f64> = all.iter().map(measure).filter(|value| !value.is_nan()).collect();
        let finite: Vec<f64> = scores.iter().copied().filter(|value| value.is_finite()).collect();
        let counted = if finite.is_empty() { scores } else { finite };
        counted.iter().sum::<f64>() / counted.len() as f64
    };
    Some(Measures {
        snr: of(|m| m.snr),
        si_sdr: of(|m| m.si_sdr),
        sdr: of(|m| m.sdr),
        sir: of(|m| m.sir),
        sar: of(|m| m.sar),
    })
}

/// A measure's name and its value.
type Column = (&'static str, fn(&Measures) -> f64);
const COLUMNS: [Column; 5] =
    [("SDR", |m| m.sdr), ("SIR", |m| m.sir), ("SAR", |m| m.sar), ("SI-SDR", |m| m.si_sdr), ("SNR", |m| m.snr)];

fn text(evaluation: &Evaluation) -> String {
    let improved = evaluation.mean_improvement.is_some();
    let mut heading = vec!["dB".to_string()];
    heading.extend(COLUMNS.iter().map(|(name, _)| name.to_string()));
    // A mixture has no artifacts, so the gain in SAR says nothing.
    let gains = || COLUMNS.iter().filter(|(name, _)| *name != "SAR");
    if improved {
        heading.extend(gains().map(|(name, _)| format!("{name} gain")));
    }
    let row = |name: String, measures: &Measures, improvement: Option<&Measures>| {
        let mut cells = vec![name];
        cells.extend(COLUMNS.iter().map(|(_, value)| format!("{:.2}", value(measures))));
        cells.extend(improvement.into_iter().flat_map(|i| gains().map(|(_, value)| format!("{:+.2}", value(i)))));
        cells
    };
    let mut rows = vec![heading];
    for source in &evaluation.sources {
        let name = source.estimate_file.display().to_string();
        rows.push(row(name, &source.scores.measures, source.scores.improvement.as_ref()));
    }
    if let (Some(mean), true) = (&evaluation.mean, evaluation.sources.len() > 1) {
        rows.push(row("mean".into(), mean, evaluation.mean_improvement.as_ref()));
    }
    let mut text = format!("{}{}", table(&rows), evaluation.variant);
    if evaluation.channels > 1 {
        text += &format!(", energies of {} channels summed", evaluation.channels);
    }
    // A mean over only infinite values leaves nothing out.
    let sources = evaluation.sources.len();
    let part = evaluation.left_out.iter().filter(|(_, count)| **count < sources);
    let part: Vec<String> = part.map(|(name, count)| format!("{count} of {name}")).collect();
    if !part.is_empty() {
        text += &format!("\nthe means leave out what is infinite or undefined: {}", part.join(", "));
    }
    text + "\n"
}

fn csv(evaluation: &Evaluation) -> String {
    let mut text = String::from("reference,estimate,sdr,sir,sar,si_sdr,snr,sdr_gain,sir_gain,si_sdr_gain,snr_gain\n");
    for source in &evaluation.sources {
        let quoted = |path: &Path| format!("\"{}\"", escaped(&path.to_string_lossy()).replace('"', "\"\""));
        let Measures { sdr, sir, sar, si_sdr, snr } = source.scores.measures;
        text += &format!("{},{}", quoted(&source.reference), quoted(&source.estimate_file));
        text += &format!(",{sdr},{sir},{sar},{si_sdr},{snr}");
        text += &match source.scores.improvement {
            Some(Measures { sdr, sir, si_sdr, snr, .. }) => format!(",{sdr},{sir},{si_sdr},{snr}\n"),
            None => ",,,,\n".to_string(),
        };
    }
    text
}
